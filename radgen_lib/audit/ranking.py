"""Ranks of the true patient in a gallery, with ties broken at random in expectation."""

from __future__ import annotations

import numpy as np

TOPS = (1, 5)


def reciprocal_ranks(distance: np.ndarray) -> np.ndarray:
    """Expected reciprocal rank of gallery entry p for query q, [p, q], from distances [p, q].

    Entries at the same distance share their ranks: each gets the mean reciprocal rank of the places they occupy, so a
    generator that gives everyone the same image scores exactly chance.
    """
    less, equal = _places(distance)
    sums = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, len(distance) + 1))])
    expected: np.ndarray = (sums[less + equal] - sums[less]) / equal
    return expected


def top_shares(distance: np.ndarray, k: int) -> np.ndarray:
    """Chance that entry p is among the ``k`` nearest to query q when ties are broken at random, [p, q]."""
    less, equal = _places(distance)
    shares: np.ndarray = np.clip((k - less) / equal, 0.0, 1.0)
    return shares


def chance_levels(gallery: int) -> dict[str, float]:
    """Expected ``top1``, ``top5`` and ``mrr`` of a random order of ``gallery`` entries."""
    levels = {f"top{k}": min(k, gallery) / gallery for k in TOPS}
    return {**levels, "mrr": float(np.mean(1.0 / np.arange(1, gallery + 1)))}


def true_scores(distance: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """``top1``, ``top5`` and ``mrr`` of gallery entry ``true[q]`` for every query q; distances are [p, q]."""
    queries = np.arange(distance.shape[1])
    scores = {f"top{k}": top_shares(distance, k)[true, queries] for k in TOPS}
    return {**scores, "mrr": reciprocal_ranks(distance)[true, queries]}


def _places(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each entry: how many are nearer, and how many (itself included) are as near; [p, q] each."""
    near = distance[None, :, :] < distance[:, None, :]
    same = distance[None, :, :] == distance[:, None, :]
    return near.sum(axis=1), same.sum(axis=1)
