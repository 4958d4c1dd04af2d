"""Survival rows (B.TC) and Kaplan-Meier curves (B.F2) of one protocol."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.analyses.read import read_runs, read_tables
    from radgen_lib.analyses.survival import survival_rows
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.cpdm import Protocol, Survival

    job, params = snakemake, snakemake.params
    rows, curves = survival_rows(
        read_tables(job.input),
        read_runs(params.runs, job.input),
        name=job.wildcards.protocol,
        protocol=Protocol(**params.protocol),
        survival=Survival(**params.survival),
        seed=params.seed,
        draws=params.draws,
        holdouts=params.holdouts,
    )
    write_parquet(job.output.rows, rows)
    write_parquet(job.output.curves, curves)
    card.add(rows=len(rows))
    card.write(job.output.card)
