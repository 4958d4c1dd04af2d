"""Condition-adherence rows (S.ADH) of one protocol."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.audit.adherence import adherence_of_protocol
    from radgen_lib.core.atomic import write_csv, write_parquet

    job, params = snakemake, snakemake.params
    rows = adherence_of_protocol(
        params.runs,
        job.input,
        prediction=pd.read_parquet(job.input.prediction),
        permutations=params.permutations,
        draws=params.draws,
        seed=params.seed,
        protocol_name=job.wildcards.protocol,
    )
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows))
    card.write(job.output.card)
