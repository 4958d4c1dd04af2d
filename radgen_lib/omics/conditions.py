"""Conditions of the generators: the table they come from, and what a protocol makes of it (switches B-W03)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from radgen_lib.cohort.tables import near_names
from radgen_lib.core.errors import data_error

Method = Literal["per_patient_minmax", "cohort_zscore"]
PER_FOLD = "factors"  # a condition that is itself fitted, so that each fold has its own table


def of_fold(conditions: pd.DataFrame, fold: str) -> pd.DataFrame:
    """Rows of ``conditions`` that hold for ``fold``: all of them, or, where the table has a column fold, the fold's.

    A factorisation finds as many components as the fold's training patients show: columns without any value go.
    Raises DataError for a fold without rows: a factorisation that finds no component gives nobody a condition.
    """
    if "fold" not in conditions.columns:
        return conditions
    rows = conditions[conditions["fold"] == fold]
    if rows.empty:
        there = ", ".join(map(str, sorted(conditions["fold"].unique())[:9])) or "none"
        problem = f"no row of fold {fold!r} (folds with rows: {there}): the fit of the fold kept no component"
        action = (
            "Look at quantity rank of the fold in fits.parquet; at 0, add patients, lower factors.max_genes, or leave "
            "condition `factors` out of cpdm.protocols"
        )
        raise data_error("conditions", problem, action)
    return rows.drop(columns="fold").dropna(axis=1, how="all").reset_index(drop=True)


def condition_values(
    table: pd.DataFrame, names: Sequence[str], patients: Sequence[str] | None = None, *, source: str | Path = "table"
) -> np.ndarray:
    """Float64 [n, c] of the columns ``names`` in that order, for ``patients`` (rows of the index; None: all rows).

    Raises DataError naming ``source`` for a column that is absent (with near matches), a patient without row, or a
    cell that is not a finite number.
    """
    for name in names:
        if name not in table.columns:
            problem = f"no column {name!r} ({near_names(name, map(str, table.columns))})"
            raise data_error(source, problem, f"The condition needs: {', '.join(names)}")
    if patients is not None:
        unknown = [patient for patient in patients if patient not in table.index]
        if unknown:
            raise data_error(source, f"{len(unknown)} patients have no row", "Leave them out", row=unknown[0])
        table = table.loc[list(patients)]
    numbers = table[list(names)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        row, column = bad[0]
        cell = table[names[column]].iloc[row]
        raise data_error(source, f"{names[column]} is {str(cell)!r}, not a number", "Correct it", row=table.index[row])
    return numbers


@dataclass(frozen=True)
class ConditionScaler:
    """Scales conditions: fitted on the rows it is given (training patients), applied to any row.

    ``per_patient_minmax`` maps each row to [0, 1] by its own minimum and maximum, as published: nothing is learned,
    but with the 17 factors two inputs become constants and the rest hardly vary (weakness B-W03). ``cohort_zscore``
    subtracts mean and divides by standard deviation (n - 1) of the fitted rows. ``log`` takes log2(x + 1) first.
    """

    method: Method
    names: tuple[str, ...]
    log: bool
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, table: pd.DataFrame, method: Method, *, log: bool) -> ConditionScaler:
        """Fit on all rows of ``table`` (raw values, one column a condition).

        A column without variance gets scale 1, and the log names it. Raises ValueError for an unknown method, fewer
        than two rows under ``cohort_zscore``, or values that ``log`` cannot take.
        """
        names = tuple(map(str, table.columns))
        values = _logged(table.to_numpy(dtype=np.float64), names, log)
        if method == "per_patient_minmax":
            return cls(method, names, log, np.zeros(len(names)), np.ones(len(names)))
        if method != "cohort_zscore":
            raise ValueError(f"condition scaling {method!r}: allowed are per_patient_minmax, cohort_zscore")
        if len(values) < 2:
            raise ValueError(f"cohort_zscore needs two rows or more to fit on, got {len(values)}")
        mean, scale = values.mean(axis=0), values.std(axis=0, ddof=1)
        flat = scale <= 1e-12 * np.maximum(np.abs(mean), 1.0)
        if flat.any():
            constant = ", ".join(name for name, is_flat in zip(names, flat, strict=True) if is_flat)
            logging.getLogger("radgen").warning("conditions without variance in the training part: %s", constant)
        return cls(method, names, log, mean, np.where(flat, 1.0, scale))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Return float32 [n, c] for raw ``values`` [n, c] in the order of ``names``.

        Under ``per_patient_minmax`` a row without any spread becomes zeros (its published formula divides by zero).
        Raises ValueError for another shape or values that ``log`` cannot take.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ValueError(f"conditions {values.shape}: need [n, {len(self.names)}] in the order of the names")
        values = _logged(values, self.names, self.log)
        if self.method == "cohort_zscore":
            return ((values - self.mean) / self.scale).astype(np.float32)
        low = values.min(axis=1, keepdims=True)
        spread = values.max(axis=1, keepdims=True) - low
        return ((values - low) / np.where(spread > 0, spread, 1.0)).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """The fitted arrays: mean and scale, float64 [c]."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(
        cls, names: Sequence[str], method: Method, log: bool, state: Mapping[str, np.ndarray]
    ) -> ConditionScaler:
        """Rebuild from :meth:`state`; raises ValueError naming an array that is absent or of another length."""
        for key in ("mean", "scale"):
            if key not in state or state[key].shape != (len(names),):
                raise ValueError(f"condition scaler: array {key!r} must be there with shape ({len(names)},)")
        mean, scale = (np.asarray(state[key], dtype=np.float64) for key in ("mean", "scale"))
        return cls(method, tuple(names), log, mean, scale)


@dataclass(frozen=True)
class Preparation:
    """What a protocol makes of the raw values of a condition: the one way to what a generator is given.

    Training fits its scaler here, and the analyses that use the condition itself (the arm of the conditioning vector
    alone, the copy of the nearest condition) take their values from here, so that both see the same numbers.
    ``log`` is the protocol's ``condition_log``; it concerns expression (conditions named genes...) alone.
    """

    condition: str
    scaling: Method
    log: bool

    def fit(self, table: pd.DataFrame, patients: Iterable[str]) -> ConditionScaler:
        """Scaler fitted on ``patients``, each once, however many images they have; table: raw values by patient.

        Raises ValueError as :meth:`ConditionScaler.fit`, KeyError for a patient without a row.
        """
        log = self.log and self.condition.startswith("genes")
        return ConditionScaler.fit(table.loc[sorted(set(patients))], self.scaling, log=log)

    def given(self, table: pd.DataFrame, patients: Iterable[str]) -> pd.DataFrame:
        """All rows of ``table`` as a generator that ``patients`` trained is given them; same index and columns."""
        values = self.fit(table, patients).transform(table.to_numpy(dtype=np.float64))
        return pd.DataFrame(values, index=table.index, columns=table.columns)


def _logged(values: np.ndarray, names: Sequence[str], log: bool) -> np.ndarray:
    if not log:
        return values
    if (values <= -1).any():
        name = names[int(np.argwhere(values <= -1)[0][1])]
        raise ValueError(f"condition {name}: log2(x + 1) needs values above -1; are they on a log scale already?")
    return np.log2(values + 1.0)
