"""Memorisation rows (S.PRIV) of one protocol, and the closest pairs for the contact sheet."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import numpy as np
    import pandas as pd

    from radgen_lib.audit.memorisation import audit_protocol
    from radgen_lib.core.atomic import write_csv, write_parquet

    job, params = snakemake, snakemake.params
    rows, pairs = audit_protocol(
        params.runs,
        job.input,
        images=np.load(job.input.images),
        series=pd.read_parquet(job.input.series),
        splits=pd.read_parquet(job.input.splits),
        draws=params.draws,
        seed=params.seed,
        protocol_name=job.wildcards.protocol,
        wanted=params.protocol["memorisation_audit"],
    )
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    write_parquet(job.output.pairs, pairs)
    card.add(rows=len(rows))
    card.write(job.output.card)
