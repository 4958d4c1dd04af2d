"""Compare our factorisation with others in patients whom no fit saw."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.factors.comparison import Study, compare
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.factors import Factors
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor

    job = snakemake
    names = ("splits", "factors", "published", "patients")
    study = Study(
        tensor=open_cohort_tensor(Path(job.input.tensor).parent),
        **{name: pd.read_parquet(job.input[name]) for name in names},
        models=[Path(folder) for folder in job.input.models],
        settings=Factors.part(job.params.factors),
        seed=job.params.seed,
        draws=job.params.bootstrap,
    )
    truth = [Path(folder) for folder in job.input.truth]
    rows, coverage = compare(study, truth[0] if truth else None)
    write_parquet(job.output.rows, rows)
    write_parquet(job.output.coverage, coverage)
    card.add(peers=study.peers, rows=len(rows))
    card.write(job.output.card)
