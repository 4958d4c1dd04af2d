"""Projection, imputation and predictive densities against dense Gaussian conditioning, entry by entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import logsumexp

from radgen_lib.omics.btf.align import summarise
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.gibbs import run_chain
from radgen_lib.omics.btf.imputation import impute, mixture_quantile
from radgen_lib.omics.btf.model import Draws, Priors, reconstruct
from radgen_lib.omics.btf.projection import (
    NO_OMIC,
    entry_counts,
    frame_of,
    log_score,
    project,
)

SHAPE = (6, 5, 3)  # patients, genes, omics


def some_draws(seed: int = 0, s: int = 4, k: int = 2, shape: tuple[int, int, int] = SHAPE) -> Draws:
    rng, (n, d, omics) = np.random.default_rng(seed), shape
    x, w = (rng.normal(size=(s, rows, k)).astype(np.float32) for rows in (n, d))
    tau = rng.gamma(4, 0.5, size=(s, omics))
    return Draws(x, w, rng.normal(size=(s, omics, k)), tau, np.ones((s, k)), np.zeros(s, int), pd.DataFrame())


def some_values(seed: int = 0, holes: float = 0.0) -> np.ndarray:
    """One patient each: whole, one omic missing, two missing, two holes, whole but a gene missing in an omic, none."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=SHAPE)
    values[rng.random(SHAPE) < holes] = np.nan
    values[1, :, 1] = values[2, :, :2] = values[5] = np.nan
    values[3, 1, 0] = values[3, 4, 2] = np.nan
    values[:, 2, 1] = np.nan
    return values


def dense(draws: Draws, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per draw and patient: mean and covariance of x given y by conditioning [x, y] jointly, and log p(y)."""
    s, k = draws.alpha.shape
    n = len(values)
    mean, covariance, score = np.empty((s, n, k)), np.empty((s, n, k, k)), np.zeros((s, n))
    for i, j in np.ndindex(s, n):
        loading = np.einsum("dk,lk->dlk", draws.w[i].astype(float), draws.u[i]).reshape(-1, k)
        noise = np.broadcast_to(1 / draws.tau[i], values.shape[1:]).ravel()
        there = ~np.isnan(values[j].ravel())
        y, loading = values[j].ravel()[there], loading[there]
        joint = np.block([[np.eye(k), loading.T], [loading, loading @ loading.T + np.diag(noise[there])]])
        gain = joint[:k, k:] @ np.linalg.inv(joint[k:, k:])
        mean[i, j], covariance[i, j] = gain @ y, joint[:k, :k] - gain @ joint[k:, :k]
        if there.any():
            score[i, j] = stats.multivariate_normal.logpdf(y, np.zeros(len(y)), joint[k:, k:])
    return mean, covariance, score


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.25]), st.integers(1, 3))
def test_projection_and_score_equal_dense_conditioning(seed: int, holes: float, k: int) -> None:
    draws, values = some_draws(seed, k=k), some_values(seed, holes)
    mean, covariance, score = dense(draws, values)
    found = project(draws, values)
    known = slice(0, 5)
    np.testing.assert_allclose(found.mean[known], mean.mean(axis=0)[known], rtol=1e-8, atol=1e-10)
    variance = np.einsum("snkk->snk", covariance).mean(axis=0) + mean.var(axis=0)
    np.testing.assert_allclose(found.sd[known], np.sqrt(variance)[known], rtol=1e-7)
    assert np.isnan(found.mean[5]).all() and np.isnan(found.sd[5]).all()
    assert found.reason.tolist() == [""] * 5 + [NO_OMIC]
    expected = logsumexp(score, axis=0) - np.log(len(score))
    np.testing.assert_allclose(log_score(draws, observe(values))[known], expected[known], rtol=1e-8)
    assert np.isnan(log_score(draws, values)[5])
    np.testing.assert_array_equal(entry_counts(observe(values)), (~np.isnan(values)).sum(axis=1))


def test_a_frame_brings_projections_into_aligned_components() -> None:
    """Permuted, rescaled and turned draws give the permuted, rescaled and turned projection, not another one."""
    raw, values = some_draws(2, k=3), some_values(2)
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(3) for _ in range(4)])[:, :2]
    factor = rng.choice([-1, 1], (4, 2)) * rng.uniform(0.3, 3, (4, 2))
    kept = replace(raw, x=np.take_along_axis(raw.x, order[:, None], axis=2) * factor[:, None].astype(np.float32))
    frame = frame_of(raw, kept)
    np.testing.assert_array_equal(frame.order, order)
    np.testing.assert_allclose(frame.factor, factor, rtol=1e-5)
    mean, covariance, _ = dense(raw, values)
    mean = np.stack([m[:, o] * f for m, o, f in zip(mean, order, factor, strict=True)])
    variance = [np.einsum("nkk->nk", c)[:, o] * f**2 for c, o, f in zip(covariance, order, factor, strict=True)]
    found = project(raw, values, frame)
    np.testing.assert_allclose(found.mean[:5], mean.mean(axis=0)[:5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sd[:5], np.sqrt(np.mean(variance, axis=0) + mean.var(axis=0))[:5], rtol=1e-4)
    with pytest.raises(ValueError, match="do not come from these draws"):
        frame_of(raw, replace(kept, x=kept.x + np.float32(0.5)))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_imputation_equals_the_dense_predictive_mixture(level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    draws, values = some_draws(5), some_values(5)
    mean, covariance, _ = dense(draws, values)
    loading = np.einsum("sdk,slk->sdlk", draws.w.astype(float), draws.u)
    centre = np.einsum("snk,sdlk->sndl", mean, loading)
    spread = np.einsum("sdlk,snkj,sdlj->sndl", loading, covariance, loading) + 1 / draws.tau[:, None, None, :]
    found = impute(draws, values, level=level)
    np.testing.assert_allclose(found.mean[:5], centre.mean(axis=0)[:5], rtol=1e-4, atol=1e-5)
    for limits, share in ((found.low, (1 - level) / 2), (found.high, (1 + level) / 2)):
        below = stats.norm.cdf(limits, centre, np.sqrt(spread)).mean(axis=0)
        np.testing.assert_allclose(below[:5], share, atol=2e-5)
    assert all(np.isnan(part[5]).all() and not np.isnan(part[:5]).any() for part in found)
    monkeypatch.setattr("radgen_lib.omics.btf.imputation.BLOCK", 1)
    for blocked, whole in zip(impute(draws, values, level=level), found, strict=True):
        np.testing.assert_allclose(blocked, whole, rtol=1e-4, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.25, 0.5, 0.975]), st.floats(0.1, 20))
def test_mixture_quantile_also_far_from_gaussian(seed: int, share: float, apart: float) -> None:
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(size=(5, 1)) * apart, rng.uniform(0.2, 3, (5, 1))

    def gap(place: float) -> float:
        return float(stats.norm.cdf(place, mean, sd).mean() - share)

    expected = optimize.brentq(gap, -40 * (apart + 3), 40 * (apart + 3), xtol=1e-12)
    found = float(mixture_quantile(mean, sd, share)[0])
    whole = float(np.sqrt((sd**2).mean() + mean.var()))
    assert found == pytest.approx(expected, abs=1e-3 * whole)


@pytest.fixture(scope="module")
def fitted() -> tuple[Draws, np.ndarray, np.ndarray, np.ndarray]:
    """(draws, training values, values of new patients, the same with missing omics and holes) of a planted tensor."""
    rng = np.random.default_rng(8)
    w, u = rng.normal(size=(60, 3)) * (rng.random((60, 3)) < 0.5), rng.normal(size=(3, 3))
    values = reconstruct(rng.normal(size=(260, 3)), w, u) + rng.normal(size=(260, 60, 3)) * [0.5, 1.0, 2.0]
    training, new = values[:100].copy(), values[100:]
    training[:10, :, 0] = training[10:20, :, 1:] = np.nan
    seen = new.copy()
    seen[:50, :, 0] = seen[50:90, :, 1:] = np.nan
    seen[90:][rng.random((70, 60, 3)) < 0.1] = np.nan
    return run_chain(observe(training), 6, Priors(), burn_in=150, draws=60, thin=2, seed=2), training, new, seen


def test_projecting_training_patients_gives_their_fitted_factors(
    fitted: tuple[Draws, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    draws, training, _, _ = fitted
    posterior = summarise(draws)
    found = project(draws, training, frame_of(draws, posterior.draws))
    assert np.abs((found.mean - posterior.x_mean) / posterior.x_sd).max() < 1
    assert 0.9 < np.median(found.sd / posterior.x_sd) < 1.1


def test_intervals_of_missing_entries_cover_at_their_rate(
    fitted: tuple[Draws, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Entries of a patient share its factors, so the spread of the rate is taken over patients."""
    draws, _, new, seen = fitted
    for level in (0.5, 0.9):
        found = impute(draws, seen, level=level)
        covered = (found.low <= new) & (new <= found.high)
        missing = np.isnan(seen)
        for rows in (slice(0, 50), slice(50, 90), slice(90, 160)):
            rate = np.array([c[m].mean() for c, m in zip(covered[rows], missing[rows], strict=True)])
            error = rate.std(ddof=1) / np.sqrt(len(rate))
            # The loadings are uncertain too, and common to all patients: 0.01 for that.
            assert abs(rate.mean() - level) < 3 * error + 0.01


def test_intervals_cover_exactly_when_parameters_are_known() -> None:
    """Loadings and noise known: each patient is an independent trial, its first missing entry binomial."""
    rng, n = np.random.default_rng(9), 1500
    one = some_draws(9, s=1)
    x = rng.normal(size=(n, 2))
    noise = rng.normal(size=(n, 5, 3)) / np.sqrt(one.tau[0])
    values = reconstruct(x, one.w[0].astype(float), one.u[0]) + noise
    seen = values.copy()
    seen[:, :, 2] = np.nan
    found = impute(one, seen, level=0.8)
    covered = ((found.low <= values) & (values <= found.high))[:, 0, 2].sum()
    low, high = stats.binom.ppf([0.001, 0.999], n, 0.8)
    assert low <= covered <= high


def test_another_tensor_than_the_fit_is_refused() -> None:
    draws = some_draws()
    for shape in ((2, 4, 3), (2, 5, 2)):
        with pytest.raises(ValueError, match=r"genes x \d omics, but the factors were fitted on 5 x 3$"):
            project(draws, np.zeros(shape))
    for level in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="level must lie between 0 and 1"):
            impute(draws, some_values(), level=level)
