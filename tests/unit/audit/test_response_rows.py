"""Test 6 by variable, on a fake generator: A drives texture alone, B nothing, C the same texture as A."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from radgen_lib.audit.adherence_tests import Context
from radgen_lib.audit.agreement import Agreement, RealFold, agreement
from radgen_lib.audit.response import holm
from radgen_lib.audit.response_tests import response_rows
from radgen_lib.audit.runs import AuditRun, design_folds
from radgen_lib.audit.shifted import CROSSING, SHARED, shifted
from radgen_lib.core.rows import result_frame
from radgen_lib.generators.sampling import FIRST, SHIFTS

FIRST_ORDER = [f"radiomics:firstorder_F{i}" for i in range(6)]
TEXTURE = [f"radiomics:glcm_T{i}" for i in range(10)]
FEATURES = [*FIRST_ORDER, *TEXTURE]
# What one SD of each variable does to the features, in the generator; texture features differ in size and sign.
PATTERN = np.array([0.0] * 6 + [2.0, -2, 1.6, -1.4, 1.2, -1.0, 0.8, -0.7, 0.6, -0.5])
PLANTED = {"A": PATTERN, "B": 0 * PATTERN, "C": -0.5 * PATTERN, FIRST: PATTERN}
Planted = dict[str, np.ndarray]


class Case:
    """Real images in folds, the conditions of their patients, and images of a generator with planted responses."""

    def __init__(
        self, planted: Planted, *, patients: int = 24, real: float = 0.0, seed: int = 0, sites: int = 2, folds: int = 3
    ) -> None:
        rng = np.random.default_rng(seed)
        self.names = [f"P{i:02d}" for i in range(patients)]
        factors = [name for name in planted if name != FIRST]
        table = rng.normal(size=(patients, len(factors)))
        self.conditions = pd.DataFrame(table, columns=factors).assign(patient=self.names)
        self.sites = {name: f"S{i % sites}" for i, name in enumerate(self.names)}
        values = rng.normal(size=(patients, len(FEATURES)))
        values += real * table @ np.stack([planted[name] for name in factors])
        self.real = pd.DataFrame(values, columns=FEATURES).assign(image_index=np.arange(patients), patient=self.names)
        fold_of = np.arange(patients) // 2 % folds
        self.splits = pd.concat(
            [
                self.real[["image_index", "patient"]].assign(
                    design="grouped", fold=f"r0f{fold}", role=np.where(fold_of == fold, "test", "train")
                )
                for fold in range(folds)
            ],
            ignore_index=True,
        )
        rows, drawn = [], []
        for fold, name in zip((f"r0f{fold}" for fold in fold_of), self.names, strict=True):
            still = rng.normal(size=len(FEATURES))
            for factor, shift in [("", 0.0), *((f, s) for f in planted for s in SHIFTS)]:
                rows.append((fold, "response", name, name, factor, shift))
                drawn.append(still + shift * planted.get(factor, np.zeros(len(FEATURES))))
        columns = ["fold", "kind", "patient", "condition_patient", "factor", "shift"]
        index = pd.DataFrame(rows, columns=columns)
        self.run = AuditRun(
            "genes15", "fake", index, np.zeros((len(rows), 1, 1)), pd.DataFrame(np.array(drawn), columns=FEATURES)
        )

    def audit(self, **over: Any) -> pd.DataFrame:
        settings: dict[str, Any] = {"permutations": 300, "draws": 200, "seed": 1, **over}
        base = {"item": "S.ADH", "protocol": "p", "condition": "genes15", "generator": "fake", "design": "grouped"}
        folds = design_folds(self.splits)["grouped"]
        rows = response_rows(
            self.run, folds, self.real, self.conditions, self.sites, "radiomics", Context(base, **settings)
        )
        return result_frame(rows).set_index(["metric", "task"])


@pytest.fixture(scope="module")
def linked() -> pd.DataFrame:
    """Real images carry the associations that the generator shows."""
    return Case(PLANTED, real=1.0).audit()


def test_only_the_variables_that_drive_the_image_are_monotone(linked: pd.DataFrame) -> None:
    value = linked["value"]
    for name, share in (("A", 10 / 16), ("B", 0), ("C", 10 / 16), (FIRST, 10 / 16), ("all", 20 / 48)):
        assert value["monotone_share", name] == pytest.approx(share)
    assert value["monotone_share_p", "A"] == pytest.approx(1 / 301)
    assert value["monotone_share_p_holm", "A"] == pytest.approx(3 / 301)
    assert value["monotone_share_p", "B"] == 1 == value["monotone_share_p_holm", "B"]
    assert value["monotone_variables", "all"] == 2
    assert value["monotone_direction", "A"] == pytest.approx(10 / 16)


def test_size_is_in_training_sd_per_sd_of_the_variable(linked: pd.DataFrame) -> None:
    value = linked["value"]
    assert value["response_size", "B"] == 0
    assert "change no feature" in linked.at[("response_size", "B"), "note"]
    assert value["response_size", "A"] == pytest.approx(2 * value["response_size", "C"])
    case = Case(PLANTED, real=1.0)
    folds = design_folds(case.splits)["grouped"]
    expected = [(np.abs(PATTERN) / case.real[FEATURES].iloc[fold.train].std().to_numpy()).mean() for fold in folds]
    assert value["response_size", "A"] == pytest.approx(np.mean(expected))


def test_the_families_that_answer_are_found(linked: pd.DataFrame) -> None:
    value = linked["value"]
    assert value["response_share_glcm", "A"] == 1 and value["response_share_firstorder", "A"] == 0
    assert np.isnan(value["response_share_glcm", "B"])
    assert "change no feature" in linked.at[("response_share_glcm", "B"), "reason"]
    even = Case({"A": np.ones(16), FIRST: np.ones(16)}).audit()
    row = even.loc[("response_share_firstorder", "A")]
    assert row["value"] == pytest.approx(0.5, abs=0.1) and row["low"] <= row["value"] <= row["high"]
    assert "6 features; 0.5 if all families changed alike" in row["note"]


def test_a_family_without_a_usable_feature_is_a_reason() -> None:
    case = Case(PLANTED)
    case.real[FIRST_ORDER] = 1.0
    table = case.audit()
    assert "no feature of the family" in table.at[("response_share_firstorder", "A"), "reason"]
    assert table.at[("response_share_glcm", "A"), "value"] == 1


def test_variables_that_move_the_image_one_way_are_told_from_those_that_do_not(linked: pd.DataFrame) -> None:
    assert linked.at[("response_cosine", "all"), "value"] == pytest.approx(1)  # A and C; B has no direction
    apart = {"A": PATTERN, "B": (PATTERN == 0).astype(float), FIRST: PATTERN}
    assert Case(apart).audit().at[("response_cosine", "all"), "value"] == pytest.approx(0)
    alone = Case({"A": PATTERN, FIRST: PATTERN}).audit()
    assert alone.at[("response_cosine", "all"), "reason"] == "fewer than two variables were moved"


@pytest.mark.parametrize("scope", ["within_site", "overall"])
def test_agreement_with_real_images_is_found_where_they_say_the_same(linked: pd.DataFrame, scope: str) -> None:
    row, p = linked.loc[(f"response_agreement_{scope}", "A")], linked.loc[(f"response_agreement_p_{scope}", "A")]
    assert row["value"] > 0.5 and 0 < row["low"] <= row["high"] <= 1
    assert p["value"] < 0.05 and p["n"] == row["n"] == 24
    adjusted = linked.at[(f"response_agreement_p_{scope}_holm", "A"), "value"]
    assert p["value"] < adjusted <= 2 * p["value"] + 1e-9  # A and C; B has no p
    assert "change no feature" in linked.at[(f"response_agreement_{scope}", "B"), "reason"]
    assert "no single value" in linked.at[(f"response_agreement_{scope}", FIRST), "reason"]


def test_agreement_is_negative_where_real_images_say_the_opposite() -> None:
    table = Case(PLANTED, real=-1.0).audit()
    assert table.at[("response_agreement_overall", "A"), "value"] < -0.5
    assert table.at[("response_agreement_p_overall", "A"), "value"] > 0.9


def test_p_of_agreement_is_calibrated_without_any_association() -> None:
    """Features of the real images are correlated, as radiomics are, and slopes lie along their common direction."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        common, folds = rng.normal(size=20), []
        for fold in range(3):
            names = np.array([f"P{fold}{i}" for i in range(7)])
            y = np.outer(rng.normal(size=7), common) + 0.3 * rng.normal(size=(7, 20))
            slopes = common + 0.1 * rng.normal(size=(7, 1, 20))
            strata = np.array(["S0", "S1"])[np.arange(7) % 2]
            folds.append(RealFold("0", names, rng.normal(size=(7, 1)), y, strata, names[:4], slopes[:4]))
        result = agreement(folds, permutations=99, counts=lambda people: np.ones((1, len(people))), rng=rng)
        assert isinstance(result, Agreement) and result.n == 21
        np.testing.assert_allclose(result.drawn[0], result.value, atol=1e-9)  # everybody drawn once
        found.append(result.of(0)[1])
    assert np.mean(np.array(found) <= 0.05) <= 0.09 and np.mean(found) == pytest.approx(0.5, abs=0.07)


def learned_folds(rng: np.random.Generator, count: int, patients: int = 28) -> list[RealFold]:
    """Noise as variables; slopes of every fold are the correlations among the patients of the other folds."""
    y = rng.standard_normal((patients, 6)) @ rng.standard_normal((6, 60)) + 0.7 * rng.standard_normal((patients, 60))
    x = rng.standard_normal((patients, 3))
    names = np.array([f"P{i:02d}" for i in range(patients)])
    made = []
    for number in range(count):
        test = np.arange(patients) % count == number
        given, seen = ((v[~test] - v[~test].mean(axis=0)) / v[~test].std(axis=0) for v in (x, y))
        slopes = np.repeat((given.T @ seen)[None], test.sum(), axis=0)
        made.append(RealFold("0", names[test], x[test], y[test], np.full(test.sum(), ""), names[test], slopes))
    return made


def test_p_of_agreement_is_not_too_small_for_slopes_learned_from_the_other_folds() -> None:
    """Each pair of patients of two folds counts twice, from both sides; the plain null gives 11 % of p <= 0.05."""
    single, joint = [], []
    rng = np.random.default_rng(0)
    for _ in range(150):
        folds = learned_folds(rng, 5)
        result = agreement(folds, permutations=99, counts=lambda people: np.ones((1, len(people)), int), rng=rng)
        assert isinstance(result, Agreement) and result.folds == (5,)
        single += [result.of(place)[1] for place in range(3)]
        joint.append(result.of(None)[1])
    assert np.mean(np.array(single) <= 0.05) <= 0.05 and np.mean(np.array(joint) <= 0.05) <= 0.06


def test_one_fold_has_the_plain_null_and_several_a_spread_one() -> None:
    def p_of(folds: list[RealFold]) -> tuple[float, Agreement]:
        rng = np.random.default_rng(1)
        found = agreement(folds, permutations=999, counts=lambda people: np.ones((1, len(people)), int), rng=rng)
        assert isinstance(found, Agreement)
        return found.of(0)[1], found

    folds = learned_folds(np.random.default_rng(3), 2, patients=24)
    for fold in folds:
        p, found = p_of([fold])
        assert found.folds == (1,)
        assert p == (1 + (found.null[0, :, 0] >= found.observed[0, 0] - 1e-12).sum()) / 1000
    p, found = p_of(folds)
    null = found.null[0, :, 0]
    spread = null.mean() + 2**0.5 * (null - null.mean())
    assert p == (1 + (spread >= found.observed[0, 0] - 1e-12).sum()) / 1000


def test_rows_say_that_p_is_conservative_where_there_are_several_folds(linked: pd.DataFrame) -> None:
    for scope in ("within_site", "overall"):
        for metric in (f"response_agreement_p_{scope}", f"response_agreement_p_{scope}_holm"):
            assert "conservative: each fold's generator learned from" in linked.at[(metric, "A"), "interval"]
    case = Case(PLANTED, real=1.0)
    case.splits = case.splits[case.splits["fold"] == "r0f0"]
    text = case.audit().at[("response_agreement_p_overall", "A"), "interval"]
    assert "permutations of real patients inside fold" in text and "conservative" not in text


@pytest.mark.parametrize("scope", ["within_site", "overall"])
def test_patients_who_also_train_the_generator_give_no_agreement(scope: str) -> None:
    case = Case(PLANTED, real=1.0)
    more = case.real.assign(image_index=case.real["image_index"] + 100)
    case.real = pd.concat([case.real, more], ignore_index=True)
    one = case.splits.iloc[[0]].assign(image_index=100)  # the second image of one patient, on the other side
    one["role"] = {"test": "train", "train": "test"}[one["role"].iloc[0]]
    case.splits = pd.concat([case.splits, one], ignore_index=True)
    table = case.audit()
    name = f"response_agreement_{scope}"
    there = [key for key in table.index if str(key[0]).startswith("response_agreement_") and scope in key[0]]
    assert there == [(name, "all")] and np.isnan(table.at[there[0], "value"])
    assert table.at[there[0], "reason"] == CROSSING
    assert table.at[("monotone_share", "A"), "value"] == pytest.approx(10 / 16), "the response itself stays"


def test_a_patient_in_two_folds_of_a_repeat_gives_no_agreement_but_repeats_may_share_patients() -> None:
    case = Case(PLANTED, real=1.0)
    twice = case.splits[case.splits["fold"] == "r0f0"]
    images = case.run.index["fold"] == "r0f0"
    for name, reason in (("r0f9", SHARED), ("r1f0", "")):
        run = AuditRun(
            "genes15", "fake", pd.concat([case.run.index, case.run.index[images].assign(fold=name)], ignore_index=True),
            np.zeros((len(images) + images.sum(), 1, 1)),
            pd.concat([case.run.features, case.run.features[images]], ignore_index=True),
        )  # fmt: skip
        splits = pd.concat([case.splits, twice.assign(fold=name)], ignore_index=True)
        assert shifted(run, design_folds(splits)["grouped"], case.real, "radiomics").crossing == reason


def test_a_generator_that_learned_chance_associations_of_its_training_patients_does_not_agree() -> None:
    """Its own fold's patients count alone; over all patients at once it would agree with what it was trained on."""
    found = []
    for seed in range(15):
        case = Case({"A": PATTERN, FIRST: PATTERN}, seed=seed)
        for fold in case.splits["fold"].unique():
            role = case.splits[(case.splits["fold"] == fold)].set_index("image_index")["role"]
            train = role.index[role == "train"]
            own = case.real.loc[train, FEATURES].corrwith(case.conditions.loc[train, "A"], method="spearman")
            rows = case.run.index.index[(case.run.index["fold"] == fold) & (case.run.index["factor"] == "A")]
            case.run.features.loc[rows] += np.outer(case.run.index.loc[rows, "shift"], 50 * own)
        found.append(case.audit(permutations=100, draws=100).at[("response_agreement_overall", "A"), "value"])
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_site_differences_make_no_agreement_within_site() -> None:
    """Condition and images both differ between two sites, in the generator's direction; inside a site nothing does."""
    case = Case({"A": PATTERN, FIRST: PATTERN}, seed=3, patients=48)
    later = np.array([case.sites[name] == "S1" for name in case.names])
    case.conditions["A"] += 6 * later
    case.real[FEATURES] += 3 * np.outer(later, PATTERN)
    table = case.audit()
    assert table.at[("response_agreement_overall", "A"), "value"] > 0.6
    assert abs(table.at[("response_agreement_within_site", "A"), "value"]) < 0.45
    assert table.at[("response_agreement_p_within_site", "A"), "value"] > 0.05


def test_too_few_real_patients_are_a_reason() -> None:
    table = Case(PLANTED, patients=6, folds=2).audit()
    assert "8 are needed" in table.at[("response_agreement_overall", "all"), "reason"]
    assert ("response_agreement_p_overall", "A") not in table.index
    assert table.at[("monotone_share", "A"), "n"] == 6


def test_every_number_has_n_and_interval_and_every_gap_a_reason(linked: pd.DataFrame) -> None:
    told = linked[linked["value"].notna()]
    assert (told["n"] > 0).all() and (told["interval"] != "").all()
    assert (linked.loc[linked["value"].isna(), "reason"] != "").all()


def test_the_same_inputs_give_the_same_rows(linked: pd.DataFrame) -> None:
    again = Case(PLANTED, real=1.0).audit()
    assert_frame_equal(linked, again)
    other = Case(PLANTED, real=1.0).audit(seed=2)
    metric = ("response_agreement_overall", "A")
    assert (
        other.at[metric, "value"] == linked.at[metric, "value"] and other.at[metric, "low"] != linked.at[metric, "low"]
    )


def test_components_of_each_fold_have_no_rows_of_their_own() -> None:
    case = Case(PLANTED, real=1.0)
    folds = case.splits["fold"].unique()
    case.conditions = pd.concat([case.conditions.assign(fold=fold) for fold in folds], ignore_index=True)
    table = case.audit()
    assert set(table.index.get_level_values("task")) == {"all", FIRST}
    assert "components of its own" in table.at[("monotone_variables", "all"), "reason"]
    assert table.at[("response_agreement_overall", "all"), "value"] > 0.5


def test_the_shared_image_and_the_order_of_rows_do_not_matter() -> None:
    case = Case(PLANTED)
    folds = design_folds(case.splits)["grouped"]
    plain = shifted(case.run, folds, case.real, "radiomics")
    order = np.random.default_rng(0).permutation(len(case.run.index))
    mixed = AuditRun(
        "genes15", "fake", case.run.index.iloc[order].reset_index(drop=True), case.run.samples[order],
        case.run.features.iloc[order].reset_index(drop=True),
    )  # fmt: skip
    other = shifted(mixed, folds, case.real, "radiomics")
    for one, two in zip(plain.folds, other.folds, strict=True):
        assert one.shifts.tolist() == [-2, -1, 0, 1, 2] and one.values.shape == (8, 4, 5, 16)
        places = [two.places(name)[0] for name in one.factors]
        np.testing.assert_array_equal(one.values, two.values[:, places])
        np.testing.assert_array_equal(one.values[:, 0, 2], one.values[:, 1, 2])


def test_a_patient_that_lacks_a_shift_is_left_out() -> None:
    case = Case(PLANTED)
    at = case.run.index.index[(case.run.index["patient"] == "P00") & (case.run.index["shift"] == 2)][:1]
    case.run.index.loc[at, "kind"] = "heldout"
    assert case.audit().at[("monotone_share", "A"), "n"] == 23


def test_without_shifted_images_there_is_one_reason() -> None:
    case = Case(PLANTED)
    case.run.index["kind"] = "heldout"
    table = case.audit()
    assert len(table) == 1 and table["reason"].str.contains("no images with a shifted condition").all()


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [([0.01], [0.01]), ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]), ([0.5, 0.6], [1, 1]), ([], [])],
)
def test_holm(p: list[float], adjusted: list[float]) -> None:
    np.testing.assert_allclose(holm(p), adjusted)


def test_cohort_of_the_other_tests_gives_the_rows_too(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run = build_run(cohort, lambda name, rng: rng.normal(size=8), response=True)
    base = {"item": "S.ADH", "protocol": "p", "condition": "factors17", "generator": "g", "design": "grouped"}
    sites = dict(zip(cohort.patients["patient"], cohort.patients["site"], strict=True))
    folds = design_folds(cohort.splits)["grouped"]
    rows = response_rows(
        run, folds, cohort.real_features, cohort.conditions, sites, "radiomics", Context(base, 100, 100, 1)
    )
    assert {row["task"] for row in rows} == {"PC1"}, "only the common direction was moved"
