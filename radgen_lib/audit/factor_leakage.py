"""Leakage into the factors of the omics (S.LEAK): whom was the factorisation of a fold fitted on?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from radgen_lib.core.errors import LeakageError, data_error
from radgen_lib.core.rows import result_row
from radgen_lib.omics.btf.saving import load_arrays

COUNT = "none: a count"
AGAIN = "Delete the folder of the factors and run again"
SCALER = ".scaler.safetensors"
MOST_NAMED = 5


def read_fitted(folders: Sequence[Path]) -> pd.DataFrame:
    """Fold and patient of everybody whose omics a fit has seen, as the fitted models themselves say.

    ``folders`` hold ``<fold>.safetensors``, one folder a job. Raises DataError for a file that is no such model, was
    changed or names no patients, for a folder without models, and for a fold that stands in two folders.
    """
    found: dict[str, Sequence[str]] = {}
    for folder in folders:
        files = sorted(path for path in folder.glob("*.safetensors") if not path.name.endswith(SCALER))
        if not files:
            raise data_error(folder, "holds no fitted factors", "Run rule fit_factors again")
        for path in files:
            if path.stem in found:
                raise data_error(path, f"fold {path.stem} was fitted by another job too", AGAIN)
            found[path.stem] = _patients(path)
    rows = [(fold, str(patient)) for fold, patients in found.items() for patient in patients]
    return pd.DataFrame(rows, columns=["fold", "patient"])


def _patients(path: Path) -> Sequence[str]:
    try:
        names: dict[str, Sequence[str] | None] = load_arrays(path)[1].get("names", {})
    except ValueError as error:
        raise data_error(path, "is no whole saved factorisation", AGAIN) from error
    patients = names.get("patients_")
    if not patients:
        raise data_error(path, "does not say which patients it was fitted on", AGAIN)
    return patients


def check_factor_fits(
    splits: pd.DataFrame,
    roles: pd.DataFrame,
    fitted: pd.DataFrame,
    factors: pd.DataFrame,
    endpoints: pd.DataFrame,
    *,
    protocol_name: str,
) -> list[dict[str, Any]]:
    """Held-out patients among those whom the factors of the same fold were fitted on.

    Args:
        splits: rows of splits.parquet that the protocol uses (design, fold, patient, role).
        roles: the splits of the factors (fold, patient, role ``train`` or ``test``); folds ``cv...`` are for
            predictions from the factors themselves.
        fitted: fold and patient as :func:`read_fitted` gives them; every fit must have seen exactly its ``train``, but
            for patients without a value.
        factors: fold, patient, component; a patient without any value in the genes of the fit has component "".
        endpoints: endpoint_splits.parquet (task, patient). Their patients have no MRI and no fold of the generators
            leaves them out, so the factors of ``full`` were fitted on them, without any label: counted, never hidden.

    Returns:
        Rows ``factor_fit_crossings`` per design (``cv``: folds for predictions), and
        ``endpoint_test_patients_in_factor_fit`` per task.

    Raises:
        LeakageError: naming the first fold in which a test patient was fitted on, or the patients of a fit are not
            those that its splits train on, and those patients; or the fold that no model was found of.
    """
    cv = roles[roles["fold"].astype(str).str.startswith("cv")].assign(design="cv")
    pair = ["fold", "patient"]
    empty = pd.MultiIndex.from_frame(factors.loc[factors["component"] == "", pair])
    valued = roles[~pd.MultiIndex.from_frame(roles[pair]).isin(empty)]
    columns = ["design", "fold", "patient", "role"]
    checked = pd.concat([splits[columns], cv[columns]], ignore_index=True)
    rows: list[dict[str, Any]] = []
    for design, part in checked.groupby("design", sort=False):
        test = part.loc[part["role"] == "test", pair].drop_duplicates()
        _refuse_crossings(test, fitted)
        projected = test.merge(valued.loc[valued["role"] == "test", pair], on=pair)
        keys: dict[str, Any] = {"item": "S.LEAK", "protocol": protocol_name, "condition": "factors", "design": design}
        n = int(projected["patient"].nunique())
        told = {"value": 0.0, "interval": COUNT, "note": f"of {n} projected test patients"}
        keys |= told if n else {"reason": "the design holds nobody out who has the omics"}
        rows.append(result_row(**keys, metric="factor_fit_crossings", n=n))
    _compare_fits(valued, fitted, set(checked["fold"]))
    return rows + _endpoint_rows(endpoints, fitted, protocol_name)


def _refuse_crossings(test: pd.DataFrame, fitted: pd.DataFrame) -> None:
    crossed = test.merge(fitted, on=["fold", "patient"])
    if len(crossed):
        fold = crossed["fold"].iloc[0]
        names = sorted(crossed.loc[crossed["fold"] == fold, "patient"])
        raise LeakageError(
            f"factors, fold {fold}: {len(names)} test patients were fitted on "
            f"({', '.join(names[:MOST_NAMED])}). {AGAIN}"
        )


def _compare_fits(roles: pd.DataFrame, fitted: pd.DataFrame, used: set[str]) -> None:
    """Every fit against ``roles`` of patients with values; ``used``: folds that must have a fit, of those in roles."""
    planned = {str(fold): set(part) for fold, part in roles[roles["role"] == "train"].groupby("fold")["patient"]}
    seen = {str(fold): set(part) for fold, part in fitted.groupby("fold")["patient"]}
    if absent := sorted(used & set(planned) - set(seen)):
        raise LeakageError(
            f"factors, fold {absent[0]}: no model says whom it was fitted on. Run rule fit_factors again"
        )
    for fold, patients in seen.items():
        if differing := sorted(patients ^ planned.get(fold, set())):
            raise LeakageError(
                f"factors, fold {fold}: {len(differing)} patients are in the fit or among those to train on, but not "
                f"in both ({', '.join(differing[:MOST_NAMED])}). {AGAIN}"
            )


def _endpoint_rows(endpoints: pd.DataFrame, fitted: pd.DataFrame, protocol_name: str) -> list[dict[str, Any]]:
    whole = set(fitted.loc[fitted["fold"] == "full", "patient"])
    rows = []
    for task, part in endpoints.groupby("task", sort=False):
        tested = set(part["patient"].astype(str))
        rows.append(
            result_row(
                item="S.LEAK", protocol=protocol_name, condition="factors", design="full", task=str(task),
                metric="endpoint_test_patients_in_factor_fit", value=float(len(tested & whole)), n=len(tested),
                interval=COUNT, note="fitted without labels; F.CMP tests on patients whom no fit saw",
            )
        )  # fmt: skip
    return rows
