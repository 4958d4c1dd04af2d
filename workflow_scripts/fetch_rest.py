"""Ask the portal's REST service for clinical attributes."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from datetime import UTC, datetime

    from radgen_lib.core.digest import file_sha256
    from radgen_lib.sources.cbioportal import fetch_attributes
    from radgen_lib.sources.cbioportal_rest import BASE, PortalClient

    job, params = snakemake, snakemake.params
    address = params.endpoint or BASE
    table = Path(job.output.table)
    told = fetch_attributes(params.asked, table, client=PortalClient(address), offline=job.config["offline"])
    # The service has no versions: the day and the sum are all that tells one answer from another.
    card.add(service=address, asked_on=f"{datetime.now(UTC):%Y-%m-%d}", answers=told, sha256=file_sha256(table))
    card.write(job.output.card)
