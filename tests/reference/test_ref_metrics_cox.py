"""Penalised Cox against lifelines (objective, ties, LASSO) and scikit-survival (ridge)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.cox import batched_harrell_c, fit_cox, fit_cox_batch
from radgen_lib.metrics.survival import harrell_c

N, P = 123, 12


def cohort(*, ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many patients as the published survival task, correlated covariates of unlike scales."""
    rng = make_rng(seed, "reference cohort", ties)
    x = rng.normal(size=(N, P)) @ (np.eye(P) + 0.2) * rng.uniform(0.1, 10, P)
    death = rng.exponential(np.exp(-x[:, 0] / x[:, 0].std()))
    censored = rng.exponential(0.3, N)
    time = np.minimum(death, censored)
    return x, np.ceil(12 * time) if ties else time, (death <= censored).astype(float)


def lifelines_beta(x: np.ndarray, time: np.ndarray, event: np.ndarray, penalizer: float, l1_ratio: float) -> np.ndarray:
    from lifelines import CoxPHFitter

    table = pd.DataFrame(x).assign(time=time, event=event)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Its own stop leaves 1e-5 in a ridge fit; a sharper one shows that the objectives are the same.
        options = {"precision": 1e-13, "r_precision": 1e-15} if l1_ratio == 0 else None
        fitted = CoxPHFitter(penalizer=penalizer, l1_ratio=l1_ratio).fit(table, "time", "event", fit_options=options)
    return fitted.params_.to_numpy()


@pytest.mark.parametrize("ties", [False, True])
def test_ridge_is_that_of_lifelines(ties: bool) -> None:
    x, time, event = cohort(ties=ties)
    penalizers = np.array([0.0, 0.001, 0.1, 10.0])
    fit = fit_cox(x, time, event, penalizer=penalizers, l1_ratio=0.0, train=np.ones((4, N), dtype=bool))
    assert fit.converged.all()
    for beta, penalizer in zip(fit.beta, penalizers, strict=True):
        theirs = lifelines_beta(x, time, event, penalizer, 0.0)
        np.testing.assert_allclose(beta * x.std(axis=0), theirs * x.std(axis=0), atol=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_elastic_net_and_lasso_are_those_of_lifelines_to_its_smoothing(ties: bool) -> None:
    x, time, event = cohort(ties=ties)
    train = np.arange(N) % 4 > 0
    test = ~train
    for penalizer, ratio in ((0.01, 0.5), (0.03, 1.0), (0.1, 0.1), (0.1, 1.0)):
        ours = fit_cox_batch(x, time, event, penalizer=penalizer, l1_ratio=ratio, train=train[None])[0]
        theirs = lifelines_beta(x[train], time[train], event[train], penalizer, ratio)
        np.testing.assert_allclose(ours * x.std(axis=0), theirs * x.std(axis=0), atol=1e-3)
        scores = [harrell_c(time[test], event[test], x[test] @ beta) for beta in (ours, theirs)]
        assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_a_fit_that_the_lasso_emptied_ranks_as_lifelines_does() -> None:
    x, time, event = cohort(ties=False, seed=1)
    ours = fit_cox_batch(x, time, event, penalizer=3.0, l1_ratio=0.8)[0]
    theirs = lifelines_beta(x, time, event, 3.0, 0.8)
    assert np.abs(theirs * x.std(axis=0)).max() < 1e-4
    assert np.corrcoef(x @ ours, x @ theirs)[0, 1] > 0.999
    largest = np.abs(x @ theirs).max()
    same = harrell_c(time, event, x @ theirs / largest)
    assert harrell_c(time, event, x @ ours) == pytest.approx(same, abs=0.005)
    assert same != pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("method", "ties"), [("efron", True), ("breslow", True), ("breslow", False)])
def test_ridge_is_that_of_scikit_survival(method: str, ties: bool) -> None:
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    x, time, event = cohort(ties=ties)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    # Its penalty is alpha / 2 |b|^2 beside a log likelihood divided by n, with no scaling of its own.
    theirs = CoxPHSurvivalAnalysis(alpha=0.05 * N, ties=method, tol=1e-12)
    theirs.fit(x, Surv.from_arrays(event.astype(bool), time))
    ours = fit_cox_batch(x, time, event, penalizer=0.05, l1_ratio=0.0, ties=method)[0]
    np.testing.assert_allclose(ours, theirs.coef_, atol=1e-6)


def test_lasso_is_that_of_scikit_survival() -> None:
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    x, time, event = cohort(ties=False)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    theirs = CoxnetSurvivalAnalysis(alphas=[0.05], l1_ratio=0.7, tol=1e-14, max_iter=1_000_000)
    theirs.fit(x, Surv.from_arrays(event.astype(bool), time))
    ours = fit_cox_batch(x, time, event, penalizer=0.05, l1_ratio=0.7, zeros="exact")[0]
    np.testing.assert_allclose(ours, theirs.coef_[:, 0], atol=1e-5)
    np.testing.assert_array_equal(ours == 0, theirs.coef_[:, 0] == 0)


def test_the_published_grid_over_ten_folds_converges_everywhere() -> None:
    x, time, event = cohort(ties=False)
    x = make_rng(0, "wide").normal(size=(N, 30))
    event = event * (np.cumsum(event) <= 16)
    grid = np.array([(p, share) for p in np.logspace(-3, 2, 11) for share in np.linspace(0, 1, 11)])
    folds = np.arange(N) % 10
    train = np.repeat(np.stack([folds != fold for fold in range(10)]), len(grid), axis=0)
    fit = fit_cox(x, time, event, penalizer=np.tile(grid[:, 0], 10), l1_ratio=np.tile(grid[:, 1], 10), train=train)
    assert fit.converged.all() and fit.iterations.max() < 40
    scores = batched_harrell_c(time, event, fit.beta @ x.T, ~train)
    assert len(scores) == 1210 and np.nanmin(scores) >= 0 and np.nanmax(scores) <= 1
