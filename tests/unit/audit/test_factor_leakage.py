"""Whom the factors of a fold were fitted on, read from the models themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.audit.factor_leakage import check_factor_fits, read_fitted
from radgen_lib.core.errors import DataError, LeakageError
from radgen_lib.core.rows import KEYS, result_frame
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.saving import save_arrays

NAMES = [f"TCGA-E2-A{i:03d}" for i in range(6)]
FOLDS = ("r0f0", "r0f1", "r0f2", "full", "cv0-0", "cv0-1")


def splits() -> pd.DataFrame:
    """Three imaged patients, each held out once, and the fold that holds nobody out."""
    rows = [
        ("grouped", f"r0f{fold}", patient, "test" if i == fold else "train")
        for fold in range(3)
        for i, patient in enumerate(NAMES[:3])
    ]
    rows += [("full", "full", patient, "train") for patient in NAMES[:3]]
    return pd.DataFrame(rows, columns=["design", "fold", "patient", "role"])


def roles() -> pd.DataFrame:
    """The splits of the factors: all six patients, an imaged one or half of them left out."""
    held_out = {f"r0f{i}": {NAMES[i]} for i in range(3)} | {"cv0-0": set(NAMES[::2]), "cv0-1": set(NAMES[1::2])}
    rows = [
        (fold, patient, "test" if patient in held_out.get(fold, ()) else "train")
        for fold in (*FOLDS, "site-E2")  # a design that no protocol uses is not fitted
        for patient in NAMES
    ]
    return pd.DataFrame(rows, columns=["fold", "patient", "role"])


def fitted(**more: list[str]) -> pd.DataFrame:
    """What the models say: the training patients of every fold, and ``more`` by fold (with - as _)."""
    table = roles()
    table = table.loc[(table["role"] == "train") & table["fold"].isin(FOLDS), ["fold", "patient"]]
    extra = [(fold.replace("_", "-"), name) for fold, names in more.items() for name in names]
    return pd.concat([table, pd.DataFrame(extra, columns=["fold", "patient"])], ignore_index=True)


def factors(*empty: tuple[str, str]) -> pd.DataFrame:
    """Factors of everybody; (fold, patient) of ``empty`` had no value in the genes of the fit."""
    rows = [(fold, patient, "" if (fold, patient) in empty else "F01") for fold in FOLDS for patient in NAMES]
    return pd.DataFrame(rows, columns=["fold", "patient", "component"])


ENDPOINTS = pd.DataFrame({"task": ["er"] * 3, "patient": [*NAMES[3:5], "TCGA-XX-0000"]})


def checked(seen: pd.DataFrame, table: pd.DataFrame | None = None, planned: pd.DataFrame | None = None) -> pd.DataFrame:
    planned = roles() if planned is None else planned
    table = factors() if table is None else table
    return result_frame(check_factor_fits(splits(), planned, seen, table, ENDPOINTS, protocol_name="rigorous"))


def test_clean_factors_are_counted_as_clean() -> None:
    table = checked(fitted())
    crossings = table[table["metric"] == "factor_fit_crossings"].set_index("design")
    assert crossings.loc[["grouped", "cv"], "value"].tolist() == [0.0, 0.0]
    assert crossings.loc[["grouped", "cv"], "n"].tolist() == [3, 6], "folds of predictions are checked too"
    assert crossings.loc["full", "reason"].startswith("the design holds nobody out")
    assert not table.duplicated(list(KEYS)).any()


@pytest.mark.parametrize(("fold", "patient"), [("r0f1", NAMES[1]), ("cv0-1", NAMES[3])])
def test_a_test_patient_in_the_fit_stops_the_run(fold: str, patient: str) -> None:
    seen = fitted(**{fold.replace("-", "_"): [patient]})
    with pytest.raises(LeakageError, match=rf"fold {fold}: 1 test patients were fitted on \({patient}\)"):
        checked(seen)


def test_roles_of_a_table_do_not_hide_what_the_model_saw() -> None:
    """The splits of the factors call the patient a training patient, as a wrong table would: the images do not."""
    wrong = roles()
    wrong.loc[(wrong["fold"] == "r0f1") & (wrong["patient"] == NAMES[1]), "role"] = "train"
    with pytest.raises(LeakageError, match=rf"fold r0f1: 1 test patients were fitted on \({NAMES[1]}\)"):
        checked(fitted(r0f1=[NAMES[1]]), planned=wrong)


def test_a_fit_of_other_patients_than_planned_stops_the_run() -> None:
    stranger = fitted(full=["TCGA-ZZ-0001"])
    with pytest.raises(LeakageError, match=r"fold full: 1 patients are in the fit or .* not in both \(TCGA-ZZ-0001\)"):
        checked(stranger)
    seen = fitted()
    with pytest.raises(LeakageError, match=rf"fold cv0-0: 1 patients .* \({NAMES[1]}\)"):
        checked(seen[~((seen["fold"] == "cv0-0") & (seen["patient"] == NAMES[1]))])
    with pytest.raises(LeakageError, match="fold r9f9: 1 patients"):
        checked(fitted(r9f9=NAMES[:1]))


@pytest.mark.parametrize("fold", ["cv0-1", "full", "r0f2"])
def test_a_fold_without_a_model_is_not_taken_for_clean(fold: str) -> None:
    seen = fitted()
    with pytest.raises(LeakageError, match=rf"fold {fold}: no model says whom it was fitted on"):
        checked(seen[seen["fold"] != fold])


def test_patients_without_a_value_are_neither_missed_nor_counted() -> None:
    seen = fitted()
    seen = seen[~((seen["fold"] == "cv0-1") & (seen["patient"] == NAMES[0]))]
    table = checked(seen, factors(("cv0-1", NAMES[0]), ("r0f2", NAMES[2])))
    assert table.loc[table["design"] == "grouped", "n"].iloc[0] == 2


def test_endpoint_patients_who_were_fitted_on_are_told() -> None:
    table = checked(fitted())
    row = table[table["metric"] == "endpoint_test_patients_in_factor_fit"].iloc[0]
    assert (row["value"], row["n"], row["task"]) == (2.0, 3, "er")


def saved(folder: Path, fold: str, patients: list[str] | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{fold}.safetensors"
    save_arrays(path, {"a": np.zeros(2)}, {"names": {"patients_": patients}})
    save_arrays(folder / f"{fold}.scaler.safetensors", {"a": np.zeros(2)}, {"genes": ["G1"]})
    return path


def test_models_say_whom_they_were_fitted_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 6, 2))
    names = [f"P{i}" for i in range(12)]
    tables = {omic: pd.DataFrame(values[:, :, i], names) for i, omic in enumerate("ab")}
    model = BayesianTensorFactorisation(2, method="variational", n_chains=1, n_draws=5, max_sweeps=40).fit(tables)
    (tmp_path / "one").mkdir()
    model.save(tmp_path / "one" / "full.safetensors")
    saved(tmp_path / "two", "cv0-0", ["Q1", "Q2"])
    table = read_fitted([tmp_path / "one", tmp_path / "two"])
    assert table.loc[table["fold"] == "full", "patient"].tolist() == names
    assert table.loc[table["fold"] == "cv0-0", "patient"].tolist() == ["Q1", "Q2"]


def test_models_that_cannot_tell_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no fitted factors"):
        read_fitted([tmp_path])
    path = saved(tmp_path, "full", None)
    with pytest.raises(DataError, match=r"full\.safetensors: does not say which patients"):
        read_fitted([tmp_path])
    saved(tmp_path, "full", ["P1"])
    saved(tmp_path / "again", "full", ["P1"])
    with pytest.raises(DataError, match="fold full was fitted by another job too"):
        read_fitted([tmp_path, tmp_path / "again"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no whole saved factorisation"):
        read_fitted([tmp_path])
