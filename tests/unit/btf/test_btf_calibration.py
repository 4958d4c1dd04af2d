"""Simulation-based calibration: parameters drawn from the prior have uniform ranks among their posterior draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from radgen_lib.omics.btf.backend import NumpyBackend
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.model import Point, Priors, reconstruct
from radgen_lib.omics.btf.updates import sweep, update_noise
from radgen_lib.omics.btf.working import Working, host_point, place_point

N, D, L, K = 4, 3, 2, 2
BURN_IN, KEPT, THIN = 16, 9, 4
CELLS = ((0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 0, 1))  # measured; of a missing fibre; of a hole; measured


def from_prior(priors, rng):
    alpha = rng.gamma(priors.a_alpha, 1 / priors.b_alpha, K)
    lam = rng.gamma(priors.nu / 2, 2 / priors.nu, (D, K)) if priors.nu else np.ones((D, K))
    tau = rng.gamma(priors.a_tau, 1 / priors.b_tau, L)
    if priors.noise == "global":
        tau[:] = tau[0]
    w = rng.normal(size=(D, K)) * (alpha * lam) ** -0.5
    return Point(rng.normal(size=(N, K)), w, rng.normal(size=(L, K)), tau, alpha, lam)


def statistics(point):
    """Quantities that signs and places of components do not change."""
    fitted = reconstruct(point.x, point.w, point.u)
    log_alpha, size = np.log(point.alpha).sum(), (point.w**2 * point.alpha).sum()
    return np.array([*(fitted[cell] for cell in CELLS), *point.tau, log_alpha, size, (point.x**2).sum()])


NAMES = ("y000", "y111", "y221", "y301", "tau0", "tau1", "alpha", "w2", "x2")


def ranks(priors, seed):
    """Rank of the true statistics among kept draws; the chain starts elsewhere, at another draw from the prior."""
    rng = np.random.default_rng([seed, 1])
    truth = from_prior(priors, rng)
    values = reconstruct(truth.x, truth.w, truth.u) + rng.normal(size=(N, D, L)) * truth.tau**-0.5
    values[1, :, 1] = np.nan  # a patient without an omic
    values[:, 1, 0] = np.nan  # a gene without an omic
    values[2, 2, 1] = np.nan  # a hole
    backend = NumpyBackend(rng)
    data, point = Working(observe(values), backend), place_point(from_prior(priors, rng), backend)
    found = []
    for number in range(BURN_IN + KEPT * THIN):
        sweep(point, data, priors)
        if number >= BURN_IN and (number - BURN_IN) % THIN == 0:
            found.append(statistics(point))
    return (np.array(found) < statistics(truth)).sum(axis=0)


OWN = Priors(a_alpha=2, b_alpha=2, nu=4, a_tau=3, b_tau=2)
ONE = Priors(a_alpha=2, b_alpha=2, nu=None, a_tau=3, b_tau=2, noise="global")


@pytest.mark.parametrize(
    ("priors", "simulations"),
    [
        pytest.param(OWN, 200, id="own noise, sparse"),
        pytest.param(ONE, 50, id="one noise, Gaussian"),
        pytest.param(OWN, 3000, id="own noise, sparse, many", marks=pytest.mark.scale),
        pytest.param(ONE, 3000, id="one noise, Gaussian, many", marks=pytest.mark.scale),
    ],
)
def test_ranks_are_uniform(priors, simulations):
    counted = np.array([ranks(priors, seed) for seed in range(simulations)])
    for name, column in zip(NAMES, counted.T, strict=True):
        found = np.bincount(column, minlength=KEPT + 1)
        assert stats.chisquare(found).pvalue > 1e-3, (name, found)


def test_ranks_notice_a_wrong_sampler(monkeypatch):
    """The test above can fail: with noise drawn for half of the entries its ranks are not uniform."""

    def wrong(point, data, *rest):
        counts, data.n_observed = data.n_observed, data.n_observed // 2
        fit = update_noise(point, data, *rest)
        data.n_observed = counts
        return fit

    monkeypatch.setattr("radgen_lib.omics.btf.updates.update_noise", wrong)
    counted = np.array([ranks(OWN, seed) for seed in range(30)])
    found = np.bincount(counted[:, NAMES.index("tau0")], minlength=KEPT + 1)
    assert stats.chisquare(found).pvalue < 1e-4


def test_prior_is_left_as_it_is_without_data_of_a_patient():
    """Patient 0 has no omic: its factors are drawn from the prior whatever the others say."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, D, L)) * 3
    values[0] = np.nan
    backend = NumpyBackend(rng)
    data, point = Working(observe(values), backend), place_point(from_prior(OWN, rng), backend)
    drawn = []
    for _ in range(1000):
        sweep(point, data, OWN)
        drawn.append(host_point(point, backend).x[0, 0])
    assert stats.kstest(drawn[::5], "norm").pvalue > 1e-3
