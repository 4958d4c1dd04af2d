"""Variational inference: every update against sums over single entries, the bound, recovery of what was planted."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from radgen_lib.core.seeds import derive_seed
from radgen_lib.omics.btf import groups
from radgen_lib.omics.btf import variational_updates as updates
from radgen_lib.omics.btf.align import match
from radgen_lib.omics.btf.cohort_tensor import StoredTensor, build_cohort_tensor, read_sources
from radgen_lib.omics.btf.data import Observed, observe
from radgen_lib.omics.btf.fold_training import prepare_training
from radgen_lib.omics.btf.gibbs import Start, run_chain, start
from radgen_lib.omics.btf.model import Point, Priors, log_joint, reconstruct
from radgen_lib.omics.btf.variational import (
    FIRST,
    _climb,
    _gaussian_part,
    elbo,
    expected_log_likelihood,
    fit_variational,
    sweep,
)
from radgen_lib.omics.btf.variational_updates import Beliefs, Work

PROPER = Priors(a_alpha=2, b_alpha=2, nu=3, a_tau=2, b_tau=2)
KINDS = [
    pytest.param(PROPER, id="sparse"),
    pytest.param(Priors(a_alpha=2, b_alpha=2, nu=None, a_tau=2, b_tau=2), id="gaussian"),
    pytest.param(Priors(a_alpha=2, b_alpha=1, nu=2, a_tau=3, b_tau=2, noise="global"), id="global noise"),
]


def tiny(seed: int = 0, n: int = 6, d: int = 5, omics: int = 3) -> np.ndarray:
    """A small tensor with two missing fibres and two holes."""
    values = np.random.default_rng(seed).normal(size=(n, d, omics))
    values[1, :, 0] = values[:, 2, 1] = np.nan
    values[3, 1, 2] = values[4, 0, 0] = np.nan
    return values


def state(values: np.ndarray, priors: Priors, k: int = 2, sweeps: int = 2) -> tuple[Beliefs, Work]:
    """Beliefs after some sweeps: nothing is at its optimum yet, nothing is special."""
    observed = observe(values)
    work = Work.of(observed, k, priors)
    q = updates.begin(start(observed, k, np.random.default_rng(5), how="random"), work)
    for _ in range(sweeps):
        sweep(q, work)
    return q, work


def planted(
    seed: int, n: int, d: int, rank: int, noise: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, signal, values) of sparse loadings and noise of each omic's own SD."""
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(n, rank)), rng.normal(size=(len(noise), rank))
    w = rng.normal(size=(d, rank)) * (rng.random((d, rank)) < 0.4)
    signal = reconstruct(x, w, u)
    return x, signal, signal + rng.normal(size=signal.shape) * np.array(noise)


def moments(q: Beliefs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Second moments of every row of x, w and u."""
    x = groups.outer(q.x) + groups.covariances(q.x_root)[q.group]
    w = groups.outer(q.w) + groups.covariances(q.w_root)
    return x, w, q.u_moments()


@pytest.mark.parametrize("priors", KINDS)
def test_updates_equal_sums_over_single_entries(priors: Priors) -> None:
    """Each Gaussian factor has precision prior + sum tau E[other] * E[third] over its measured entries."""
    values = tiny()
    q, work = state(values, priors)
    there = ~np.isnan(values)
    data = np.where(there, values, 0)
    for update, name, subscripts, prior in (
        (updates.update_x, "x", "l,dij,lij,ndl->nij", np.ones(2)),
        (updates.update_w, "w", "l,nij,lij,ndl->dij", None),
        (updates.update_u, "u", "l,nij,dij,ndl->lij", np.ones(2)),
    ):
        second, first = moments(q), (q.x, q.w, q.u)
        others = [i for i in range(3) if "xwu"[i] != name]
        expected = np.einsum(subscripts, q.tau, second[others[0]], second[others[1]], there.astype(float))
        expected += np.eye(2) * (q.alpha * q.lam if prior is None else prior)[..., None, :]
        pull = np.einsum(subscripts.replace("ij", "i"), q.tau, first[others[0]], first[others[1]], data)
        update(q, work)
        found = groups.covariances(getattr(q, f"{name}_root"))
        if name == "x":
            found = found[q.group]
        np.testing.assert_allclose(found, np.linalg.inv(expected), rtol=1e-9, atol=1e-12)
        mean = np.linalg.solve(expected, pull[:, :, None])[:, :, 0]
        np.testing.assert_allclose(getattr(q, name), mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("priors", KINDS)
def test_noise_and_sparsity_equal_sums_over_single_entries(priors: Priors) -> None:
    values = tiny(1)
    q, work = state(values, priors)
    updates.update_x(q, work)
    updates.update_w(q, work)
    updates.update_u(q, work)
    there, (x, w, u) = ~np.isnan(values), moments(q)
    data = np.where(there, values, 0)
    cross = np.einsum("ndl,nk,dk,lk->l", data, q.x, q.w, q.u)
    left = (data**2).sum(axis=(0, 1)) - 2 * cross + np.einsum("ndl,nij,dij,lij->l", there.astype(float), x, w, u)
    np.testing.assert_allclose(updates.residuals(q, work), left, rtol=1e-10)
    alpha, lam, squares = q.alpha, q.lam, np.einsum("dkk->dk", w)
    updates.update_tau(q, work)
    updates.update_alpha(q, work)
    np.testing.assert_allclose(q.alpha_rate, priors.b_alpha + (lam * squares).sum(axis=0) / 2, rtol=1e-12)
    np.testing.assert_allclose(q.alpha_shape, priors.a_alpha + 5 / 2)
    counts = there.sum(axis=(0, 1))
    if priors.noise == "global":
        left, counts = np.full(3, left.sum()), np.full(3, counts.sum())
    np.testing.assert_allclose(q.tau, (priors.a_tau + counts / 2) / (priors.b_tau + left / 2), rtol=1e-10)
    updates.update_lam(q, work)
    expected = np.ones((5, 2)) if priors.nu is None else (priors.nu + 1) / (priors.nu + q.alpha * squares)
    np.testing.assert_allclose(q.lam, expected, rtol=1e-12)
    assert priors.nu is None or (not np.allclose(q.lam, lam) and not np.allclose(q.alpha, alpha))


@pytest.mark.parametrize("priors", KINDS)
def test_bound_is_expected_log_joint_plus_entropy(priors: Priors) -> None:
    """Against the mean of the model's own log density over draws from q, entropies from scipy."""
    q, work = state(tiny(2), priors)
    rng, draws = np.random.default_rng(3), 3000
    x_cov, w_cov, u_cov = (groups.covariances(root) for root in (q.x_root[q.group], q.w_root, q.u_root))
    gaussian = [(q.x, x_cov), (q.w, w_cov), (q.u, u_cov)]
    roots = [np.linalg.cholesky(covariance) for _, covariance in gaussian]
    own = slice(1) if priors.noise == "global" else slice(None)
    gamma = [(q.tau_shape[own], q.tau_rate[own]), (q.alpha_shape, q.alpha_rate)]
    if priors.nu is not None:
        gamma.append((np.full_like(q.lam_rate, q.lam_shape), q.lam_rate))
    entropy = sum(stats.multivariate_normal(cov=c).entropy() for _, part in gaussian for c in part)
    entropy += sum(stats.gamma(shape, scale=1 / rate).entropy().sum() for shape, rate in gamma)
    joint = np.empty(draws)
    for i in range(draws):
        parts = [m + (r @ rng.normal(size=(*m.shape, 1)))[:, :, 0] for (m, _), r in zip(gaussian, roots, strict=True)]
        tau, alpha, *lam = (rng.gamma(shape, 1 / rate) for shape, rate in gamma)
        point = Point(*parts, np.broadcast_to(tau, 3), alpha, lam[0] if lam else np.ones((5, 2)))
        joint[i] = log_joint(point, work.observed, priors)
    error = joint.std() / np.sqrt(draws)
    assert elbo(q, work) == pytest.approx(joint.mean() + entropy, abs=5 * error)
    assert error < 0.3


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 5),
    nu=st.sampled_from([None, 1.0, 4.0]),
    noise=st.sampled_from(["per_omic", "global"]),
    holes=st.sampled_from([0.0, 0.2]),
    weak=st.booleans(),
)
def test_bound_never_falls(seed: int, k: int, nu: float | None, noise: str, holes: float, weak: bool) -> None:
    rng = np.random.default_rng(seed)
    values = planted(seed, 12, 9, 2, (0.3, 1.0, 2.0))[2]
    values[rng.random(values.shape) < holes] = np.nan
    values[0, :, 1] = values[:, 3, 2] = np.nan
    size = 1e-3 if weak else 1.5
    priors = Priors(a_alpha=size, b_alpha=size, nu=nu, a_tau=size, b_tau=size, noise=noise)  # type: ignore[arg-type]
    bound = fit_variational(observe(values), k, priors, seed=seed, max_sweeps=60, how="random").trace["elbo"].to_numpy()
    assert len(bound) > 5 and np.diff(bound).min() > -1e-8 * np.abs(bound).max()


def test_rescaling_keeps_the_fit_raises_the_bound_and_is_done_at_once() -> None:
    q, work = state(tiny(4), PROPER, sweeps=1)
    updates.update_x(q, work)
    updates.update_w(q, work)
    q.x, q.x_root, q.u, q.u_root = q.x * [3, 0.2], q.x_root * [3, 0.2], q.u * [2, 5], q.u_root * [2, 5]
    ratio = np.array([3, 0.2]) * [2, 5]
    q.w, q.w_root, work.sums_w = q.w / ratio, q.w_root / ratio, work.sums_w / np.outer(ratio, ratio)
    q.w_spread = q.w_spread / ratio**2
    work.cross, work.gram = work.cross / [2, 5], work.gram / np.outer([2, 5], [2, 5])
    fit, before, likelihood = reconstruct(q.x, q.w, q.u), elbo(q, work), expected_log_likelihood(q, work)
    updates.rescale(q, work)
    assert elbo(q, work) > before + 0.1
    assert expected_log_likelihood(q, work) == pytest.approx(likelihood, rel=1e-12)
    np.testing.assert_allclose(reconstruct(q.x, q.w, q.u), fit, rtol=1e-10, atol=1e-14)
    # At the optimum: no other factor between x and w gives a higher bound.
    best = elbo(q, work)
    for c in (0.97, 1.03):
        moved = Beliefs(**vars(q))
        moved.u, moved.u_root = q.u * c, q.u_root * c
        moved.w, moved.w_root, moved.alpha_rate = q.w / c, q.w_root / c, q.alpha_rate / c**2
        moved.w_spread = q.w_spread / c**2
        assert elbo(moved, Work(**{**vars(work), "cross": work.cross / c, "gram": work.gram / c**2})) < best


def test_groups_are_patterns_and_rows_with_holes() -> None:
    people = groups.side(observe(tiny()), "patients")
    assert len(people.kinds) == 4 and sorted(people.rows_alone) == [3, 4]
    assert people.group[0] == people.group[2] == people.group[5] != people.group[1]
    np.testing.assert_array_equal(people.kinds[people.group], people.measured)
    np.testing.assert_array_equal(people.members().sum(axis=0), people.measured.sum(axis=0))
    rng = np.random.default_rng(0)
    many = rng.normal(size=(200, 4, 3))
    for omic in range(3):
        many[rng.random(200) < 0.4, :, omic] = np.nan
    side = groups.side(observe(many), "patients")
    assert len(side.kinds) <= 8 and not side.has_holes


def test_products_by_group_and_roots() -> None:
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(12, 4, 7))
    precision = factor @ factor.transpose(0, 2, 1)
    roots = groups.inverse_roots(precision)
    np.testing.assert_allclose(groups.covariances(roots), np.linalg.inv(precision), rtol=1e-8)
    np.testing.assert_allclose(groups.log_determinants(roots), -np.linalg.slogdet(precision)[1], rtol=1e-10)
    rows = rng.normal(size=(30, 4))
    for count in (1, 3, 12):  # few groups are multiplied one by one, many all at once
        group = rng.integers(count, size=30)
        expected = np.stack([precision[g] @ row for g, row in zip(group, rows, strict=True)])
        np.testing.assert_allclose(groups.times(precision[:count], group, rows), expected, rtol=1e-12)


@pytest.fixture(scope="module")
def recovery() -> tuple[np.ndarray, np.ndarray, Observed]:
    x, signal, values = planted(3, 90, 70, 3, (0.5, 1.0, 2.0))
    values[:9, :, 1] = values[9:15, :, 2] = np.nan
    values[20, 3, 0] = values[21, 4, 1] = np.nan
    return x, signal, observe(values)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_planted_factors_rank_and_noise(recovery: tuple[np.ndarray, np.ndarray, Observed], dtype: str) -> None:
    x, signal, observed = recovery
    observed = Observed(tuple(b.astype(dtype) for b in observed.blocks), *list(vars(observed).values())[1:])
    fit = fit_variational(observed, 10, Priors(), seed=0)
    q = fit.beliefs
    assert fit.converged and fit.trace["rank"].iloc[-1] == 3
    assert match(q.x, x).min() > 0.95
    np.testing.assert_allclose(q.tau, [4, 1, 0.25], rtol=0.1)
    assert np.corrcoef(reconstruct(q.x, q.w, q.u).ravel(), signal.ravel())[0, 1] > 0.98


def test_agrees_with_the_sampler(recovery: tuple[np.ndarray, np.ndarray, Observed]) -> None:
    _, _, observed = recovery
    draws = run_chain(observed, 5, Priors(), burn_in=150, draws=100, thin=1, seed=1)
    near = fit_variational(observed, 5, Priors(), seed=1).sample(100, 2)
    signals = [np.mean([reconstruct(*p) for p in zip(d.x, d.w, d.u, strict=True)], axis=0) for d in (draws, near)]
    assert np.corrcoef(signals[0].ravel(), signals[1].ravel())[0, 1] > 0.995
    np.testing.assert_allclose(near.tau.mean(axis=0), draws.tau.mean(axis=0), rtol=0.03)
    assert near.x.shape == (100, 90, 3) and (near.chain == 0).all()
    assert {"chain", "sweep", "log_likelihood", "tau_2", "rank", "elbo"} == set(near.trace.columns) - {"tau_0", "tau_1"}


def test_draws_have_the_fitted_means_and_covariances() -> None:
    priors = Priors(noise="global")
    fit = fit_variational(observe(tiny(6, n=8)), 2, priors, seed=4)
    draws, q = fit.sample(4000, 7), fit.beliefs
    for found, mean, root in ((draws.x, q.x, q.x_root[q.group]), (draws.w, q.w, q.w_root), (draws.u, q.u, q.u_root)):
        covariance = groups.covariances(root)
        sd = np.sqrt(np.einsum("rkk->rk", covariance))
        assert (np.abs(found.mean(axis=0) - mean) < 5.5 * sd / np.sqrt(4000) + 1e-6).all()
        sample = np.stack([np.cov(found[:, row].T) for row in range(len(mean))])
        scale = np.maximum(sd[:, :, None] * sd[:, None, :], 1e-12)
        assert (np.abs(sample - covariance) / scale).max() < 0.15
    assert (draws.tau == draws.tau[:, :1]).all()
    np.testing.assert_allclose(draws.tau.mean(axis=0), q.tau, rtol=0.02)
    again = fit.sample(4000, 7)
    assert all(np.array_equal(getattr(draws, name), getattr(again, name)) for name in ("x", "w", "u", "tau", "alpha"))
    assert not np.array_equal(fit.sample(1, 8).x, draws.x[:1]) and draws.x.dtype == np.float32


def test_going_ahead_settles_in_far_fewer_sweeps_at_the_same_optimum() -> None:
    """Two patterns on nearly the same genes in nearly the same omics: exact updates alone creep."""
    rng = np.random.default_rng(2)
    w, u = rng.normal(size=(60, 1)), rng.normal(size=(3, 1))
    w, u = w + 0.15 * rng.normal(size=(60, 2)), u + 0.15 * rng.normal(size=(3, 2))
    observed = observe(reconstruct(rng.normal(size=(100, 2)), w, u) + 0.3 * rng.normal(size=(100, 60, 3)))
    ends = []
    for ahead in (True, False):
        work = Work.of(observed, 2, Priors(nu=None))
        q = updates.begin(start(observed, 2, np.random.default_rng(0), how="rotated"), work)
        rows: list[dict[str, float]] = []
        if ahead:
            assert _climb(q, work, rows, 1e-3, 2000, sparse=False)
        while not ahead and (len(rows) < 12 or rows[-1]["elbo"] - rows[-11]["elbo"] > 1e-3):
            sweep(q, work, sparse=False)
            rows.append({"elbo": elbo(q, work)})
        assert rows[-1]["elbo"] == pytest.approx(elbo(q, work), abs=1e-6), "the state is that of the last row"
        ends.append((q.x, rows[-1]["elbo"], len(rows)))
    (x, bound, sweeps), (slow_x, slow_bound, slow_sweeps) = ends
    assert 4 * sweeps < slow_sweeps
    assert bound == pytest.approx(slow_bound, abs=0.01) and match(x, slow_x).min() > 0.999


def test_the_released_tensor_settles_at_the_size_of_the_demo(mirror: Path) -> None:
    folders = ("achambaz_tmle.npvi", "achambaz_tmle.npvi@47a556c")
    files = [mirror / folder / "data" / "tcga2012brca.rda" for folder in folders]
    built = build_cohort_tensor(read_sources(files, released=True))
    tensor = StoredTensor(built.values, built.patients, built.genes, built.omics, built.scales)
    values = prepare_training(tensor, "full", tensor.patients, 200).values
    fits = [fit_variational(observe(values), 12, Priors(), seed=seed, how="rotated") for seed in range(2)]
    assert all(fit.converged for fit in fits) and max(len(fit.trace) for fit in fits) < 600


@pytest.mark.parametrize("how", ["rotated", "svd"])
def test_the_start_that_begins_best_goes_on(how: Start) -> None:
    values = tiny(3, n=40, d=30)
    fit = fit_variational(observe(values), 4, Priors(), seed=5, starts=4, how=how)
    parts = [
        _gaussian_part(
            observe(values), 4, Priors(), derive_seed(5, "start", number), "random" if number and how == "svd" else how,
            2e-4 * FIRST, 2000,
        ).rows
        for number in range(4)
    ]  # fmt: skip
    bounds = [rows[-1]["elbo"] for rows in parts]
    assert len(set(bounds)) > 1
    best = parts[int(np.argmax(bounds))]
    assert fit.trace["elbo"].tolist()[: len(best)] == [row["elbo"] for row in best]


def test_settings_that_allow_no_fit_and_unfinished_fits(caplog: pytest.LogCaptureFixture) -> None:
    observed = observe(tiny())
    for wrong in ({"k": 0}, {"max_sweeps": 0}, {"tolerance": 0.0}, {"starts": 0}):
        with pytest.raises(ValueError, match="each must be above 0"):
            fit_variational(observed, **{"k": 2, "priors": PROPER, "seed": 0, **wrong})
    with caplog.at_level(logging.WARNING, logger="radgen"):
        fit = fit_variational(observed, 2, PROPER, seed=0, max_sweeps=3)
    assert not fit.converged and len(fit.trace) == 3 and "still rose after 3 sweeps" in caplog.text
    assert fit.diagnostics(["quantity", "r_hat", "ok", "n", "reason"]).loc[0, "reason"]


@pytest.mark.parametrize("max_sweeps", [1, *range(25, 31), 40])
def test_draws_can_be_taken_wherever_the_fit_stops(max_sweeps: int) -> None:
    """Also when the sweeps run out just before or after spare components were left out."""
    values = np.random.default_rng(1).normal(size=(20, 15, 3))
    fit = fit_variational(observe(values), 4, Priors(), seed=0, max_sweeps=max_sweeps)
    draws, k = fit.sample(3, 0), fit.beliefs.x.shape[1]
    assert 1 <= k <= 4 and draws.w.shape == (3, 15, k) and np.isfinite(draws.x).all()
    assert fit.beliefs.w_root.shape == (15, k, k) and np.isfinite(fit.bound)
