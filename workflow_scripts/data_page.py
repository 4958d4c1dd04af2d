"""The page that shows how the data was read."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.reporting.data_page import gather_data, write_data_page
    from radgen_lib.sources.registry import load_registry

    job = snakemake
    names = ("ledgers", "series", "phases", "masks", "selection", "sheets", "sources", "rest")
    omics = Path(job.input.omics[0]).parent if job.input.omics else None
    cohort, config = job.wildcards.cohort, job.params.config
    files = {name: list(job.input.get(name)) for name in names}
    page, registry = Path(job.output.page), load_registry(job.params.registry)
    settings = config["cohorts"][cohort]
    facts = gather_data(cohort, config["preset"], settings, files, omics, page=page, registry=registry)
    write_data_page(page, facts)
    card.write(job.output.card)
