"""Labels and survival of the phantom against independent estimates of what is stated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, WeibullFitter
from scipy import integrate, stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import PROPORTIONS, draw_factors, effect_vector, factor_names
from radgen_lib.sources.phantom.labels import (
    BINARY_LABELS,
    ORDINAL_LABELS,
    component_moments,
    draw_labels,
    draw_stages,
    expected_logistic,
    intercept,
    label_probability,
    step_probability,
)
from radgen_lib.sources.phantom.survival import SHAPE, SURVIVAL_EFFECTS, draw_survival, draw_times, log_hazard
from radgen_lib.sources.phantom.truth import draw_truth


@pytest.fixture(scope="module")
def factors() -> np.ndarray:
    rng = np.random.default_rng(5)
    return draw_factors(rng.choice(5, size=20_000, p=PROPORTIONS), 6, rng)


@pytest.fixture(scope="module")
def labels(factors: np.ndarray) -> pd.DataFrame:
    return draw_labels(factors, 8)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-2.0, 3.0), (4.0, 0.5), (1.0, 0.0)])
def test_quadrature_is_the_integral(mean: float, sd: float) -> None:
    if sd == 0:
        expected = float(expit(mean))
    else:
        expected = integrate.quad(lambda x: expit(x) * stats.norm.pdf(x, mean, sd), mean - 12 * sd, mean + 12 * sd)[0]
    assert expected_logistic(np.array([mean]), sd)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("label", sorted(BINARY_LABELS))
def test_share_of_positives(label: str, factors: np.ndarray, labels: pd.DataFrame) -> None:
    share = BINARY_LABELS[label][0]
    assert label_probability(label, factors).mean() == pytest.approx(share, abs=0.012)
    assert labels[label].mean() == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("label", sorted(BINARY_LABELS))
def test_logistic_regression_finds_the_stated_effects(label: str, factors: np.ndarray, labels: pd.DataFrame) -> None:
    fitted = LogisticRegression(C=np.inf, max_iter=500).fit(factors, labels[label])
    np.testing.assert_allclose(fitted.coef_[0], effect_vector(BINARY_LABELS[label][1], 6), atol=0.3)
    assert fitted.intercept_[0] == pytest.approx(intercept(label, 6), abs=0.3)


@pytest.mark.parametrize("label", sorted(BINARY_LABELS))
def test_label_effects_are_found_at_300(label: str) -> None:
    truth = draw_truth(Phantom(patients=300, omics_only=0), 21)
    for factor in BINARY_LABELS[label][1]:
        column = truth.factors[:, factor_names(6).index(factor)]
        positive = truth.patients[label].to_numpy() == 1
        assert stats.mannwhitneyu(column[positive], column[~positive]).pvalue < 1e-3


def test_component_moments_are_those_of_a_subtype() -> None:
    rng = np.random.default_rng(0)
    effects = {"luminal": 2.0, "her2": -1.0}
    means, sd = component_moments(effects, 6)
    drawn = draw_factors(np.full(50_000, 2), 6, rng) @ effect_vector(effects, 6)
    assert drawn.mean() == pytest.approx(means[2], abs=0.03)
    assert drawn.std() == pytest.approx(sd, abs=0.02)


@pytest.mark.parametrize("label", sorted(ORDINAL_LABELS))
def test_shares_of_steps(label: str, factors: np.ndarray, labels: pd.DataFrame) -> None:
    level = labels[label] - 1 if label == "grade" else labels[label].str[1].astype(int)
    for step, share in enumerate(ORDINAL_LABELS[label][0]):
        probability = step_probability(label, step, factors)
        assert probability.mean() == pytest.approx(1 - share, abs=0.03)
        assert (level > step).mean() == pytest.approx(probability.mean(), abs=0.01)


def test_levels_are_nested(factors: np.ndarray) -> None:
    steps = [step_probability("n_stage", step, factors) for step in range(3)]
    assert (np.diff(steps, axis=0) <= 0).all()


def test_probabilities_are_calibrated(factors: np.ndarray, labels: pd.DataFrame) -> None:
    probability = label_probability("mut_TP53", factors)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (probability >= low) & (probability < low + 0.1)
        assert labels["mut_TP53"][inside].mean() == pytest.approx(probability[inside].mean(), abs=0.06)


@pytest.mark.parametrize(
    ("diameter", "n_stage", "t_stage", "stage"),
    [
        (12.0, "N0", "T1", "STAGE IA"),
        (20.0, "N1", "T1", "STAGE IIA"),
        (20.1, "N0", "T2", "STAGE IIA"),
        (30.0, "N1", "T2", "STAGE IIB"),
        (30.0, "N2", "T2", "STAGE IIIA"),
        (55.0, "N0", "T3", "STAGE IIB"),
        (55.0, "N1", "T3", "STAGE IIIA"),
        (12.0, "N3", "T1", "STAGE IIIC"),
    ],
)
def test_stages_follow_the_manual(diameter: float, n_stage: str, t_stage: str, stage: str) -> None:
    count = 400
    drawn = draw_stages(np.full(count, diameter), pd.Series([n_stage] * count), 1)
    ordinary = drawn[(drawn["t_stage"] != "T4") & (drawn["stage"] != "STAGE IV")]
    assert len(ordinary) > 0.9 * count
    assert set(ordinary["t_stage"]) == {t_stage}
    assert set(ordinary["stage"]) == {stage}
    assert 0 < (drawn["t_stage"] == "T4").mean() < 0.08


def test_cox_finds_the_stated_hazards(factors: np.ndarray) -> None:
    few = factors[:3000]
    frame = pd.DataFrame(few, columns=factor_names(6)).join(draw_survival(few, 4))
    fitted = CoxPHFitter().fit(frame, "os_days", "os_event")
    expected = effect_vector(SURVIVAL_EFFECTS, 6)
    np.testing.assert_allclose(fitted.params_[list(factor_names(6))], expected, atol=0.15)


def test_times_are_weibull_with_the_stated_shape() -> None:
    """Without covariates an independent parametric fit gives the shape back."""
    days, event = draw_times(np.zeros(6000), np.random.default_rng(3))
    fitted = WeibullFitter().fit(days, event)
    assert fitted.rho_ == pytest.approx(SHAPE, abs=0.06)


def test_survival_has_deaths_and_censoring(factors: np.ndarray) -> None:
    drawn = draw_survival(factors, 1)
    assert 0.2 < drawn["os_event"].mean() < 0.4
    assert (drawn["os_days"] == drawn["os_days"].round()).all()
    assert drawn["os_days"].between(1, 4500).all()


def test_hazard_is_found_at_300() -> None:
    truth = draw_truth(Phantom(patients=300, omics_only=0), 31)
    frame = truth.patients[["os_days", "os_event"]].assign(risk=log_hazard(truth.factors))
    fitted = CoxPHFitter().fit(frame, "os_days", "os_event")
    assert fitted.summary.loc["risk", "p"] < 1e-6
    assert fitted.params_["risk"] == pytest.approx(1.0, abs=0.35)


def test_labels_do_not_depend_on_each_other_beyond_the_factors(factors: np.ndarray, labels: pd.DataFrame) -> None:
    """Residuals of two labels given the factors are uncorrelated."""
    residual = {name: labels[name] - label_probability(name, factors) for name in ("er", "pr", "her2", "mut_TP53")}
    correlations = pd.DataFrame(residual).corr().to_numpy()[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.03


def test_a_label_has_its_own_stream(factors: np.ndarray, labels: pd.DataFrame) -> None:
    uniform = make_rng(8, "phantom", "label", "er").random(len(factors))
    np.testing.assert_array_equal(labels["er"], (uniform < label_probability("er", factors)).astype(int))


def test_age_and_race_follow_no_factor() -> None:
    truth = draw_truth(Phantom(patients=4000, omics_only=0, genes=60), 2)
    for column in (truth.patients["age"], truth.patients["race"] == "White", truth.patients["site"] == "S1"):
        for factor in truth.factors.T:
            assert abs(np.corrcoef(column, factor)[0, 1]) < 0.06
