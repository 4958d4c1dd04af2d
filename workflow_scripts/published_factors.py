"""The factorisation as published."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor
    from radgen_lib.omics.btf.folds import published_tables
    from radgen_lib.omics.btf.published import fit_published

    job, published = snakemake, snakemake.params.published
    tensor = open_cohort_tensor(Path(job.input.tensor).parent)
    sweeps = {"burn_in": published["burn_in"], "draws": published["draws"], "seed": job.params.seed}
    fit = fit_published(tensor.values, published["components"], **sweeps)
    factors, facts = published_tables(fit, tensor.patients, len(tensor.omics))
    write_parquet(job.output.factors, factors)
    write_parquet(job.output.fits, facts)
    card.add(components=published["components"])
    card.write(job.output.card)
