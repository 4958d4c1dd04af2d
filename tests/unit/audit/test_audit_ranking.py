from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.audit.ranking import chance_levels, reciprocal_ranks, top_shares, true_scores


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=9))
def test_ties_share_ranks_so_that_the_mean_over_entries_is_chance(distances: list[int]) -> None:
    column = np.array(distances, dtype=float)[:, None]
    levels = chance_levels(len(distances))
    assert reciprocal_ranks(column).mean() == pytest.approx(levels["mrr"])
    assert top_shares(column, 1).mean() == pytest.approx(levels["top1"])
    assert top_shares(column, 5).mean() == pytest.approx(levels["top5"])


def test_expected_rank_equals_random_tie_breaking() -> None:
    column = np.array([1.0, 1.0, 1.0, 0.5, 2.0])
    rng = np.random.default_rng(0)
    found = np.zeros(5)
    for _ in range(4000):
        order = np.lexsort((rng.random(5), column))
        found[order] += 1.0 / np.arange(1, 6)
    np.testing.assert_allclose(reciprocal_ranks(column[:, None])[:, 0], found / 4000, atol=0.02)


def test_true_scores_pick_the_true_entry_of_each_query() -> None:
    distance = np.array([[0.1, 9.0, 5.0], [3.0, 1.0, 4.0], [2.0, 5.0, 6.0]])
    scores = true_scores(distance, np.arange(3))
    np.testing.assert_allclose(scores["top1"], [1, 1, 0])
    np.testing.assert_allclose(scores["mrr"], [1, 1, 1 / 3])
    np.testing.assert_allclose(scores["top5"], 1)


def test_chance_of_the_published_gallery() -> None:
    assert chance_levels(28)["top1"] == pytest.approx(0.036, abs=5e-4)
    assert chance_levels(61)["top1"] == pytest.approx(0.016, abs=5e-4)
