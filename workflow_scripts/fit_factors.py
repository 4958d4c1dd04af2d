"""Factorise the training patients of each fold of the job."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.core.config.factors import Factors
    from radgen_lib.generators.common import pick_device
    from radgen_lib.omics.btf.cohort_tensor import open_cohort_tensor
    from radgen_lib.omics.btf.folds import drop_other_fits, factor_rows, fit_facts, fit_folds, gene_choices, traces
    from radgen_lib.omics.btf.gathering import gather

    job = snakemake
    settings = Factors.part(job.params.factors)
    tensor = open_cohort_tensor(Path(job.input.tensor).parent)
    splits = pd.read_parquet(job.input.splits)
    parts = {"factors": [], "fits": [], "traces": [], "choices": []}
    device = "cpu" if job.params.device == "cpu" else pick_device(job.params.device)
    for fit in fit_folds(tensor, splits, job.params.folds, settings, seed=job.params.seed, device=device):
        fit.save(Path(job.output.models))
        parts["factors"].append(factor_rows(fit, tensor, splits))
        parts["fits"].append(fit_facts(fit, splits.loc[splits["fold"] == fit.fold, "role"]))
        parts["traces"].append(traces(fit))
        parts["choices"].append(gene_choices(fit))
    for name, tables in parts.items():
        write_parquet(job.output[name], gather(tables))
    drop_other_fits(Path(job.output.models), job.params.folds)
    card.add(folds=job.params.folds, method=settings.method)
    card.write(job.output.card)
