"""Fidelity rows (B.TA) of one protocol."""

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.analyses.fidelity import fidelity_rows
    from radgen_lib.analyses.read import read_images, read_runs
    from radgen_lib.analyses.trainings import training_rows
    from radgen_lib.core.atomic import write_csv, write_parquet
    from radgen_lib.core.config.cpdm import Protocol
    from radgen_lib.core.rows import result_frame

    job, params = snakemake, snakemake.params
    known = {"factors": set(pd.read_parquet(job.input.factors[0])["patient"])} if job.input.factors else {}
    given = (
        read_images(job.input),
        pd.read_parquet(job.input.real),
        read_runs(params.runs, job.input),
        pd.read_parquet(job.input.splits),
    )
    name, protocol = job.wildcards.protocol, Protocol(**params.protocol)
    rows = fidelity_rows(*given, name=name, protocol=protocol, seed=params.seed, draws=params.draws, known=known)
    further = training_rows(*given, name=name, protocol=protocol)
    # Both at once through result_frame, which refuses a result that stands twice.
    rows = result_frame([*rows.to_dict("records"), *further.to_dict("records")])
    write_parquet(job.output.rows, rows)
    write_csv(job.output.csv, rows)
    card.add(rows=len(rows))
    card.write(job.output.card)
