"""From omics matrices to the tensor patients x genes x omics that is factorised, with every decision written down."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.omics.btf.choices import TensorChoices, rules
from radgen_lib.omics.btf.filters import choose_genes
from radgen_lib.omics.btf.transforms import (
    model_scale,
    with_values,
    without_copies,
    without_doubles,
    without_infinities,
)
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.tensor_table import OmicMatrix

_TENSOR = "tensor"


@dataclass(frozen=True)
class BuiltTensor:
    """``values`` float32 [patients, genes, omics] with NaN for missing, not yet centred; the names of its axes.

    ``scales`` says what the values of each omic are. ``decisions`` has columns step, table, item, decision, reason,
    count; its first rows (count 0) are the rules.
    """

    values: np.ndarray
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    omics: tuple[str, ...]
    scales: tuple[str, ...]
    decisions: pd.DataFrame


def build_tensor(
    matrices: Sequence[OmicMatrix],
    *,
    choices: TensorChoices | None = None,
    patients: Collection[str] | None = None,
    training: Collection[str] | None = None,
) -> BuiltTensor:
    """Build the tensor of any number of omics; patients and genes of its axes are sorted.

    ``patients``: only these (None: all that any omic has). ``training``: the patients in whom gene filters look at
    values (None: all, which is right only where nothing is held out, or where ``choices`` has no filter that acts).
    Left out with a row: infinite cells, a matrix that stands twice, a patient that stands twice or has no omic, genes
    by ``choices``, values of a gene that are all equal in an omic. A fibre without values (a gene or a patient in one
    omic) is a row too. Raises DataError for no matrix, two matrices of one name, no gene left, no training patient, or
    fewer patients than ``choices.min_patients``.
    """
    choices, log = choices or TensorChoices(), Decisions()
    _check_names(matrices)
    for step, rule, reason in rules(choices):
        log.add(step, _TENSOR, "rule", rule, reason, count=0)
    for matrix in matrices:
        if matrix.origin:
            log.add("scale", matrix.omic, "a value", "as the table has it", matrix.origin, count=len(matrix.genes))
    asked = matrices if patients is None else [_rows_of(matrix, set(patients)) for matrix in matrices]
    sound = with_values([without_infinities(matrix, log) for matrix in asked], log)
    single = without_doubles(without_copies(sound, log), log)
    kept = [model_scale(matrix, choices, log) for matrix in single]
    doubles = _people(sound) - _people(single)
    everyone = _people(asked).union(patients or ()) - doubles
    learners = everyone if training is None else everyone & set(training)
    _name_learners(learners, training is None, choices, log)
    genes = choose_genes(kept, choices, learners, log)
    names = sorted(everyone)
    return _finish(_assemble(kept, names, genes), names, genes, kept, choices, log)


def _name_learners(learners: Collection[str], all_learn: bool, choices: TensorChoices, log: Decisions) -> None:
    """Say in whom gene filters look at values; where none acts nobody's values decide anything."""
    item = "patients of the filters"
    if not choices.min_expressed and choices.max_genes is None:
        log.add("gene", _TENSOR, item, "none", "no filter of genes looks at values", count=0)
        return
    reason = "all: right only where nothing is held out" if all_learn else "the held-out patients decide nothing"
    log.add("gene", _TENSOR, item, "look at values", reason, count=len(learners))


def _check_names(matrices: Sequence[OmicMatrix]) -> None:
    if not matrices:
        raise data_error(_TENSOR, "there is no omics matrix", "Look into the decisions why each was left out")
    names = [matrix.omic for matrix in matrices]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise data_error(_TENSOR, f"two matrices are named {twice[0]}", "Give each omic one matrix and its own name")


def _rows_of(matrix: OmicMatrix, wanted: Collection[str]) -> OmicMatrix:
    rows = [place for place, patient in enumerate(matrix.patients) if patient in wanted]
    names = tuple(matrix.patients[place] for place in rows)
    return OmicMatrix(matrix.omic, names, matrix.genes, matrix.values[rows], matrix.scale)


def _people(matrices: Sequence[OmicMatrix]) -> set[str]:
    return {patient for matrix in matrices for patient in matrix.patients}


def _assemble(matrices: Sequence[OmicMatrix], patients: Sequence[str], genes: Sequence[str]) -> np.ndarray:
    values = np.full((len(patients), len(genes), len(matrices)), np.nan, dtype=np.float32)
    for omic, matrix in enumerate(matrices):
        rows = pd.Index(matrix.patients).get_indexer(pd.Index(patients))
        columns = pd.Index(matrix.genes).get_indexer(pd.Index(genes))
        to = np.ix_(np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0))
        values[:, :, omic][to] = matrix.values[np.ix_(rows[rows >= 0], columns[columns >= 0])]
    return values


def _finish(
    values: np.ndarray, patients: Sequence[str], genes: Sequence[str], matrices: Sequence[OmicMatrix],
    choices: TensorChoices, log: Decisions,
) -> BuiltTensor:  # fmt: skip
    """Empty what cannot vary, name what is missing, and drop patients and genes of whom nothing is left."""
    omics = tuple(matrix.omic for matrix in matrices)
    for place, omic in enumerate(omics):
        _empty_constant(values[:, :, place], omic, genes, log)
    there = ~np.isnan(values)
    of_patients, of_genes = there.any(axis=1), there.any(axis=0)
    people = _kept("patient", patients, of_patients, "has no omic", log)
    useful = _kept("gene", genes, of_genes, "has no value that varies in any omic", log)
    if not useful:
        raise data_error(_TENSOR, "no gene varies between patients", "Look into the decisions")
    if len(people) < choices.min_patients:
        problem = f"{len(people)} patients have an omic, {choices.min_patients} are the fewest"
        raise data_error(_TENSOR, problem, "Add patients, or lower min_patients")
    if (len(people), len(useful)) != values.shape[:2]:
        values = values[np.ix_(people, useful)]
    names, kept_genes = tuple(patients[i] for i in people), tuple(genes[i] for i in useful)
    _name_missing("patient fibre", names, of_patients[people], omics, "the omic does not have the patient", log)
    _name_missing("gene fibre", kept_genes, of_genes[useful], omics, "no value in this omic", log)
    scales = tuple(matrix.scale for matrix in matrices)
    log.add("tensor", _TENSOR, " x ".join(map(str, values.shape)), "built", ", ".join(omics), count=values.size)
    return BuiltTensor(values, names, kept_genes, omics, scales, log.frame())


def _empty_constant(values: np.ndarray, omic: str, genes: Sequence[str], log: Decisions) -> None:
    """Set a gene missing, in place, where all its values are equal: scaled, it would be rounding errors."""
    there = ~np.isnan(values)
    highest = np.where(there, values, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(there, values, np.inf).min(axis=0, initial=np.inf)
    constant = np.flatnonzero(there.any(axis=0) & (highest == lowest)).tolist()
    values[:, constant] = np.nan
    faults = [(genes[i], "missing", f"{highest[i]:g} in every patient: nothing to learn from") for i in constant]
    log.extend("constant gene", omic, faults)


def _kept(step: str, names: Sequence[str], measured: np.ndarray, reason: str, log: Decisions) -> list[int]:
    """Positions of the names that have an omic; the others are rows of the log."""
    some = measured.any(axis=1)
    log.extend(step, _TENSOR, [(names[i], "left out", reason) for i in np.flatnonzero(~some).tolist()])
    kept: list[int] = np.flatnonzero(some).tolist()
    return kept


def _name_missing(
    step: str, names: Sequence[str], measured: np.ndarray, omics: Sequence[str], reason: str, log: Decisions
) -> None:
    """One row for each fibre without values: ``measured`` is bool [names, omics]."""
    for place, omic in enumerate(omics):
        lacking = np.flatnonzero(~measured[:, place]).tolist()
        log.extend(step, omic, [(names[i], "kept, missing", reason) for i in lacking])
