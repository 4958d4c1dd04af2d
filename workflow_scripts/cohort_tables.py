"""Read the released files into the cohort's tables."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.cohort.released import read_released, write_cohort
    from radgen_lib.core.atomic import write_csv

    job = snakemake
    cohort = read_released(
        {name: Path(path) for name, path in job.input.items()},
        genes=job.params.genes,
        max_excluded_share=job.params.max_excluded_share,
    )
    write_cohort(cohort, Path(job.output.images).parent)
    write_csv(job.output.patients_csv, cohort.patients)
    write_csv(job.output.selection_csv, cohort.selection)
    card.add(patients=len(cohort.patients), images=len(cohort.images), series=len(cohort.series))
    card.write(job.output.card)
