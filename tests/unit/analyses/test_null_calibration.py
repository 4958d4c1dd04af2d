"""How often the 95 % interval of a pooled out-of-fold AUROC misses one half where nothing can be predicted.

The interval resamples patients and keeps the fits, so it is too narrow: docs/explanation/honesty.md and the page give
the shares that are measured here. Should a change make them larger, the text is no longer true.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import scoring
from radgen_lib.analyses.classifiers import Fit, FitOptions, fit_score

RUNS, FOLDS = 300, 5
OPTIONS = FitOptions(search_draws=0, inner_folds=3, whole=False, pca=False, threshold_from_training=False)


def _interval(patients: int, positives: int, features: int, seed: int) -> tuple[float, float]:
    """Limits for a logistic regression on noise, one repeat of stratified folds, scored as B.TB scores it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(patients, features))
    y = (np.arange(patients) < positives).astype(int)
    names = np.array([f"P{i:03d}" for i in range(patients)])
    fold = np.concatenate([rng.permutation(np.arange((y == label).sum()) % FOLDS) for label in (1, 0)])
    tables = []
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        fit = Fit(0, f"f{number}", x[train], y[train], names[train], x[test], y[test], names[test])
        scored = fit_score("logistic", fit, OPTIONS, seed)
        columns = {"patient": names[test], "y": y[test], "score": scored.score}
        scale = {"threshold": 0.0, "centre": scored.centre, "scale": scored.scale}
        tables.append(pd.DataFrame(columns).assign(repeat=0, fold=number, **scale))
    found = scoring.out_of_fold(pd.concat(tables), threshold_from="train", draws=500, seed=seed)
    low, high = np.nanpercentile(found.draws, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.scale
@pytest.mark.parametrize(
    ("patients", "positives", "features", "most"),
    [(155, 115, 10, 0.28), (120, 60, 100, 0.28)],
)
def test_interval_misses_one_half_no_more_often_than_the_docs_say(
    patients: int, positives: int, features: int, most: float
) -> None:
    limits = np.array([_interval(patients, positives, features, seed) for seed in range(RUNS)])
    above, below = (limits[:, 0] > 0.5).mean(), (limits[:, 1] < 0.5).mean()
    print(f"{patients} patients, {features} features: {above:.3f} above, {below:.3f} below")
    assert above + below <= most
    # Neither side: pooled scores must not be pulled to one side of one half.
    assert abs(above - below) <= 0.06
