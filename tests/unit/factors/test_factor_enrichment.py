"""Gene sets of factors: against definitions and brute force, planted sets, and what cannot be tested."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, fisher_exact

from radgen_lib.analyses.factors.enrichment import (
    ENRICHMENT_COLUMNS,
    enrichment,
    over_representation,
    prerank,
    usable_sets,
)
from radgen_lib.analyses.factors.multiple import false_discovery

GENES = [f"GENE{i}" for i in range(200)]


@pytest.fixture(scope="module")
def loadings() -> pd.Series:
    rng = np.random.default_rng(3)
    return pd.Series(rng.standard_t(3, len(GENES)), index=GENES)


@pytest.fixture(scope="module")
def sets(loadings: pd.Series) -> dict[str, list[str]]:
    """A set at each end, a weaker one, and random ones."""
    rng = np.random.default_rng(4)
    order = loadings.sort_values(ascending=False).index
    chosen = {"UP": list(order[:40:4]), "DOWN": list(order[::-1][:40:4]), "WEAK": list(order[:120:8])}
    return chosen | {f"RANDOM{i}": list(rng.choice(GENES, 6 + 2 * i, replace=False)) for i in range(8)}


def long(sets: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame([(name, gene) for name, genes in sets.items() for gene in genes], columns=["set", "gene"])


def score(loadings: pd.Series, members: Sequence[str]) -> float:
    """Largest deviation of the weighted running sum, Subramanian et al. 2005, as defined there."""
    ranked = loadings.sort_values(ascending=False)
    hit = ranked.index.isin(members)
    weight = np.where(hit, ranked.abs(), 0.0)
    walk = np.cumsum(weight / weight.sum() - ~hit / (~hit).sum())
    return float(walk[np.argmax(np.abs(walk))])


@pytest.fixture(scope="module")
def ranked(loadings: pd.Series, sets: dict[str, list[str]]) -> pd.DataFrame:
    return prerank(loadings, sets, seed=5)


# Preranked analysis


def test_scores_are_those_of_the_definition(
    loadings: pd.Series, sets: dict[str, list[str]], ranked: pd.DataFrame
) -> None:
    assert list(ranked.index) == list(sets)
    for name, members in sets.items():
        assert ranked.loc[name, "es"] == pytest.approx(score(loadings, members), abs=1e-9)


def test_p_values_and_normalised_scores_are_those_of_permuted_genes(
    loadings: pd.Series, sets: dict[str, list[str]], ranked: pd.DataFrame
) -> None:
    rng = np.random.default_rng(6)
    for name in ("WEAK", "RANDOM0", "RANDOM5"):
        found = score(loadings, sets[name])
        null = np.array([score(loadings, rng.choice(GENES, len(sets[name]), replace=False)) for _ in range(800)])
        same = np.abs(null[np.sign(null) == np.sign(found)])
        brute = float((same >= abs(found)).mean())
        error = np.sqrt(max(brute * (1 - brute), 0.01) / len(same))
        assert ranked.loc[name, "p"] == pytest.approx(brute, abs=4 * error + 0.02)
        assert abs(ranked.loc[name, "nes"]) == pytest.approx(abs(found) / same.mean(), rel=0.05)


def test_planted_sets_lie_at_their_end_and_random_ones_do_not(ranked: pd.DataFrame) -> None:
    assert ranked.loc["UP", "nes"] > 1.5 and ranked.loc["DOWN", "nes"] < -1.5
    assert 0 < ranked.loc["UP", "p"] < 1e-3 and 0 < ranked.loc["DOWN", "p"] < 1e-3
    assert ranked.filter(like="RANDOM", axis=0)["p"].min() > 1e-3


def test_the_leading_edge_is_strongest_first(
    loadings: pd.Series, sets: dict[str, list[str]], ranked: pd.DataFrame
) -> None:
    for name, sign in (("UP", 1), ("DOWN", -1)):
        genes = ranked.loc[name, "genes"].split(";")
        assert len(genes) > 1 and set(genes) <= set(sets[name])
        assert (np.diff(sign * loadings[genes]) < 0).all()


def test_a_flipped_component_gives_flipped_scores(
    loadings: pd.Series, sets: dict[str, list[str]], ranked: pd.DataFrame
) -> None:
    flipped = prerank(-loadings, sets, seed=5)
    np.testing.assert_allclose(flipped["es"], -ranked["es"], atol=1e-9)


def test_the_same_seed_gives_the_same_numbers_and_nothing_is_printed(
    loadings: pd.Series, sets: dict[str, list[str]], ranked: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    pd.testing.assert_frame_equal(prerank(loadings, sets, seed=5), ranked)
    assert capfd.readouterr() == ("", "")


def test_what_gseapy_says_goes_into_the_log(
    sets: dict[str, list[str]], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tied = pd.Series(np.repeat(np.arange(100.0), 2), index=GENES)
    with caplog.at_level(logging.INFO, logger="radgen"):
        prerank(tied, sets, seed=1, permutations=50)
    assert "gseapy: " in caplog.text and "uplicate" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_score_without_a_sign_to_compare_with_is_a_reason(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """One gene carries nearly all, the others nothing in whole numbers: without it no set scores on its side."""
    lone = pd.Series(-np.geomspace(1, 1e-6, len(GENES)), index=GENES)
    lone[GENES[0]] = -1e6
    both = {"WITH": [GENES[0], *GENES[100:105]], "WITHOUT": GENES[100:106]}
    with caplog.at_level(logging.INFO, logger="radgen"):
        table = enrichment(lone.to_frame("F01"), long(both), seed=1, model="btf_gibbs", permutations=20)
    found = table[table["metric"] == "nes"].set_index("task")
    assert found.loc["WITH", "value"] < 0 and found.loc["WITH", "reason"] == ""
    assert found.loc["WITHOUT", "reason"] == "fewer than 10 permuted scores had its sign"
    assert found.loc["WITHOUT", ["value", "p", "fdr"]].isna().all()
    assert found.loc["WITH", "fdr"] == found.loc["WITH", "p"]  # the only one of its kind that was tested
    # What compiled code writes goes into the log as well.
    assert "same-sign" in caplog.text and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_loadings_that_rank_nothing_are_refused(sets: dict[str, list[str]], value: float) -> None:
    with pytest.raises(ValueError, match="finite and not all zero"):
        prerank(pd.Series(value, index=GENES), sets, seed=1)


def test_genes_without_loading_move_no_score(loadings: pd.Series, sets: dict[str, list[str]]) -> None:
    sparse = loadings.where(loadings.abs() > 1, 0.0)
    found = prerank(sparse, sets, seed=1)
    for name, members in sets.items():
        if sparse[members].any():
            assert abs(found.loc[name, "es"]) == pytest.approx(abs(score(sparse, members)), abs=0.02)


def test_genes_with_small_letters_stay_in_their_sets(loadings: pd.Series, sets: dict[str, list[str]]) -> None:
    names = {gene: f"C17orf{gene[4:]}" for gene in GENES}
    renamed = prerank(loadings.rename(names), {k: [names[g] for g in v] for k, v in sets.items()}, seed=5)
    np.testing.assert_allclose(renamed["es"], [score(loadings, members) for members in sets.values()], atol=1e-9)
    assert set(renamed.loc["UP", "genes"].split(";")) <= set(names.values())


# Over-representation


@given(st.integers(1, 40), st.integers(1, 60), st.data())
def test_over_representation_is_fishers_exact_test(chosen: int, size: int, data: st.DataObject) -> None:
    both = data.draw(st.integers(0, min(chosen, size)))
    members = GENES[:both] + GENES[100 : 100 + size - both]
    found = over_representation(GENES[:chosen], {"SET": members}, GENES).loc["SET"]
    table = np.array([[both, chosen - both], [size - both, 200 - chosen - size + both]])
    assert found["p"] == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    half = table + 0.5
    ratio = half[0, 0] * half[1, 1] / (half[0, 1] * half[1, 0])
    assert found["odds_ratio"] == pytest.approx(ratio)
    assert np.log(found["high"] / ratio) == pytest.approx(1.959964 * np.sqrt((1 / half).sum()), rel=1e-6)
    assert found["low"] * found["high"] == pytest.approx(ratio**2)
    assert found["genes"] == ";".join(GENES[:both])


# Which sets


@given(st.lists(st.lists(st.sampled_from([*GENES[:9], "ELSEWHERE"]), max_size=20), max_size=6))
def test_only_sets_of_the_right_size_in_the_tensor_are_tested(members: list[list[str]]) -> None:
    table = pd.DataFrame(
        [(f"S{i}", gene) for i, genes in enumerate(members) for gene in genes], columns=["set", "gene"]
    )
    found = usable_sets(table, GENES[:9], smallest=2, largest=5)
    inside = {f"S{i}": set(genes) - {"ELSEWHERE"} for i, genes in enumerate(members)}
    assert {name: set(genes) for name, genes in found.items()} == {k: v for k, v in inside.items() if 2 <= len(v) <= 5}
    assert all(len(genes) == len(set(genes)) for genes in found.values())


def test_a_set_of_all_genes_cannot_be_tested() -> None:
    table = pd.DataFrame({"set": ["ALL"] * 9 + ["BUT_ONE"] * 8, "gene": GENES[:9] + GENES[:8]})
    assert set(usable_sets(table, GENES[:9])) == {"BUT_ONE"}


# The table


def test_rates_run_over_all_components_and_sets(loadings: pd.Series, sets: dict[str, list[str]]) -> None:
    rng = np.random.default_rng(8)
    both = pd.DataFrame({"F01": loadings, "F02": rng.permutation(loadings)}, index=GENES)
    table = enrichment(both, long(sets), seed=2, model="btf_gibbs", permutations=200, top=15)
    assert tuple(table.columns) == ENRICHMENT_COLUMNS
    assert set(table["item"]) == {"F.SETS"} and set(table["reason"]) == {""} and set(table["model"]) == {"btf_gibbs"}
    assert table.groupby(["metric", "arm"]).size().tolist() == [len(sets)] * 4
    assert table.set_index("task")["n"].to_dict() == {name: len(genes) for name, genes in sets.items()}
    for _, part in table.groupby("metric"):
        np.testing.assert_allclose(part["fdr"], false_discovery_control(part["p"]))
    small = table[(table["metric"] == "nes") & (table["fdr"] < 0.05)]
    assert {("F01", "UP"), ("F01", "DOWN")} <= set(zip(small["arm"], small["task"], strict=True))
    assert set(small["arm"]) == {"F01"}
    chosen = table[(table["metric"] == "odds_ratio") & (table["arm"] == "F01") & (table["task"] == "UP")].iloc[0]
    top = set(loadings.abs().sort_values(ascending=False).index[:15])
    assert set(chosen["genes"].split(";")) == top & set(sets["UP"])
    assert chosen["low"] < chosen["value"] < chosen["high"] and chosen["low"] > 1


def test_another_component_beside_it_moves_no_score(loadings: pd.Series, sets: dict[str, list[str]]) -> None:
    options = {"seed": 2, "model": "btf_gibbs", "permutations": 100}
    alone = enrichment(loadings.to_frame("F01"), long(sets), **options)  # type: ignore[arg-type]
    beside = enrichment(pd.DataFrame({"F01": loadings, "F02": loadings[::-1].to_numpy()}), long(sets), **options)  # type: ignore[arg-type]
    columns = ["task", "metric", "value", "p", "genes"]
    pd.testing.assert_frame_equal(alone[columns], beside.loc[beside["arm"] == "F01", columns])


def test_one_set_is_too_few(loadings: pd.Series, sets: dict[str, list[str]]) -> None:
    table = enrichment(loadings.to_frame("F01"), long({"UP": sets["UP"], "TINY": GENES[:4]}), seed=1, model="btf_gibbs")
    assert len(table) == 1 and table["value"].isna().all() and table["n"].item() == 1
    assert table["reason"].item() == "1 gene sets have 5 to 500 of the 200 genes of the tensor, 2 are needed"


def test_no_component_is_a_reason(sets: dict[str, list[str]]) -> None:
    table = enrichment(pd.DataFrame(index=GENES), long(sets), seed=1, model="btf_gibbs")
    assert table["reason"].tolist() == ["the fit kept no component"] and tuple(table.columns) == ENRICHMENT_COLUMNS


# False discovery rates


def test_adjusted_values_of_a_worked_example() -> None:
    found = false_discovery(pd.Series([0.01, np.nan, 0.04, 0.03, 0.005], index=list("abcde")))
    assert found.drop("b").tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02]) and np.isnan(found["b"])


def test_nothing_tested_is_nothing_adjusted() -> None:
    assert false_discovery(pd.Series([np.nan, np.nan])).isna().all() and false_discovery(pd.Series(dtype=float)).empty
