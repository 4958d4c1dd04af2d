"""Whom the factors of a fold were fitted on."""

from __future__ import annotations

import pandas as pd
import pytest

from radgen_lib.audit.factor_leakage import check_factor_fits
from radgen_lib.core.errors import LeakageError
from radgen_lib.core.rows import result_frame

NAMES = [f"TCGA-E2-A{i:03d}" for i in range(6)]


def splits() -> pd.DataFrame:
    """Three imaged patients, each held out once, and the fold that holds nobody out."""
    rows = [
        ("grouped", f"r0f{fold}", patient, "test" if i == fold else "train")
        for fold in range(3)
        for i, patient in enumerate(NAMES[:3])
    ]
    rows += [("full", "full", patient, "train") for patient in NAMES[:3]]
    return pd.DataFrame(rows, columns=["design", "fold", "patient", "role"])


def factors(*, leak: bool = False, without: str = "") -> pd.DataFrame:
    """Factors of all six patients; with ``leak`` fold r0f1 saw its test patient."""
    rows = []
    for fold in ("r0f0", "r0f1", "r0f2", "full"):
        for i, patient in enumerate(NAMES):
            held_out = fold == f"r0f{i}" and not (leak and fold == "r0f1")
            rows += [(fold, patient, "test" if held_out else "train", name) for name in ("F01", "F02")]
    table = pd.DataFrame(rows, columns=["fold", "patient", "role", "component"])
    return table[table["patient"] != without]


ENDPOINTS = pd.DataFrame({"task": ["er"] * 3, "patient": [*NAMES[3:5], "TCGA-XX-0000"]})


def test_clean_factors_are_counted_as_clean() -> None:
    table = result_frame(check_factor_fits(splits(), factors(), ENDPOINTS, protocol_name="rigorous"))
    grouped = table[(table["metric"] == "factor_fit_crossings") & (table["design"] == "grouped")].iloc[0]
    assert (grouped["value"], grouped["n"]) == (0.0, 3)
    assert table.loc[table["design"] == "full", "reason"].iloc[0].startswith("the design holds nobody out")


def test_a_test_patient_in_the_fit_stops_the_run() -> None:
    with pytest.raises(LeakageError, match=r"fold r0f1: 1 test patients were fitted on \(TCGA-E2-A001\)"):
        check_factor_fits(splits(), factors(leak=True), ENDPOINTS, protocol_name="rigorous")


def test_patients_without_the_omics_are_not_counted_as_projected() -> None:
    table = result_frame(check_factor_fits(splits(), factors(without=NAMES[0]), ENDPOINTS, protocol_name="rigorous"))
    assert table.loc[table["design"] == "grouped", "n"].iloc[0] == 2


def test_endpoint_patients_who_were_fitted_on_are_told() -> None:
    table = result_frame(check_factor_fits(splits(), factors(), ENDPOINTS, protocol_name="rigorous"))
    row = table[table["metric"] == "endpoint_test_patients_in_factor_fit"].iloc[0]
    assert (row["value"], row["n"], row["task"]) == (2.0, 3, "er")
