"""The page that shows how the data was read."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.cohort.ingested import check_fetched, check_share
    from radgen_lib.reporting.data_page import gather_data, write_data_page

    job = snakemake
    names = ("ledgers", "series", "phases", "masks", "selection", "sheets")
    omics = Path(job.input.omics[0]).parent if job.input.omics else None
    cohort, config = job.wildcards.cohort, job.params.config
    files = {name: list(job.input.get(name)) for name in names}
    facts = gather_data(cohort, config["preset"], config["cohorts"][cohort], files, omics)
    write_data_page(Path(job.output.page), facts)
    # The gate comes after the page, which shows what was lost and why; the rule fails and the page stays.
    allowed = config["cohorts"][cohort]["max_excluded_share"]
    check_fetched(facts.ledger, allowed, Path(job.input.ledgers[0]))
    check_share(facts.phases, allowed, Path(job.input.phases[0]))
