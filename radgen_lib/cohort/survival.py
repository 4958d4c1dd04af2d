"""Overall survival: one primary table, the other one as a check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.ids import patient_id
from radgen_lib.cohort.selection import Cells, Selection, keep_first
from radgen_lib.cohort.tables import number, read_table

# The first table counts months of 30 days, the second calendar days, where a month is 30.44 days: this factor brings
# all 1,044 common patients of the released tables within a fifth of a day.
DAY_RATIO = 30.44 / 30
TOLERANCE_DAYS = 1.0


def read_survival(primary: Path, check: Path, selection: Selection) -> pd.DataFrame:
    """Survival indexed by patient: os_days (calendar days, > 0) and os_event (1 death, 0 censored).

    ``primary`` is the 1,101-row table that the authors' survival scripts read; its column OS_MONTHS holds months x 30,
    which is brought to calendar days (:data:`DAY_RATIO`; orders of patients do not change). Times that are missing,
    zero or negative and unknown status codes become rows of the selection table; there is no fallback, so a patient is
    never given a time of another definition. ``check`` is the authors' second table (calendar days); a patient on whom
    the two differ is kept as in ``primary`` and named in the selection table (step "survival check").
    """
    table = read_table(primary, required=["ID", "OS_STATUS", "OS_MONTHS"])
    kept = keep_first(table, selection, step="survival", unit="patient", source=primary, fault=_fault)
    survival = pd.DataFrame(
        {"os_days": kept["OS_MONTHS"].astype(np.float64) * DAY_RATIO, "os_event": kept["OS_STATUS"].astype(np.float64)}
    )
    _compare(survival, read_table(check, required=["ID", "time", "status"]), check, selection)
    return survival


def _fault(cells: Cells) -> str:
    time, status = number(cells["OS_MONTHS"]), number(cells["OS_STATUS"])
    if time is None or status is None:
        absent = "time" if time is None else "status"
        text = cells["OS_MONTHS" if time is None else "OS_STATUS"]
        return f"survival {absent} is missing" if text in ("", "NA") else f"survival {absent} is {text!r}"
    if status not in (0.0, 1.0):
        return f"unknown code {cells['OS_STATUS']!r} of survival status; known: 0, 1"
    if time == 0:
        return "survival time is zero"
    return "survival time is negative" if time < 0 else ""


def _compare(survival: pd.DataFrame, second: pd.DataFrame, path: Path, selection: Selection) -> None:
    times, events = survival["os_days"].to_dict(), survival["os_event"].to_dict()

    def fault(cells: Cells) -> str:
        """Why a row of the second table says nothing more, or says otherwise, or ""; times in days."""
        patient = patient_id(cells["ID"])
        if patient not in times:
            return "no usable time in the first survival table"
        time, status = number(cells["time"]), number(cells["status"])
        if time is None or status is None:
            return "time or status is not a number"
        if status != events[patient]:
            return "status differs from the first survival table, which is used"
        far = abs(time - times[patient]) > TOLERANCE_DAYS
        return "time differs from the first survival table, which is used" if far else ""

    keep_first(second, selection, step="survival check", unit="patient", source=path, fault=fault)
