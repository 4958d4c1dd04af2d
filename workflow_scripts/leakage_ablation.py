"""What each leak is worth on real images (S.LEAK)."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.leakage_ablation import leakage_rows
    from radgen_lib.analyses.read import read_images
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.omics.conditions import Preparation

    job, params = snakemake, snakemake.params
    rows = leakage_rows(
        read_images(job.input),
        pd.read_parquet(job.input.real),
        pd.read_parquet(job.input.patients),
        pd.read_parquet(job.input.genes15),
        pd.read_parquet(job.input.splits),
        prepared=Preparation("genes15", params.scaling, params.condition_log),
        seed=params.seed,
        draws=params.draws,
    )
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows))
    card.write(job.output.card)
