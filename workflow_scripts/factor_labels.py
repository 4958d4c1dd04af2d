"""What is known of the patients of the tensor, receptors from a further table where the cohort has one."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.cohort.factor_labels import RECEPTORS, factor_labels
    from radgen_lib.core.atomic import write_parquet
    from radgen_lib.sources.reference.subtypes import read_pam50_receptors

    job = snakemake
    further = [Path(file) for file in job.input.receptors]
    found = factor_labels(
        pd.read_parquet(job.input.tensor_patients)["patient"].tolist(),
        pd.read_parquet(job.input.patients),
        read_pam50_receptors(further[0], whole=job.params.whole) if further else None,
        path=further[0] if further else None,
        max_excluded_share=job.params.max_excluded_share,
    )
    write_parquet(job.output.table, found.table)
    write_parquet(job.output.selection, found.selection)
    card.add(known={name: int(found.table[name].notna().sum()) for name in RECEPTORS})
    card.write(job.output.card)
