"""Membership inference: can one tell from the synthetic images who trained the generator?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radgen_lib.audit.nearest import FoldNearest
from radgen_lib.audit.runs import Fold


def attack_distances(distance: np.ndarray, owners: np.ndarray, conditions: np.ndarray) -> dict[str, float]:
    """Attack score of each real patient: distance of its images to the nearest synthetic image, smaller = member.

    Images drawn for a held-out patient's own condition would give that patient away, and training patients have none.
    So one held-out condition at a time is left out of the synthetic images: a held-out patient is scored without its
    own, a training patient by the mean over the conditions left out; both then face equally many images.
    distance: [real images, samples]; owners: patient of each real image; conditions: condition patient of each sample.
    """
    names = np.unique(conditions)
    left_out = np.stack([distance[:, conditions != name].min(axis=1) for name in names])
    scores = {}
    for patient in np.unique(owners):
        mine = left_out[:, owners == patient].mean(axis=1)
        own = np.flatnonzero(names == patient)
        scores[str(patient)] = float(mine[own[0]] if len(own) else mine.mean())
    return scores


def membership_counts(
    found: Sequence[FoldNearest], folds: Sequence[Fold], owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patients [p], and over all folds how often member i is nearer than non-member j (ties half), and how often asked.

    ``owners``: patient of each image, "" where an image could not be used. Members have a training image in the fold;
    non-members are held out and have none. Pairs are compared inside a fold only. Returns names, wins [p, p] and
    pairs [p, p].
    """
    by_name = {fold.name: fold for fold in folds}
    names = np.unique(owners[owners != ""])
    place = {str(name): i for i, name in enumerate(names)}
    wins, pairs = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    for one in found:
        if not one.held_out or len(np.unique(one.synthetic_patients)) < 2:
            continue
        scores = attack_distances(one.between, owners[one.real_images], one.synthetic_patients)
        members = {str(name) for name in owners[by_name[one.name].train]}
        outside = [name for name in scores if name not in members]
        for i in sorted(members):
            for j in outside:
                wins[place[i], place[j]] += float(scores[i] < scores[j]) + 0.5 * float(scores[i] == scores[j])
                pairs[place[i], place[j]] += 1
    return names, wins, pairs


def membership_auc(rows: np.ndarray, wins: np.ndarray, pairs: np.ndarray) -> float:
    """AUROC of the attack for patients ``rows`` (repeats allowed): 0.5 = nothing learnt about membership."""
    weight = np.bincount(rows, minlength=len(wins)).astype(float)
    asked = float(weight @ pairs @ weight)
    return float(weight @ wins @ weight) / asked if asked else float("nan")
