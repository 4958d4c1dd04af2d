"""Measure radiomic and encoder features of a stack of images."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import numpy as np
    import pandas as pd

    from radgen_lib.analyses.features import feature_tables
    from radgen_lib.core.atomic import write_csv, write_parquet

    job, params = snakemake, snakemake.params
    index = pd.read_parquet(job.input.index)
    keys = ["row"] if "row" in index else ["image_index", "patient"]
    rows = index[keys[0]]
    features, status = feature_tables(
        np.load(job.input.samples, mmap_mode="r")[rows.to_numpy()],
        binning=params.binning,
        clamp=params.clamp,
        encoders=params.encoders,
        weights=Path(params.weights) if params.weights else None,
        preprocessing=params.preprocessing,
        threads=job.threads,
    )
    write_parquet(job.output.features, pd.concat([index[keys].reset_index(drop=True), features], axis=1))
    write_csv(job.output.status, status)
    card.add(images=len(index), extractors=status.set_index("extractor")["status"].to_dict())
    card.write(job.output.card)
