"""Draw the splits of the patients of the tensor."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.cohort.factor_splits import factor_splits
    from radgen_lib.core.atomic import write_parquet

    job = snakemake
    table = factor_splits(
        pd.read_parquet(job.input.tensor_patients)["patient"],
        pd.read_parquet(job.input.patients),
        pd.read_parquet(job.input.images),
        folds=job.params.folds,
        repeats=job.params.repeats,
        seed=job.params.seed,
        sites=job.params.sites,
    )
    write_parquet(job.output.splits, table)
    card.write(job.output.card)
