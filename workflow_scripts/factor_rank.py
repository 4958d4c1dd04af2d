"""Density of hidden values of held-out patients, from fits that start from more or fewer components."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.factors.rank_curve import rank_curve
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.factors import Factors
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor

    job = snakemake
    settings = Factors.part(job.params.factors)
    tensor = open_cohort_tensor(Path(job.input.tensor).parent)
    splits = pd.read_parquet(job.input.splits)
    rows = rank_curve(tensor, splits, settings, seed=job.params.seed, draws=job.params.bootstrap)
    write_parquet(job.output.rows, rows)
    card.add(offered=settings.rank_grid, rows=len(rows))
    card.write(job.output.card)
