"""What the factors of the fit on all patients mean."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.factors.meaning import factor_meaning, read_sets
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.omics.btf.folds import FoldFit

    job = snakemake
    found = factor_meaning(
        FoldFit.load(Path(job.input.models), "full"),
        pd.read_parquet(job.input.patients),
        read_sets(Path(job.input.sets[0]), phantom=job.params.phantom, whole=job.params.whole),
        seed=job.params.seed,
    )
    for name, table in found._asdict().items():
        write_parquet(job.output[name], table)
    card.add(rows={name: len(table) for name, table in found._asdict().items()})
    card.write(job.output.card)
