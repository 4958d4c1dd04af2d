"""Dealing rows into folds, evenly within strata."""

from __future__ import annotations

import numpy as np


def deal(strata: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row: rows of one stratum are shuffled and dealt round, the next stratum goes on where it ended.

    So the sizes of the folds, and the counts of each stratum in them, differ by at most one, also where a stratum
    has fewer members than there are folds (scikit-learn's StratifiedKFold warns or refuses there).
    """
    assigned = np.empty(len(strata), dtype=np.int64)
    labels = rng.permutation(np.unique(strata))
    order = np.concatenate([rng.permutation(np.flatnonzero(strata == label)) for label in labels])
    assigned[order] = np.arange(len(strata)) % folds
    return rng.permutation(folds)[assigned]
