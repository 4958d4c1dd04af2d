"""What a valid patient table is; every later stage relies on it."""

from __future__ import annotations

import pandas as pd

from radgen_lib.cohort.ids import is_patient_id, site_of
from radgen_lib.core.errors import DataError, data_error

LABELS = ("er", "pr", "her2", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_event")
PATIENT_COLUMNS = (
    "patient", "site", "n_images", "has_genes15", "has_factors17", "er", "pr", "her2", "subgroup",
    "mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_days", "os_event", "age", "stage", "subtype",
)  # fmt: skip
_NAME = "patients table"


def check_patients(patients: pd.DataFrame) -> None:
    """Raise DataError naming column and patient when the table breaks its contract.

    One row a patient in normal form, site from the identifier, labels 1 / 0 / NaN, times above zero and present
    exactly where the event is, ages in [0, 120], n_images >= 0, and some condition for every row.
    """
    if list(patients.columns) != list(PATIENT_COLUMNS):
        odd = sorted(set(patients.columns) ^ set(PATIENT_COLUMNS)) or "their order"
        raise data_error(_NAME, f"columns are not as they should be: {odd}", "Build the cohort again")
    checks = {
        "patient": patients["patient"].map(is_patient_id) & ~patients["patient"].duplicated(),
        "site": patients["site"] == patients["patient"].map(_site),
        "n_images": patients["n_images"] >= 0,
        "has_genes15": patients["has_genes15"] | patients["has_factors17"],
        "os_days": ~(patients["os_days"] <= 0) & (patients["os_days"].isna() == patients["os_event"].isna()),
        "age": patients["age"].isna() | patients["age"].between(0, 120),
        "stage": patients["stage"].map(lambda text: isinstance(text, str)),
        "subtype": patients["subtype"].map(lambda text: isinstance(text, str)),
    }
    checks |= {name: patients[name].isna() | patients[name].isin([0.0, 1.0]) for name in LABELS}
    for column, good in checks.items():
        if not good.all():
            raise _fault(patients, column, good)


def _site(patient: str) -> str:
    return site_of(patient) if is_patient_id(patient) else ""


def _fault(patients: pd.DataFrame, column: str, good: pd.Series) -> DataError:
    first = patients[~good].iloc[0]
    problem = f"{column} = {first[column]!r} is not allowed ({int((~good).sum())} such rows)"
    return data_error(_NAME, problem, "Build the cohort again", row=first["patient"])
