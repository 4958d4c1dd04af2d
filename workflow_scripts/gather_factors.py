"""The fits of all jobs in one place."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.omics.btf.gathering import conditions, gather

    job = snakemake
    names = ("factors", "fits", "traces", "choices")
    found = {name: gather([pd.read_parquet(f) for f in job.input[name]]) for name in names}
    for name, table in found.items():
        write_parquet(job.output[name], table)
    write_parquet(job.output.conditions, conditions(found["factors"]))
    card.write(job.output.card)
