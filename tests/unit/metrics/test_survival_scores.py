"""Concordance, log-rank and Kaplan-Meier on toy sets with ties and censoring, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.concordance import c_index_interval
from radgen_lib.metrics.intervals import patient_bootstrap
from radgen_lib.metrics.survival import (
    comparable_pairs,
    harrell_c,
    kaplan_meier,
    logrank_p,
    uno_c,
)

# Patient 0 dies at 2; 1 and 2 die together at 4; 3 is censored at 4; 4 is censored at 3; 5 dies at 9.
TIME = np.array([2.0, 4, 4, 4, 3, 9])
EVENT = np.array([1, 1, 1, 0, 0, 1])
cases = st.tuples(st.integers(0, 10_000), st.integers(6, 25))


def drawn(case: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times and risks with ties, about half censored, one death at least."""
    rng = make_rng(case[0], "survival")
    time, event = rng.integers(1, 12, size=case[1]).astype(float), rng.integers(2, size=case[1])
    event[np.argmin(time)] = 1
    return time, event, rng.integers(6, size=case[1]).astype(float)


def test_comparable_pairs_by_hand() -> None:
    found = set(zip(*(side.tolist() for side in comparable_pairs(TIME, EVENT)), strict=True))
    after_first = {(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)}
    # deaths at 4 outlived by 5, and by 3 who was alive when last seen; their own order is unknown
    assert found == after_first | {(1, 3), (1, 5), (2, 3), (2, 5)}


def test_harrell_by_hand_with_ties_and_censoring() -> None:
    risk = np.array([3.0, 5, 2, 2, 1, 0])
    # from 0: beats 2, 3, 4, 5, loses to 1 (4 of 5); from 1: beats 3 and 5; from 2: ties with 3, beats 5 (1.5 of 2)
    assert harrell_c(TIME, EVENT, risk) == pytest.approx((4 + 2 + 1.5) / 9)


def test_extremes() -> None:
    time, event = np.arange(1.0, 9), np.ones(8)
    assert harrell_c(time, event, -time) == 1
    assert harrell_c(time, event, time) == 0
    assert harrell_c(time, event, np.zeros(8)) == 0.5


@settings(max_examples=40, deadline=None)
@given(cases)
def test_concordance_properties(case: tuple[int, int]) -> None:
    time, event, risk = drawn(case)
    value = harrell_c(time, event, risk)
    assert harrell_c(time, event, -risk) == pytest.approx(1 - value, abs=1e-12, nan_ok=True)
    assert harrell_c(time**2, event, np.exp(risk)) == pytest.approx(value, abs=1e-12, nan_ok=True)
    assert harrell_c(time[::-1], event[::-1], risk[::-1]) == pytest.approx(value, abs=1e-12, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_interval_draws_are_those_of_recomputing(case: tuple[int, int]) -> None:
    time, event, risk = drawn(case)
    patients = np.arange(case[1])
    fast = c_index_interval(time, event, risk, patients, draws=25, rng=make_rng(case[0], "boot"))
    plain = patient_bootstrap(
        lambda r: harrell_c(time[r], event[r], risk[r]), patients, draws=25, rng=make_rng(case[0], "boot")
    )
    assert fast.method == plain.method and fast.n == plain.n
    np.testing.assert_allclose(fast[:3], plain[:3], atol=1e-12)


def test_interval_without_events_or_patients() -> None:
    rng = make_rng(0, "boot")
    none = c_index_interval(TIME, 0 * EVENT, TIME, np.arange(6), draws=20, rng=rng)
    assert np.isnan(none[:3]).all() and none.method == "none: the statistic has no value"
    few = c_index_interval(TIME[:4], EVENT[:4], -TIME[:4], np.arange(4), draws=20, rng=rng)
    assert (
        few.value == pytest.approx(4 / 5)
        and np.isnan(few.low)
        and few.method == "none: 4 patients, an interval needs 5"
    )


def test_uno_by_hand() -> None:
    """Training patients: 1 of 4 censored at 3, so being uncensored later has chance (1 - 1/3) for those at risk."""
    train_time, train_event = np.array([1.0, 3, 6, 9]), np.array([1, 0, 1, 1])
    time, event = np.array([2.0, 5, 8]), np.array([1, 1, 0])
    risk = np.array([1.0, 3, 2])
    # death at 2 (weight 1): loses to both others; death at 5 (weight (3/2)^2): beats the one at 8
    weight = 1 / (2 / 3) ** 2
    found = uno_c(time, event, risk, train_time=train_time, train_event=train_event, horizon=10)
    assert found == pytest.approx(weight / (2 + weight))
    # a horizon of 4 leaves the first death only
    assert uno_c(time, event, risk, train_time=train_time, train_event=train_event, horizon=4) == 0


@settings(max_examples=30, deadline=None)
@given(cases)
def test_uno_equals_harrell_when_nobody_is_censored_in_training(case: tuple[int, int]) -> None:
    time, event, risk = drawn(case)
    train_time = np.append(time, 20.0)
    found = uno_c(time, event, risk, train_time=train_time, train_event=np.ones(len(train_time)), horizon=15.0)
    assert found == pytest.approx(harrell_c(time, event, risk), abs=1e-12, nan_ok=True)


def test_uno_is_nan_where_the_censoring_distribution_is_unknown_or_zero() -> None:
    time, event, risk = np.array([1.0, 4, 6]), np.array([1, 1, 0]), np.array([3.0, 2, 1])
    everyone_gone = {"train_time": np.array([1.0, 2, 3]), "train_event": np.array([1, 1, 1])}
    assert np.isnan(uno_c(time, event, risk, **everyone_gone, horizon=5))  # a death after the last training patient
    assert uno_c(time, event, risk, **everyone_gone, horizon=3) == 1  # not asked about it
    all_censored_by_four = {"train_time": np.array([1.0, 2, 4, 4]), "train_event": np.array([1, 1, 0, 0])}
    assert np.isnan(uno_c(time, event, risk, **all_censored_by_four, horizon=5))  # chance 0 of being seen at 4
    assert uno_c(time, event, risk, **all_censored_by_four, horizon=3) == 1


def test_no_event_is_nan_not_an_error() -> None:
    none, train = 0 * EVENT, {"train_time": TIME, "train_event": EVENT}
    assert np.isnan(harrell_c(TIME, none, TIME))
    assert np.isnan(uno_c(TIME, none, TIME, **train, horizon=5))
    assert np.isnan(uno_c(TIME, EVENT, TIME, train_time=TIME, train_event=none, horizon=5))
    assert np.isnan(uno_c(TIME, EVENT, TIME, **train, horizon=1))  # nobody dies before the horizon
    assert np.isnan(logrank_p(TIME, none, np.array([0, 1] * 3)))
    empty = np.array([])
    assert np.isnan(harrell_c(empty, empty, empty)) and np.isnan(logrank_p(empty, empty, empty))
    lone = np.array([1.0])
    assert np.isnan(harrell_c(lone, lone, lone))


def test_logrank_by_hand() -> None:
    """Two groups of three: (O - E)^2 / V from the hypergeometric table of each death."""
    time, event = np.array([1.0, 2, 4, 3, 5, 6]), np.array([1, 1, 1, 1, 0, 1])
    group = np.array(["a", "a", "a", "b", "b", "b"])
    at_risk = [(3, 6), (2, 5), (1, 4), (1, 3), (0, 1)]  # (of a, of all) at 1, 2, 3, 4, 6
    expected = sum(a / n for a, n in at_risk)
    variance = sum(a / n * (1 - a / n) for a, n in at_risk)
    statistic = (3 - expected) ** 2 / variance
    from scipy.stats import chi2

    assert logrank_p(time, event, group) == pytest.approx(chi2.sf(statistic, 1), rel=1e-9)


def test_logrank_ignores_a_group_that_left_before_the_first_death() -> None:
    time, event = np.array([1.0, 2, 4, 3, 5, 6]) + 1, np.array([1, 1, 1, 1, 0, 1])
    group = np.array([0, 0, 0, 1, 1, 1])
    early = logrank_p(np.append(time, [1.0, 1.5]), np.append(event, [0, 0]), np.append(group, [2, 2]))
    assert early == pytest.approx(logrank_p(time, event, group), rel=1e-12)


@pytest.mark.parametrize(
    ("time", "event", "group"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 0], [0, 0, 0, 0]),  # one group
        ([1, 2, 7, 8], [0, 0, 1, 1], [0, 0, 1, 1]),  # the other group is gone before anybody dies
        ([5, 5, 5, 5], [1, 1, 1, 1], [0, 1, 0, 1]),  # all die at once
        ([1, 5, 5, 5], [0, 1, 1, 1], [1, 0, 1, 0]),  # all who are left die at once
    ],
)
def test_logrank_is_nan_where_no_death_tells_groups_apart(time: list[int], event: list[int], group: list[int]) -> None:
    assert np.isnan(logrank_p(np.array(time), np.array(event), np.array(group)))


def test_logrank_separates_what_differs() -> None:
    time = np.concatenate([np.arange(1, 21), np.arange(41, 61)]).astype(float)
    group = np.repeat(["high", "low"], 20)
    assert logrank_p(time, np.ones(40), group) < 1e-6
    assert logrank_p(time, np.ones(40), np.tile(["high", "low"], 20)) > 0.3


def test_kaplan_meier_by_hand() -> None:
    found = kaplan_meier(TIME, EVENT).set_index("time")
    assert found.index.tolist() == [0, 2, 3, 4, 9]
    expected = np.cumprod([1, 5 / 6, 1, 2 / 4, 0])  # at 4 four are at risk, two die, one is censored
    np.testing.assert_allclose(found["survival"], expected, atol=1e-12)
    assert found["at_risk"].tolist() == [6, 6, 5, 4, 1]
    inner = found.loc[2:4]
    assert ((inner["low"] < inner["survival"]) & (inner["survival"] < inner["high"])).all()
    assert (found[["low", "high"]].stack().between(0, 1)).all()


def test_kaplan_meier_without_a_death_is_flat() -> None:
    found = kaplan_meier(TIME, 0 * EVENT)
    assert (found["survival"] == 1).all() and found["low"].notna().all()
    with pytest.raises(ValueError, match="a survival curve needs patients"):
        kaplan_meier(np.array([]), np.array([]))


@pytest.mark.parametrize(
    ("time", "event", "risk", "message"),
    [
        ([1, 2, np.nan], [1, 1, 0], [1, 2, 3], "times must be finite"),
        ([1, 2, -3], [1, 1, 0], [1, 2, 3], "times must be finite and not negative"),
        ([1, 2, 3], [1, 2, 0], [1, 2, 3], "events 0 or 1"),
        ([1, 2, 3], [1, np.nan, 0], [1, 2, 3], "events 0 or 1"),
        ([1, 2, 3], [1, 1], [1, 2, 3], "vectors of one length"),
        ([1, 2, 3], [1, 1, 0], [1, np.nan, 3], "must be 3 finite numbers"),
        ([1, 2, 3], [1, 1, 0], [1, 2], "must be 3 finite numbers"),
    ],
)
def test_unusable_input_raises(time: list[float], event: list[float], risk: list[float], message: str) -> None:
    arrays = np.array(time, dtype=float), np.array(event), np.array(risk, dtype=float)
    with pytest.raises(ValueError, match=message):
        harrell_c(*arrays)
    with pytest.raises(ValueError, match=message):
        c_index_interval(*arrays, np.arange(3), draws=5, rng=make_rng(0, "x"))
    with pytest.raises(ValueError, match=message):
        uno_c(*arrays, train_time=TIME, train_event=EVENT, horizon=5)


def test_groups_must_fit_the_times() -> None:
    with pytest.raises(ValueError, match="must be vectors of one length"):
        logrank_p(TIME, EVENT, np.array([0, 1]))
