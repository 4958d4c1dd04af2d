"""The cohort's tables, from what ingestion read."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.cohort.ingested import read_ingested
    from radgen_lib.cohort.released import write_cohort
    from radgen_lib.core.atomic import write_csv
    from radgen_lib.core.config.cohort import Cohort

    job, params = snakemake, snakemake.params
    cohort = read_ingested(
        [Path(path).parent for path in job.input.phases],
        Path(job.input.omics[0]).parent,
        genes=params.genes,
        cohort=Cohort(**params.cohort),
        subgroups=Path(job.input.subgroups[0]) if job.input.subgroups else None,
    )
    write_cohort(cohort, Path(job.output.images).parent)
    write_csv(job.output.patients_csv, cohort.patients)
    write_csv(job.output.selection_csv, cohort.selection)
    card.add(patients=len(cohort.patients), images=len(cohort.images), series=len(cohort.series))
    card.write(job.output.card)
