"""Factorise the whole cohort from further seeds, and look for the components of the saved fit."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.analyses.factors.stability import stability
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.factors import Factors
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor
    from radgen_lib.omics.btf.folds import FoldFit

    job = snakemake
    settings = Factors.part(job.params.factors)
    first = FoldFit.load(Path(job.input.models), "full")
    table = stability(open_cohort_tensor(Path(job.input.tensor).parent), first, settings, job.params.seed)
    write_parquet(job.output.table, table)
    card.add(seeds=settings.seeds, ranks=[int(rank) for rank in table.groupby("seed")["rank"].first()])
    card.write(job.output.card)
