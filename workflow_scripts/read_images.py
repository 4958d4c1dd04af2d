"""DICOM series of one shard to phases, volumes on one grid, masks and contact sheets."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.imaging.ingest import ingest_shard
    from radgen_lib.sources.ledger import check_store

    job, params = snakemake, snakemake.params
    store = Path(job.input.ledger).parent
    counts = ingest_shard(
        check_store(pd.read_parquet(job.input.ledger), store),  # what was lost since it was fetched is a row
        store,
        Path(job.output.volumes).parent,
        imaging=Imaging(**params.imaging),
        names=None,
        jobs=job.threads,
    )
    Path(job.output.nifti).mkdir(exist_ok=True)  # empty where imaging.nifti is off
    card.add(**counts)
    card.write(job.output.card)
