"""Write one shard of the phantom's patients as DICOM series."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.phantom import Phantom
    from radgen_lib.sources.phantom.write import write_phantom

    job, params = snakemake, snakemake.params
    ledger = write_phantom(
        Phantom(**params.phantom),
        params.seed,
        Path(job.output.ledger).parent,
        shard=int(job.wildcards.shard),
        shards=params.shards,
        jobs=job.threads,
    )
    write_parquet(job.output.ledger, ledger)
