"""The molecular study of a cohort as a tensor and tables."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.core.config.cohort import Cohort
    from radgen_lib.imaging.pseudonyms import Pseudonyms
    from radgen_lib.omics.study.decisions import Choices
    from radgen_lib.omics.study.local import read_any_study
    from radgen_lib.omics.study.rest import with_rest
    from radgen_lib.omics.study.write import write_omics

    job = snakemake
    cohort = Cohort(**job.params.cohort)
    root = Path(job.config["downloads"]) / job.wildcards.cohort  # private, like the key of the images
    root.mkdir(parents=True, exist_ok=True)
    hidden = Pseudonyms(root) if cohort.imaging is not None and cohort.imaging.pseudonyms else None
    study = read_any_study(
        Path(job.input.study),
        drivers=job.params.drivers,
        rename=(lambda patient: hidden.of("patient", patient)) if hidden else None,
        clinical=Path(job.input.clinical[0]) if job.input.clinical else None,
        scratch=root,
        choices=Choices.of(cohort.omics) if cohort.omics else None,
    )
    if job.input.rest:
        study = with_rest(study, Path(job.input.rest[0]))
    write_omics(study, Path(job.output.tensor).parent)
    if hidden:
        hidden.write_links("omics")
    card.write(job.output.card)
