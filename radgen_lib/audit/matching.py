"""Tests 2 and 3 of condition adherence: is a patient's synthetic image nearer to that patient than to others?

Both use one matrix per fold, distance of real patient p to the synthetic images of condition q, and one permutation
engine. Permutations stay inside a fold (generators of other folds have seen the patient) and, for the claim, inside a
site, because the site alone is easy to tell from the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from radgen_lib.audit.ranking import chance_levels, reciprocal_ranks, true_scores

FLAT = 1e-9


@dataclass(frozen=True)
class FoldDistances:
    """Distances of one fold: [p, p], row = real patient, column = condition; patients and their strata [p]."""

    repeat: str
    patients: np.ndarray
    strata: np.ndarray
    distance: np.ndarray

    def groups(self) -> Iterator[np.ndarray]:
        """Positions of each stratum that holds at least two patients."""
        for stratum in np.unique(self.strata):
            members = np.flatnonzero(self.strata == stratum)
            if len(members) > 1:
                yield members


@dataclass(frozen=True)
class Permuted:
    """Result of a permutation test: one-sided p, z of the observed mean in the null, distinct patients, repeats."""

    p: float
    z: float
    patients: int
    repeats: int


def pair_distances(
    real: np.ndarray, real_patients: np.ndarray, synthetic: np.ndarray, conditions: np.ndarray, patients: np.ndarray
) -> np.ndarray:
    """Mean Euclidean distance between the images of patient p and the draws of condition q, [p, q].

    real: [m, d] with ``real_patients`` [m]; synthetic: [k, d] with ``conditions`` [k]; ``patients``: order of p and q.
    """
    from scipy.spatial.distance import cdist

    table = cdist(real, synthetic)
    rows = np.stack([table[real_patients == name].mean(axis=0) for name in patients])
    return np.stack([rows[:, conditions == name].mean(axis=1) for name in patients], axis=1)


def permutation_test(
    folds: Sequence[FoldDistances], statistic: str, *, permutations: int, rng: np.random.Generator
) -> Permuted | None:
    """Permute conditions across patients inside each stratum of each fold.

    ``statistic``: "distance" (mean distance of the true pairs, small is better) or "rank" (mean reciprocal rank of
    the true patient, large is better). Repeats of the folds hold the same patients and are no independent evidence:
    each repeat is tested alone and, with several, p = min(1, 2 median p), which holds under any dependence; z is
    their mean. None when no stratum holds two patients.
    """
    by_repeat: dict[str, list[FoldDistances]] = {}
    for fold in folds:
        by_repeat.setdefault(fold.repeat, []).append(fold)
    results, seen = [], set()
    for members in by_repeat.values():
        terms = [(fold, group) for fold in members for group in fold.groups()]
        if not terms:
            continue
        results.append(_test_repeat(terms, statistic, permutations, rng))
        seen |= {str(name) for fold, group in terms for name in fold.patients[group]}
    if not results:
        return None
    p_values, z_values = np.array(results).T
    p = float(p_values[0]) if len(results) == 1 else min(1.0, 2 * float(np.median(p_values)))
    return Permuted(p, float(z_values.mean()), len(seen), len(results))


def _test_repeat(
    terms: Sequence[tuple[FoldDistances, np.ndarray]], statistic: str, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    score: Callable[[np.ndarray], np.ndarray] = np.negative if statistic == "distance" else reciprocal_ranks
    observed, null, patients = 0.0, np.zeros(permutations), 0
    for fold, group in terms:
        values = score(fold.distance[np.ix_(group, group)])
        order = rng.random((permutations, len(group))).argsort(axis=1)
        observed += float(np.trace(values))
        null += values[order, np.arange(len(group))].sum(axis=1)
        patients += len(group)
    observed, null = observed / patients, null / patients
    flat = FLAT * max(abs(observed), 1e-300)
    # A permutation that equals the observed pairing counts against the claim; rounding must not decide that.
    p = (1 + int((null >= observed - flat).sum())) / (permutations + 1)
    spread = float(null.std())
    return p, (observed - float(null.mean())) / spread if spread > flat else 0.0


def paired_differences(folds: Sequence[FoldDistances]) -> tuple[np.ndarray, np.ndarray]:
    """Per held-out patient: distance to the own synthetic minus the mean over conditions of the stratum; and names."""
    values, names = [], []
    for fold in folds:
        for group in fold.groups():
            block = fold.distance[np.ix_(group, group)]
            values.append(np.diag(block) - block.mean(axis=1))
            names.append(fold.patients[group])
    return (np.concatenate(values), np.concatenate(names)) if values else (np.empty(0), np.empty(0, dtype=object))


def retrieval(folds: Sequence[FoldDistances]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Scores of each query among the held-out real patients of its stratum, their chance levels, and the patients.

    Keys ``top1``, ``top5``, ``mrr``; one value per held-out patient and fold. The query is the patient's synthetic
    images, the gallery the real patients of the same fold (and site).
    """
    scores: dict[str, list[np.ndarray]] = {}
    chance: dict[str, list[np.ndarray]] = {}
    names: list[np.ndarray] = []
    for fold in folds:
        for group in fold.groups():
            found = true_scores(fold.distance[np.ix_(group, group)], np.arange(len(group)))
            for key, values in found.items():
                scores.setdefault(key, []).append(values)
                chance.setdefault(key, []).append(np.full(len(group), chance_levels(len(group))[key]))
            names.append(fold.patients[group])
    return _joined(scores), _joined(chance), np.concatenate(names) if names else np.empty(0, dtype=object)


def _joined(parts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate(values) for key, values in parts.items()}
