"""The selection table: one row per decision, each exclusion with its reason; the flow diagram is a query on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from radgen_lib.cohort.ids import patient_id
from radgen_lib.core.errors import data_error

SELECTION_COLUMNS = ("step", "unit", "id", "source", "row", "kept", "reason")
# Name of a phase that nobody knows, because no header of its series can be read; words of the reason of one whose
# images were refused though their headers can be read.
UNREADABLE, REFUSED = "unreadable", "images refused"
# End of the reason of what was never meant to be a phase (localiser, subtraction ...), and the reason of a copy.
NO_CONTRAST_PHASE, COPY = "not a contrast phase", "the same series twice"
OTHER_GEOMETRY = "another geometry than the study's dynamic series"
Cells = dict[str, str]


class Selection:
    """Collects decisions in the order in which they are taken."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, str, str, bool, str]] = []

    def keep(self, step: str, unit: str, name: str, source: str, row: object = "") -> None:
        """Record that ``name`` (a ``unit``: patient, series or sample) passes ``step``."""
        self._rows.append((step, unit, name, source, str(row), True, ""))

    def drop(self, step: str, unit: str, name: str, source: str, row: object = "", *, reason: str) -> None:
        """Record that ``name`` does not pass ``step``, and why; an empty ``reason`` raises ValueError."""
        if not reason:
            raise ValueError(f"selection: {step} drops {name} without a reason")
        self._rows.append((step, unit, name, source, str(row), False, reason))

    def frame(self) -> pd.DataFrame:
        """All decisions, in order: step, unit, id, source (file name), row (line in it), kept, reason."""
        return pd.DataFrame(self._rows, columns=list(SELECTION_COLUMNS)).astype({"kept": bool})


def keep_first(
    table: pd.DataFrame,
    selection: Selection,
    *,
    step: str,
    unit: str,
    source: Path,
    fault: Callable[[Cells], str],
    column: str = "ID",
) -> pd.DataFrame:
    """First usable row of each patient; every row of ``table`` becomes a row of the selection table.

    ``table`` holds text, indexed by line; ``fault`` gives the reason why a row cannot be used, or "". Returns the
    same columns indexed by patient, in file order.
    """
    kept: dict[str, Cells] = {}
    second = f"second {'row' if unit == 'patient' else unit} of the patient"
    for line, cells in zip(table.index, table.to_dict("records"), strict=True):
        name = cells[column]
        try:
            patient = patient_id(name)
        except ValueError as error:
            reason = "METABRIC sample, not TCGA" if name.startswith("MB") else str(error)
        else:
            reason = fault(cells) or (second if patient in kept else "")
        if reason:
            selection.drop(step, unit, name, source.name, line, reason=reason)
            continue
        kept[patient] = cells
        selection.keep(step, unit, name, source.name, line)
    return pd.DataFrame.from_dict(kept, orient="index", columns=list(table.columns)).rename_axis("patient")


def check_lost(
    reasons: pd.Series,
    total: int,
    allowed: float,
    path: Path,
    *,
    what: str,
    how: str = "cannot be used",
    action: str = "Repair the files",
    row: object = None,
) -> None:
    """Raise DataError when a larger share than ``allowed`` (0 to 1) of ``total`` units is lost.

    ``reasons`` has one entry a lost unit. The line says ``what`` is lost and ``how``, the most frequent reason and the
    ``action`` to take; ``path`` and ``row`` say where.
    """
    lost = len(reasons)
    if not total or lost / total <= allowed:
        return
    raise data_error(
        path,
        f"{lost} of {total} {what} ({lost / total:.0%}) {how}, more than max_excluded_share = {allowed:g}; "
        f"most frequent reason: {reasons.value_counts().index[0]}",
        f"{action}, or raise cohorts.*.max_excluded_share if the loss is meant",
        row=row,
    )
