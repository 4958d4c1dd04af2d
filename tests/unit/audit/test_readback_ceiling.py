from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from radgen_lib.audit.readback import ReadBack, read_back, stack
from radgen_lib.audit.spaces import Owned


def planted(seed: int = 0, *, noise: float = 0.3) -> tuple[Owned, pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = np.array([f"p{i:02d}" for i in range(40)])
    factors = pd.DataFrame(rng.normal(size=(40, 2)), index=names, columns=["a", "b"])
    features = factors[["a"]].to_numpy() @ rng.normal(size=(1, 6)) + noise * rng.normal(size=(40, 6))
    return Owned(features[:25], names[:25]), factors, names[25:], features[25:]


ALL = np.arange(15)


def test_factor_in_the_image_is_read_and_the_absent_one_is_not() -> None:
    train, factors, names, features = planted()
    found = read_back(train, factors, names, Owned(features, names), Owned(features, names))
    assert found.r_squared("real", ALL, 0) > 0.8 < found.correlation("real", ALL, 0)
    assert found.r_squared("real", ALL, 1) < 0.3
    assert found.r_squared("real", ALL) == found.r_squared("synthetic", ALL)


def single(truth: np.ndarray, said: np.ndarray) -> ReadBack:
    column = said[:, None]
    owners = np.array([f"p{i}" for i in range(len(truth))])
    return ReadBack(("a",), owners, truth[:, None], {"real": column}, {"real": column**2}, np.zeros(len(truth), int))


def test_measures_are_the_usual_ones() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=12)
    truth -= truth.mean()
    said = 0.5 * truth + rng.normal(size=12)
    found = single(truth, said)
    rows = np.arange(12)
    assert found.r_squared("real", rows) == pytest.approx(r2_score(truth, said))
    assert found.correlation("real", rows) == pytest.approx(np.corrcoef(truth, said)[0, 1])
    rows = np.concatenate([rows, rows])
    assert found.correlation("real", rows) == pytest.approx(np.corrcoef(truth, said)[0, 1])


def test_level_of_a_fold_is_not_knowledge_of_its_patients() -> None:
    low, high = (
        single(np.array([-2.0, -1.0]), np.array([-5.0, -5.0])),
        single(np.array([1.0, 2.0]), np.array([5.0, 5.0])),
    )
    both = ReadBack(
        ("a",), np.array(list("abcd")), np.concatenate([low.truth, high.truth]),
        {"real": np.concatenate([low.first["real"], high.first["real"]])},
        {"real": np.concatenate([low.second["real"], high.second["real"]])}, np.array([0, 0, 1, 1]),
    )  # fmt: skip
    assert both.correlation("real", np.arange(4)) == 0


def test_a_reader_that_says_the_same_of_everyone_reads_nothing() -> None:
    found = single(np.array([1.0, -1.0, 2.0]), np.zeros(3))
    assert found.correlation("real", np.arange(3)) == 0
    assert found.r_squared("real", np.arange(3)) == 0
    assert np.isnan(single(np.zeros(2), np.zeros(2)).r_squared("real", np.arange(2)))


def test_exaggerated_watermark_shows_in_the_correlation_where_r2_is_blind() -> None:
    train, factors, names, features = planted(1, noise=2.0)
    direction = np.linalg.lstsq(factors.loc[train.owners, ["a"]], train.values, rcond=None)[0]
    watermark = factors.loc[names, ["a"]].to_numpy() @ direction * 20
    found = read_back(train, factors, names, Owned(features, names), Owned(watermark, names))
    assert found.r_squared("synthetic", ALL, 0) < 0
    assert found.correlation("synthetic", ALL, 0) > 0.99 > found.correlation("real", ALL, 0)


def test_held_out_values_never_reach_the_fit() -> None:
    """Held-out factors moved to the training mean: predictions stay those of a fit on training patients alone."""
    train, factors, names, features = planted()
    training = factors.loc[train.owners]
    factors.loc[names] = training.mean().to_numpy()
    found = read_back(train, factors, names, Owned(features, names), Owned(features, names))
    for j, name in enumerate(factors.columns):
        target = (training[name] - training[name].mean()) / training[name].std()
        predicted = RidgeCV(alphas=np.logspace(-2, 5, 15)).fit(train.values, target).predict(features)
        np.testing.assert_allclose(found.first["real"][:, j], predicted, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.truth[:, j], 0, atol=1e-6)


def test_expression_is_read_back_on_the_log_scale() -> None:
    train, factors, names, features = planted()
    plain = read_back(train, factors, names, Owned(features, names), Owned(features, names))
    raw = 2.0 ** (factors + 8) - 1
    logged = read_back(train, raw, names, Owned(features, names), Owned(features, names), log=True)
    np.testing.assert_allclose(logged.first["real"], plain.first["real"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(logged.truth, plain.truth, rtol=1e-3, atol=1e-5)


def test_images_of_a_patient_are_averaged_so_that_it_counts_once() -> None:
    train, factors, names, features = planted()
    twice = Owned(np.concatenate([features, -features[:3]]), np.concatenate([names, names[:3]]))
    once = read_back(train, factors, names, Owned(features, names), Owned(features, names))
    again = read_back(train, factors, names, twice, twice)
    np.testing.assert_allclose(again.first["real"][3:], once.first["real"][3:])
    assert again.first["real"].shape == once.first["real"].shape == (15, 2)
    assert (again.second["real"][:3] > again.first["real"][:3] ** 2).all()


def test_too_few_training_patients_and_mixed_factors_are_refused() -> None:
    train, factors, names, features = planted()
    with pytest.raises(ValueError, match="4 training patients"):
        read_back(Owned(train.values[:4], train.owners[:4]), factors, names, train, train)
    part = read_back(train, factors, names, Owned(features, names), Owned(features, names))
    one = read_back(train, factors[["a"]], names, Owned(features, names), Owned(features, names))
    assert stack([part, part]).truth.shape == (30, 2)
    with pytest.raises(ValueError, match="different factors"):
        stack([part, one])
