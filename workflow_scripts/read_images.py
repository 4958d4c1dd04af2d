"""DICOM series of one shard to phases, volumes on one grid, masks and contact sheets."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.imaging.ingest import ingest_shard

    job, params = snakemake, snakemake.params
    counts = ingest_shard(
        pd.read_parquet(job.input.ledger),
        Path(job.input.ledger).parent,
        Path(job.output.volumes).parent,
        imaging=Imaging(**params.imaging),
        names=None,
        jobs=job.threads,
    )
    Path(job.output.nifti).mkdir(exist_ok=True)  # empty where imaging.nifti is off
    card.add(**counts)
    card.write(job.output.card)
