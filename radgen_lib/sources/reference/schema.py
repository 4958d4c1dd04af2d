"""What a reference table must look like, and how a row or a cell that does not is set aside with its reason.

Faults of structure (a column that lacks, a table of another size) raise one line; faults of a row become rows of
``Reference.faults``, whose columns fit the selection table of a cohort.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error

FAULT_COLUMNS = ("unit", "id", "source", "row", "column", "kept", "reason")
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "None", "<NA>", "NC", "NP"})
AGAIN = "Fetch the file again (radgen sources tells where it comes from)"
Kind = Literal["patient", "text", "number", "whole", "words"]
# TCGA and the phantom with dots or dashes, what follows the patient dropped; Duke as it is.
_BARCODE = re.compile(r"(TCGA|PHAN)[.-]([A-Z0-9]{2})[.-]([A-Z0-9]{4})(?:[.-].*)?")
_DUKE = re.compile(r"Breast_MRI_[0-9]{3}")


class Reference(NamedTuple):
    """A checked table, and one row a fault: FAULT_COLUMNS, ``kept`` False where the row was dropped."""

    table: pd.DataFrame
    faults: pd.DataFrame


@dataclass(frozen=True)
class Column:
    """One column: its ``name`` in the file, what it is called afterwards (``to``), and what may stand in it.

    ``kind``: patient (a research code), text, number, whole (a number without fraction) or words (the keys of
    ``words``, which give the value). ``low`` and ``high`` are inclusive; an infinity is a number only where ``endless``
    says so. ``missing`` allows an empty cell. A fault drops the row where the column is ``vital``, else it empties the
    cell.
    """

    name: str
    to: str
    kind: Kind = "number"
    low: float = -math.inf
    high: float = math.inf
    words: Mapping[str, float | str] = field(default_factory=dict)
    missing: bool = False
    vital: bool = True
    endless: bool = False


@dataclass(frozen=True)
class Check:
    """Something that holds between the columns of a row, ``says`` what; ``holds`` takes the table, True where so."""

    says: str
    holds: Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Schema:
    """Columns of a table, the ones that together are unique (``key``), identities, and facts of the released file.

    ``rows`` is the number of rows that the source states (0: none stated), ``totals`` the sums of single columns.
    """

    unit: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    rows: int = 0
    totals: Mapping[str, float] = field(default_factory=dict)


class Faults:
    """Collects what is wrong with single rows and cells of one file, in the order in which it is found."""

    def __init__(self, unit: str, path: Path) -> None:
        self._unit, self._source = unit, path.name
        self._rows: list[tuple[str, str, str, str, str, bool, str]] = []

    def add(self, name: str, row: object, column: str, reason: str, *, kept: bool = False) -> None:
        """Record one fault of ``name``; ``kept`` says that the row stays and only the cell was emptied."""
        self._rows.append((self._unit, name, self._source, str(row), column, kept, reason))

    def frame(self) -> pd.DataFrame:
        """All faults: FAULT_COLUMNS."""
        return pd.DataFrame(self._rows, columns=list(FAULT_COLUMNS)).astype({"kept": bool})


def patient_code(text: str) -> str | None:
    """Normal form of a patient's research code (TCGA-XX-XXXX, PHAN-XX-XXXX, Breast_MRI_NNN), None for other text."""
    if _DUKE.fullmatch(text):
        return text
    found = _BARCODE.fullmatch(text)
    return "-".join(found.groups()) if found else None


def validate(cells: pd.DataFrame, schema: Schema, path: Path, *, whole: bool) -> Reference:
    """Turn the ``cells`` of ``path`` (index: line of the file or name of the row) into a table of ``schema``.

    ``whole`` asks for the number of rows and the sums of the released file. The table has the columns of the schema in
    order and a fresh index; of rows with one key the first is kept. Raises DataError for a column that lacks, for
    another number of rows or another sum than the source states, and when no row is left.
    """
    _check_structure(cells, schema, path, whole)
    faults = Faults(schema.unit, path)
    names = _names(cells, schema)
    values: dict[str, pd.Series] = {}
    good = pd.Series(True, index=range(len(cells)))
    for column in schema.columns:
        text = cells[column.name].reset_index(drop=True)
        values[column.to], bad = _parse(text, column)
        for i, reason in bad.items():
            faults.add(names[i], cells.index[i], column.name, reason, kept=not column.vital)
        if column.vital:
            good[list(bad)] = False
    table = pd.DataFrame(values)
    for check in schema.checks:
        _drop(faults, check.says, good, ~check.holds(table).astype(bool), names, cells)
    _drop(faults, "is there already", good, table[good].duplicated(list(schema.key)), names, cells)
    table = table[good].reset_index(drop=True)
    if table.empty:
        first = faults.frame().iloc[0]
        raise data_error(path, f"holds no usable row ({first['column']}: {first['reason']})", AGAIN, row=first["row"])
    if whole:
        _check_totals(table, faults.frame(), schema, path)
    return Reference(table, faults.frame())


def _check_structure(cells: pd.DataFrame, schema: Schema, path: Path, whole: bool) -> None:
    absent = [column.name for column in schema.columns if column.name not in cells.columns]
    if absent:
        has = ", ".join(map(str, cells.columns[:12]))
        raise data_error(path, f"no column {', '.join(map(repr, dict.fromkeys(absent)))}; it has {has}", AGAIN)
    if cells.empty:
        raise data_error(path, "holds a header and no rows", AGAIN)
    if whole and schema.rows and len(cells) != schema.rows:
        raise data_error(path, f"holds {len(cells)} rows, {schema.rows} are expected", AGAIN)


def _check_totals(table: pd.DataFrame, faults: pd.DataFrame, schema: Schema, path: Path) -> None:
    """Sums of the released file; where rows or cells of the column were set aside they say nothing."""
    sources = {column.to: column.name for column in schema.columns}
    for column, expected in schema.totals.items():
        total = table[column].sum()
        untouched = faults["kept"].all() and sources[column] not in set(faults["column"])
        if untouched and not math.isclose(total, expected, rel_tol=1e-9):
            raise data_error(path, f"the sum of {column} is {total:g}, the source states {expected:g}", AGAIN)


def _names(cells: pd.DataFrame, schema: Schema) -> list[str]:
    """What a row is called in the table of faults: the text of its key."""
    sources = {column.to: column.name for column in reversed(schema.columns)}
    parts = cells[[sources[key] for key in schema.key]].astype(object).to_numpy()
    return ["/".join(str(part).strip() for part in row) for row in parts]


def _drop(faults: Faults, reason: str, good: pd.Series, bad: pd.Series, names: list[str], cells: pd.DataFrame) -> None:
    for i in bad.index[bad]:
        if good[i]:
            faults.add(names[i], cells.index[i], "", reason)
            good[i] = False


def _parse(cells: pd.Series, column: Column) -> tuple[pd.Series, dict[int, str]]:
    """Values of one column, and by position the reason why a cell is none."""
    text = cells.map(_plain)
    empty = text.isin(MISSING - set(column.words))
    values, told = _values(text.mask(empty), column)
    bad = {int(i): f"{_shown(text[i])} {told[i]}" for i in text.index[~empty & (told != "")]}
    if not column.missing:
        bad |= {int(i): "is empty" for i in text.index[empty]}
    return values, dict(sorted(bad.items()))


def _values(text: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """Values, and per cell what is wrong with it or ""."""
    if column.kind in ("number", "whole"):
        return _numbers(text, column)
    if column.kind == "text":
        return text.where(text.notna(), None), pd.Series("", index=text.index)
    known: Callable[[str], object] = patient_code if column.kind == "patient" else column.words.get
    values = pd.Series([None if pd.isna(cell) else known(cell) for cell in text], index=text.index, dtype=object)
    expected = "is no research code of a patient" if column.kind == "patient" else f"is none of {_list(column.words)}"
    told = pd.Series(np.where(values.isna() & ~text.isin(column.words), expected, ""), index=text.index)
    numeric = bool(column.words) and all(isinstance(value, float) for value in column.words.values())
    return (values.astype(float) if numeric else values), told


def _numbers(text: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    values = pd.to_numeric(text, errors="coerce").astype(float)
    told = pd.Series("", index=text.index)
    told[values.isna()] = "is not a number"
    if not column.endless:
        told[np.isinf(values)] = "is not finite"
    if column.kind == "whole":
        told[(told == "") & (values % 1 != 0)] = "is not a whole number"
    told[(told == "") & ~values.between(column.low, column.high)] = f"is not in [{column.low:g}, {column.high:g}]"
    return values.where(told == ""), told


def _plain(cell: object) -> str:
    """Text of a cell of any origin; a missing one is empty."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(cell).strip()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _list(words: Mapping[str, object]) -> str:
    return ", ".join(map(repr, words))
