"""Where the matrices of a tensor come from: a cohort that was ingested, or the released TCGA 2012 tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.omics.btf.choices import METHYLATION
from radgen_lib.omics.study.decisions import Choices
from radgen_lib.omics.study.methylation import ProbeMean
from radgen_lib.omics.study.scale import OTHER
from radgen_lib.omics.study.write import SCALES
from radgen_lib.omics.tensor_table import OmicMatrix, open_tensor
from radgen_lib.sources.reference.multiomics import OMICS, tcga2012_tensor

# Expression of the released tables is a log ratio to a reference sample, which is no log2(x + 1).
TCGA2012_SCALES = {"expression": OTHER, "copy_number": "log2 ratio", "methylation": "beta"}
_BLOCK = 2048


def read_matrices(folder: Path) -> tuple[OmicMatrix, ...]:
    """The matrices of a written cohort (``folder`` holds its tensor and the scales of its omics), in its order.

    Patients and genes without any value in an omic do not stand in its matrix: a tensor of the union of patients holds
    them as empty rows. Raises DataError when a file is absent or an omic has no scale.
    """
    tensor = open_tensor(folder)
    path = folder / SCALES
    if not path.is_file():
        raise data_error(SCALES, "is not there", "Run the omics rule first")
    scales = json.loads(path.read_text(encoding="utf-8"))
    if lacking := [omic for omic in tensor.omics if omic not in scales]:
        raise data_error(SCALES, f"does not name the scale of {', '.join(lacking)}", "Run the omics rule again")
    return tuple(
        _without_empty(omic, tensor.patients, tensor.genes, tensor.values[:, :, place], str(scales[omic]))
        for place, omic in enumerate(tensor.omics)
    )


def tcga2012_matrices(tables: Sequence[pd.DataFrame]) -> tuple[OmicMatrix, ...]:
    """Expression (log ratio), copy number (log2 ratio) and methylation (mean beta of its probes) of released tables.

    ``tables`` as :func:`~radgen_lib.sources.reference.multiomics.read_tcga2012` gives them, one a chromosome; both
    together are 463 patients x 275 genes. Methylation says how many probes a gene has (``origin``). Raises ValueError
    for a gene that stands in two tables.
    """
    values, patients, genes = tcga2012_tensor(tables)
    names = tuple(map(str, genes["gene"]))
    origins = {METHYLATION: _probe_words(genes["probes"].to_numpy(dtype=int))}
    return tuple(
        replace(
            _without_empty(omic, tuple(map(str, patients)), names, values[:, :, place], TCGA2012_SCALES[omic]),
            origin=origins.get(omic, ""),
        )
        for place, omic in enumerate(OMICS)
    )


def _probe_words(probes: np.ndarray) -> str:
    """How many probes the genes have: what a methylation value of the released tables is the mean of."""
    have = probes[probes > 0]
    if not len(have):
        return "no gene has a probe"
    return (
        f"mean beta of all probes of the gene, missing ones left out; promoter or not is not told: {have.sum()} probes "
        f"of {len(have)} genes, {have.min()} to {have.max()} a gene (median {np.median(have):g})"
        + (f"; {len(probes) - len(have)} genes have none" if len(have) < len(probes) else "")
    )


def m_values(matrix: OmicMatrix) -> tuple[OmicMatrix, int]:
    """The M-values log2(beta / (1 - beta)) of a matrix of beta (Du et al. 2010), and how many cells were no beta.

    Beta is kept at least 0.001 away from 0 and 1; a cell outside [0, 1] becomes missing.
    """
    mean = ProbeMean(len(matrix.patients), Choices(methylation="m_value"))
    for start in range(0, len(matrix.genes), _BLOCK):
        names = matrix.genes[start : start + _BLOCK]
        mean.add([[name] for name in names], [""] * len(names), matrix.values[:, start : start + _BLOCK])
    return OmicMatrix(matrix.omic, matrix.patients, matrix.genes, mean.means(), "m_value"), mean.impossible


def _without_empty(
    omic: str, patients: Sequence[str], genes: Sequence[str], values: np.ndarray, scale: str
) -> OmicMatrix:
    there = ~np.isnan(values)
    rows, columns = np.flatnonzero(there.any(axis=1)).tolist(), np.flatnonzero(there.any(axis=0)).tolist()
    kept = np.ascontiguousarray(values[np.ix_(rows, columns)], dtype=np.float32)
    return OmicMatrix(omic, tuple(patients[i] for i in rows), tuple(genes[i] for i in columns), kept, scale)
