"""The truth of the phantom: who the patients are, their factors, and that what is stated can be found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from radgen_lib.cohort.ids import is_patient_id, patient_id, site_of
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom import factors as module
from radgen_lib.sources.phantom.associations import association_table, gene_associations
from radgen_lib.sources.phantom.factors import (
    PROPORTIONS,
    SUBTYPES,
    draw_factors,
    draw_subtypes,
    effect_vector,
    factor_names,
    population,
    weighted_sum,
)
from radgen_lib.sources.phantom.lesions import LESION_EFFECTS, OCCULT_SHARE
from radgen_lib.sources.phantom.people import SITES, patient_name
from radgen_lib.sources.phantom.truth import Truth, draw_truth, write_truth


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(Phantom(patients=300, omics_only=0), 11)


@pytest.fixture(scope="module")
def large() -> Truth:
    return draw_truth(Phantom(patients=1500, omics_only=2500), 12)


def test_rows_go_together(truth: Truth) -> None:
    assert list(truth.lesions["patient"]) == list(truth.patients["patient"])
    assert truth.factors.shape == (300, 6)
    assert truth.patients["patient"].is_unique


def test_contract_columns(truth: Truth) -> None:
    patients = {
        "patient", "site", "scanner", "manufacturer", "field_strength", "view", "imaged", "n_studies", "n_posts", "age",
        "race", "menopause", "stage", "t_stage", "n_stage", "pam50", "er", "pr", "her2", "mut_TP53", "mut_PIK3CA",
        "mut_CDH1", "os_days", "os_event", "grade", "laterality",
    }  # fmt: skip
    lesions = {
        "patient", "present", "diameter_mm", "irregularity", "spiculation", "rim", "ktrans", "kep", "vp", "x", "y",
        "z", "density", "bpe",
    }  # fmt: skip
    assert patients <= set(truth.patients)
    assert lesions <= set(truth.lesions)
    assert not truth.patients[sorted(patients)].isna().any().any()


def test_same_seed_same_truth_and_another_seed_another() -> None:
    spec = Phantom(patients=10, omics_only=10)
    one, two, other = draw_truth(spec, 3), draw_truth(spec, 3), draw_truth(spec, 4)
    pd.testing.assert_frame_equal(one.patients, two.patients)
    pd.testing.assert_frame_equal(one.lesions, two.lesions)
    np.testing.assert_array_equal(one.loadings["genes"], two.loadings["genes"])
    assert not np.allclose(one.factors, other.factors)


def test_imaged_patients_come_first_and_have_the_shares_asked_for() -> None:
    spec = Phantom(patients=40, omics_only=25, axial_share=0.25, second_study_share=0.15, post_phases=4)
    patients = draw_truth(spec, 5).patients
    assert list(patients["imaged"]) == [True] * 40 + [False] * 25
    imaged, others = patients[:40], patients[40:]
    assert (imaged["view"] == "axial").sum() == 10
    assert (imaged["n_studies"] == 2).sum() == 6
    assert set(imaged["n_posts"]) == {3, 4}
    assert (others["view"] == "").all()
    assert (others["n_studies"] == 0).all()
    assert others["field_strength"].isna().all()


def test_vendor_goes_with_view(large: Truth) -> None:
    imaged = large.patients[large.patients["imaged"]]
    axial = imaged[imaged["view"] == "axial"]
    assert set(axial["manufacturer"]) == {"SIEMENS"}
    assert set(axial["site"]) == {"S2", "S3"}
    assert set(imaged[imaged["view"] == "sagittal"]["manufacturer"]) == {"GE MEDICAL SYSTEMS"}
    for scanner, field in zip(imaged["scanner"], imaged["field_strength"], strict=True):
        assert scanner.endswith(f" {field:g}T")


def test_one_post_phase_stays_one() -> None:
    patients = draw_truth(Phantom(patients=12, omics_only=0, post_phases=1), 1).patients
    assert set(patients["n_posts"]) == {1}


@pytest.mark.parametrize(
    ("number", "expected"), [(1, "0001"), (9999, "9999"), (10_000, "A000"), (10_001, "A001"), (10_036, "A010")]
)
def test_patient_name(number: int, expected: str) -> None:
    assert patient_name("S1", number) == f"PHAN-S1-{expected}"


@given(st.lists(st.integers(1, 1_100_000), min_size=2, max_size=2, unique=True), st.sampled_from(SITES))
def test_names_are_unique_identifiers_of_their_site(numbers: list[int], site: str) -> None:
    names = [patient_name(site, number) for number in numbers]
    assert names[0] != names[1]
    for name in names:
        assert is_patient_id(name)
        assert patient_id(f"{name}-01") == name
        assert site_of(name) == site


@given(st.integers(0, 3000))
@settings(max_examples=50)
def test_subtypes_are_as_exact_as_whole_patients_allow(count: int) -> None:
    drawn = draw_subtypes(count, 1, "x")
    counts = np.bincount(drawn, minlength=len(SUBTYPES))
    assert counts.sum() == count
    assert np.abs(counts - PROPORTIONS * count).max() <= 1


def test_all_subtypes_are_among_24_imaged_patients() -> None:
    patients = draw_truth(Phantom(), 7).patients
    counts = patients[patients["imaged"]]["pam50"].value_counts()
    assert counts["LumA"] == 12
    assert set(counts.index) == set(SUBTYPES)


@pytest.mark.parametrize("count", [2, 6, 9])
def test_population_moments_are_those_of_drawn_factors(count: int) -> None:
    people, rng = population(count), np.random.default_rng(0)
    drawn = draw_factors(rng.choice(5, size=100_000, p=PROPORTIONS), count, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), people.covariance, atol=0.02)
    np.testing.assert_allclose(np.diag(people.covariance), 1)


def test_posterior_is_that_of_the_mixture() -> None:
    people, points = population(6), np.random.default_rng(1).normal(size=(20, 6))
    dense = np.array(
        [
            stats.multivariate_normal(mean, np.diag(people.sds**2)).pdf(points) * weight
            for mean, weight in zip(people.means, people.weights, strict=True)
        ]
    ).T
    np.testing.assert_allclose(people.posterior(points), dense / dense.sum(axis=1, keepdims=True), rtol=1e-9)


def test_names_and_effects_of_factors() -> None:
    assert factor_names(8)[-3:] == ("vascular", "factor_07", "factor_08")
    assert list(effect_vector({"stroma": 2.0}, 4)) == [0, 0, 0, 0]
    assert list(weighted_sum(np.eye(6), {"stroma": 2.0, "luminal": 1.0})) == [1, 0, 0, 0, 2, 0]


def test_vascular_is_independent_of_everything_else() -> None:
    covariance = population(8).covariance
    for place in (5, 6, 7):
        assert np.delete(covariance[place], place).tolist() == [0.0] * 7
    assert module.NAMED_FACTORS[5] == "vascular"


def test_ranges_of_lesions(large: Truth) -> None:
    lesions = large.lesions
    shares = ["irregularity", "spiculation", "rim", "vp", "density", "bpe", "x", "y", "z"]
    assert lesions[shares].min().min() >= 0
    assert lesions[shares].max().max() <= 1
    assert lesions["diameter_mm"].between(7, 60).all()
    assert (lesions["ktrans"] / lesions["kep"]).max() <= 0.9 + 1e-12
    assert 15 < lesions["diameter_mm"].median() < 30


def test_scores_have_mean_0_and_sd_1(large: Truth) -> None:
    scores = large.lesions.filter(like="score_")
    np.testing.assert_allclose(scores.mean(), 0, atol=0.06)
    np.testing.assert_allclose(scores.std(), 1, atol=0.05)


@pytest.mark.parametrize("name", [name for name in LESION_EFFECTS if name not in ("density", "bpe", "kep")])
def test_parameters_increase_with_their_score(large: Truth, name: str) -> None:
    ordered = large.lesions.sort_values(f"score_{name}")[name].to_numpy()
    assert (np.diff(ordered) >= 0).all()
    assert ordered[-1] > ordered[0]


def test_few_imaged_lesions_do_not_show(large: Truth) -> None:
    hidden = ~large.lesions["present"].to_numpy()
    assert hidden.sum() == round(OCCULT_SHARE * 1500)
    assert large.patients["imaged"].to_numpy()[hidden].all()


def test_density_falls_with_age_and_enhancement_after_menopause(large: Truth) -> None:
    assert stats.spearmanr(large.lesions["density"], large.patients["age"]).statistic < -0.3
    post = (large.patients["menopause"] == "post").to_numpy()
    assert large.lesions["bpe"][post].mean() < large.lesions["bpe"][~post].mean() - 0.05


def test_stated_lesion_effects_are_found_at_300(truth: Truth) -> None:
    names = factor_names(6)
    for parameter, effects in LESION_EFFECTS.items():
        for factor, effect in effects.items():
            found = stats.spearmanr(truth.lesions[parameter], truth.factors[:, names.index(factor)])
            assert found.pvalue < 1e-6, (parameter, factor)
            assert np.sign(found.statistic) == np.sign(effect)


def test_planted_nulls_are_calibrated() -> None:
    """P-values of null pairs over many cohorts are uniform."""
    table, names = association_table(6), factor_names(6)
    null = table[(table["kind"] == "lesion") & table["null"]]
    values = []
    for seed in range(12):
        drawn = draw_truth(Phantom(patients=80, omics_only=0, genes=60), 100 + seed)
        values += [
            stats.spearmanr(drawn.lesions[f"score_{row.parameter}"], drawn.factors[:, names.index(row.factor)]).pvalue
            for row in null.itertuples()
        ]
    assert len(values) > 300
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_marginal_correlations_of_the_table_are_those_of_the_cohort(large: Truth) -> None:
    table, names = large.associations, factor_names(6)
    lesions = table[table["kind"] == "lesion"]
    for row in lesions.itertuples():
        found = np.corrcoef(large.lesions[f"score_{row.parameter}"], large.factors[:, names.index(row.factor)])[0, 1]
        assert found == pytest.approx(row.marginal, abs=0.06), (row.parameter, row.factor)


def test_associations_state_every_pair_once() -> None:
    table = association_table(7)
    assert not table.duplicated(["parameter", "factor"]).any()
    lobular = table.set_index(["parameter", "factor"]).loc["lobular"]
    assert set(lobular.index) == {*factor_names(7), "mut_CDH1"}
    assert len(table) == 7 * table["parameter"].nunique() + 1
    assert table["null"].any()
    assert (table.loc[table["null"], ["effect", "marginal"]] == 0).all().all()
    assert table.loc[table["factor"] == "factor_07", "null"].all()
    rim = table.set_index(["parameter", "factor"]).loc[("rim", "proliferation")]
    assert rim["effect"] == 0
    assert rim["marginal"] > 0.2
    assert not rim["null"]


def test_lobular_histology_depends_on_the_mutation_alone(large: Truth) -> None:
    table = large.associations.set_index(["parameter", "factor"]).loc["lobular"]
    lobular, mutated = large.patients["lobular"].to_numpy(), large.patients["mut_CDH1"].to_numpy()
    assert np.corrcoef(lobular, mutated)[0, 1] == pytest.approx(table.loc["mut_CDH1", "marginal"], abs=0.06)
    counts = np.array([[np.sum((lobular == i) & (mutated == j)) for j in (0, 1)] for i in (0, 1)])
    odds = counts[1, 1] * counts[0, 0] / (counts[1, 0] * counts[0, 1])
    assert np.log(odds) == pytest.approx(table.loc["mut_CDH1", "effect"], abs=0.4)
    assert (table.drop("mut_CDH1")["effect"] == 0).all()
    assert not table.loc["stroma", "null"] and table.loc["vascular", "null"]


def test_gene_associations_are_those_of_the_cohort(large: Truth) -> None:
    table = gene_associations(large.loadings, large.genes, "expression")
    signal = (large.factors * large.loadings["expression"]) @ large.loadings["genes"].T
    wide = table.set_index(["parameter", "gene"])["correlation"]
    for gene in ("ESR1", "MKI67", "VEGFA", "ERBB2"):
        for parameter in ("rim", "ktrans", "diameter_mm"):
            found = np.corrcoef(signal[:, large.genes.index(gene)], large.lesions[f"score_{parameter}"])[0, 1]
            assert found == pytest.approx(wide[parameter, gene], abs=0.07)
    assert table["null"].mean() > 0.3
    assert (table.loc[table["null"], "correlation"] == 0).all()


@given(st.integers(2, 12), st.integers(60, 90), st.integers(4, 12), st.integers(0, 6), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_any_size_draws(factors: int, genes: int, patients: int, others: int, seed: int) -> None:
    spec = Phantom(patients=patients, omics_only=others, genes=genes, factors=factors)
    drawn = draw_truth(spec, seed)
    assert drawn.factors.shape == (patients + others, factors)
    assert drawn.loadings["genes"].shape == (genes, factors)
    assert np.isfinite(drawn.factors).all()
    assert drawn.lesions.drop(columns=["patient", "present"]).notna().all().all()
    assert (drawn.patients["os_days"] >= 1).all()


def test_truth_on_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("truth")
    drawn = draw_truth(Phantom(patients=6, omics_only=4, genes=60), 2)
    write_truth(drawn, folder)
    assert {path.stem for path in folder.iterdir()} == {
        "patients", "factors", "lesions", "loadings", "omic_weights", "associations", "gene_associations", "attainable",
    }  # fmt: skip
    stored = pd.read_parquet(folder / "factors.parquet")
    np.testing.assert_array_equal(stored.drop(columns="patient"), drawn.factors)
    assert list(stored["patient"]) == list(drawn.patients["patient"])
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_truth(drawn, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
