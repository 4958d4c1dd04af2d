"""Chains: planted factors found, agreement with the recorded reference, determinism, starting points, bad input."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from radgen_lib.core.errors import StopRequested
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.gibbs import run_chain, run_chains, start
from radgen_lib.omics.btf.model import Priors, reconstruct

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "btf"
ARRAYS = ("x", "w", "u", "tau", "alpha", "chain")


def plant(n, d, rank, noise, seed, missing=0.1):
    """A tensor of sparse planted factors with noise of its own SD per omic, and a tenth of its fibres missing."""
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(n, rank)), rng.normal(size=(len(noise), rank))
    w = rng.normal(size=(d, rank)) * (rng.random((d, rank)) < 0.3)
    values = reconstruct(x, w, u) + rng.normal(size=(n, d, len(noise))) * np.array(noise)
    for omic in range(len(noise)):
        values[rng.random(n) < missing, :, omic] = np.nan
    return values, x, w, u


def mean_fit(draws):
    return np.mean([reconstruct(*map(np.float64, point)) for point in zip(draws.x, draws.w, draws.u, strict=True)], 0)


def matched(found, planted):
    """|Correlation| of the best one-to-one pairing of columns."""
    rank = planted.shape[1]
    table = np.abs(np.corrcoef(found.T, planted.T)[:-rank, -rank:])
    return table[linear_sum_assignment(-table)]


def correlations(fitted, signal, missing):
    return np.corrcoef(fitted.ravel(), signal.ravel())[0, 1], np.corrcoef(fitted[missing], signal[missing])[0, 1]


@pytest.fixture(scope="module")
def small():
    return observe(plant(30, 20, 2, (0.5, 1.0), 0)[0])


class TestPlantedFactors:
    NOISE = (0.5, 1.0, 2.0)

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls):
        return plant(200, 250, 17, cls.NOISE, 1)

    def test_17_of_17_with_noise_per_omic(self, planted):
        values, x, w, _ = planted
        draws = run_chain(observe(values), 22, Priors(), burn_in=150, draws=20, thin=2, seed=0)
        assert (draws.trace["rank"].tail(40) == 17).all()
        assert draws.tau.mean(axis=0) ** -0.5 == pytest.approx(self.NOISE, rel=0.03)
        active = np.argsort(-(draws.alpha[-1] ** -1) * (draws.x[-1] ** 2).sum(0) * (draws.u[-1] ** 2).sum(0))[:17]
        assert matched(draws.x[-1][:, active], x).min() > 0.85
        assert matched(draws.w[-1][:, active], w).min() > 0.85

    def test_one_noise_for_all_prunes_nothing(self, planted):
        draws = run_chain(observe(planted[0]), 22, Priors(noise="global"), burn_in=60, draws=5, seed=0)
        assert (draws.trace["rank"].tail(5) == 22).all()
        assert np.ptp(draws.tau, axis=1).max() == 0

    def test_noise_alone_has_rank_zero(self):
        values = np.random.default_rng(0).normal(size=(60, 50, 3))
        draws = run_chain(observe(values), 5, Priors(), burn_in=100, draws=20, seed=0)
        assert (draws.trace["rank"].tail(20) == 0).all()
        assert (mean_fit(draws) ** 2).mean() ** 0.5 < 0.1


class TestAgreementWithTensorBF:
    """60 x 80 x 3 with 12 missing fibres; its posterior mean by tensorBF and the truth are recorded."""

    @pytest.fixture(scope="class")
    @classmethod
    def case(cls):
        table = pd.read_csv(REFERENCE / "planted.csv.gz").sort_values(["i", "j", "k"])
        values, truth, peer = (table[name].to_numpy(float).reshape(60, 80, 3) for name in ("y", "signal", "tensorbf"))
        x, w, u = (pd.read_csv(REFERENCE / f"planted_{name}.csv").to_numpy() for name in "XWU")
        draws = run_chains(observe(values), 12, Priors(), chains=2, burn_in=200, draws=200, seed=1)
        return values, truth, peer, draws, (x, w * (truth.std() / reconstruct(x, w, u).std()), u)

    def test_reconstruction(self, case):
        values, truth, peer, draws, _ = case
        overall, missing = correlations(mean_fit(draws), truth, np.isnan(values))
        runs = pd.read_csv(REFERENCE / "tensorbf_seeds.csv")
        assert overall >= 0.985
        assert missing >= runs["missing"].mean() - runs["missing"].std()
        assert correlations(mean_fit(draws), peer, np.isnan(values))[0] >= 0.985

    def test_missing_fibres_as_well_as_with_known_loadings(self, case):
        """The posterior mean under the planted w, u and tau is as good as can be expected: 0.964 on these fibres.

        tensorBF's recorded 0.971 is above it, by the luck of twelve fibres: its other runs have 0.955 to 0.970.
        """
        values, truth, _, draws, (x, w, u) = case
        missing, tau = np.isnan(values), 1 / np.nanvar(values - truth)
        known = np.zeros_like(x)
        for patient, rows in enumerate(values):
            design = np.einsum("dk,lk->dlk", w, u)[~np.isnan(rows)]
            linear = tau * design.T @ rows[~np.isnan(rows)]
            known[patient] = np.linalg.solve(np.eye(x.shape[1]) + tau * design.T @ design, linear)
        ceiling = correlations(reconstruct(known, w, u), truth, missing)[1]
        assert ceiling == pytest.approx(0.964, abs=1e-3)
        assert correlations(mean_fit(draws), truth, missing)[1] >= ceiling - 0.006

    def test_rank(self, case):
        draws = case[3]
        last = draws.trace[draws.trace["sweep"] >= 200]
        assert (last["rank"] == 4).mean() > 0.99 and set(last["chain"]) == {0, 1}

    def test_factors(self, case):
        draws, (x, _, _) = case[3], case[4]
        size = (draws.x[-1] ** 2).sum(0) * (draws.w[-1] ** 2).sum(0) * (draws.u[-1] ** 2).sum(0)
        assert matched(draws.x[-1][:, np.argsort(-size)[:4]], x).min() > 0.9


class TestHoles:
    def test_scattered_missing_entries_are_predicted(self):
        values, x, w, u = plant(80, 60, 3, (0.5, 0.5, 0.5), 3, missing=0.0)
        hidden = np.random.default_rng(0).random(values.shape) < 0.3
        shown = np.where(hidden, np.nan, values)
        draws = run_chain(observe(shown), 5, Priors(), burn_in=80, draws=40, seed=0)
        truth = reconstruct(x, w, u)
        assert np.corrcoef(mean_fit(draws)[hidden], truth[hidden])[0, 1] > 0.98
        assert draws.tau.mean(axis=0) ** -0.5 == pytest.approx([0.5] * 3, rel=0.05)


class TestDeterminism:
    OPTIONS = {"burn_in": 5, "draws": 4, "thin": 2, "seed": 3}

    @staticmethod
    def same(a, b):
        assert all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ARRAYS)
        pd.testing.assert_frame_equal(a.trace, b.trace, check_exact=True)

    def test_same_seed_same_bytes_whatever_the_jobs(self, small):
        one = run_chains(small, 4, Priors(), chains=2, **self.OPTIONS)
        self.same(one, run_chains(small, 4, Priors(), chains=2, **self.OPTIONS))
        self.same(one, run_chains(small, 4, Priors(), chains=2, jobs=2, **self.OPTIONS))
        assert not np.array_equal(one.x[one.chain == 0], one.x[one.chain == 1])

    def test_a_chain_does_not_depend_on_how_many_run(self, small):
        many = run_chains(small, 4, Priors(), chains=3, **self.OPTIONS)
        alone = run_chain(small, 4, Priors(), chain=2, **self.OPTIONS)
        assert np.array_equal(many.x[many.chain == 2], alone.x)

    def test_holes_of_the_input_stay_zero(self):
        values = plant(12, 9, 1, (1.0,), 0, missing=0)[0]
        values[3, 4, 0] = np.nan
        seen = observe(values)
        run_chain(seen, 2, Priors(), **self.OPTIONS)
        assert seen.blocks[0][3, 4] == 0.0

    def test_shapes_and_trace(self, small):
        draws = run_chains(small, 4, Priors(), chains=2, **self.OPTIONS)
        assert draws.x.shape == (8, 30, 4) and draws.w.shape == (8, 20, 4) and draws.u.shape == (8, 2, 4)
        assert draws.x.dtype == draws.w.dtype == np.float32 and draws.tau.dtype == np.float64
        assert list(draws.trace) == ["chain", "sweep", "log_likelihood", "tau_0", "tau_1", "rank"]
        assert draws.trace.groupby("chain")["sweep"].apply(list).tolist() == [list(range(13))] * 2
        stored = draws.trace[draws.trace["sweep"].isin([6, 8, 10, 12])]
        assert np.array_equal(draws.tau, stored[["tau_0", "tau_1"]].to_numpy())


class TestTypesAndDevices:
    @pytest.mark.parametrize(("dtype", "device"), [(np.float32, "cpu"), (np.float64, "torch"), (np.float32, "torch")])
    def test_same_posterior(self, small, dtype, device):
        """Another precision or another backend draws other numbers from the same posterior."""
        options = {"burn_in": 50, "draws": 80, "thin": 2, "seed": 0}
        plain = run_chain(small, 3, Priors(), **options)
        cast = observe(plant(30, 20, 2, (0.5, 1.0), 0)[0], dtype=dtype)
        other = run_chain(cast, 3, Priors(), device=device, **options)
        difference = mean_fit(plain) - mean_fit(other)
        spread = np.std([reconstruct(*p) for p in zip(plain.x, plain.w, plain.u, strict=True)], axis=0)
        assert np.sqrt((difference**2).mean() / (spread**2).mean()) < 0.3
        assert np.log(other.tau).mean(axis=0) == pytest.approx(np.log(plain.tau).mean(axis=0), abs=0.04)
        assert other.x.dtype == np.float32 and other.tau.dtype == np.float64


class TestStart:
    def test_svd_explains_what_is_planted(self):
        values, x, *_ = plant(40, 30, 2, (0.1, 0.1), 5, missing=0.0)
        point = start(observe(values), 2, np.random.default_rng(0))
        first = [np.linalg.svd(side - side.mean(0), full_matrices=False)[0][:, :2] for side in (point.x, x)]
        assert np.linalg.svd(first[0].T @ first[1])[1].min() > 0.95
        assert (point.x**2).mean(axis=0) == pytest.approx([1, 1]) and (point.u**2).mean(0) == pytest.approx([1, 1])

    def test_rotated_starts_lie_in_the_same_space_and_apart(self, small):
        points = [start(small, 2, np.random.default_rng(seed), "rotated") for seed in range(8)]
        plain = start(small, 2, np.random.default_rng(0))
        for point in points:
            assert np.allclose(point.x @ point.x.T, plain.x @ plain.x.T, atol=0.01)
        assert min(matched(points[0].x, other.x).min() for other in points[1:]) < 0.9

    def test_rotated_and_plain_starts_find_the_same(self, small):
        options = {"burn_in": 150, "draws": 60, "thin": 2, "seed": 0}
        fits = [mean_fit(run_chain(small, 3, Priors(), how=how, **options)) for how in ("svd", "rotated")]
        assert np.corrcoef(fits[0].ravel(), fits[1].ravel())[0, 1] > 0.99

    @pytest.mark.parametrize("how", ["svd", "rotated", "random"])
    def test_more_components_than_patients(self, how):
        seen = observe(plant(5, 4, 1, (0.5, 0.5), 0, missing=0)[0])
        point = start(seen, 12, np.random.default_rng(0), how)
        assert point.x.shape == (5, 12) and point.w.shape == (4, 12) and point.u.shape == (2, 12)
        draws = run_chain(seen, 12, Priors(), burn_in=10, draws=2, seed=0, how=how)
        assert np.isfinite(draws.w).all() and np.isfinite(draws.trace["log_likelihood"]).all()

    @pytest.mark.parametrize("shape", [(6, 1, 1), (1, 6, 2), (3, 3, 1)])
    def test_smallest_tensors(self, shape):
        seen = observe(np.random.default_rng(0).normal(size=shape))
        assert np.isfinite(run_chain(seen, 2, Priors(), burn_in=20, draws=2, seed=0).x).all()

    def test_constant_zero_omic(self):
        values = np.zeros((6, 5, 2))
        values[:, :, 1] = np.random.default_rng(0).normal(size=(6, 5))
        draws = run_chain(observe(values), 2, Priors(), burn_in=50, draws=5, seed=0)
        assert np.isfinite(draws.tau).all() and (draws.tau[:, 0] > draws.tau[:, 1]).all()


class TestBadInput:
    @pytest.mark.parametrize("wrong", [{"draws": 0}, {"thin": 0}, {"burn_in": -1}])
    def test_counts(self, small, wrong):
        with pytest.raises(ValueError, match="at least 1"):
            run_chain(small, 2, Priors(), **{"burn_in": 1, "draws": 1, "seed": 0, **wrong})

    def test_no_components_no_chains_no_start(self, small):
        with pytest.raises(ValueError, match="n_components"):
            run_chain(small, 0, Priors(), burn_in=1, draws=1, seed=0)
        with pytest.raises(ValueError, match="at least one chain"):
            run_chains(small, 2, Priors(), chains=0, burn_in=1, draws=1, seed=0)
        with pytest.raises(ValueError, match="svd, rotated or random"):
            run_chain(small, 2, Priors(), burn_in=1, draws=1, seed=0, how="other")

    def test_an_omic_without_values(self):
        values = plant(6, 5, 1, (1.0, 1.0), 0)[0]
        values[:, :, 1] = np.nan
        with pytest.raises(ValueError, match="omic 1 has no measured value"):
            run_chain(observe(values), 2, Priors(), burn_in=1, draws=1, seed=0)

    def test_a_signal_stops_between_sweeps(self, small):
        class Killer:
            sweeps = 0

            def advance(self):
                self.sweeps += 1
                if self.sweeps == 3:
                    os.kill(os.getpid(), signal.SIGTERM)

        killer, before = Killer(), signal.getsignal(signal.SIGTERM)
        with pytest.raises(StopRequested, match="stopped at sweep 3"):
            run_chain(small, 2, Priors(), burn_in=50, draws=1, seed=0, progress=killer)
        assert killer.sweeps == 3 and signal.getsignal(signal.SIGTERM) is before
