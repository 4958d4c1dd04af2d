"""Draw images from the trained generators of a job."""

import json
from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.atomic import write_array, write_parquet
    from radgen_lib.generators.base import device_for
    from radgen_lib.generators.plans import SETTINGS, planned_rows
    from radgen_lib.generators.sampling import choose_others, draw_samples
    from radgen_lib.generators.store import load_generators

    job, params = snakemake, snakemake.params
    trained_on = json.loads(Path(job.input.card).read_text())["trained_on"]
    conditions = pd.read_parquet(job.input.conditions)
    patients = pd.read_parquet(job.input.patients)
    patients = patients[patients["patient"].isin(conditions["patient"])]
    others = choose_others(patients, params.sampling["max_synthetic"], seed=params.seed)
    fitted = load_generators(Path(job.input.card))
    names = {fold: one.names for fold, one in fitted.items()}
    settings = {name: params[name] for name in SETTINGS}
    images, index = draw_samples(
        fitted,
        {fold: rows["patient"] for fold, rows in trained_on.items()},
        planned_rows(pd.read_parquet(job.input.splits), others, names, **settings),
        conditions,
        device=device_for(params.class_path, job.config["device"]),
        what=f"images of {job.wildcards.generator}",
    )
    write_array(job.output.samples, images)
    write_parquet(job.output.index, index)
    card.add(images=len(index), patients_without_mri=len(others))
    card.write(job.output.card)
