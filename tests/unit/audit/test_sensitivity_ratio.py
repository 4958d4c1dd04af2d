from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import f_oneway

from radgen_lib.audit.sensitivity import Draws, sensitivity


def planted(seed: int, *, between: float, patients: int = 20, draws: int = 6, dims: int = 1, fold: int = 0) -> Draws:
    rng = np.random.default_rng([seed, fold])
    means = math.sqrt(between) * rng.normal(size=(patients, 1, dims))
    names = np.array([f"p{i}" for i in range(fold * patients, (fold + 1) * patients)])
    return Draws(means + rng.normal(size=(patients, draws, dims)), names)


def test_icc_and_ratio_follow_the_f_statistic() -> None:
    one = planted(3, between=0.7)
    f = f_oneway(*one.values[:, :, 0]).statistic
    found = sensitivity([one])
    assert found.icc is not None and found.ratio is not None
    assert found.icc.value == pytest.approx((f - 1) / (f + 5))
    assert found.ratio.value == pytest.approx((f - 1) / 6)
    assert found.icc.n == 20


def test_interval_covers_the_planted_ratio_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        folds = [planted(seed, between=0.5, patients=6, dims=8, fold=f) for f in range(4)]
        found = sensitivity(folds).ratio
        assert found is not None
        hits += found.low <= 0.5 <= found.high
    assert 50 <= hits <= 60


def test_fold_offsets_do_not_count_as_a_response_to_the_condition() -> None:
    folds = [planted(1, between=0.0, fold=f) for f in range(3)]
    moved = [Draws(fold.values + 100 * i, fold.patients) for i, fold in enumerate(folds)]
    plain, shifted = sensitivity(folds).ratio, sensitivity(moved).ratio
    assert plain is not None and shifted is not None
    assert shifted.value == pytest.approx(plain.value, abs=1e-9)
    assert plain.low < 0 < plain.high


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        (Draws(np.repeat(np.arange(4.0)[:, None, None], 3, axis=1), np.array(list("abcd"))), "ratio is infinite"),
        (Draws(np.ones((4, 3, 1)), np.array(list("abcd"))), "between conditions too"),
        (Draws(np.random.default_rng(0).normal(size=(4, 1, 2)), np.array(list("abcd"))), "one draw"),
        (Draws(np.zeros((1, 3, 1)), np.array(["a"])), "no fold holds two"),
    ],
)
def test_what_cannot_be_computed_says_why(draws: Draws, expected: str) -> None:
    found = sensitivity([draws])
    assert found.ratio is None and found.icc is None
    assert expected in found.reason


def test_different_numbers_of_draws_are_refused() -> None:
    assert "different numbers" in sensitivity([planted(1, between=1, draws=3), planted(1, between=1, draws=4)]).reason


def test_two_patients_have_a_value_and_no_interval() -> None:
    found = sensitivity([planted(5, between=1, patients=2)]).ratio
    assert found is not None and math.isfinite(found.value) and math.isnan(found.low)
    assert "too few patients" in found.method
