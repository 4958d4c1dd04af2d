"""Who of the MR patients of a collection is left for system C."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.atomic import write_csv
    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.sources.idc_index_query import index_version
    from radgen_lib.sources.imaging_source import list_source
    from radgen_lib.sources.series_lists import system_c_flow, with_expression

    job = snakemake
    root = Path(job.config["downloads"]) / job.wildcards.cohort
    listing = list_source(Imaging(**job.params.imaging), root, offline=job.config["offline"])
    phases = pd.concat([pd.read_parquet(path) for path in job.input.phases], ignore_index=True)
    flow = system_c_flow(
        listing,
        phases=phases,
        expression=with_expression(pd.read_parquet(job.input.clinical[0])) if job.input.clinical else None,
    )
    write_csv(job.output.flow, flow)
    card.add(index=index_version(), series=len(listing))
    card.write(job.output.card)
