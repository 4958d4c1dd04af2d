"""Write every table of a cohort."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.reporting.facts import RunFacts
    from radgen_lib.reporting.gather import cohort_rows, gather_rows
    from radgen_lib.reporting.tables import build_tables, write_tables

    job, config = snakemake, snakemake.params.config
    folder = Path(job.output[0]).parent
    facts = RunFacts(job.wildcards.cohort, config["preset"], job.params.seed, config)
    counted = cohort_rows(pd.read_parquet(job.input.patients), facts, "cohort/patients.csv")
    rows = pd.concat([gather_rows(job.input.rows, folder.parent), counted], ignore_index=True)
    write_tables(folder, build_tables(rows, facts))
    card.write(job.output.card)
