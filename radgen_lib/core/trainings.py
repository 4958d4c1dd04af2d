"""Names of further trainings: the published single split, trained again from seeds of their own.

A fold is a line of the split file. A further training is none: it shares images and patients with the fold it repeats,
so the split file does not know it, and whoever goes through the split file's folds does not meet it.
"""

from __future__ import annotations

import re

SINGLE_SPLIT = "split"
TRAININGS = "split_trainings"  # design of results over all trainings of the single split
_FURTHER = re.compile(rf"({SINGLE_SPLIT})-s[1-9]\d*")


def further_trainings(trainings: int) -> list[str]:
    """Names of the trainings after the first: ``split-s1``, ``split-s2`` for three trainings in all."""
    return [f"{SINGLE_SPLIT}-s{number}" for number in range(1, trainings)]


def split_of(training: str) -> str:
    """Fold of the split file that a training takes its images from: ``split`` of ``split-s1``, else the same name."""
    found = _FURTHER.fullmatch(training)
    return found[1] if found else training


def is_further(training: str) -> bool:
    """Whether the name is that of a further training, not of a fold of the split file."""
    return split_of(training) != training
