"""Classifiers: nothing about test labels gets in, constants are harmless, planted signal is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from radgen_lib.analyses.classifiers import PUBLISHED_XGBOOST, SPACES, Fit, FitOptions, build, fit_score
from radgen_lib.analyses.columns import VaryingColumns
from radgen_lib.core.errors import LeakageError

NAMES = ("xgboost", "logistic", "lasso", "random_forest", "svm")
FIXED = FitOptions(search_draws=0, inner_folds=3, whole=False, pca=False, threshold_from_training=True)


def _fit(seed: int = 0, n: int = 80, signal: float = 1.5) -> Fit:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(int)
    x = rng.normal(size=(n, 6))
    x[:, 2] += signal * y
    names = np.array([f"P{i:03d}" for i in range(n)])
    cut = n // 2
    return Fit(0, "r0f0", x[:cut], y[:cut], names[:cut], x[cut:], y[cut:], names[cut:])


@pytest.mark.parametrize("name", NAMES)
def test_planted_signal_is_found_with_fixed_settings(name: str) -> None:
    fit = _fit()
    scored = fit_score(name, fit, FIXED, seed=1)
    assert roc_auc_score(fit.test_y, scored.score) > 0.7
    assert np.isfinite(scored.threshold)


@pytest.mark.parametrize("name", NAMES)
def test_test_labels_change_neither_score_nor_threshold(name: str) -> None:
    fit = _fit()
    flipped = replace(fit, test_y=1 - fit.test_y)
    a, b = fit_score(name, fit, FIXED, seed=1), fit_score(name, flipped, FIXED, seed=1)
    assert np.array_equal(a.score, b.score)
    assert a.threshold == b.threshold


def test_scores_of_a_patient_do_not_depend_on_the_other_test_patients() -> None:
    fit = _fit()
    alone = replace(fit, test_x=fit.test_x[:1], test_y=fit.test_y[:1], test_patients=fit.test_patients[:1])
    assert fit_score("logistic", fit, FIXED, 1).score[0] == fit_score("logistic", alone, FIXED, 1).score[0]


def test_whole_scope_looks_at_test_features_and_train_scope_does_not() -> None:
    fit = _fit()
    moved = replace(fit, test_x=np.vstack([fit.test_x[:1], 50 + fit.test_x[1:]]))
    whole = replace(FIXED, whole=True)
    assert fit_score("logistic", fit, FIXED, 1).score[0] == fit_score("logistic", moved, FIXED, 1).score[0]
    assert fit_score("logistic", fit, whole, 1).score[0] != fit_score("logistic", moved, whole, 1).score[0]


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_search_runs_inside_the_training_part(name: str) -> None:
    options = replace(FIXED, search_draws=3)
    fit = _fit()
    scored = fit_score(name, fit, options, seed=2)
    again = fit_score(name, replace(fit, test_y=1 - fit.test_y), options, seed=2)
    assert np.array_equal(scored.score, again.score)
    assert roc_auc_score(fit.test_y, scored.score) > 0.7


def test_components_of_encoder_features() -> None:
    assert roc_auc_score(_fit().test_y, fit_score("logistic", _fit(), replace(FIXED, pca=True), 1).score) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_constant_features_give_equal_scores(name: str) -> None:
    fit = replace(_fit(), train_x=np.ones((40, 6)))
    scored = fit_score(name, fit, FIXED, seed=1)
    assert np.ptp(scored.score) == 0


def test_a_feature_that_varies_only_in_the_test_part_is_ignored() -> None:
    fit = _fit()
    train, test = fit.train_x.copy(), fit.test_x.copy()
    train[:, 5] = 7.0
    quiet = replace(fit, train_x=train, test_x=np.where(np.arange(6) == 5, 7.0, test))
    loud = replace(fit, train_x=train, test_x=np.where(np.arange(6) == 5, 1e6, test))
    for name in ("svm", "logistic"):
        assert np.array_equal(fit_score(name, quiet, FIXED, 1).score, fit_score(name, loud, FIXED, 1).score)


def test_rounding_noise_does_not_count_as_variation() -> None:
    x = np.column_stack([1e6 + 1e-9 * np.arange(10), np.arange(10.0), np.full(10, 3.0)])
    guard = VaryingColumns().fit(x)
    assert guard.keep_.tolist() == [False, True, False]
    assert VaryingColumns().fit(x[:, [2]]).transform(x[:, [2]]).tolist() == [[0.0]] * 10


def test_a_patient_on_both_sides_is_an_error() -> None:
    fit = _fit()
    with pytest.raises(LeakageError, match="P000"):
        replace(fit, test_patients=np.append(fit.test_patients[:-1], "P000"))


def test_a_class_of_one_is_a_shortage() -> None:
    fit = replace(_fit(), train_y=(np.arange(40) == 0).astype(int))
    assert "1 positive" in fit.shortage()
    with pytest.raises(ValueError, match="1 positive"):
        fit_score("logistic", fit, FIXED, 1)


def test_no_threshold_where_none_was_asked_for() -> None:
    assert np.isnan(fit_score("logistic", _fit(), replace(FIXED, threshold_from_training=False), 1).threshold)


@pytest.mark.parametrize("name", NAMES)
def test_scale_of_the_training_scores_comes_along(name: str) -> None:
    fit = _fit()
    again = replace(fit, test_x=fit.train_x, test_y=fit.train_y, test_patients=np.char.add("T", fit.train_patients))
    found, training = fit_score(name, fit, FIXED, 1), fit_score(name, again, FIXED, 1).score
    if name == "random_forest":  # out of bag: less sure than on rows the trees have seen
        assert 0 < found.scale < training.std()
    else:
        assert (found.centre, found.scale) == pytest.approx((training.mean(), training.std()))


def test_published_grid_and_unknown_name() -> None:
    assert SPACES["xgboost"] is PUBLISHED_XGBOOST
    assert len(PUBLISHED_XGBOOST["n_estimators"]) == 4
    assert len(PUBLISHED_XGBOOST) == 7
    with pytest.raises(KeyError):
        build("forest of dreams", 0)
