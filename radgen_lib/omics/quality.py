"""Quality of an omics tensor: missingness, scale, constant genes, doubles, and samples exchanged between omics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from radgen_lib.omics.duplicates import likeness, same_rows
from radgen_lib.omics.swaps import find_swaps

QUALITY_COLUMNS = ("check", "omic", "item", "value", "flag", "note")
QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
MISSING_PATIENT, MISSING_GENE = 0.2, 0.2
# Plausible ranges per omic: outside, the matrix is on another scale than the analyses think.
_LOG_HIGHEST, _COPY_HIGHEST = 30.0, 20.0
_BATCH = 2048
_Row = tuple[str, str, str, float, bool, str]


def omics_quality(
    tensor: np.ndarray, patients: Sequence[str], genes: Sequence[str], omics: Sequence[str],
    scales: Mapping[str, str] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """All checks of a tensor float [patients, genes, omics] (may be memory-mapped; NaN for missing).

    Columns: check, omic (two omics: ``a, b``), item (patient, gene, quantile or ""), value (see the check), flag
    (somebody should look at it), note. Checks: ``missing share`` of the omic; ``patient missing`` and ``gene missing``
    for those with more than a fifth missing; ``absent patients`` (number without any value); ``quantile``; ``scale``;
    ``constant gene``; ``patient twice``; ``matrix twice`` (median rank correlation per gene, always reported per pair
    of omics); ``own pairs`` (AUC of own against foreign pairs) and ``sample swap`` (score of the better partner).
    ``scales``: what the values of an omic are said to be; methylation may then be ``m_value``.
    """
    shape = (len(patients), len(genes), len(omics))
    if tensor.shape != shape:
        raise ValueError(f"tensor of shape {tensor.shape} where the names give {shape}")
    rows: list[_Row] = []
    for place, omic in enumerate(omics):
        values = np.array(tensor[:, :, place], dtype=np.float32)
        rows += [
            *_missing(omic, values, patients, genes),
            *_scale(omic, values, (scales or {}).get(omic, "")),
            *_constant(omic, values, genes),
        ]
        rows += _patients_twice(omic, values, patients)
    rows += _matrices_twice(tensor, omics)
    rows += _swaps(tensor, patients, omics)
    return quality_frame(rows)


def quality_frame(rows: Sequence[_Row]) -> pd.DataFrame:
    """Rows (check, omic, item, value, flag, note) as the table that is written."""
    frame = pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))
    return frame.astype({"value": np.float64, "flag": bool})


def _missing(omic: str, values: np.ndarray, patients: Sequence[str], genes: Sequence[str]) -> Iterator[_Row]:
    missing = np.isnan(values)
    absent = missing.all(axis=1)
    yield "missing share", omic, "", float(missing.mean()), bool(missing.all()), "share of all cells"
    yield "absent patients", omic, "", float(absent.sum()), False, f"of {len(patients)} patients, without any value"
    present = missing[~absent]
    if not len(present):
        return
    of_patients, of_genes = present.mean(axis=1), present.mean(axis=0)
    names = [patient for patient, gone in zip(patients, absent, strict=True) if not gone]
    for i in np.flatnonzero(of_patients > MISSING_PATIENT).tolist():
        yield "patient missing", omic, names[i], float(of_patients[i]), True, "share of the genes"
    for i in np.flatnonzero(of_genes > MISSING_GENE).tolist():
        yield "gene missing", omic, genes[i], float(of_genes[i]), True, "share of the patients that the omic has"


def _scale(omic: str, values: np.ndarray, scale: str) -> Iterator[_Row]:
    there = values[~np.isnan(values)]
    if not there.size:
        yield "scale", omic, "", float("nan"), True, "no value at all"
        return
    points = np.quantile(there, QUANTILES).tolist()
    for share, point in zip(QUANTILES, points, strict=True):
        yield "quantile", omic, f"{share:g}", point, False, ""
    note = scale_fault(omic, there, points, scale)
    yield "scale", omic, "", points[-1] - points[0], bool(note), note or "range as expected"


def scale_fault(omic: str, there: np.ndarray, points: Sequence[float], scale: str = "") -> str:
    """What speaks against the scale of an omic, or ""; ``points`` are its :data:`QUANTILES`, ``scale`` what is said."""
    lowest, highest = points[0], points[-1]
    if lowest == highest:
        return "all values are equal"
    if omic == "expression" and highest > _LOG_HIGHEST:
        return f"highest value {highest:.3g}: expression is not logged"
    if omic == "methylation" and scale == "m_value":
        return "no value below 0: beta, not M-values" if lowest >= 0 else ""
    if omic == "methylation" and (lowest < 0 or highest > 1):
        outside = 100 * float(((there < 0) | (there > 1)).mean())
        kind = "M-values" if outside > 20 and highest < 20 else "not beta-values"
        return f"{outside:.3g} % of the values lie outside 0..1: {kind}"
    if omic == "copy_number" and max(-lowest, highest) > _COPY_HIGHEST:
        return f"values from {lowest:.3g} to {highest:.3g} are no log2 ratio of copy number"
    if omic == "copy_number" and lowest >= 0:
        return "no value below 0: not relative to two copies"
    return ""


def _constant(omic: str, values: np.ndarray, genes: Sequence[str]) -> Iterator[_Row]:
    for start in range(0, values.shape[1], _BATCH):
        part = values[:, start : start + _BATCH]
        there = ~np.isnan(part)
        highest = np.where(there, part, -np.inf).max(axis=0)
        lowest = np.where(there, part, np.inf).min(axis=0)
        for i in np.flatnonzero((highest == lowest) & (there.sum(axis=0) > 1)).tolist():
            yield "constant gene", omic, genes[start + i], float(highest[i]), True, "the same value in every patient"


def _patients_twice(omic: str, values: np.ndarray, patients: Sequence[str]) -> Iterator[_Row]:
    for group in same_rows(values):
        names = ", ".join(patients[place] for place in group)
        yield "patient twice", omic, names, float(len(group)), True, "the same values in every gene"


def _matrices_twice(tensor: np.ndarray, omics: Sequence[str]) -> Iterator[_Row]:
    for (i, first), (j, second) in combinations(enumerate(omics), 2):
        like = likeness(tensor[:, :, i], tensor[:, :, j])
        note = f"median rank correlation per gene over {like.genes} genes"
        if like.same:
            note += f": one matrix under two names ({like.patients} patients or more)"
        yield "matrix twice", f"{first}, {second}", "", like.rho, like.same, note


def _swaps(tensor: np.ndarray, patients: Sequence[str], omics: Sequence[str]) -> Iterator[_Row]:
    present = ~np.isnan(tensor).all(axis=1)
    for (i, first), (j, second) in combinations(enumerate(omics), 2):
        both = np.flatnonzero(present[:, i] & present[:, j])
        found = find_swaps(tensor[both, :, i], tensor[both, :, j])
        pair = f"{first}, {second}"
        note = f"own against foreign pairs over {found.genes} genes of {len(both)} patients"
        note += "" if found.judged else "; too little signal to find an exchange of samples"
        yield "own pairs", pair, "", found.separation, False, note
        for k in np.flatnonzero(found.partner >= 0).tolist():
            partner = int(found.partner[k])
            text = f"{first} fits the {second} of {patients[both[partner]]} ({found.scores[k, partner]:.3g}) "
            text += f"better than its own ({found.scores[k, k]:.3g})"
            yield "sample swap", pair, patients[both[k]], float(found.scores[k, partner]), True, text
