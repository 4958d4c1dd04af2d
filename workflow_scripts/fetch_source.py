"""Fetch one file of the registry."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.sources.download import fetch, mirror_folder
    from radgen_lib.sources.registry import load_registry

    job = snakemake
    registry = load_registry(Path(job.params.registry) if job.params.registry else None)
    fetch(
        registry[job.wildcards.source],
        Path(job.output.file),
        mirror=mirror_folder(job.config["mirror"]),
        offline=job.config["offline"],
    )
