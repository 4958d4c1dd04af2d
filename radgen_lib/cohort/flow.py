"""The flow diagram, as a query on the selection table."""

from __future__ import annotations

import pandas as pd

from radgen_lib.cohort.ids import patient_id

FLOW_COLUMNS = ("step", "unit", "source", "entered", "kept", "kept_patients", "excluded", "reasons")


def _patient(name: str) -> str | None:
    try:
        return patient_id(name.split("/")[0])
    except ValueError:
        return None


def flow(selection: pd.DataFrame) -> pd.DataFrame:
    """One row per step, in the order of the decisions.

    Columns: step, unit, source, entered, kept, kept_patients (distinct), excluded, reasons (``n x reason``, most
    frequent first, joined by "; "). ``entered = kept + excluded`` in every row. A name that tells no patient (a series
    UID) counts for none; a phase is named ``patient/study/phase``.
    """
    rows = []
    for (step, unit, source), group in selection.groupby(["step", "unit", "source"], sort=False):
        kept = group[group["kept"]]
        reasons = group.loc[~group["kept"], "reason"].value_counts(sort=False)
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], str(item[0])))
        text = "; ".join(f"{count} x {reason}" for reason, count in ordered)
        patients = kept["id"].map(_patient).nunique()
        rows.append((step, unit, source, len(group), len(kept), patients, len(group) - len(kept), text))
    return pd.DataFrame(rows, columns=list(FLOW_COLUMNS))
