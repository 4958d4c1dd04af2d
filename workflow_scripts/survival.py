"""Survival rows (B.TC), Kaplan-Meier curves (B.F2) and the risks behind them, of one protocol."""

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
    rows, curves, risks = survival_rows(
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
    for path, table in ((job.output.rows, rows), (job.output.curves, curves), (job.output.risks, risks)):
        write_parquet(path, table)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows), risks=len(risks))
    card.write(job.output.card)
