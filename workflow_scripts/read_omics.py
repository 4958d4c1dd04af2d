"""The molecular study of a cohort as a tensor and tables."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.omics.study.read import read_study
    from radgen_lib.omics.study.write import write_omics

    job = snakemake
    study = read_study(Path(job.input.study), drivers=job.params.drivers)
    write_omics(study, Path(job.output.tensor).parent)
    card.write(job.output.card)
