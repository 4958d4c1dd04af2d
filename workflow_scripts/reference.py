"""Reference rows of the pixel-row Frechet distance (B.TD), with every protocol's generators beside them."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.read import read_images, read_runs
    from radgen_lib.analyses.reference_rows import reference_rows
    from radgen_lib.core.atomic import write_csv, write_parquet

    job, params = snakemake, snakemake.params
    parts = [
        reference_rows(
            read_images(job.input),
            pd.read_parquet(job.input.series),
            read_runs(params.runs[name], job.input, prefix=f"{name}_"),
            pd.read_parquet(job.input.splits),
            name=name,
            clamp=protocol["clamp_images"],
            seed=params.seed,
        )
        for name, protocol in params.protocols.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows))
    card.write(job.output.card)
