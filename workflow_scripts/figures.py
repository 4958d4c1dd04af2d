"""Draw every figure of a cohort."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import numpy as np
    import pandas as pd

    from radgen_lib.core.atomic import write_bytes
    from radgen_lib.reporting.assemble import Material, make_figures
    from radgen_lib.reporting.facts import RunFacts
    from radgen_lib.reporting.gather import gather_rows, per_protocol

    job, config = snakemake, snakemake.params.config
    root = Path(job.output[0]).parent.parent
    given = dict(job.input.items())
    names = list(job.params.runs)
    material = Material(
        rows=gather_rows(given["rows"], root),
        selection=pd.read_parquet(given["selection"]),
        patients=pd.read_parquet(given["patients"]),
        series=pd.read_parquet(given["series"]),
        images=np.load(given["images"], mmap_mode="r"),
        runs=job.params.runs,
        samples=per_protocol(given, "samples", names),
        indexes=per_protocol(given, "index", names),
        features=per_protocol(given, "features", names),
        training=per_protocol(given, "training", names),
        curves={name: pd.read_parquet(given[f"curves_{name}"]) for name in names},
        pairs={name: pd.read_parquet(given[f"pairs_{name}"]) for name in names},
    )
    made = make_figures(material, RunFacts(job.wildcards.cohort, config["preset"], job.params.seed, config))
    for path in (Path(file) for file in job.output if file != job.output.card):
        write_bytes(path, made[path.stem])
    card.write(job.output.card)
