"""Vectorised bootstrap scores equal the plain score of the resampled patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from radgen_lib.analyses import resampling
from radgen_lib.metrics.classification import auprc_trapz
from radgen_lib.metrics.concordance import concordance_draws, harrell_pairs, uno_pairs
from radgen_lib.metrics.intervals import weighted_auroc
from radgen_lib.metrics.survival import harrell_c, uno_c


def _sample(seed: int, n: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    return y, rng.integers(0, 6, size=n).astype(float), resampling.patient_weights(n, 7, seed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_draws_equal_scikit_learn_on_the_repeated_rows(seed: int) -> None:
    y, score, weights = _sample(seed)
    auroc = weighted_auroc(y, score, weights)
    precision = resampling.average_precision_draws(y, score, weights)
    trapezoid = resampling.auprc_trapz_draws(y, score, weights)
    called = (score >= 3).astype(int)
    f1 = resampling.f1_draws(y, called, weights)
    for i, w in enumerate(weights.astype(int)):
        repeated = np.repeat(np.arange(len(y)), w)
        if 0 < y[repeated].sum() < len(repeated):
            assert auroc[i] == pytest.approx(roc_auc_score(y[repeated], score[repeated]))
            assert trapezoid[i] == pytest.approx(auprc_trapz(y[repeated], score[repeated]))
            assert precision[i] == pytest.approx(average_precision_score(y[repeated], score[repeated]))
            assert f1[i] == pytest.approx(f1_score(y[repeated], called[repeated], zero_division=0))


def test_every_draw_resamples_all_patients() -> None:
    weights = resampling.patient_weights(9, 50, 0)
    assert (weights.sum(axis=1) == 9).all()
    assert weights.max() > 1


def test_draw_without_a_class_has_no_value_and_is_counted() -> None:
    y, score = np.array([1, 0, 0]), np.array([0.9, 0.1, 0.2])
    weights = np.array([[0.0, 2, 1], [1, 1, 1], [3, 0, 0], [1, 2, 0]])
    drawn = weighted_auroc(y, score, weights)
    assert np.isnan(drawn[[0, 2]]).all()
    assert "2 draws without a value" in resampling.banded(0.5, np.append(drawn, drawn[1::2]), 9)["interval"]
    assert np.isnan(resampling.average_precision_draws(y, score, weights)[0])
    assert np.isnan(resampling.f1_draws(y, y, weights)[0])


def test_band_names_pairs_and_reasons() -> None:
    few = resampling.banded(0.5, np.full(50, 0.5), 4, paired=True)
    assert np.isnan(few["low"])
    assert few["interval"].startswith("none: 4 patients")
    pair = resampling.banded(0.5, np.linspace(0, 1, 101), 9, paired=True)
    assert pair["interval"] == "paired patient bootstrap, 101 draws, 95 %"
    assert (pair["low"], pair["high"]) == pytest.approx((0.025, 0.975))


def test_spread_needs_two_values() -> None:
    assert resampling.spread(np.array([0.5, np.nan]), "tests")["interval"] == "none: 1 of 2 tests gave a value"
    wide = resampling.spread(np.linspace(0, 1, 101), "tests")
    assert (wide["low"], wide["high"]) == pytest.approx((0.025, 0.975))


def test_same_seed_gives_the_same_patients_to_every_arm() -> None:
    assert np.array_equal(resampling.patient_weights(7, 5, 1, "er"), resampling.patient_weights(7, 5, 1, "er"))
    assert not np.array_equal(resampling.patient_weights(7, 5, 1, "er"), resampling.patient_weights(7, 5, 1, "pr"))


def _survival(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 30, size=n).astype(float)
    return time, (rng.random(n) < 0.6).astype(int), rng.integers(0, 8, size=n).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_concordance_of_one_draw_is_harrells(seed: int) -> None:
    time, event, risk = _survival(seed)
    drawn = concordance_draws(harrell_pairs(time, event), risk, np.ones((1, len(time))))
    assert drawn[0] == pytest.approx(harrell_c(time, event, risk), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_concordance_is_unos(seed: int) -> None:
    time, event, risk = _survival(seed)
    event[np.argmax(time)] = 1
    horizon = 20.0
    drawn = concordance_draws(uno_pairs(time, event, horizon), risk, np.ones((1, len(time))))
    known = uno_c(time, event, risk, train_time=time, train_event=event, horizon=horizon)
    assert drawn[0] == pytest.approx(known, abs=1e-9)


def test_concordance_of_repeated_patients() -> None:
    time, event, risk = _survival(3)
    weights = resampling.patient_weights(len(time), 6, 1)
    drawn = concordance_draws(harrell_pairs(time, event), risk, weights)
    for value, w in zip(drawn, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(len(time)), w)
        assert value == pytest.approx(harrell_c(time[rows], event[rows], risk[rows]), abs=1e-12)


def test_no_death_means_no_concordance() -> None:
    time, event = np.array([3.0, 4.0]), np.array([0, 0])
    assert np.isnan(concordance_draws(harrell_pairs(time, event), time, np.ones((1, 2)))[0])
