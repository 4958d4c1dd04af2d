"""The user's table of omics: read, checked against what a generator needs, and compared with what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error

if TYPE_CHECKING:
    from radgen_lib.generators.store import FittedGenerator


def read_omics(path: Path, fitted: FittedGenerator) -> tuple[pd.DataFrame, list[str]]:
    """Raw conditions (columns in the generator's order, index the identifiers) and notes; DataError for a bad table."""
    from radgen_lib.cohort.tables import read_table
    from radgen_lib.omics.conditions import condition_values

    text = read_table(path, separator=_separator(path))
    first, names = text.columns[0], list(fitted.names)
    missing = [name for name in names if name not in text.columns[1:]]
    if missing and set(missing) & set(text[first]):
        raise data_error(path, "genes stand in rows", "Transpose it: a row a patient, a column a gene")
    if missing:
        problem = f"{len(missing)} of {len(names)} columns of the generator are missing: {', '.join(missing)}"
        raise data_error(path, problem, "Add them under these names; no other gene can stand in")
    ids = text[first]
    for line, identifier in ids.items():
        if not identifier:
            raise data_error(path, "the identifier in the first column is empty", "Name the patient", row=line)
    if ids.duplicated().any():
        twice = ids[ids.duplicated()].iloc[0]
        raise data_error(path, "the identifier stands twice", "Leave one row per patient", row=twice)
    text = text.set_index(first)
    values = condition_values(text, names, source=path)
    low = np.argwhere(values <= -1)
    if fitted.scaler.log and len(low):
        row, column = low[0]
        problem = f"{names[column]} is {values[row, column]:g}; the generator takes log2(x + 1) of raw expression"
        raise data_error(path, problem, "Give raw values that are not logged or centred", row=text.index[row])
    extra = [name for name in text.columns if name not in names]
    notes = [f"{len(extra)} columns that the generator does not use were ignored"] if extra else []
    return pd.DataFrame(values, index=text.index, columns=names), notes


def _separator(path: Path) -> str:
    """Tab or comma, whichever the first line has more of; read_table reports a file that cannot be read."""
    if not path.is_file():
        return ","
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        head = handle.readline()
    return "\t" if head.count("\t") > head.count(",") else ","


def range_warnings(table: pd.DataFrame, fitted: FittedGenerator) -> list[str]:
    """One text a row naming the values outside the training range; empty where there are none or none is known."""
    if fitted.ranges is None:
        return [""] * len(table)
    low, high = fitted.ranges
    warnings = []
    for row in table.to_numpy():
        outside = np.flatnonzero((row < low) | (row > high))
        parts = [f"{fitted.names[i]} {row[i]:g} not in {low[i]:g} to {high[i]:g}" for i in outside]
        warnings.append("outside the training range: " + "; ".join(parts) if parts else "")
    return warnings
