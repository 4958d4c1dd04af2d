"""Which images a job draws: those of its folds; of further trainings of the single split the held-out ones alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from radgen_lib.core.trainings import is_further, split_of
from radgen_lib.generators.sampling import SamplePlan, factors_to_shift, plan_rows

# Parameters of rule sample_images that say what to draw; keyword arguments of planned_rows.
SETTINGS = (
    "folds", "sampling", "synthetic_folds", "primary", "seed", "shifted", "shifted_variables", "shifted_patients",
)  # fmt: skip


def planned_rows(
    splits: pd.DataFrame,
    others: Sequence[str],
    names: Mapping[str, Sequence[str]],
    *,
    folds: Sequence[str],
    sampling: Mapping[str, Any],
    synthetic_folds: Sequence[str],
    primary: bool,
    seed: int,
    shifted: Sequence[str],
    shifted_variables: int | None,
    shifted_patients: int | None,
) -> pd.DataFrame:
    """Table of the images to draw by the settings of a job.

    others: patients without MRI; names: variables of the condition of every fold's generator; folds: trainings of the
    job; sampling: the block of that name; shifted: folds that draw shifted conditions. Else as in :class:`SamplePlan`.
    """
    moved = {fold: factors_to_shift(names[fold], shifted_variables) for fold in shifted}
    draws = sampling["draws_heldout"]
    return job_rows(splits, folds, SamplePlan(draws, synthetic_folds, others, primary, seed, moved, shifted_patients))


def job_rows(splits: pd.DataFrame, trainings: Sequence[str], plan: SamplePlan) -> pd.DataFrame:
    """Table of the images to draw for the ``trainings`` of one job, further trainings of the single split last.

    A further training draws images of the held-out patients and nothing else: no patient without MRI and no shifted
    condition, whatever ``plan`` asks of folds. Its seeds differ from those of the fold by its name.
    """
    folds = [name for name in trainings if not is_further(name)]
    parts = [plan_rows(splits, folds, plan)] if folds else []
    few = replace(plan, synthetic_folds=(), primary=False, shifted={})
    for name in trainings:
        if is_further(name):
            shared = splits[splits["fold"] == split_of(name)].assign(fold=name)
            parts.append(plan_rows(shared, [name], few))
    return pd.concat(parts, ignore_index=True)
