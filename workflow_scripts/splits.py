"""Draw every split once, as a file."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.cohort.splits import check_splits, endpoint_splits, image_splits
    from radgen_lib.core.atomic import write_parquet

    job = snakemake
    settings = job.params.splits
    patients, series = pd.read_parquet(job.input.patients), pd.read_parquet(job.input.series)
    images = image_splits(
        patients,
        series,
        folds=settings["folds"],
        repeats=settings["repeats"],
        seed=job.params.seed,
        sites=settings["sites"],
        stand_in=job.params.stand_in,
    )
    # A patient on both sides stops the run here, before anything is trained.
    check_splits(images[~images["design"].str.startswith("published")], split_unit="patient")
    endpoints = endpoint_splits(
        patients,
        tasks=job.params.tasks,
        folds=settings["endpoint_folds"],
        repeats=settings["endpoint_repeats"],
        seed=job.params.seed,
    )
    write_parquet(job.output.images, images)
    write_parquet(job.output.endpoints, endpoints)
    card.write(job.output.card)
