"""Who of the MR patients of a collection is left for system C."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.core.atomic import write_csv
    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.sources.imaging_source import list_source
    from radgen_lib.sources.series_lists import system_c_flow

    job = snakemake
    root = Path(job.config["downloads"]) / job.wildcards.cohort
    listing = list_source(Imaging(**job.params.imaging), root, offline=job.config["offline"])
    write_csv(job.output.flow, system_c_flow(listing))
