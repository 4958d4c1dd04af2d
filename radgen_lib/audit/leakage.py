"""Leakage (S.LEAK): who stands on both sides of a split, and did every fit keep to its training patients?"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from radgen_lib.core.errors import LeakageError, data_error
from radgen_lib.core.rows import result_row
from radgen_lib.core.trainings import split_of

COUNT = "none: a count"


def read_fits(card: str | Path, **keys: str) -> list[dict[str, Any]]:
    """Training patients that a training job's card records under ``trained_on``, one dict per fold.

    The card holds ``trained_on: {fold: {"patient": [...], ...}}``. ``keys`` (condition, generator) are added to each
    dict. Raises DataError when the card does not say whom it was trained on.
    """
    content = json.loads(Path(card).read_text(encoding="utf-8"))
    trained = content.get("trained_on")
    if not isinstance(trained, Mapping):
        raise data_error(card, "no training patients (trained_on) are recorded", "Delete it and run again")
    fits = []
    for fold, table in trained.items():
        if not isinstance(table, Mapping) or "patient" not in table:
            raise data_error(card, "the training patients are not named", "Delete it and run again", row=fold)
        name = f"{content.get('name', 'fit')} {Path(card).parent.as_posix()}"
        fits.append({"fit": name, "fold": str(fold), **keys, "patients": sorted(set(map(str, table["patient"])))})
    return fits


def read_runs(cards: Sequence[str | Path], runs: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Fits of all training jobs; ``runs``: condition, generator and chunk of each card.

    A further training of the single split has the split's name here: it must keep to that split's patients.
    """
    return [
        {**fit, "fold": split_of(fit["fold"])}
        for path, (condition, generator, _) in zip(cards, runs, strict=True)
        for fit in read_fits(path, condition=condition, generator=generator)
    ]


def check_leakage(
    splits: pd.DataFrame,
    trained: Iterable[Mapping[str, Any]],
    *,
    protocol_name: str,
    split_unit: str,
    endpoints: pd.DataFrame,
    eligible: Mapping[str, Collection[str]] | None = None,
) -> list[dict[str, Any]]:
    """Count crossings per design and per fit; under ``split_unit="patient"`` any crossing stops the run.

    Args:
        splits: the rows of splits.parquet that the protocol uses (design, fold, image_index, patient, role).
        trained: fits as :func:`read_fits` gives them. A fit whose fold is in ``splits`` must have exactly the
            training patients of that fold.
        protocol_name: value of the protocol column.
        split_unit: "patient" or "image".
        endpoints: endpoint_splits.parquet (task, repeat, fold, patient). Its test patients are judged by images that
            any of the fits drew, so none of them may have trained it.
        eligible: condition -> patients that have it; training patients without it are rightly absent from a fit.

    Returns:
        Rows ``patients_on_both_sides``, ``test_images_of_training_patients``, ``test_conditions_seen_in_training``
        per design, ``fit_crossings`` and ``fit_mismatches`` per condition, generator and design, and
        ``endpoint_test_patients_trained_on`` per condition, generator, design and task.

    Raises:
        LeakageError: under "patient", naming the first fold or fit and its patients.
    """
    trained = list(trained)
    strict = split_unit == "patient"
    rows: list[dict[str, Any]] = []
    for design, part in splits.groupby("design", sort=False):
        rows += _design_rows(str(design), part, protocol_name, strict)
    rows += _fit_rows(splits, trained, protocol_name, strict, eligible or {})
    return rows + _endpoint_rows(splits, trained, endpoints, protocol_name, strict)


def _design_rows(design: str, part: pd.DataFrame, protocol_name: str, strict: bool) -> list[dict[str, Any]]:
    train = part[part["role"] == "train"][["fold", "patient"]].drop_duplicates()
    test = part[part["role"] == "test"]
    crossed = test.merge(train, on=["fold", "patient"])
    if strict and len(crossed):
        fold = crossed["fold"].iloc[0]
        names = sorted(crossed.loc[crossed["fold"] == fold, "patient"].unique())
        raise LeakageError(
            f"splits, design {design}, fold {fold}: {len(names)} patients are in training and test "
            f"({', '.join(names[:5])}). Make the splits again, or set split_unit: image to count instead of stopping"
        )
    n = int(test["patient"].nunique())
    conditions = test[["fold", "patient"]].drop_duplicates()
    counts = {
        "patients_on_both_sides": (crossed["patient"].nunique(), f"of {n} test patients"),
        "test_images_of_training_patients": (len(crossed), f"of {len(test)} test images, over the folds"),
        "test_conditions_seen_in_training": (
            len(crossed[["fold", "patient"]].drop_duplicates()), f"of {len(conditions)} test conditions, over the folds"
        ),
    }  # fmt: skip
    keys: dict[str, Any] = {"item": "S.LEAK", "protocol": protocol_name, "design": design}
    if not len(test):
        why = "the design holds nobody out"
        return [result_row(**keys, metric=metric, reason=why, n=int(part["patient"].nunique())) for metric in counts]
    return [
        result_row(**keys, metric=metric, value=float(value), n=n, interval=COUNT, note=note)
        for metric, (value, note) in counts.items()
    ]


def _fit_rows(
    splits: pd.DataFrame,
    trained: list[Mapping[str, Any]],
    protocol_name: str,
    strict: bool,
    eligible: Mapping[str, Collection[str]],
) -> list[dict[str, Any]]:
    sides = {
        (str(fold), str(role)): set(rows["patient"].astype(str))
        for (fold, role), rows in splits.groupby(["fold", "role"], sort=False)
    }
    designs = _designs(splits)
    table = []
    for fit in trained:
        fold, mine = str(fit["fold"]), set(map(str, fit["patients"]))
        crossing = mine & sides.get((fold, "test"), set())
        expected = sides.get((fold, "train"), set())
        if fit["condition"] in eligible:
            expected = expected & set(eligible[fit["condition"]])
        wrong = mine ^ expected
        if strict and (crossing or wrong):
            raise LeakageError(_complaint(fit, crossing, wrong))
        keys = {"condition": fit["condition"], "generator": fit["generator"], "design": designs.get(fold, "")}
        table.append({**keys, "crossing": len(crossing), "wrong": len(wrong), "patients": mine})
    return _summed(table, protocol_name)


def _designs(splits: pd.DataFrame) -> dict[str, str]:
    return {str(fold): str(design) for fold, design in zip(splits["fold"], splits["design"], strict=True)}


def _endpoint_rows(
    splits: pd.DataFrame, trained: list[Mapping[str, Any]], endpoints: pd.DataFrame, protocol_name: str, strict: bool
) -> list[dict[str, Any]]:
    """Endpoint test patients that the generator of their images was trained on: per task, over folds and fits."""
    designs = _designs(splits)
    fits: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for fit in trained:
        fits.setdefault((fit["condition"], fit["generator"], designs.get(str(fit["fold"]), "")), []).append(fit)
    rows = []
    for task, part in endpoints.groupby("task", sort=False):
        tested = part["patient"].astype(str)
        for (condition, generator, design), members in sorted(fits.items()):
            crossed: set[str] = set()
            for fit in members:
                seen = tested.isin(fit["patients"])
                if strict and seen.any():
                    raise LeakageError(_endpoint_complaint(str(task), part[seen], fit))
                crossed |= set(tested[seen])
            rows.append(
                result_row(
                    item="S.LEAK", protocol=protocol_name, condition=condition, generator=generator, design=design,
                    task=str(task), metric="endpoint_test_patients_trained_on", value=float(len(crossed)),
                    n=int(tested.nunique()), interval=COUNT, note=f"over {len(members)} fits",
                )
            )  # fmt: skip
    return rows


def _endpoint_complaint(task: str, rows: pd.DataFrame, fit: Mapping[str, Any]) -> str:
    first = rows.iloc[0]
    here = rows[(rows["repeat"] == first["repeat"]) & (rows["fold"] == first["fold"])]
    names = sorted(set(here["patient"].astype(str)))
    return (
        f"endpoint splits, task {task}, repeat {first['repeat']}, fold {first['fold']}: {len(names)} test patients "
        f"trained {fit['fit']}, fold {fit['fold']} ({', '.join(names[:5])}). Make the endpoint splits again"
    )


def _complaint(fit: Mapping[str, Any], crossing: set[str], wrong: set[str]) -> str:
    names = sorted(crossing or wrong)
    what = "were trained on and tested" if crossing else "differ from the split's training patients"
    return (
        f"{fit['fit']}, fold {fit['fold']}: {len(names)} patients {what} ({', '.join(names[:5])}). "
        "Delete the outputs of this fit and run again; its card lists whom it was trained on"
    )


def _summed(table: list[dict[str, Any]], protocol_name: str) -> list[dict[str, Any]]:
    if not table:
        return []
    rows = []
    names = ["condition", "generator", "design"]
    for values, part in pd.DataFrame(table).groupby(names, sort=True):
        keys: dict[str, Any] = {
            "item": "S.LEAK",
            "protocol": protocol_name,
            **dict(zip(names, map(str, values), strict=True)),
        }
        n = len(set.union(*part["patients"]))
        note = f"sum over {len(part)} fits"
        for metric, column in (("fit_crossings", "crossing"), ("fit_mismatches", "wrong")):
            rows.append(
                result_row(**keys, metric=metric, value=float(part[column].sum()), n=n, interval=COUNT, note=note)
            )
    return rows
