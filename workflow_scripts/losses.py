"""Stop the run where too much was lost; else say what was."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.cohort.losses import check_fetched, check_patients, check_share, check_tables, losses
    from radgen_lib.core.atomic import write_csv

    job, allowed = snakemake, snakemake.params.max_excluded_share
    ledger = pd.concat([pd.read_parquet(path) for path in job.input.ledgers], ignore_index=True)
    phases = pd.concat([pd.read_parquet(path) for path in job.input.phases], ignore_index=True)
    check_fetched(ledger, allowed, Path(job.input.ledgers[0]))
    check_share(phases, allowed, Path(job.input.phases[0]))
    selection = pd.concat([pd.read_parquet(path) for path in job.input.selections], ignore_index=True)
    check_patients(selection, allowed, Path(job.input.selections[0]))
    tables = pd.read_parquet(job.input.tables[0]) if job.input.tables else None
    if tables is not None:
        check_tables(tables, allowed)
    write_csv(job.output.table, losses(ledger, phases, tables))
    card.write(job.output.card)
