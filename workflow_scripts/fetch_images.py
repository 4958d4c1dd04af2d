"""Fetch one shard of a cohort's image series."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.sources.imaging_source import fetch_shard

    job, params = snakemake, snakemake.params
    ledger = fetch_shard(
        Imaging(**params.imaging),
        Path(job.output.ledger).parent,
        shard=int(job.wildcards.shard),
        offline=job.config["offline"],
        jobs=job.threads,
        papers=Path(job.input.papers[0]) if job.input.papers else None,
    )
    write_parquet(job.output.ledger, ledger)
