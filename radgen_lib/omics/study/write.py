"""The omics tables of a cohort as files; every later stage reads these and never the study itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from radgen_lib.core.atomic import write_json, write_parquet
from radgen_lib.omics.quality import omics_quality
from radgen_lib.omics.study.read import Study
from radgen_lib.omics.study.scale import OTHER
from radgen_lib.omics.tensor_table import write_tensor

SCALES = "tensor_scales.json"
FILES = (
    "tensor.npy", "tensor_patients.parquet", "tensor_genes.parquet", "tensor_omics.json", SCALES,
    "clinical.parquet", "mutations.parquet", "mutated.parquet", "decisions.parquet", "losses.parquet",
    "quality.parquet", "selection.parquet",
)  # fmt: skip


def write_omics(study: Study, out: Path) -> None:
    """Write all files of :data:`FILES` into ``out``, each whole or not at all.

    ``tensor.npy`` is float32 [patients, genes, omics] with its axes beside it; ``tensor_scales.json`` names the scale
    of each omic (:class:`~radgen_lib.omics.tensor_table.OmicMatrix`); ``clinical`` (see
    :func:`~radgen_lib.omics.study.clinical.read_clinical_table`, and sample_<omic>: the sample that stands for the
    patient); ``mutations`` (patient, gene, variant, kind, silent); ``mutated`` (patient, mut_<GENE>: 1, 0 or NaN);
    ``decisions`` (step, table, item, decision, reason, count); ``losses`` (table, unit, reason, count; reason "": what
    was kept of the unit); ``quality`` (check, omic, item, value, flag, note);
    ``selection`` (step, unit, id, source, row, kept, reason). Raises DataError when there is no matrix, or no gene
    that all omics have.
    """
    tensor = write_tensor(study.matrices, out, genes=study.choices.genes)
    scales = {matrix.omic: matrix.scale or OTHER for matrix in study.matrices}
    write_json(out / SCALES, scales)
    quality = omics_quality(tensor.values, tensor.patients, tensor.genes, tensor.omics, scales)
    tables = {
        "clinical": study.clinical,
        "mutations": study.mutations,
        "mutated": study.mutated,
        "decisions": study.decisions,
        "losses": study.losses,
        "quality": pd.concat([quality, study.quality], ignore_index=True),
        "selection": study.selection,
    }
    for name, table in tables.items():
        write_parquet(out / f"{name}.parquet", table)
