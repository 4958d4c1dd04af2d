"""The factorisation as published."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor
    from radgen_lib.omics.btf.folds import published_tables
    from radgen_lib.omics.btf.published import fit_published
    from radgen_lib.omics.btf.published_training import published_training

    job, published = snakemake, snakemake.params.published
    tensor = open_cohort_tensor(Path(job.input.tensor).parent)
    everyone = published_training(tensor, job.params.max_genes)
    sweeps = {"burn_in": published["burn_in"], "draws": published["draws"], "seed": job.params.seed}
    fit = fit_published(everyone.values, published["components"], **sweeps)
    factors, facts = published_tables(fit, everyone.patients, len(tensor.omics))
    write_parquet(job.output.factors, factors)
    write_parquet(job.output.fits, everyone.facts(facts))
    card.add(components=published["components"], genes=len(everyone.genes), left_out=list(everyone.left_out))
    card.write(job.output.card)
