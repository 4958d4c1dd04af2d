"""Permutation nulls of a score that is summed over the folds of one repeat (tests 2, 3 and 6 of condition adherence).

Inside a fold the held-out patients are exchangeable, but the folds are not independent of each other: patient i of one
fold is judged by what that fold's generator learned, from patient j of another fold among others, and j by what was
learned from i. Each pair of patients of two folds enters the observed sum twice, in nearly the same way. Permutations
inside the folds break both terms independently, so their sum varies less than the observed one does under no effect.
Two copies of a term have at most twice the variance of two independent ones, so spreading the null about its mean by
the square root of two bounds it. A generator that learns less has less of the excess: for it p is too large, never too
small by this. A single fold has no such pairs.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

SPREAD = sqrt(2)
TOLD = "null spread by sqrt(2), conservative: each fold's generator learned from the patients of the other folds"


def spread_null(null: np.ndarray, folds: int) -> np.ndarray:
    """``null`` [P] of a sum over ``folds`` folds, spread about its mean where they are several; NaN stay NaN."""
    centre = np.nanmean(null)
    return null if folds < 2 else centre + SPREAD * (null - centre)


def told(text: str, folds: int) -> str:
    """``text`` about the permutations, with what was done to a null of several folds."""
    return text if folds < 2 else f"{text}; {TOLD}"
