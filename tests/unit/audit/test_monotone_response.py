from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from radgen_lib.audit.response import Series, direction_agreement, monotone_share, spearman_orders


def noise_series(seed: int, patients: int = 10, features: int = 30) -> list[Series]:
    rng = np.random.default_rng(seed)
    return [Series(f"p{i}", rng.normal(size=(5, features))) for i in range(patients)]


def test_orders_hold_spearman_of_every_order_with_the_true_one_first() -> None:
    values = np.random.default_rng(1).integers(0, 4, size=(5, 12)).astype(float)
    table = spearman_orders(values)
    assert table.shape == (120, 12)
    for j in range(12):
        if len(set(values[:, j])) > 1:
            assert table[0, j] == pytest.approx(spearmanr(np.arange(5), values[:, j]).statistic)
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-12)


def test_constant_feature_is_not_monotone() -> None:
    assert spearman_orders(np.ones((5, 2))).tolist() == np.zeros((120, 2)).tolist()


def test_planted_response_is_found_and_noise_is_not() -> None:
    steps = np.arange(5.0)[:, None]
    planted = [Series(one.patient, one.values * 0.1 + steps) for one in noise_series(2)]
    found = monotone_share(planted, permutations=500, rng=np.random.default_rng(0))
    assert found.value > 0.9
    assert found.p == pytest.approx(1 / 501)
    assert found.null == pytest.approx(2 / 120, abs=0.01)
    assert direction_agreement(planted, permutations=500, rng=np.random.default_rng(0)).value > 0.9


def test_p_is_calibrated_under_noise() -> None:
    p = [monotone_share(noise_series(s), permutations=199, rng=np.random.default_rng(s)).p for s in range(120)]
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)


def test_patients_that_respond_in_opposite_directions_do_not_agree() -> None:
    steps = np.arange(5.0)[:, None]
    signs = [1, -1] * 5
    series = [
        Series(one.patient, one.values * 0.01 + sign * steps) for one, sign in zip(noise_series(3), signs, strict=True)
    ]
    assert monotone_share(series, permutations=200, rng=np.random.default_rng(0)).p < 0.01
    agreement = direction_agreement(series, permutations=200, rng=np.random.default_rng(0))
    assert agreement.value < 0.1 and agreement.p > 0.5


def test_repeats_of_a_patient_are_shuffled_together() -> None:
    one = noise_series(4, patients=1)[0]
    once = monotone_share([one], permutations=300, rng=np.random.default_rng(0))
    thrice = monotone_share([one] * 3, permutations=300, rng=np.random.default_rng(0))
    assert (once.value, once.p, len(once.patients)) == (thrice.value, thrice.p, len(thrice.patients))
