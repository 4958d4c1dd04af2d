"""Ceilings of the phantom against independent computations of the same quantities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sksurv.metrics import concordance_index_censored

from radgen_lib.core.config.cpdm import GENES
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.attainable import Seen, attainable, expected_auc, expected_cindex
from radgen_lib.sources.phantom.factors import PROPORTIONS, SUBTYPES, draw_factors, effect_vector, population
from radgen_lib.sources.phantom.labels import BINARY_LABELS, label_probability
from radgen_lib.sources.phantom.lesions import LESION_EFFECTS, noise_sd
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.survival import draw_times, log_hazard
from radgen_lib.sources.phantom.truth import Truth, draw_truth


def lesions_seen(factors: np.ndarray, rng: np.random.Generator) -> Seen:
    slopes = np.array([effect_vector(effects, 6) for effects in LESION_EFFECTS.values()])
    return Seen(factors, slopes, np.array([noise_sd(effects, 6) for effects in LESION_EFFECTS.values()]), rng)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(Phantom(patients=3000, omics_only=0, genes=60), 17)


@pytest.fixture(scope="module")
def ceilings(truth: Truth) -> dict[tuple[str, str], float]:
    table = attainable(truth)
    assert list(table.columns) == ["task", "metric", "value"]
    return {(row.task, row.metric): row.value for row in table.itertuples()}


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=30))
@settings(max_examples=60)
def test_expected_auc_is_the_weighted_auc(probabilities: list[float]) -> None:
    p = np.array(probabilities)
    reference = roc_auc_score(
        np.repeat([1, 0], len(p)), np.concatenate([p, p]), sample_weight=np.concatenate([p, 1 - p])
    )
    assert expected_auc(p) == pytest.approx(reference, abs=1e-9)


def test_expected_auc_of_a_constant_is_one_half() -> None:
    assert expected_auc(np.full(10, 0.3)) == pytest.approx(0.5)


def test_expected_cindex_is_harrells() -> None:
    rng = np.random.default_rng(2)
    hazard = rng.normal(size=3000)
    days, event = draw_times(hazard, rng)
    reference = concordance_index_censored(event.astype(bool), days, hazard)[0]
    assert expected_cindex(hazard, hazard, rng) == pytest.approx(reference, abs=0.03)
    assert expected_cindex(np.zeros(3000), hazard, rng) == 0.5
    assert expected_cindex(-hazard, hazard, rng) == pytest.approx(1 - reference, abs=0.03)


@pytest.mark.parametrize("label", sorted(BINARY_LABELS))
def test_cohorts_reach_the_ceiling_and_not_more(
    label: str, truth: Truth, ceilings: dict[tuple[str, str], float]
) -> None:
    reached = roc_auc_score(truth.patients[label], label_probability(label, truth.factors))
    assert reached == pytest.approx(ceilings[label, "auc_given_factors"], abs=0.035)
    assert 0.5 < ceilings[label, "auc_given_lesion"] < ceilings[label, "auc_given_factors"] < 1


def test_subtypes_reach_the_ceiling(truth: Truth, ceilings: dict[tuple[str, str], float]) -> None:
    for subtype in SUBTYPES:
        factors, lesion = (ceilings[f"pam50_{subtype}", f"auc_given_{what}"] for what in ("factors", "lesion"))
        assert 0.6 < lesion < factors <= 1


def test_survival_reaches_the_ceiling(truth: Truth, ceilings: dict[tuple[str, str], float]) -> None:
    patients = truth.patients
    reached = concordance_index_censored(
        patients["os_event"].astype(bool), patients["os_days"], log_hazard(truth.factors)
    )[0]
    assert reached == pytest.approx(ceilings["os", "cindex_given_factors"], abs=0.03)
    assert 0.55 < ceilings["os", "cindex_given_lesion"] < ceilings["os", "cindex_given_factors"]


def test_no_learned_model_passes_the_ceiling_of_the_lesion(
    truth: Truth, ceilings: dict[tuple[str, str], float]
) -> None:
    """A flexible model trained on half of 3,000 patients' latent scores stays below, but near."""
    scores = truth.lesions[[f"score_{name}" for name in LESION_EFFECTS]].to_numpy()
    labels = truth.patients["er"].to_numpy()
    model = HistGradientBoostingClassifier(max_iter=40, learning_rate=0.08, random_state=0)
    model.fit(scores[:1500], labels[:1500])
    reached = roc_auc_score(labels[1500:], model.predict_proba(scores[1500:])[:, 1])
    assert ceilings["er", "auc_given_lesion"] - 0.1 < reached < ceilings["er", "auc_given_lesion"] + 0.03


def test_posterior_given_the_lesion_is_calibrated() -> None:
    rng = np.random.default_rng(9)
    subtypes = rng.choice(5, size=20_000, p=PROPORTIONS)
    factors = draw_factors(subtypes, 6, rng)
    seen = lesions_seen(factors, rng)
    np.testing.assert_allclose(seen.weights.sum(axis=1), 1)
    truth, estimate = label_probability("her2", factors), seen.probability("her2")
    for low in (0.0, 0.1, 0.3, 0.5):
        inside = (estimate >= low) & (estimate < low + 0.1)
        assert truth[inside].mean() == pytest.approx(estimate[inside].mean(), abs=0.03)
    for i in range(5):
        assert seen.weights[:, i].mean() == pytest.approx(np.mean(subtypes == i), abs=0.01)


def test_posterior_mean_is_the_best_linear_guess_within_a_subtype() -> None:
    """For one subtype the posterior is that of linear regression: its residual is uncorrelated with the guess."""
    rng = np.random.default_rng(4)
    factors = draw_factors(rng.choice(5, size=20_000, p=PROPORTIONS), 6, rng)
    guess = lesions_seen(factors, rng).mean({"luminal": 1.0})
    assert np.cov(factors[:, 0] - guess, guess)[0, 1] == pytest.approx(0, abs=0.01)
    assert np.corrcoef(factors[:, 0], guess)[0, 1] > 0.65


def test_posterior_is_bayes_rule_on_a_grid() -> None:
    """Two factors, three measurements: weights and means against a sum over a grid of factors."""
    rng = np.random.default_rng(1)
    factors = draw_factors(rng.choice(5, size=6, p=PROPORTIONS), 2, rng)
    slopes, noise = rng.normal(size=(3, 2)), np.array([0.5, 0.8, 1.1])
    seen = Seen(factors, slopes, noise, np.random.default_rng(2))
    scores = factors @ slopes.T + noise * np.random.default_rng(2).standard_normal((6, 3))
    people, line = population(2), np.linspace(-6, 6, 241)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    prior = np.exp(-0.5 * (((grid[:, None] - people.means) / people.sds) ** 2).sum(axis=2)) * people.weights
    for row in range(6):
        likely = np.exp(-0.5 * (((scores[row] - grid @ slopes.T) / noise) ** 2).sum(axis=1))
        joint = prior * likely[:, None]
        np.testing.assert_allclose(seen.weights[row], joint.sum(axis=0) / joint.sum(), atol=1e-6)
        mean = (joint.sum(axis=1)[:, None] * grid).sum(axis=0) / joint.sum()
        np.testing.assert_allclose(seen.weights[row] @ seen.means[row], mean, atol=1e-5)


def test_no_model_of_the_condition_passes_the_ceiling_of_the_genes(
    truth: Truth, ceilings: dict[tuple[str, str], float]
) -> None:
    """Logistic regression on the 15 measured genes of 3,000 patients comes near the ceiling and not above it."""
    spec = Phantom(patients=3000, omics_only=0, genes=60)
    expression = omics_matrices(truth, spec, 17)["expression"]
    values = expression.loc[list(GENES), [f"{name}-01" for name in truth.patients["patient"]]].to_numpy().T
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    for label in ("er", "her2", "mut_TP53"):
        known = truth.patients[label].to_numpy()
        model = LogisticRegression(max_iter=500).fit(values[:2000], known[:2000])
        reached = roc_auc_score(known[2000:], model.predict_proba(values[2000:])[:, 1])
        ceiling = ceilings[label, "auc_given_genes"]
        assert ceiling - 0.08 < reached < ceiling + 0.03, label
        assert ceiling < ceilings[label, "auc_given_factors"]


def test_more_noise_lowers_the_ceiling_of_the_genes_alone(truth: Truth) -> None:
    clear, usual, noisy = (attainable(truth, noise).set_index(["task", "metric"])["value"] for noise in (0.0, 0.7, 3.0))
    genes = [key for key in clear.index if key[1].endswith("_given_genes")]
    others = clear.index.difference(genes)
    assert {task for task, _ in genes} == {task for task, _ in others}
    assert (clear[genes] > usual[genes]).all() and (usual[genes] > noisy[genes]).all()
    assert (clear[others] == noisy[others]).all()
    assert usual.equals(attainable(truth).set_index(["task", "metric"])["value"])
    factors = clear[[(task, metric.replace("genes", "factors")) for task, metric in genes]].to_numpy()
    assert (clear[genes].to_numpy() < factors + 0.005).all()


def test_ceilings_depend_on_the_model_only() -> None:
    one = attainable(draw_truth(Phantom(patients=4, omics_only=0, genes=60, factors=3), 1))
    two = attainable(draw_truth(Phantom(patients=9, omics_only=0, genes=60, factors=3), 1))
    other = attainable(draw_truth(Phantom(patients=4, omics_only=0, genes=60, factors=3), 2))
    assert one.equals(two)
    genes = one["metric"].str.endswith("_given_genes")
    assert one[~genes].equals(other[~genes])  # the loadings are drawn, so that only what genes tell differs
    assert not one[genes].equals(other[genes])
    one.loc[0, "value"] = 0.0
    assert not attainable(draw_truth(Phantom(patients=4, omics_only=0, genes=60, factors=3), 1)).equals(one)
