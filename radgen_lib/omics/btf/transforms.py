"""Every omic on the scale on which the model's Gaussian noise makes sense; what stands twice is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radgen_lib.core.errors import data_error
from radgen_lib.omics.btf.choices import COPY_NUMBER, EXPRESSION, LOGGED, METHYLATION, TensorChoices
from radgen_lib.omics.btf.matrices import m_values
from radgen_lib.omics.duplicates import FEWEST_GENES, matrix_likeness, same_rows
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.scale import OTHER, expression_scale
from radgen_lib.omics.tensor_table import OmicMatrix

TWICE = "patient twice"


def without_infinities(matrix: OmicMatrix, log: Decisions) -> OmicMatrix:
    """The matrix with infinite cells missing; the log counts them."""
    odd = np.isinf(matrix.values)
    if not odd.any():
        return matrix
    place = np.argwhere(odd)[0]
    first = f"first: {matrix.patients[place[0]]}, {matrix.genes[place[1]]}"
    reason = f"an infinity is not a measurement ({first})"
    log.add("missing", matrix.omic, "infinite cells", "missing", reason, count=int(odd.sum()))
    return _replaced(matrix, np.where(odd, np.float32(np.nan), matrix.values), matrix.scale)


def with_values(matrices: Sequence[OmicMatrix], log: Decisions) -> list[OmicMatrix]:
    """The matrices that hold a value at all; raises DataError when none does."""
    kept: list[OmicMatrix] = []
    for matrix in matrices:
        if np.isnan(matrix.values).all():
            log.add("omic", matrix.omic, matrix.omic, "left out", "no value in any patient", count=0)
        else:
            kept.append(matrix)
    if not kept:
        raise data_error("tensor", "no omics matrix holds a value", "Look at the patients asked for and at the input")
    return kept


def without_copies(matrices: Sequence[OmicMatrix], log: Decisions) -> list[OmicMatrix]:
    """The matrices, less every one that is an earlier one under another name (rank correlation per gene)."""
    kept: list[OmicMatrix] = []
    for matrix in matrices:
        likes = [(other, matrix_likeness(other, matrix)) for other in kept]
        same = next(((other, like) for other, like in likes if like.same), None)
        if same is None:
            kept.append(matrix)
            continue
        other, like = same
        reason = f"one matrix under two names: rank correlation with {other.omic} {like.rho:.4f} ({like.genes} genes)"
        log.add("matrix twice", matrix.omic, matrix.omic, "left out", reason)
    return kept


def without_doubles(matrices: Sequence[OmicMatrix], log: Decisions) -> list[OmicMatrix]:
    """The matrices without patients whose values in an omic are those of an earlier patient in every gene.

    Nobody can tell whose sample it is, and one tumour on both sides of a split would be leakage; the first name stays.
    Discrete copy number is not asked: quiet tumours share it.
    """
    doubles: dict[str, str] = {}
    for matrix in matrices:
        for group in same_rows(matrix.values):
            row = matrix.values[group[0]]
            there = row[~np.isnan(row)]
            if len(there) < FEWEST_GENES or len(np.unique(there)) < 3 or (there == np.rint(there)).all():
                continue
            first, *others = sorted(matrix.patients[place] for place in group)
            for other in others:
                doubles.setdefault(other, f"the same {matrix.omic} as {first} in every gene")
    # A row each, however many: the selection of patients tells each of them why.
    log.extend(TWICE, "tensor", [(name, "left out", doubles[name]) for name in sorted(doubles)], most=len(doubles))
    return [_without(matrix, doubles) for matrix in matrices] if doubles else list(matrices)


def model_scale(matrix: OmicMatrix, choices: TensorChoices, log: Decisions) -> OmicMatrix:
    """The matrix on the scale of the model: log2(x + 1), log ratio, M-value; an unknown omic as it is."""
    if matrix.omic == EXPRESSION:
        return _expression(matrix, log)
    if matrix.omic == METHYLATION:
        return _methylation(matrix, choices, log)
    reason = f"scale {matrix.scale or 'not stated'}"
    if matrix.omic == COPY_NUMBER and matrix.scale == "discrete":
        reason += ": calls from -2 to 2, whose noise is not Gaussian; a log2 ratio is better"
    log.add("scale", matrix.omic, matrix.omic, "as it is", reason)
    return matrix


def _expression(matrix: OmicMatrix, log: Decisions) -> OmicMatrix:
    kind, reason = {LOGGED: "log2", "linear": "linear", OTHER: "other"}.get(matrix.scale), "as stated"
    if kind is None:
        kind, reason = expression_scale(matrix.values)
    if kind != "linear":
        log.add("scale", matrix.omic, matrix.omic, "as it is", f"{kind}: {reason}")
        return _replaced(matrix, matrix.values, LOGGED if kind == "log2" else OTHER)
    below = int((matrix.values < 0).sum())
    if below:
        log.add("scale", matrix.omic, "values below 0", "0", "linear expression has none", count=below)
    log.add("scale", matrix.omic, matrix.omic, LOGGED, f"linear: {reason}")
    return _replaced(matrix, np.log2(np.maximum(matrix.values, np.float32(0)) + np.float32(1)), LOGGED)


def _methylation(matrix: OmicMatrix, choices: TensorChoices, log: Decisions) -> OmicMatrix:
    scale, reason = matrix.scale, "as stated"
    if scale not in ("beta", "m_value"):
        inside = np.nanmin(matrix.values) >= 0 and np.nanmax(matrix.values) <= 1
        scale, reason = ("beta" if inside else "m_value"), "told from the range of its values"
    if scale == "m_value" or choices.methylation == "beta":
        log.add("scale", matrix.omic, matrix.omic, "as it is", f"{scale}: {reason}")
        return _replaced(matrix, matrix.values, scale)
    found, impossible = m_values(matrix)
    if impossible:
        log.add("missing", matrix.omic, "beta outside 0..1", "missing", "it is no beta", count=impossible)
    log.add("scale", matrix.omic, matrix.omic, "m_value", f"beta: {reason}")
    return found


def _replaced(matrix: OmicMatrix, values: np.ndarray, scale: str) -> OmicMatrix:
    return OmicMatrix(matrix.omic, matrix.patients, matrix.genes, values, scale)


def _without(matrix: OmicMatrix, names: dict[str, str]) -> OmicMatrix:
    rows = [place for place, patient in enumerate(matrix.patients) if patient not in names]
    patients = tuple(matrix.patients[place] for place in rows)
    return OmicMatrix(matrix.omic, patients, matrix.genes, matrix.values[rows], matrix.scale)
