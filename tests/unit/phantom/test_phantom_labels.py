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
    LOBULAR_GIVEN_CDH1,
    ORDINAL_LABELS,
    component_moments,
    draw_labels,
    draw_stages,
    expected_logistic,
    intercept,
    label_probability,
    stage_group,
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


# AJCC Cancer Staging Manual, 7th edition (2010), breast: "anatomic stage/prognostic groups", as its lines have them.
GROUPS = """
IA   T1          N0
IB   T1          N1MI
IIA  T1          N1
IIA  T2          N0
IIB  T2          N1MI N1
IIB  T3          N0
IIIA T1 T2 T3    N2
IIIA T3          N1MI N1
IIIB T4          N0 N1MI N1 N2
IIIC T1 T2 T3 T4 N3
"""


def manual() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for group, *cells in (line.split() for line in GROUPS.strip().splitlines()):
        for t in (cell for cell in cells if cell.startswith("T")):
            found |= {(t, n): f"STAGE {group}" for n in cells if n.startswith("N")}
    return found


def test_stage_groups_are_those_of_the_manual() -> None:
    table = manual()
    assert len(table) == 4 * 5
    for (t, n), group in table.items():
        arguments = (np.array([int(t[1])]), np.array([int(n[1])]), np.array([n == "N1MI"]))
        assert stage_group(*arguments, np.array([False]))[0] == group
        assert stage_group(*arguments, np.array([True]))[0] == "STAGE IV"


@pytest.mark.parametrize(
    ("diameter", "detail"),
    [(3.0, "T1A"), (5.0, "T1A"), (5.1, "T1B"), (10.0, "T1B"), (10.1, "T1C"), (20.0, "T1C"), (20.1, "T2"), (50.0, "T2"),
     (50.1, "T3")],
)  # fmt: skip
def test_t_follows_the_diameter(diameter: float, detail: str) -> None:
    drawn = draw_stages(np.full(600, diameter), pd.Series(["N0"] * 600), 1)
    fourth = drawn["t_stage"] == "T4"
    assert 0 < fourth.mean() < 0.08
    assert set(drawn.loc[fourth, "t_detail"]) <= {"T4", "T4B", "T4D"}
    assert set(drawn.loc[~fourth, "t_stage"]) == {detail[:2]}
    assert set(drawn.loc[~fourth, "t_detail"]) == ({detail, "T1"} if detail[:2] == "T1" else {detail})


def test_every_patient_of_a_cohort_has_the_stage_of_the_manual() -> None:
    truth = draw_truth(Phantom(patients=1500, omics_only=1500, genes=60), 6)
    patients, diameter = truth.patients, truth.lesions["diameter_mm"]
    table = manual()
    nodes = patients["n_stage"].where(patients["n_detail"] != "N1MI", "N1MI")
    expected = [table[pair] for pair in zip(patients["t_stage"], nodes, strict=True)]
    assert (patients["stage"] == np.where(patients["m_stage"] == "M1", "STAGE IV", expected)).all()
    assert {"STAGE IB", "STAGE IIIB", "STAGE IV"} <= set(patients["stage"])
    for detail, low, high in (("T1B", 5, 10), ("T1C", 10, 20), ("T1", 0, 20), ("T2", 20, 50), ("T3", 50, 99)):
        sizes = diameter[patients["t_detail"] == detail]
        assert len(sizes) and sizes.min() > low and sizes.max() <= high
    assert (patients["n_detail"].str[:2] == patients["n_stage"]).all()
    assert (patients["t_detail"].str[:2] == patients["t_stage"]).all()
    assert 0.05 < (patients.loc[patients["n_stage"] == "N1", "n_detail"] == "N1MI").mean() < 0.18


def test_lobular_histology_goes_with_the_mutation_as_stated(labels: pd.DataFrame) -> None:
    for mutated, share in enumerate(LOBULAR_GIVEN_CDH1):
        found = labels.loc[labels["mut_CDH1"] == mutated, "lobular"].mean()
        assert found == pytest.approx(share, abs=0.03)
    assert labels.loc[labels["lobular"] == 1, "mut_CDH1"].mean() == pytest.approx(0.63, abs=0.05)


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
