"""The published sampler against a literal dense version of it, and against results of tensorBF itself."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import StopRequested
from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.btf import published
from radgen_lib.omics.btf.align import match, summarise
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.model import reconstruct
from radgen_lib.omics.btf.published import PublishedFit, default_components, fit_published, noise_prior
from radgen_lib.omics.btf.published_updates import Chain, Tensor, residual
from radgen_lib.sources.reference.multiomics import read_tcga2012, tcga2012_tensor

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "btf"


@pytest.fixture(scope="module")
def planted() -> dict[str, np.ndarray]:
    table = pd.read_csv(REFERENCE / "planted.csv.gz")
    tensors = {}
    for name in ("y", "signal", "tensorbf"):
        tensors[name] = np.empty((60, 80, 3))
        tensors[name][table["i"] - 1, table["j"] - 1, table["k"] - 1] = table[name]
    return tensors


@pytest.fixture(scope="module")
def fit(planted: dict[str, np.ndarray]) -> PublishedFit:
    return fit_published(planted["y"], 12, burn_in=600, draws=50, thin=10, seed=0, noise=None)


def tensor(
    seed: int, *, fibres: bool = True, holes: bool = True, shape: tuple[int, int, int] = (9, 12, 3)
) -> np.ndarray:
    rng = make_rng(seed, "tensor")
    values = reconstruct(*(rng.normal(size=(size, 2)) for size in shape)) + 0.3 * rng.normal(size=shape)
    if holes:
        values[rng.integers(9, size=5), rng.integers(12, size=5), rng.integers(3, size=5)] = np.nan
    if fibres:
        values[[1, 4], :, 0] = values[4, :, 2] = np.nan
        values[:, 3, 1] = np.nan
    return values


def dense(values: np.ndarray, k: int, sweeps: int, burn_in: int, switch_after: int, seed: int) -> list[Chain]:
    """tensorBF's loop with the tensor filled in and nothing saved; same random numbers in the same order."""
    rng, missing, y = make_rng(seed, "tensorBF"), np.isnan(values), values.copy()
    n, d, omics = y.shape
    shape = 0.5 * y.size / 2
    rate = shape * 0.5 * np.var(y[~missing], ddof=1)

    def drawn(precision: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal(weighted.shape)
        return weighted @ np.linalg.inv(precision) + noise @ np.linalg.inv(np.linalg.cholesky(precision))

    def zero(a: np.ndarray) -> np.ndarray:
        return np.where(missing, 0, a)

    x, u = rng.standard_normal((n, k)), rng.standard_normal((omics, k))
    w = drawn(np.eye(k) + 1e3 * (x.T @ x) * (u.T @ u), 1e3 * np.einsum("ndl,nk,lk->dk", zero(y), x, u))
    tau, alpha, on, chance, states = 1e3, np.full((d, k), k + 1.0), np.ones(k), 0.5, []
    for sweep in range(1, sweeps + 1):
        masked = sweep <= round(burn_in / 2)
        for j in range(k if sweep > 1 else 0):
            lam = tau * (x[:, j] @ x[:, j]) * (u[:, j] @ u[:, j]) + alpha[:, j]
            w[:, j] = 0
            rest = y - reconstruct(x, w, u)
            mean = tau * np.einsum("ndl,n,l->d", zero(rest) if masked else rest, x[:, j], u[:, j]) / lam
            if sweep > switch_after:
                log_odds = 0.5 * np.sum(np.log(alpha[:, j] / lam) + mean**2 * lam) + math.log(chance / (1 - chance))
                on[j] = rng.random() < 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
            if on[j]:
                w[:, j] = mean + rng.standard_normal(d) / np.sqrt(lam)
        if sweep > 1:
            chance = (1 + on.sum()) / (k + 2)
        used = zero(y) if masked else y
        x = drawn(np.eye(k) + tau * (w.T @ w) * (u.T @ u), tau * np.einsum("ndl,dk,lk->nk", used, w, u))
        scale = x.std(axis=0, ddof=1)
        x, w = x / scale, w * scale
        u = drawn(np.eye(k) + tau * (w.T @ w) * (x.T @ x), tau * np.einsum("ndl,dk,nk->lk", used, w, x))
        scale = u.std(axis=0, ddof=1)
        u, w = u / scale, w * scale
        alpha = rng.standard_gamma(np.where(w != 0, 0.501, 1e-3)) / (1e-3 + w**2 / 2) + 1e-7
        fitted = reconstruct(x, w, u)
        if sweep >= round(burn_in / 2):
            y[missing] = fitted[missing]
        tau = rng.gamma(shape + y.size / 2, 1 / (rate + 0.5 * np.sum(zero(y - fitted) ** 2)))
        states.append(Chain(x, w.copy(), u, tau, alpha, on.astype(bool), [], chance))
    return states


@pytest.mark.parametrize(("fibres", "holes"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_sweep_equals_the_dense_sampler(fibres: bool, holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SWITCH_AFTER", 5)
    values = tensor(3, fibres=fibres, holes=holes)
    expected = dense(values, 4, 14, burn_in=8, switch_after=5, seed=11)
    found = fit_published(values, 4, burn_in=8, draws=6, thin=1, seed=11)
    np.testing.assert_allclose(found.trace["tau"], [state.tau for state in expected], rtol=1e-6)
    assert found.trace["rank"].tolist() == [int(state.on.sum()) for state in expected]
    for name in ("x", "w", "u"):
        stored = np.stack([getattr(state, name) for state in expected[8:]])
        np.testing.assert_allclose(getattr(found.draws, name), stored, rtol=1e-4, atol=1e-5)
    last = expected[-1]
    np.testing.assert_allclose(found.w, last.w[:, found.kept], rtol=1e-5, atol=1e-7)


def test_squared_residuals_are_those_of_the_observed_entries() -> None:
    values, rng = tensor(5), make_rng(5, "point")
    x, w, u = (rng.normal(size=(size, 4)) for size in values.shape)
    data = Tensor.of(observe(values))
    chain = Chain(x, w, u, 1.0, np.ones_like(w), np.ones(4, dtype=bool), data.times_x(x))
    assert residual(chain, data) == pytest.approx(np.nansum((values - reconstruct(x, w, u)) ** 2), rel=1e-10)


def test_reconstruction_agrees_with_tensorbf(fit: PublishedFit, planted: dict[str, np.ndarray]) -> None:
    """See the README of the references: projection with the true loadings reaches 0.964 on the missing fibres."""
    found, missing = fit.reconstruction(), np.isnan(planted["y"])
    assert missing.sum() == 12 * 80

    def agreement(name: str, where: np.ndarray) -> float:
        return float(np.corrcoef(found[where], planted[name][where])[0, 1])

    everywhere = np.ones_like(missing)
    assert agreement("signal", everywhere) >= 0.985
    assert agreement("signal", missing) >= 0.95
    assert agreement("tensorbf", everywhere) >= 0.999
    assert agreement("tensorbf", missing) >= 0.99


def test_runs_scatter_as_those_of_tensorbf(planted: dict[str, np.ndarray]) -> None:
    """Correlation on the missing fibres, components and noise of six seeds against ten of the R package."""
    runs = pd.read_csv(REFERENCE / "tensorbf_seeds.csv").query("noise_prior == 'none'")
    missing, found, tau = np.isnan(planted["y"]), [], []
    for seed in range(6):
        fit = fit_published(planted["y"], 12, burn_in=600, draws=50, thin=10, seed=seed, noise=None)
        assert len(fit.kept) == 4 == runs["rank"].unique().item()
        found.append(np.corrcoef(fit.reconstruction()[missing], planted["signal"][missing])[0, 1])
        tau.append(fit.draws.tau.mean())
    error = runs["missing"].std() * (1 / len(found) + 1 / len(runs)) ** 0.5
    assert np.mean(found) == pytest.approx(runs["missing"].mean(), abs=3 * error)
    assert np.mean(tau) == pytest.approx(runs["tau"].mean(), rel=0.005)


def test_last_draw_has_the_planted_components(fit: PublishedFit, planted: dict[str, np.ndarray]) -> None:
    assert len(fit.kept) == 4 and fit.trace["rank"].iloc[-1] == 4
    assert match(fit.x, pd.read_csv(REFERENCE / "planted_X.csv").to_numpy()).min() > 0.95
    observed = ~np.isnan(planted["y"])
    assert fit.tau == pytest.approx(1 / np.var((planted["y"] - planted["tensorbf"])[observed]), rel=0.1)
    spread = np.prod([a.std(axis=0, ddof=1) for a in (fit.x, fit.w, fit.u)], axis=0)
    assert (np.diff(spread) <= 0).all()
    np.testing.assert_allclose(fit.x.std(axis=0, ddof=1), 1, rtol=1e-9)
    np.testing.assert_allclose(fit.u.std(axis=0, ddof=1), 1, rtol=1e-9)


def test_draws_can_be_aligned_and_summarised(fit: PublishedFit) -> None:
    posterior = summarise(fit.draws)
    assert posterior.rank == 4
    assert match(posterior.x_mean, fit.x).min() > 0.95


def test_switches_wait_and_the_informative_prior_lowers_the_precision(planted: dict[str, np.ndarray]) -> None:
    free = fit_published(planted["y"], 6, burn_in=210, draws=2, thin=5, seed=1, noise=None)
    assert (free.trace["rank"].iloc[: published.SWITCH_AFTER] == 6).all() and free.trace["rank"].iloc[-1] < 6
    held = fit_published(planted["y"], 6, burn_in=210, draws=2, thin=5, seed=1)
    assert held.trace["tau"].iloc[-10:].mean() < 0.9 * free.trace["tau"].iloc[-10:].mean()


def test_same_seed_same_chain_and_another_seed_another(planted: dict[str, np.ndarray]) -> None:
    one, two, other = (fit_published(planted["y"], 3, burn_in=4, draws=2, thin=1, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.x, two.x)
    assert not np.array_equal(one.x, other.x)


def test_a_mean_far_from_zero_is_kept_by_a_component() -> None:
    """Nothing is centred: the grand mean becomes a factor far from zero, as in the two released ones."""
    values = tensor(6, holes=False, fibres=False) + 20.0
    found = fit_published(values, 4, burn_in=150, draws=2, thin=2, seed=2, noise=None)
    assert np.abs(found.x.mean(axis=0)).max() > 5 * found.x.std(axis=0).max()


def test_one_omic_is_a_matrix() -> None:
    values = tensor(7, shape=(20, 25, 3), holes=False, fibres=False)[:, :, :1]
    found = fit_published(values, 5, burn_in=60, draws=10, thin=2, seed=3, noise=None)
    np.testing.assert_allclose(found.u, 1.0)
    assert np.corrcoef(found.reconstruction().ravel(), values.ravel())[0, 1] > 0.9


def test_noise_prior_has_the_mean_and_weight_it_says() -> None:
    values = tensor(8)
    shape, rate = noise_prior(observe(values), 0.3, 2.0)
    assert shape == pytest.approx(2.0 * values.size / 2)
    assert rate / shape == pytest.approx(0.3 * np.nanvar(values, ddof=1))
    for wrong in ((0.0, 0.5), (1.5, 0.5), (0.5, 0.0), (0.5, 101.0)):
        with pytest.raises(ValueError, match="noise proportion"):
            noise_prior(observe(values), *wrong)


@pytest.mark.parametrize(("shape", "count"), [((754, 1000, 3), 152), ((463, 275, 3), 56), ((3, 60, 80), 13)])
def test_default_number_of_components(shape: tuple[int, ...], count: int) -> None:
    assert default_components(shape) == count


def test_settings_without_sense_are_refused() -> None:
    for wrong in ({"K": 0}, {"draws": 0}, {"thin": 0}, {"burn_in": -1}):
        with pytest.raises(ValueError, match="must be at least 1"):
            fit_published(tensor(9), seed=1, **wrong)
    with pytest.raises(ValueError, match="patients x genes x omics"):
        fit_published(np.ones((3, 4)), seed=1)


def test_everything_switched_off_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SWITCH_AFTER", 1)
    values = make_rng(10, "noise").normal(size=(15, 20, 3))
    found = fit_published(values, 2, burn_in=120, draws=2, thin=1, seed=1, noise=(1.0, 100.0))
    assert found.x.shape == (15, 0) and found.reconstruction().shape == values.shape
    assert "all of its 2 components" in caplog.text


def test_sigterm_ends_the_chain_between_two_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*args: object, **options: object) -> tuple[float, float, int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0.0, 1.0, 1

    monkeypatch.setattr(published, "_sweep", asked)
    with pytest.raises(StopRequested, match="stopped at sweep 2; nothing"):
        fit_published(tensor(11), 2, seed=1)


def test_real_tensor_gives_the_numbers_of_tensorbf(mirror: Path) -> None:
    """463 x 275 x 3: from 25 components none is pruned, noise precision 2.62, fitted R2 0.637."""
    folders = ("achambaz_tmle.npvi", "achambaz_tmle.npvi@47a556c")
    tables = [read_tcga2012(mirror / folder / "data" / "tcga2012brca.rda").table for folder in folders]
    values = tcga2012_tensor(tables).values
    assert values.shape == (463, 275, 3)
    values = values - np.nanmean(values, axis=0)
    values /= np.nanstd(values, axis=(0, 2), ddof=1)[:, None]
    found = fit_published(values, 25, burn_in=90, draws=6, thin=5, seed=1, noise=None)
    assert len(found.kept) == 25
    assert found.trace["tau"].iloc[-30:].mean() == pytest.approx(2.62, abs=0.03)
    rest, measured = values - found.reconstruction(), ~np.isnan(values)
    assert 1 - np.sum(rest[measured] ** 2) / np.sum(values[measured] ** 2) == pytest.approx(0.637, abs=0.005)
