"""Leakage rows (S.LEAK) of one protocol; fails where a patient crosses a split by patient."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.audit.factor_leakage import check_factor_fits, read_fitted
    from radgen_lib.audit.leakage import check_leakage, read_runs
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.core.rows import result_frame

    job, params = snakemake, snakemake.params
    splits = pd.read_parquet(job.input.splits)
    splits = splits[splits["design"].isin(params.protocol["designs"])]
    endpoints = pd.read_parquet(job.input.endpoint_splits)
    factors = [pd.read_parquet(file) for file in job.input.factors]
    eligible = {name: set(pd.read_parquet(job.input[name])["patient"]) for name in ("genes15", "factors17")}
    if factors:
        eligible["factors"] = set(factors[0]["patient"])
    fits = read_runs(job.input.cards, params.runs)
    name = job.wildcards.protocol
    rows = check_leakage(
        splits,
        fits,
        protocol_name=name,
        split_unit=params.protocol["split_unit"],
        endpoints=endpoints,
        eligible=eligible,
    )
    for file, table in zip(job.input.factor_splits, factors, strict=True):
        fitted = read_fitted([Path(folder) for folder in job.input.models])
        rows += check_factor_fits(splits, pd.read_parquet(file), fitted, table, endpoints, protocol_name=name)
    rows = result_frame(rows)
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows), fits=len(fits))
    card.write(job.output.card)
