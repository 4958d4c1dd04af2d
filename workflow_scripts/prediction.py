"""Prediction rows (B.TB) of one protocol, and the scores behind them."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.analyses.prediction import prediction_rows
    from radgen_lib.analyses.read import read_runs, read_tables
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.core.config.cpdm import Prediction, Protocol

    job, params = snakemake, snakemake.params
    rows, scores = prediction_rows(
        read_tables(job.input),
        read_runs(params.runs, job.input),
        name=job.wildcards.protocol,
        protocol=Protocol(**params.protocol),
        prediction=Prediction(**params.prediction),
        seed=params.seed,
        threads=job.threads,
    )
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    write_parquet(job.output.predictions, scores)
    card.add(rows=len(rows), predictions=len(scores))
    card.write(job.output.card)
