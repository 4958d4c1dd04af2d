"""Tensors as users hand them over: arrays or tables of patients x genes, one an omic; faults named in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import pandas as pd

from radgen_lib.omics.btf.data import Observed
from radgen_lib.omics.duplicates import likeness, same_rows

TensorLike: TypeAlias = "np.ndarray | Mapping[str, pd.DataFrame] | Sequence[pd.DataFrame]"
CALLS = 5  # levels of a copy-number call, -2 to 2
FLAT = 1e-12  # of the largest value of the omic: spread below it is rounding


class Named(NamedTuple):
    """A tensor float [N, D, L] with NaN for missing, and its names; None for an axis that has none."""

    values: np.ndarray
    patients: tuple[object, ...] | None = None
    genes: tuple[object, ...] | None = None
    omics: tuple[object, ...] | None = None

    def patient(self, place: int) -> object:
        """Name of a patient, or its number where there are no names."""
        return self.patients[place] if self.patients else place

    def gene(self, place: int) -> object:
        """Name of a gene, or its number."""
        return self.genes[place] if self.genes else place

    def omic(self, place: int) -> object:
        """Name of an omic, or its number."""
        return self.omics[place] if self.omics else place


def read_training(tensor: TensorLike, check: Callable[[tuple[int, int, int]], None]) -> Named:
    """The tensor to fit: an array [N, D, L], or tables with the union of their patients and their common genes.

    ``check`` is given (N, D, L) before anything of that size is made, and raises where it is too much. Raises
    ValueError for tables that name a patient or a gene twice, share no gene or hold no numbers.
    """
    tables = _tables(tensor)
    if tables is None:
        shape = np.shape(cast("np.ndarray", tensor)) if hasattr(tensor, "shape") else ()
        if len(shape) == 3:
            check((shape[0], shape[1], shape[2]))
        return Named(_array(tensor))
    genes = list(next(iter(tables.values())).columns)
    for table in tables.values():
        there = set(table.columns)
        genes = [gene for gene in genes if gene in there]
    if not genes:
        raise ValueError(f"the tables of {', '.join(map(str, tables))} have no gene in common")
    check((len(_patients(tables)), len(genes), len(tables)))
    return _assemble(tables, genes, list(tables))


def read_new(tensor: TensorLike, genes: tuple[object, ...] | None, omics: tuple[object, ...] | None) -> Named:
    """A tensor of new patients with the genes and omics of a fit, in the order of the fit.

    Tables may hold further genes and lack a whole omic (which is then missing). Raises ValueError when a table lacks
    genes of the fit or is of an omic that was not in it, and for tables when the fit knows no names.
    """
    tables = _tables(tensor)
    if tables is None:
        return Named(_array(tensor), None, genes, omics)
    if genes is None or omics is None:
        raise ValueError("the model was fitted on an array without names of genes: hand over an array, not tables")
    if not isinstance(tensor, Mapping):
        if len(tables) != len(omics):
            raise ValueError(f"{len(tables)} tables for the {len(omics)} omics of the fit: name them in a dictionary")
        tables = dict(zip(omics, tables.values(), strict=True))
    strange = [str(omic) for omic in tables if omic not in omics]
    if strange:
        raise ValueError(f"omic {strange[0]} was not in the fit, which had {', '.join(map(str, omics))}")
    for omic, table in tables.items():
        lacking = sorted(map(str, set(genes) - set(table.columns)))
        if lacking:
            raise ValueError(
                f"omic {omic} lacks {len(lacking)} of the {len(genes)} genes of the fit, e.g. {lacking[0]}"
            )
    return _assemble(tables, list(genes), list(omics))


def _tables(tensor: TensorLike) -> dict[object, pd.DataFrame] | None:
    """Tables by omic, or None for an array; raises ValueError for a single table and for names that repeat."""
    if isinstance(tensor, pd.DataFrame):
        raise ValueError("one table is one omic: hand over a dictionary or a list of tables, one an omic")
    if isinstance(tensor, Mapping):
        tables: dict[object, pd.DataFrame] = dict(tensor.items())
    elif isinstance(tensor, (list, tuple)) and tensor and all(isinstance(part, pd.DataFrame) for part in tensor):
        tables = {f"omic_{place}": part for place, part in enumerate(tensor)}
    else:
        return None
    if not tables:
        raise ValueError("there is no table")
    for omic, table in tables.items():
        for what, names in (("patient", table.index), ("gene", table.columns)):
            if not names.is_unique:
                raise ValueError(f"omic {omic}: {what} {names[names.duplicated()][0]} stands twice")
    return tables


def _array(tensor: TensorLike) -> np.ndarray:
    try:
        values = np.asarray(tensor)
        return values if values.dtype.kind == "f" else values.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError("a tensor of numbers patients x genes x omics is needed") from error


def _patients(tables: Mapping[object, pd.DataFrame]) -> list[object]:
    """Union of the patients, in order of appearance."""
    return list(dict.fromkeys(patient for table in tables.values() for patient in table.index))


def _assemble(tables: Mapping[object, pd.DataFrame], genes: list[object], omics: list[object]) -> Named:
    patients = _patients(tables)
    place = {patient: row for row, patient in enumerate(patients)}
    values = np.full((len(patients), len(genes), len(omics)), np.nan)
    for number, omic in enumerate(omics):
        if omic not in tables:
            continue
        table = tables[omic]
        try:
            values[[place[patient] for patient in table.index], :, number] = table[genes].to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(f"omic {omic}: its values are not all numbers") from error
    return Named(values, tuple(patients), tuple(genes), tuple(omics))


def check_training(tensor: Named, observed: Observed, n_components: int) -> None:
    """Raise ValueError for what no factorisation can be fitted to, naming the first fault.

    Fewer patients than components, a patient or a gene without any value, an omic without any, a gene that is constant
    in one omic (it would have no noise: set it missing there), a patient who stands twice (whose values are not all
    discrete calls), a matrix given as two omics.
    """
    n = len(tensor.values)
    if n < n_components:
        raise ValueError(f"{n} patients are fewer than {n_components} components: lower n_components")
    for rows, what, name in (
        (observed.patients, "patient", tensor.patient),
        (observed.genes, "gene", tensor.gene),
        (observed.patients.T, "omic", tensor.omic),
    ):
        empty = np.flatnonzero(~rows.any(axis=1))
        if len(empty):
            raise ValueError(f"{what} {name(empty[0])} has no value at all ({len(empty)} such): leave it out")
    _check_constant(tensor)
    cells = tensor.values.reshape(n, -1)
    for first, second, *_ in same_rows(cells):
        if _of_calls(cells, first):
            continue
        raise ValueError(
            f"patients {tensor.patient(first)} and {tensor.patient(second)} have the same values throughout"
        )
    for first, second in combinations(range(tensor.values.shape[2]), 2):
        one, other = tensor.values[:, :, first], tensor.values[:, :, second]
        if np.array_equal(one, other, equal_nan=True) or likeness(one, other).same:
            raise ValueError(f"omics {tensor.omic(first)} and {tensor.omic(second)} are one matrix given twice")


def _of_calls(cells: np.ndarray, row: int) -> bool:
    """Whether all that a patient has is discrete, as copy-number calls are: quiet tumours share them honestly.

    ``cells`` [N, genes x omics] may be scaled, gene by gene: a call has few levels over patients on any scale.
    """
    for column in cells[:, ~np.isnan(cells[row])].T:
        known = column[~np.isnan(column)]
        if len(np.unique(known)) > min(CALLS, len(known) / 2):
            return False
    return True


def _check_constant(tensor: Named) -> None:
    for omic in range(tensor.values.shape[2]):
        block = tensor.values[:, :, omic]
        spread = np.fmax.reduce(block, axis=0) - np.fmin.reduce(block, axis=0)
        size = max(np.fmax.reduce(block, axis=None), -np.fmin.reduce(block, axis=None))
        flat = np.flatnonzero(spread <= FLAT * size)
        if len(flat):
            where = f"gene {tensor.gene(flat[0])} is constant in omic {tensor.omic(omic)}"
            raise ValueError(f"{where} ({len(flat)} such): set it missing (NaN) there or leave it out")
