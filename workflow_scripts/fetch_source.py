"""Fetch one file of the registry."""

import os
from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.sources.download import fetch
    from radgen_lib.sources.registry import load_registry

    job = snakemake
    registry = load_registry(Path(job.params.registry) if job.params.registry else None)
    mirror = job.params.mirror or os.environ.get("RADGEN_MIRROR")
    fetch(
        registry[job.wildcards.source],
        Path(job.output.file),
        mirror=Path(mirror) if mirror else None,
        offline=job.params.offline,
    )
