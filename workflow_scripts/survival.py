"""Survival rows (B.TC) and Kaplan-Meier curves (B.F2) of one protocol."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.clusters import cluster_rows
    from radgen_lib.analyses.read import read_runs, read_tables
    from radgen_lib.analyses.survival import survival_rows
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.core.config.cpdm import Protocol, Survival

    job, params = snakemake, snakemake.params
    tables, runs = read_tables(job.input), read_runs(params.runs, job.input)
    rows, curves = survival_rows(
        tables,
        runs,
        name=job.wildcards.protocol,
        protocol=Protocol(**params.protocol),
        survival=Survival(**params.survival),
        seed=params.seed,
        draws=params.draws,
        holdouts=params.holdouts,
    )
    clusters = cluster_rows(
        tables.patients,
        runs,
        name=job.wildcards.protocol,
        primary=params.protocol["primary"],
        permutations=params.permutations,
        draws=params.draws,
        seed=params.seed,
    )
    rows = pd.concat([rows, clusters], ignore_index=True)
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    write_parquet(job.output.curves, curves)
    card.add(rows=len(rows))
    card.write(job.output.card)
