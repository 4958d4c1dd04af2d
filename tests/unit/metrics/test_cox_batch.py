"""Batched Cox fits: derivatives, optimality, invariances, what cannot be fitted, and the batched concordance."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics import cox_newton
from radgen_lib.metrics.cox import batched_harrell_c, fit_cox, fit_cox_batch
from radgen_lib.metrics.cox_likelihood import PartialLikelihood
from radgen_lib.metrics.survival import harrell_c


def cohort(seed: int, n: int = 60, p: int = 5, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates of unlike scales, times (on a coarse grid with ``ties``) and events of which about a third are 1."""
    rng = make_rng(seed, "cohort")
    x = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3) * np.logspace(-1, 2, p)
    death = rng.exponential(np.exp(-x[:, 0] / x[:, 0].std()))
    censored = rng.exponential(0.5, n)
    time = np.minimum(death, censored)
    return x, np.ceil(time * 8) if ties else time, (death <= censored).astype(float)


def loss(beta: np.ndarray, x: np.ndarray, time: np.ndarray, event: np.ndarray, l1: float, l2: float) -> float:
    """Penalised negative log partial likelihood with Efron ties, written out death by death."""
    eta = x @ beta
    total = 0.0
    for when in np.unique(time[event == 1]):
        dying = (time == when) & (event == 1)
        at_risk, share = np.exp(eta[time >= when]).sum(), np.exp(eta[dying]).sum()
        total += eta[dying].sum() - sum(np.log(at_risk - k / dying.sum() * share) for k in range(dying.sum()))
    scale = x.std(axis=0, ddof=1)
    penalty = l1 * np.abs(beta * scale).sum() + l2 / 2 * ((beta * scale) ** 2).sum()
    return float(len(x) * penalty - total)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", ["efron", "breslow"])
def test_the_gradient_and_curvature_are_those_of_the_likelihood(ties: bool, method: str) -> None:
    x, time, event = cohort(1, ties=ties)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    likelihood = PartialLikelihood(x, time, event.astype(bool), method)
    subset = likelihood.subsets(make_rng(0, "train").random((1, len(x))) < 0.8)
    at = make_rng(0, "beta").normal(scale=0.3, size=5)
    value = lambda b: float(likelihood.value(subset, b[None])[0])  # noqa: E731
    slope = lambda b: likelihood.derivatives(subset, b[None])[1][0]  # noqa: E731
    assert check_grad(value, slope, at) < 1e-5
    second = likelihood.derivatives(subset, at[None])[2][0]
    numeric = np.stack([(slope(at + h) - slope(at - h)) / 2e-5 for h in 1e-5 * np.eye(5)])
    np.testing.assert_allclose(-numeric, second, atol=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_the_likelihood_is_that_written_out_by_hand(ties: bool) -> None:
    x, time, event = cohort(2, ties=ties)
    likelihood = PartialLikelihood(x, time, event.astype(bool), "efron")
    beta = make_rng(3, "beta").normal(size=5) / x.std(axis=0)
    subset = likelihood.subsets(np.ones((1, len(x)), dtype=bool))
    assert likelihood.value(subset, beta[None])[0] == pytest.approx(-loss(beta, x, time, event, 0, 0), rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.003, 3), st.floats(0, 1), st.booleans())
def test_no_neighbour_of_a_fit_is_better(seed: int, penalizer: float, ratio: float, ties: bool) -> None:
    x, time, event = cohort(seed, ties=ties)
    if not event.any():
        return
    fit = fit_cox(x, time, event, penalizer=penalizer, l1_ratio=ratio, zeros="exact")
    assert fit.converged.all()
    strengths = (penalizer * ratio, penalizer * (1 - ratio))
    best = loss(fit.beta[0], x, time, event, *strengths)
    rng = make_rng(seed, "neighbours")
    for size in (1e-1, 1e-3, 1e-5):
        for _ in range(5):
            moved = fit.beta[0] + size * rng.normal(size=5) / x.std(axis=0)
            assert loss(moved, x, time, event, *strengths) >= best - 1e-9


def test_a_batch_gives_what_single_fits_give() -> None:
    x, time, event = cohort(4, ties=True)
    rng = make_rng(4, "batch")
    train = rng.random((24, len(x))) < 0.7
    penalizer, ratio = np.repeat([0.01, 0.1, 1.0], 8), np.tile([0.0, 0.3, 0.7, 1.0], 6)
    together = fit_cox(x, time, event, penalizer=penalizer, l1_ratio=ratio, train=train)
    for b in range(24):
        kept = train[b]
        alone = fit_cox(x[kept], time[kept], event[kept], penalizer=penalizer[b], l1_ratio=ratio[b])
        np.testing.assert_allclose(together.beta[b] * x.std(axis=0), alone.beta[0] * x.std(axis=0), atol=1e-8)


def test_patients_outside_the_training_part_change_nothing() -> None:
    x, time, event = cohort(5)
    train = (np.arange(len(x)) % 3 > 0)[None]
    before = fit_cox_batch(x, time, event, penalizer=0.1, l1_ratio=0.5, train=train)
    other = x.copy()
    other[~train[0]] = make_rng(5, "other").normal(size=(int((~train).sum()), 5)) + 3.0
    later = np.where(train[0], time, 77.0)
    after = fit_cox_batch(other, later, np.where(train[0], event, 1), penalizer=0.1, l1_ratio=0.5, train=train)
    np.testing.assert_allclose(after, before, atol=1e-6 * np.abs(before).max())


def test_units_of_a_covariate_do_not_matter() -> None:
    x, time, event = cohort(6)
    factor = np.array([1.0, 1e3, 1e-3, -2.0, 5.0])
    one = fit_cox_batch(x, time, event, penalizer=0.05, l1_ratio=0.4)
    two = fit_cox_batch(x * factor + 7.0, time, event, penalizer=0.05, l1_ratio=0.4)
    np.testing.assert_allclose(two * factor, one, rtol=1e-5, atol=1e-9)


def test_coordinate_descent_finds_what_active_sets_find(monkeypatch: pytest.MonkeyPatch) -> None:
    x, time, event = cohort(11, ties=True)
    penalizer, train = np.array([0.003, 0.03, 0.3]), np.ones((3, len(x)), dtype=bool)
    sets = fit_cox(x, time, event, penalizer=penalizer, l1_ratio=0.8, train=train, zeros="exact")
    monkeypatch.setattr(cox_newton, "MOST_GUESSES", 0)
    descent = fit_cox(x, time, event, penalizer=penalizer, l1_ratio=0.8, train=train, zeros="exact")
    assert sets.converged.all() and descent.converged.all()
    np.testing.assert_allclose(sets.beta * x.std(axis=0), descent.beta * x.std(axis=0), atol=1e-8)
    np.testing.assert_array_equal(sets.beta == 0, descent.beta == 0)
    assert 0 < np.count_nonzero(sets.beta) < sets.beta.size


def test_more_covariates_than_patients_are_fitted_under_a_penalty() -> None:
    x, time, event = cohort(12, n=30, p=5)
    wide = np.hstack([x, make_rng(12, "wide").normal(size=(30, 40)), x[:, :1]])
    fit = fit_cox(
        wide, time, event, penalizer=[0.01, 0.01, 0.0], l1_ratio=[0.0, 0.7, 0.0], train=np.ones((3, 30), bool)
    )
    assert fit.converged.tolist() == [True, True, False] and np.isfinite(fit.beta).all()
    # A ridge shares the coefficient between two copies of a covariate.
    assert fit.beta[0, 0] == pytest.approx(fit.beta[0, -1], rel=1e-6)


def test_the_lasso_removes_covariates_and_its_leftovers_still_rank() -> None:
    x, time, event = cohort(7)
    exact = fit_cox_batch(x, time, event, penalizer=100.0, l1_ratio=1.0, zeros="exact")
    left = fit_cox_batch(x, time, event, penalizer=100.0, l1_ratio=1.0)
    assert not exact.any()
    scaled = np.abs(left * x.std(axis=0))
    assert scaled.max() == pytest.approx(1e-5, rel=0.05)
    # What remains is the direction of the strongest ridge: the gradient of the likelihood at zero.
    ridge = fit_cox_batch(x, time, event, penalizer=1e4, l1_ratio=0.0)
    assert np.corrcoef(x @ left[0], x @ ridge[0])[0, 1] > 0.999
    assert harrell_c(time, event, x @ left[0]) == pytest.approx(harrell_c(time, event, 1e6 * x @ ridge[0]), abs=0.01)


def test_a_constant_covariate_gets_no_coefficient() -> None:
    x, time, event = cohort(8)
    x[:, 2] = 4.2
    train = np.ones((2, len(x)), dtype=bool)
    x[:10, 3], x[10:, 3] = np.arange(10), 1.5
    train[1, :10] = False
    fit = fit_cox(x, time, event, penalizer=[0.1, 0.1], l1_ratio=[0.0, 0.5], train=train)
    assert fit.converged.all()
    assert not fit.beta[:, 2].any()
    assert fit.beta[0, 3] != 0 and fit.beta[1, 3] == 0
    without = fit_cox(np.delete(x, 2, axis=1), time, event, penalizer=0.1, l1_ratio=0.0)
    np.testing.assert_allclose(np.delete(fit.beta[0], 2), without.beta[0], rtol=1e-6)


def test_what_cannot_be_fitted_is_said(caplog: pytest.LogCaptureFixture) -> None:
    x, time, event = cohort(9, p=2)
    separable = np.column_stack([-np.argsort(np.argsort(time)).astype(float), x[:, 1]])
    train = np.ones((3, len(x)), dtype=bool)
    train[2] = event == 0
    fit = fit_cox(separable, time, np.ones(len(x)), penalizer=[0.0, 0.1, 0.1], l1_ratio=0.0, train=train)
    assert fit.converged.tolist()[:2] == [False, True]
    none = fit_cox(x, time, event, penalizer=0.1, l1_ratio=0.0, train=train[2:])
    assert not none.converged.any() and not none.beta.any() and none.iterations[0] == 0
    with caplog.at_level(logging.WARNING, logger="radgen"):
        fit_cox_batch(x, time, event, penalizer=0.1, l1_ratio=0.0, train=train)
    assert "1 of 3 Cox fits did not converge" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"penalizer": -1.0},
        {"l1_ratio": 1.5},
        {"ties": "exact"},
        {"zeros": "none"},
        {"x": np.full((60, 5), np.nan)},
        {"time": np.full(60, -1.0)},
        {"event": np.full(60, 2)},
        {"train": np.ones((2, 59), dtype=bool)},
    ],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    x, time, event = cohort(10)
    given_values = {"x": x, "time": time, "event": event, "penalizer": 0.1, "l1_ratio": 0.5} | change
    with pytest.raises(ValueError, match=r"must|need|allowed"):
        fit_cox(**given_values)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3))
def test_the_batched_concordance_is_that_of_each_part(seed: int, decimals: int) -> None:
    _, time, event = cohort(seed, n=25, ties=True)
    rng = make_rng(seed, "risks")
    risk = np.round(rng.normal(size=(7, 25)), decimals)
    test = rng.random((7, 25)) < 0.4
    test[0] = event == 0
    found = batched_harrell_c(time, event, risk, test)
    each = [harrell_c(time[t], event[t], r[t]) for r, t in zip(risk, test, strict=True)]
    np.testing.assert_allclose(found, each, atol=1e-12)
    assert np.isnan(found[0])
