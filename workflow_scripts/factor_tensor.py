"""Build the tensor that is factorised."""

from pathlib import Path

from radgen_lib.core.job import open_job

with open_job(snakemake) as card:
    import pandas as pd

    from radgen_lib.omics.btf.cohort_tensor import build_cohort_tensor, read_sources, write_cohort_tensor

    job = snakemake
    files = [Path(file) for file in job.input.sources]
    matrices = read_sources(files, released=job.params.released, whole=job.params.whole)
    built = build_cohort_tensor(matrices, job.params.genes)
    patients = pd.read_parquet(job.input.patients)
    imaged, folder = patients.loc[patients["n_images"] > 0, "patient"], Path(job.output.tensor).parent
    write_cohort_tensor(built, imaged, folder, released=job.params.released)
    card.add(shape=list(built.values.shape), omics=list(built.omics))
    card.write(job.output.card)
