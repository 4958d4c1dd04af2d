"""Precision, recall, density and coverage: cases drawn by hand and the properties that define them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.coverage import manifold_members, neighbours


def scores(real: np.ndarray, generated: np.ndarray, k: int | None = None) -> SimpleNamespace:
    """Means over rows; the rows are those of the set that the score speaks of."""
    found = manifold_members(real, generated, k=k)
    lengths = {"precision": len(generated), "recall": len(real), "density": len(generated), "coverage": len(real)}
    assert {name: len(rows) for name, rows in found.items()} == lengths
    return SimpleNamespace(**{name: rows.mean() for name, rows in found.items()})


def all_of(found: SimpleNamespace) -> list[float]:
    return [found.precision, found.recall, found.density, found.coverage]


def brute(real: np.ndarray, generated: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """The definitions, row by row."""

    def radius(x: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(x - x[i], axis=1))[k]

    inside = [
        [np.linalg.norm(g - r) <= radius(real, i) for g in generated] for i, r in enumerate(real)
    ]  # [real, generated]
    reverse = [any(np.linalg.norm(g - r) <= radius(generated, j) for j, g in enumerate(generated)) for r in real]
    return (
        float(np.mean(np.any(inside, axis=0))),
        float(np.mean(reverse)),
        float(np.sum(inside) / (k * len(generated))),
        float(np.mean(np.any(inside, axis=1))),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12), st.integers(4, 12), st.floats(0, 4))
def test_equals_the_definitions(seed: int, n: int, m: int, gap: float) -> None:
    rng = make_rng(seed, "manifold")
    real, generated = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + gap
    found = scores(real, generated, 3)
    np.testing.assert_allclose(all_of(found), brute(real, generated, 3), atol=1e-12)
    swapped = scores(generated, real, 3)
    assert (swapped.precision, swapped.recall) == (found.recall, found.precision)


def test_points_on_a_line_by_hand() -> None:
    """Real 0, 1, 2, 3 with k = 1 have balls of radius 1; generated 0.5 lies in two of them, 10 in none."""
    found = scores(np.array([[0.0], [1], [2], [3]]), np.array([[0.5], [10]]), 1)
    assert found.precision == 0.5 and found.density == 1.0 and found.coverage == 0.5
    assert found.recall == 1.0  # the ball of 0.5 reaches to 10


def test_equal_and_distant_sets() -> None:
    x = make_rng(0, "x").normal(size=(30, 4))
    same = scores(x, x)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = scores(x, x + 100)
    assert all_of(far) == [0, 0, 0, 0]


def test_collapse_keeps_precision_and_loses_coverage() -> None:
    """A generator that always draws one real image: everything it draws is real, hardly anything is covered."""
    rng = make_rng(1, "collapse")
    real = rng.normal(size=(60, 3))
    collapsed = real[:1] + 1e-3 * rng.normal(size=(60, 3))
    found = scores(real, collapsed)
    assert found.precision == 1
    assert found.coverage < 0.35 and found.recall < 0.1


def test_density_may_exceed_one() -> None:
    real = make_rng(2, "dense").normal(size=(100, 2))
    assert scores(real, 0.1 * real).density > 1


@pytest.mark.parametrize(("n", "k"), [(4, 3), (19, 3), (20, 5), (500, 5)])
def test_neighbours_follow_the_smaller_set(n: int, k: int) -> None:
    assert neighbours(n) == k
    if n < 100:
        x = make_rng(3, "x").normal(size=(n, 2))
        for pair in ((x, np.vstack([x] * 5)), (np.vstack([x] * 5), x)):
            chosen, given = manifold_members(*pair), manifold_members(*pair, k=k)
            for name in given:
                np.testing.assert_array_equal(chosen[name], given[name])


def test_without_value() -> None:
    x = make_rng(4, "x").normal(size=(10, 2))
    assert np.isnan(all_of(scores(x, x[:3]))).all()
    assert np.isfinite(all_of(scores(x, x[:4]))).all()
    assert np.isnan(all_of(scores(x, x * np.nan))).all()
    with pytest.raises(ValueError, match=r"need \[n, d\] and \[m, d\]"):
        manifold_members(x, x[:, :1])
