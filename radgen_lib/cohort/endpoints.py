"""Test folds over the patients without MRI, one set per endpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from radgen_lib.cohort.dealing import deal
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.seeds import make_rng

SURVIVAL_TASKS = ("survival", "survival_subgroup")
ENDPOINT_COLUMNS = ("task", "repeat", "fold", "patient")


def endpoint_labels(patients: pd.DataFrame, task: str) -> pd.Series:
    """Label of ``task`` (1, 0), indexed by patient, for all patients that have it and a gene condition.

    ``survival`` gives the event of patients with a usable time, ``survival_subgroup`` the same among those with an
    ER+/HER2+ subgroup; any other task is a column of the patient table. Raises ConfigError for an unknown task.
    """
    usable = patients[patients["has_genes15"]].set_index("patient")
    if task in SURVIVAL_TASKS:
        labels = usable["os_event"].where(usable["os_days"] > 0)
        if task == "survival_subgroup":
            labels = labels.where(usable["subgroup"].notna())
    elif task in usable.columns and pd.api.types.is_float_dtype(usable[task]):
        labels = usable[task]
    else:
        raise ConfigError(f"task {task!r} is not a label of the patient table")
    return labels.dropna().sort_index()


def endpoint_splits(
    patients: pd.DataFrame, *, tasks: Sequence[str], folds: int, repeats: int, seed: int
) -> pd.DataFrame:
    """Which patients are tested in which fold: task, repeat, fold, patient.

    Only patients with the label, with a gene condition and without MRI (an imaged patient may have trained the
    generator). Folds are stratified by the label (by the event for survival), so counts of positives differ by at
    most one between folds. A task with fewer patients than folds has no rows, and the log says so.
    """
    unimaged = patients[patients["n_images"] == 0]
    parts = []
    for task in tasks:
        labels = endpoint_labels(unimaged, task)
        if len(labels) < folds:
            logging.getLogger("radgen").warning(
                "endpoint %s: %d patients without MRI have it, too few for %d folds", task, len(labels), folds
            )
            continue
        for repeat in range(repeats):
            dealt = deal(labels.to_numpy(), folds, make_rng(seed, "endpoint", task, repeat))
            part = pd.DataFrame({"task": task, "repeat": repeat, "fold": dealt, "patient": labels.index})
            parts.append(part.sort_values(["fold", "patient"]))
    if not parts:
        return pd.DataFrame(columns=list(ENDPOINT_COLUMNS))
    return pd.concat(parts, ignore_index=True).astype({"repeat": np.int64, "fold": np.int64})
