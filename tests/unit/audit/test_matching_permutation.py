from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from radgen_lib.audit.matching import (
    FoldDistances,
    Ranking,
    pair_distances,
    paired_differences,
    permutation_test,
    retrieval,
)


def fold(distance: np.ndarray, strata: str | None = None, repeat: str = "0", start: int = 0) -> FoldDistances:
    names = np.array([f"p{start + i:02d}" for i in range(len(distance))])
    return FoldDistances(repeat, names, np.array(list(strata or "a" * len(distance))), distance)


def test_pair_distances_average_over_images_and_draws() -> None:
    real = np.array([[0.0], [2.0], [10.0]])
    synthetic = np.array([[1.0], [3.0], [10.0]])
    table = pair_distances(real, np.array(["a", "a", "b"]), synthetic, np.array(["a", "a", "b"]), np.array(["a", "b"]))
    np.testing.assert_allclose(table, [[(1 + 3 + 1 + 1) / 4, 9.0], [8.0, 0.0]])


def test_p_agrees_with_the_full_enumeration() -> None:
    distance = np.random.default_rng(4).random((5, 5))
    distance[np.diag_indices(5)] -= 0.3
    exact = np.mean(
        [sum(distance[p[i], i] for i in range(5)) <= np.trace(distance) + 1e-12 for p in permutations(range(5))]
    )
    found = permutation_test([fold(distance)], "distance", permutations=20000, rng=np.random.default_rng(1))
    assert found is not None
    assert found.p == pytest.approx(exact, abs=0.01)
    assert found.patients == 5


def test_p_is_calibrated_when_the_condition_does_nothing() -> None:
    p = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        folds = [fold(rng.random((6, 6)), "aaabbb", start=6 * i) for i in range(2)]
        found = permutation_test(folds, "distance", permutations=199, rng=rng)
        assert found is not None
        p.append(found.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def learned(rng: np.random.Generator, folds: int, patients: int = 28) -> list[FoldDistances]:
    """Noise as conditions, images of every fold by a ridge regression on the patients of the other folds."""
    y = rng.standard_normal((patients, 6)) @ rng.standard_normal((6, 60)) + 0.7 * rng.standard_normal((patients, 60))
    x = np.c_[np.ones(patients), rng.standard_normal((patients, 5))]
    found = []
    for number in range(folds):
        test = np.arange(patients) % folds == number
        given, seen = x[~test], y[~test]
        weights = np.linalg.solve(given.T @ given + np.diag([0.0, 5, 5, 5, 5, 5]), given.T @ seen)
        distance = np.linalg.norm(y[test][:, None] - (x[test] @ weights)[None], axis=2)
        names = np.flatnonzero(test).astype(str)
        found.append(FoldDistances("0", names, np.full(len(names), ""), distance))
    return found


@pytest.mark.parametrize("statistic", ["distance", "rank"])
def test_generators_that_learned_chance_associations_give_no_small_p(statistic: str) -> None:
    """With the plain null of the folds 9.5 % of such runs have p <= 0.05 by distance, 6 % by rank."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(400):
        found = permutation_test(learned(rng, 5), statistic, permutations=99, rng=rng)
        assert found is not None and found.folds == 5
        p.append(found.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.05


@pytest.mark.parametrize("statistic", ["distance", "rank"])
def test_several_folds_have_a_wider_null_and_the_same_effect_size(statistic: str) -> None:
    """The same pairs in two strata of one fold, and in two folds."""
    rng = np.random.default_rng(2)
    blocks = [rng.random((8, 8)) - 0.15 * np.eye(8) for _ in range(2)]
    apart = [fold(block, start=8 * i) for i, block in enumerate(blocks)]
    whole = np.block([[blocks[0], np.full((8, 8), 9.0)], [np.full((8, 8), 9.0), blocks[1]]])
    one = permutation_test([fold(whole, "a" * 8 + "b" * 8)], statistic, permutations=9999, rng=rng)
    two = permutation_test(apart, statistic, permutations=9999, rng=rng)
    assert one is not None and two is not None
    assert (one.folds, two.folds) == (1, 2)
    assert two.z == pytest.approx(one.z, abs=0.1) and one.z > 1
    assert two.p > 1.5 * one.p


def test_signal_of_the_site_alone_is_not_significant_within_site() -> None:
    rng = np.random.default_rng(5)
    sites = np.array(list("a" * 12 + "b" * 12))
    distance = 5.0 * (sites[:, None] != sites[None, :]) + rng.random((24, 24))
    for statistic in ("distance", "rank"):
        inside = permutation_test([fold(distance, "a" * 12 + "b" * 12)], statistic, permutations=2000, rng=rng)
        overall = permutation_test([fold(distance)], statistic, permutations=2000, rng=rng)
        assert inside is not None and overall is not None
        assert overall.p < 0.05 < inside.p


def test_planted_pairs_are_found_by_both_statistics() -> None:
    distance = np.random.default_rng(6).random((8, 8)) + 2 * (1 - np.eye(8))
    for statistic in ("distance", "rank"):
        found = permutation_test([fold(distance)], statistic, permutations=999, rng=np.random.default_rng(0))
        assert found is not None
        assert found.p == pytest.approx(0.001)
        assert found.z > 3


def test_repeats_of_the_same_patients_are_no_further_evidence() -> None:
    rng = np.random.default_rng(8)
    distance = rng.random((7, 7)) - 0.15 * np.eye(7)
    once = permutation_test([fold(distance)], "distance", permutations=4000, rng=rng)
    often = permutation_test([fold(distance, repeat=str(i)) for i in range(5)], "distance", permutations=4000, rng=rng)
    assert once is not None and often is not None
    assert often.p > once.p
    assert often.patients == once.patients == 7
    assert often.repeats == 5


def test_one_image_for_everyone_gives_p_one_and_chance_ranks() -> None:
    distance = np.repeat(np.random.default_rng(9).random((6, 1)), 6, axis=1)
    for statistic in ("distance", "rank"):
        found = permutation_test([fold(distance)], statistic, permutations=99, rng=np.random.default_rng(0))
        assert found is not None
        assert (found.p, found.z) == (1.0, 0.0)
    found = retrieval([Ranking.within(fold(distance))])
    assert set(found) == {"top1", "top5", "mrr"}
    for one in found.values():
        assert one.scores.mean() == pytest.approx(one.chance.mean())


def test_strata_of_one_patient_carry_nothing() -> None:
    assert permutation_test([fold(np.ones((2, 2)), "ab")], "rank", permutations=9, rng=np.random.default_rng(0)) is None
    values, names = paired_differences([fold(np.ones((2, 2)), "ab")])
    assert len(values) == len(names) == 0
    assert retrieval([Ranking.within(fold(np.ones((2, 2)), "ab"))]) == {}


def test_differences_and_galleries_stay_inside_the_stratum() -> None:
    distance = np.array([[1.0, 3.0, -9.0], [5.0, 2.0, -9.0], [-9.0, -9.0, -9.0]])
    values, names = paired_differences([fold(distance, "aab")])
    np.testing.assert_allclose(values, [-1.0, -1.5])
    assert list(names) == ["p00", "p01"]
    found = retrieval([Ranking.within(fold(distance, "aab"))])
    np.testing.assert_allclose(found["top1"].scores, [1, 1])
    np.testing.assert_allclose(found["top1"].chance, 0.5)
    assert "top5" not in found


def test_queries_are_ranked_in_the_wide_gallery_and_its_chance_follows() -> None:
    # Query of patient c: distances to a..g; c is third nearest of all and nearest of its own stratum.
    distance = np.array([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6], [0.7]])
    gallery, sites = np.array(list("abcdefg")), np.array(list("xxyyyyy"))
    every = Ranking(np.array(["c"]), np.array(["all"]), gallery, np.full(7, "all"), distance)
    found = retrieval([every])
    assert [float(found[key].scores[0]) for key in ("top1", "top5", "mrr")] == pytest.approx([0, 1, 1 / 3])
    assert float(found["top1"].chance[0]) == pytest.approx(1 / 7)
    assert float(found["top5"].chance[0]) == pytest.approx(5 / 7)
    inside = retrieval([Ranking(np.array(["c"]), np.array(["y"]), gallery, sites, distance)])
    assert set(inside) == {"top1", "mrr"}
    assert (float(inside["top1"].scores[0]), int(inside["top1"].sizes[0])) == (1.0, 5)
