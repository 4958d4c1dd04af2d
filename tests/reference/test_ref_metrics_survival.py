"""Concordance, log-rank and Kaplan-Meier against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.datasets import load_rossi
from lifelines.utils import concordance_index
from sksurv.compare import compare_survival
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.survival import comparable_pairs, harrell_c, kaplan_meier, logrank_p, uno_c


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = make_rng(seed, "survival reference")
    time, event = rng.integers(1, 30, size=n).astype(float), rng.integers(2, size=n)
    event[np.argmin(time)] = 1
    return time, event, rng.integers(10, size=n).astype(float)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 40))
def test_harrell_equals_lifelines(seed: int, n: int) -> None:
    time, event, risk = drawn(seed, n)
    if len(comparable_pairs(time, event)[0]):
        assert harrell_c(time, event, risk) == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 30))
def test_uno_equals_the_weighted_sum_over_pairs(seed: int, n: int) -> None:
    """The definition of Uno 2011: deaths before the horizon weigh by the inverse squared chance of being uncensored."""
    time, event, risk = drawn(seed, n)
    # Everybody still alive is seen to the end, so that the censoring distribution never reaches 0.
    time, event, risk = np.append(time, 40.0), np.append(event, 1), np.append(risk, 0.0)
    horizon = 20.0
    chance = {t: np.prod([1 - np.sum((time == u) & (event == 0)) / _at_risk(time, event, u) for u in _until(time, t)])
              for t in np.unique(time)}  # fmt: skip
    won = total = 0.0
    for i, j in zip(*comparable_pairs(time, event), strict=True):
        if time[i] < horizon:
            weight = chance[time[i]] ** -2
            total += weight
            won += weight * (risk[i] > risk[j]) + weight / 2 * (risk[i] == risk[j])
    found = uno_c(time, event, risk, train_time=time, train_event=event, horizon=horizon)
    assert found == pytest.approx(won / total if total else np.nan, abs=1e-10, nan_ok=True)


def _until(time: np.ndarray, t: float) -> np.ndarray:
    return np.unique(time[time <= t])


def _at_risk(time: np.ndarray, event: np.ndarray, u: float) -> int:
    """At risk of being censored at u: those who die at u have left just before."""
    return max(int(np.sum(time >= u) - np.sum((time == u) & (event == 1))), 1)


@pytest.mark.parametrize("groups", [2, 3])
def test_logrank_equals_scikit_survival(groups: int) -> None:
    for seed in range(8):
        time, event, _ = drawn(seed, 40)
        group = make_rng(seed, "groups").integers(groups, size=40)
        _, expected = compare_survival(Surv.from_arrays(event == 1, time), group)
        assert logrank_p(time, event, group) == pytest.approx(expected, rel=1e-8)


def test_kaplan_meier_equals_scikit_survival() -> None:
    for seed in range(5):
        time, event, _ = drawn(seed, 50)
        found = kaplan_meier(time, event).iloc[1:]
        when, survival, limits = kaplan_meier_estimator(event == 1, time, conf_type="log-log")
        np.testing.assert_array_equal(found["time"], when)
        np.testing.assert_allclose(found["survival"], survival, atol=1e-12)
        known = survival < 1
        np.testing.assert_allclose(found["low"].to_numpy()[known], limits[0][known], atol=1e-9)
        np.testing.assert_allclose(found["high"].to_numpy()[known], limits[1][known], atol=1e-9)


def test_a_published_data_set() -> None:
    """Recidivism of Rossi 1980: financial aid, log-rank p of 0.05 (R survival: chi-squared 3.8)."""
    table = load_rossi()
    p = logrank_p(table["week"].to_numpy(), table["arrest"].to_numpy(), table["fin"].to_numpy())
    assert p == pytest.approx(0.0501, abs=5e-4)
