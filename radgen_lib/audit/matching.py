"""Tests 2 and 3 of condition adherence: is a patient's synthetic image nearer to that patient than to others?

Both use distances of real patient p to the synthetic images of condition q, and one permutation engine. Permutations
stay inside a fold (generators of other folds have seen the patient) and, for the claim, inside a site, because the
site alone is easy to tell from the image. Folds of one repeat learned from one another's patients; the null of a repeat
with several is spread for it (:mod:`radgen_lib.audit.nulls`).

Retrieval is scored against two galleries. The headline is the wide one, all held-out patients of the repeat: four
patients of one fold tell little apart. Its other folds' patients trained the querying generator, whose images lie near
its training images whatever the condition; that pulls the true patient down the ranks, so what exceeds chance there
does so in spite of it, but a score at chance is no evidence of absence. In the gallery of the own fold nobody trained
the generator: chance is exact, and p and z (which the pass rule reads) belong to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from radgen_lib.audit.nulls import spread_null
from radgen_lib.audit.ranking import TOPS, chance_levels, reciprocal_ranks, true_scores

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
class Ranking:
    """Queries of one fold in a gallery: distance [g, q] from gallery patients [g] to patients' synthetic images [q].

    Every query's patient is in the gallery; a query is ranked among the gallery patients of its own stratum.
    """

    patients: np.ndarray
    strata: np.ndarray
    gallery: np.ndarray
    gallery_strata: np.ndarray
    distance: np.ndarray

    @classmethod
    def within(cls, fold: FoldDistances) -> Ranking:
        """The gallery of the fold's own held-out patients."""
        return cls(fold.patients, fold.strata, fold.patients, fold.strata, fold.distance)


@dataclass(frozen=True)
class Permuted:
    """Result of a permutation test: one-sided p, z, distinct patients, repeats, and the most folds of a repeat.

    z is the effect size: observed less mean, in SD of the permutations as they are. p is of the spread null.
    """

    p: float
    z: float
    patients: int
    repeats: int
    folds: int


def pair_distances(
    real: np.ndarray,
    real_patients: np.ndarray,
    synthetic: np.ndarray,
    conditions: np.ndarray,
    patients: np.ndarray,
    gallery: np.ndarray | None = None,
) -> np.ndarray:
    """Mean Euclidean distance between the images of patient p and the draws of condition q, [p, q].

    real: [m, d] with ``real_patients`` [m]; synthetic: [k, d] with ``conditions`` [k]; ``patients``: order of q, and
    of p unless ``gallery`` names other patients.
    """
    from scipy.spatial.distance import cdist

    table = cdist(real, synthetic)
    rows = np.stack([table[real_patients == name].mean(axis=0) for name in (patients if gallery is None else gallery)])
    return np.stack([rows[:, conditions == name].mean(axis=1) for name in patients], axis=1)


def permutation_test(
    folds: Sequence[FoldDistances], statistic: str, *, permutations: int, rng: np.random.Generator
) -> Permuted | None:
    """Permute conditions across patients inside each stratum of each fold.

    ``statistic``: "distance" (mean distance of the true pairs, small is better) or "rank" (mean reciprocal rank of
    the true patient, large is better). Repeats of the folds hold the same patients and are no independent evidence:
    each repeat is tested alone and, with several, p = min(1, 2 median p), which holds under any dependence; z is
    their mean. Folds of one repeat depend on each other too: p is conservative there. None when no stratum holds two
    patients.
    """
    by_repeat: dict[str, list[FoldDistances]] = {}
    for fold in folds:
        by_repeat.setdefault(fold.repeat, []).append(fold)
    results, seen, most = [], set(), 0
    for members in by_repeat.values():
        terms = [(fold, group) for fold in members for group in fold.groups()]
        if not terms:
            continue
        folds_used = sum(1 for fold in members if any(True for _ in fold.groups()))
        results.append(_test_repeat(terms, folds_used, statistic, permutations, rng))
        most = max(most, folds_used)
        seen |= {str(name) for fold, group in terms for name in fold.patients[group]}
    if not results:
        return None
    p_values, z_values = np.array(results).T
    p = float(p_values[0]) if len(results) == 1 else min(1.0, 2 * float(np.median(p_values)))
    return Permuted(p, float(z_values.mean()), len(seen), len(results), most)


def _test_repeat(
    terms: Sequence[tuple[FoldDistances, np.ndarray]],
    folds: int,
    statistic: str,
    permutations: int,
    rng: np.random.Generator,
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
    p = (1 + int((spread_null(null, folds) >= observed - flat).sum())) / (permutations + 1)
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


@dataclass(frozen=True)
class Retrieved:
    """Score of each query, its chance level and the size of its gallery; whose query it was [m]."""

    scores: np.ndarray
    chance: np.ndarray
    patients: np.ndarray
    sizes: np.ndarray


def retrieval(rankings: Sequence[Ranking]) -> dict[str, Retrieved]:
    """Place of the true patient's real images in each query's gallery: ``top1``, ``top5`` and ``mrr``.

    A query is one patient's synthetic images of one fold. Queries whose gallery is the patient alone are left out,
    and from ``top5`` those with five patients or fewer, where it is always 1. A key without queries is missing.
    """
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for ranking in rankings:
        for stratum in np.unique(ranking.strata):
            queries, entries = ranking.strata == stratum, ranking.gallery_strata == stratum
            size = int(entries.sum())
            names = ranking.patients[queries]
            true = np.array([np.flatnonzero(ranking.gallery[entries] == name)[0] for name in names])
            for key, values in true_scores(ranking.distance[np.ix_(entries, queries)], true).items():
                if size > (max(TOPS) if key == f"top{max(TOPS)}" else 1):
                    level = np.full(len(names), chance_levels(size)[key])
                    parts.setdefault(key, []).append((values, level, names, np.full(len(names), size)))
    return {key: Retrieved(*map(np.concatenate, zip(*found, strict=True))) for key, found in parts.items()}
