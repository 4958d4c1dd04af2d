"""The published search over Cox settings and its optimism (B.TC)."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.analyses.read import read_runs, read_tables
    from radgen_lib.analyses.survival_search import search_rows
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.core.config.cpdm import Protocol, Survival

    job, params = snakemake, snakemake.params
    rows = search_rows(
        read_tables(job.input),
        read_runs(params.runs, job.input),
        name=job.wildcards.protocol,
        protocol=Protocol(**params.protocol),
        survival=Survival(**params.survival),
        seed=params.seed,
    )
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows))
    card.write(job.output.card)
