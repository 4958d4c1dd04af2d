"""Which images a job draws: those of its folds; of further trainings of the single split the held-out ones alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from radgen_lib.core.trainings import is_further, split_of
from radgen_lib.generators.sampling import SamplePlan, plan_rows


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
