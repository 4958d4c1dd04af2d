"""Write the phantom's molecular study, clinical tables and truth."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake):
    from radgen_lib.core.config.phantom import Phantom
    from radgen_lib.sources.phantom.write import write_phantom_tables

    job = snakemake
    write_phantom_tables(Phantom(**job.params.phantom), job.params.seed, Path(job.output.study).parent)
