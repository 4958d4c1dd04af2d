"""Train one generator on each fold of the job."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import numpy as np
    import pandas as pd

    from radgen_lib.core.atomic import write_csv
    from radgen_lib.generators.base import FitContext, device_for
    from radgen_lib.generators.resume import remove_kept
    from radgen_lib.generators.store import save_generators
    from radgen_lib.generators.training import Recipe, train_folds

    job, params = snakemake, snakemake.params
    trained_on = {}
    images = np.load(job.input.images, mmap_mode="r")
    recipe = Recipe(
        params.class_path,
        params.options,
        condition=job.wildcards.condition,
        scaling=params.scaling,
        log=params.condition_log,
        image_size=images.shape[-1],
    )
    context = FitContext(
        seed=params.seed,
        device=device_for(params.class_path, job.config["device"]),
        deterministic=params.deterministic,
        threads=job.threads,
        resume=Path(job.config["resume"]) / job.wildcards.cohort / job.wildcards.protocol,
        tensorboard=Path("logs/tensorboard") / "/".join(map(str, job.wildcards)),
    )
    fitted, figures = train_folds(
        recipe,
        params.folds,
        images=images,
        series=pd.read_parquet(job.input.series),
        splits=pd.read_parquet(job.input.splits),
        conditions=pd.read_parquet(job.input.conditions),
        context=context,
        on_fold=lambda fold, rows: trained_on.update({fold: rows.to_dict("list")}),
    )
    write_csv(job.output.training, figures)
    card.add(trained_on=trained_on, device=context.device, preset=params.preset)
    save_generators(job.output.weights, job.output.card, fitted, card)
    remove_kept(fitted.values())
