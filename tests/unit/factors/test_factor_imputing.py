"""Predictions of hidden values against dense Gaussian conditioning, and their scores against sums by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from radgen_lib.analyses.factors import imputing
from radgen_lib.analyses.factors.imputing import ENTRIES, EVERY, OMIC, Entries, fold_scores, hide, none_hidden
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import patient_bootstrap
from radgen_lib.omics.btf.baselines import Baseline, fit_baseline
from radgen_lib.omics.btf.imputation import impute
from radgen_lib.omics.btf.model import Draws

OMICS = ("expression", "copy_number", "methylation")
SHAPE = (5, 4, 3)


def some_draws(s: int = 3, k: int = 2, genes: int = 4, seed: int = 0) -> Draws:
    rng = np.random.default_rng(seed)
    arrays = (rng.normal(size=(s, 5, k)), rng.normal(size=(s, genes, k)), rng.normal(size=(s, 3, k)))
    tau = rng.gamma(4, 0.5, size=(s, 3))
    return Draws(*arrays, tau, np.ones((s, k)), np.zeros(s, int), pd.DataFrame())


def some_values(seed: int = 1) -> np.ndarray:
    """Patient 0 whole, patient 1 without an omic, patient 2 with holes; the others whole."""
    values = np.random.default_rng(seed).normal(size=SHAPE)
    values[1, :, 2] = np.nan
    values[2, [0, 3], [1, 0]] = np.nan
    return values


def hidden(*places: tuple[int, int, int]) -> Entries:
    return Entries(*(np.array(axis) for axis in zip(*sorted(places), strict=True)))


def without(values: np.ndarray, entries: Entries) -> np.ndarray:
    masked = values.copy()
    masked[entries] = np.nan
    return masked


def dense(loadings: np.ndarray, noise: np.ndarray, mean: np.ndarray, row: np.ndarray, at: int) -> tuple[float, float]:
    """Mean and variance of entry ``at`` given the measured ones of ``row``, from the whole covariance."""
    covariance = loadings @ loadings.T + np.diag(noise)
    there = np.flatnonzero(~np.isnan(row))
    gain = np.linalg.solve(covariance[np.ix_(there, there)], covariance[there, at])
    return float(mean[at] + gain @ (row - mean)[there]), float(covariance[at, at] - gain @ covariance[there, at])


class TestOurs:
    entries = hidden((0, 1, 0), (0, 2, 2), (1, 3, 1), (2, 1, 2), (2, 2, 2))

    def test_agrees_with_dense_conditioning_draw_by_draw(self):
        draws, values = some_draws(), some_values()
        masked, truth = without(values, self.entries), values[self.entries]
        said = imputing.ours(draws, masked, self.entries, truth)
        for e, (row, gene, omic) in enumerate(zip(*self.entries, strict=True)):
            moments = []
            for w, u, tau in zip(draws.w, draws.u, draws.tau, strict=True):
                loadings = (w[:, None, :] * u[None]).reshape(-1, 2)
                noise = np.tile(1 / tau, 4)
                moments.append(dense(loadings, noise, np.zeros(12), masked[row].ravel(), gene * 3 + omic))
            mean, variance = np.array(moments).T
            assert said.mean[row, gene, omic] == pytest.approx(mean.mean(), abs=1e-10)
            parts = stats.norm(mean, np.sqrt(variance))
            assert said.place[e] == pytest.approx(parts.cdf(truth[e]).mean(), abs=1e-10)
            assert said.log_density[e] == pytest.approx(logsumexp(parts.logpdf(truth[e])) - np.log(3), abs=1e-10)

    def test_place_inside_a_level_is_the_interval_of_imputation(self):
        draws, values = some_draws(seed=4), 2 * some_values(3)
        masked, truth = without(values, self.entries), values[self.entries]
        said = imputing.ours(draws, masked, self.entries, truth)
        for level in imputing.LEVELS:
            limits = impute(draws, masked, level=level)
            inside = (limits.low[self.entries] <= truth) & (truth <= limits.high[self.entries])
            np.testing.assert_array_equal(np.abs(said.place - 0.5) <= level / 2, inside)
        np.testing.assert_allclose(said.mean, impute(draws, masked).mean, atol=1e-5)

    def test_a_patient_of_whom_nothing_is_left_has_no_prediction(self):
        values = some_values()
        values[3] = np.nan
        values[3, 1, 0] = 1.0
        entries = hidden((0, 0, 0), (3, 1, 0))
        said = imputing.ours(some_draws(), without(values, entries), entries, values[entries])
        assert np.isnan(said.mean[3]).all() and np.isfinite(said.mean[0]).all()
        assert np.isnan([said.place[1], said.log_density[1]]).all() and np.isfinite(said.place[0])

    def test_covers_at_the_nominal_rate_when_the_model_is_true(self):
        rng, draws = np.random.default_rng(2), some_draws(s=1, genes=30)
        x = rng.normal(size=(120, 2))
        signal = np.einsum("nk,dk,lk->ndl", x, draws.w[0], draws.u[0])
        values = signal + rng.normal(size=signal.shape) / np.sqrt(draws.tau[0])
        scores = fold_scores(
            {"btf": partial(imputing.ours, draws)}, values, [f"p{i:03d}" for i in range(120)], OMICS, unit=np.ones(3),
            usable=np.ones((30, 3), bool), share=0.2, rng=rng,
        )  # fmt: skip
        table = imputing.coverage_table(scores, OMICS, draws=200, seed=0)
        assert list(table["omic"].unique()) == [EVERY, *OMICS]
        for row in table.itertuples():
            assert abs(row.covered - row.level) < 4 * np.sqrt(row.level * (1 - row.level) / row.n_entries)
            assert row.low < row.covered < row.high and row.n_patients == 120


class TestPeers:
    def model(self, spread: float = 0.0) -> Baseline:
        rng = np.random.default_rng(5)
        loadings, mean = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3))
        noise = rng.gamma(3, 0.3, size=(4, 3))
        return Baseline("pca", mean, loadings, noise, np.full(loadings.shape, spread), np.empty((0, 2)))

    def test_agrees_with_dense_conditioning(self):
        model, values = self.model(), some_values()
        masked, truth = without(values, TestOurs.entries), values[TestOurs.entries]
        said = imputing.of_peer(model, masked, TestOurs.entries, truth)
        flat = model.loadings.reshape(-1, 2), model.noise.ravel(), model.mean.ravel()
        for e, (row, gene, omic) in enumerate(zip(*TestOurs.entries, strict=True)):
            mean, variance = dense(*flat, masked[row].ravel(), gene * 3 + omic)
            assert said.mean[row, gene, omic] == pytest.approx(mean, abs=1e-10)
            assert said.log_density[e] == pytest.approx(stats.norm.logpdf(truth[e], mean, variance**0.5), abs=1e-10)
        assert np.isnan(said.place).all()

    def test_uncertain_loadings_widen_the_density(self):
        model, values, entries = self.model(0.3), some_values(), hidden((0, 1, 0))
        masked = without(values, entries)
        x = model.project(masked)[0]
        said = imputing.of_peer(model, masked, entries, model.reconstruct(masked)[entries])
        found = np.exp(-2 * said.log_density[0]) / (2 * np.pi)
        used = ~np.isnan(masked[0])
        weights, noise = model.loadings[used], model.noise[used][:, None]
        extra = np.diag((model.spread[used] / noise).sum(axis=0))
        covariance = np.linalg.inv(np.eye(2) + (weights / noise).T @ weights + extra)
        rng, size = np.random.default_rng(0), 400_000
        drawn = rng.multivariate_normal(x, covariance, size=size)
        loading = model.loadings[1, 0] + np.sqrt(0.3) * rng.normal(size=(size, 2))
        simulated = (drawn * loading).sum(axis=1) + np.sqrt(model.noise[1, 0]) * rng.normal(size=size)
        assert found == pytest.approx(simulated.var(), rel=0.02)

    def test_says_nothing_of_another_omic(self):
        rng = np.random.default_rng(0)
        train = rng.normal(size=(20, 4, 3)) + rng.normal(size=(20, 1, 1))
        model = fit_baseline("single_expression", train, 2, 0, omics=OMICS)
        scores = scored({"single_expression": partial(imputing.of_peer, model)}, rng.normal(size=SHAPE))
        assert set(scores.loc[scores["metric"] == ENTRIES, "omic"]) == {"expression"}
        assert (scores["metric"] != OMIC).all()  # without its omic it knows nothing of the patient


def scored(says: dict[str, imputing.Says], test: np.ndarray, share: float = 0.5) -> pd.DataFrame:
    names = [f"p{i}" for i in range(len(test))]
    usable = np.ones(test.shape[1:], bool)
    rng = np.random.default_rng(0)
    return fold_scores(says, test, names, OMICS, unit=np.array([1.0, 2.0, 0.5]), usable=usable, share=share, rng=rng)


class TestScores:
    def test_are_sums_of_squares_in_units_of_the_omic(self):
        test = some_values()
        scores = scored({"training_mean": imputing.training_mean}, test)
        masked, entries = hide(test, np.ones((4, 3), bool), 0.5, np.random.default_rng(0))
        squares = np.where(np.isnan(masked) & ~np.isnan(test), test**2, 0.0) / np.array([1.0, 2.0, 0.5]) ** 2
        found = scores[scores["metric"] == ENTRIES]
        assert found["count"].sum() == len(entries.rows)
        for row in found.itertuples():
            assert row.total == pytest.approx(squares[int(row.patient[1:]), :, OMICS.index(row.omic)].sum())
        omic = scores[(scores["metric"] == OMIC) & (scores["omic"] == "copy_number")].set_index("patient")
        assert omic.loc["p0", "total"] == pytest.approx((test[0, :, 1] ** 2).sum() / 4)
        assert omic.loc["p2", "count"] == 3  # a hole is not scored

    def test_a_patient_with_one_omic_is_no_test_of_hiding_it(self):
        test = some_values()
        test[4, :, 1:] = np.nan
        scores = scored({"training_mean": imputing.training_mean}, test)
        whole = scores[(scores["metric"] == OMIC) & (scores["omic"] == "expression")]
        assert "p4" not in set(whole["patient"]) and len(whole) == 4

    def test_interval_is_that_of_the_patient_bootstrap(self):
        rng = np.random.default_rng(1)
        part = pd.DataFrame({"patient": np.repeat([f"p{i}" for i in range(8)], 2), "count": rng.integers(1, 9, 16)})
        part["total"] = rng.gamma(2, size=16)
        found = imputing._banded(part, 60, 3, root=True)
        sums = part.groupby("patient")[["total", "count"]].sum().to_numpy()

        def rmse(rows: np.ndarray) -> float:
            return float(np.sqrt(sums[rows, 0].sum() / sums[rows, 1].sum()))

        expected = patient_bootstrap(rmse, np.arange(8), draws=60, rng=make_rng(3, "patient bootstrap", 8))
        for name in ("value", "low", "high", "n"):
            assert found[name] == pytest.approx(getattr(expected, name))

    def test_rows_are_complete_and_say_why(self):
        scores = scored({"training_mean": imputing.training_mean}, np.random.default_rng(0).normal(size=(9, 4, 3)))
        reasons = {"training_mean": "no likelihood", "mofa": "fold cv0-0: gave up", "empty": ""}
        rows = imputing.imputation_rows(scores, reasons, OMICS, {"item": "F.CMP"}, draws=20, seed=0)
        assert len(rows) == 3 * 11
        kept = {(r["metric"], r["task"]): r for r in rows if r["model"] == "training_mean"}
        assert kept[ENTRIES, EVERY]["n"] == 9 and kept[ENTRIES, EVERY]["interval"].startswith("patient bootstrap")
        assert kept[imputing.DENSITY, EVERY]["reason"] == "no likelihood"
        assert {r["reason"] for r in rows if r["model"] == "mofa"} == {"fold cv0-0: gave up"}
        assert all(r["reason"] for r in rows if r["model"] == "empty")

    def test_a_method_that_failed_in_one_fold_has_reasons_and_no_number(self):
        scores = scored({"training_mean": imputing.training_mean}, np.random.default_rng(0).normal(size=(9, 4, 3)))
        other = scores.assign(model="mofa").query("patient in ('p0', 'p1')")  # what its other folds gave
        reasons = {"training_mean": "no likelihood", "mofa": "fold cv0-1: gave up"}
        both = pd.concat([scores, other])
        rows = imputing.imputation_rows(both, reasons, OMICS, {"item": "F.CMP"}, draws=9, seed=0, failed={"mofa"})
        failed = [r for r in rows if r["model"] == "mofa"]
        assert len(failed) == 11 and {r["reason"] for r in failed} == {"fold cv0-1: gave up"}
        assert np.isnan([r["value"] for r in failed]).all()
        alone = imputing.imputation_rows(scores, reasons, OMICS, {"item": "F.CMP"}, draws=9, seed=0)
        kept = [r for r in rows if r["model"] == "training_mean"]
        np.testing.assert_equal(kept, [r for r in alone if r["model"] == "training_mean"])

    def test_all_omics_needs_every_omic(self):
        scores = scored({"training_mean": imputing.training_mean}, np.random.default_rng(0).normal(size=SHAPE))
        rows = imputing.imputation_rows(
            scores[scores["omic"] != "methylation"],
            {"training_mean": "part"},
            OMICS,
            {"item": "F.CMP"},
            draws=9,
            seed=0,
        )
        found = {(r["metric"], r["task"]): r["reason"] for r in rows}
        assert found[ENTRIES, EVERY] == "part" and not found[ENTRIES, "expression"]

    def test_no_coverage_without_hidden_values(self):
        none = pd.DataFrame(columns=list(imputing.SCORE_COLUMNS))
        table = imputing.coverage_table(none, OMICS, draws=9, seed=0)
        assert table["covered"].isna().all() and table["interval"].str.startswith("none").all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), share=st.floats(0.01, 0.49))
def test_only_measured_and_usable_entries_are_hidden(seed: int, share: float):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(SHAPE) < 0.2, np.nan, rng.normal(size=SHAPE))
    usable = rng.random(SHAPE[1:]) < 0.7
    masked, entries = hide(values, usable, share, rng)
    changed = np.isnan(masked) & ~np.isnan(values)
    assert np.array_equal(np.argwhere(changed), np.column_stack(entries))
    assert (np.diff(entries.rows) >= 0).all() and usable[entries.genes, entries.omics].all()
    np.testing.assert_array_equal(masked[~changed], values[~changed])
    assert all(len(axis) == 0 for axis in none_hidden())
