"""The page that shows how the data was read."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.reporting.data_page import gather_data, write_data_page

    job = snakemake
    names = ("ledgers", "series", "phases", "masks", "selection", "sheets")
    omics = Path(job.input.omics[0]).parent if job.input.omics else None
    cohort, config = job.wildcards.cohort, job.params.config
    files = {name: list(job.input.get(name)) for name in names}
    facts = gather_data(cohort, config["preset"], config["cohorts"][cohort], files, omics)
    write_data_page(Path(job.output.page), facts)
    card.write(job.output.card)
