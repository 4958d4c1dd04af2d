"""Test 4 of condition adherence: can the condition be read from images, and more so than from real ones?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from radgen_lib.audit.spaces import Owned, patient_means
from radgen_lib.omics.conditions import ConditionScaler

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 5, 15))
FEWEST_PATIENTS = 5
Arm = Literal["real", "synthetic"]


@dataclass(frozen=True)
class ReadBack:
    """Factors read from images, one row per held-out patient (and fold), each array [rows, factors].

    truth: the factor in units of the training SD about the training mean. first and second: by arm, mean and mean
    square of the value read over the patient's images, so that a patient counts once whatever the number of images.
    """

    factors: tuple[str, ...]
    patients: np.ndarray
    truth: np.ndarray
    first: dict[Arm, np.ndarray]
    second: dict[Arm, np.ndarray]
    folds: np.ndarray

    def r_squared(self, arm: Arm, rows: np.ndarray, factor: int | None = None) -> float:
        """1 - squared error / squared distance from the training mean; at or below 0 for a useless reader.

        ``rows`` may repeat; ``factor`` None pools all factors.
        """
        columns = _columns(factor)
        y, first, second = (t[rows][:, columns] for t in (self.truth, self.first[arm], self.second[arm]))
        total = float((y**2).sum())
        return 1.0 - float((second - 2 * y * first + y**2).sum()) / total if total > 0 else float("nan")

    def correlation(self, arm: Arm, rows: np.ndarray, factor: int | None = None) -> float:
        """Correlation of read and true factor inside folds (mean over factors for None).

        It does not depend on the scale: an exaggerated watermark has a poor R2 and a perfect correlation. Both sides
        are centred on their fold, so that the level of a fold's reader is not taken for knowledge of its patients. A
        reader that says the same of everyone has no correlation: 0.
        """
        columns = _columns(factor)
        y, first, second = (t[rows][:, columns] for t in self._centred[arm])
        spread = second.mean(axis=0) * (y**2).mean(axis=0)
        known = spread > 1e-18
        found = (y * first).mean(axis=0) / np.sqrt(np.where(known, spread, 1.0))
        return float(np.where(known, found, 0.0).mean())

    @cached_property
    def _centred(self) -> dict[Arm, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Truth, mean and mean square by arm, about the means of the fold."""
        y = self.truth - _fold_means(self.truth, self.folds)
        centred: dict[Arm, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for arm, first in self.first.items():
            level = _fold_means(first, self.folds)
            centred[arm] = y, first - level, self.second[arm] - 2 * level * first + level**2
        return centred


def _columns(factor: int | None) -> slice:
    return slice(None) if factor is None else slice(factor, factor + 1)


def _fold_means(values: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The fold's mean for each row, [rows, factors]."""
    means, names = patient_means(values, folds)
    return means[np.searchsorted(names, folds)]


def read_back(
    features: Owned, factors: pd.DataFrame, held_out: np.ndarray, real: Owned, synthetic: Owned, *, log: bool = False
) -> ReadBack:
    """Fit image features -> condition on real training patients and apply it to held-out real and synthetic images.

    Args:
        features: features of the training patients [p, d], one row a patient.
        factors: raw values of the condition by patient (index), for training and held-out patients.
        held_out: names of the held-out patients [q].
        real: features of held-out real images and the patient of each.
        synthetic: features of synthetic images and the patient whose condition each was drawn from.
        log: take logarithms first (expression), as the generators do.

    The ridge penalty of each factor is chosen by leaving out one training patient at a time (scikit-learn's RidgeCV).
    Raises ValueError with fewer than five training patients.
    """
    from sklearn.linear_model import RidgeCV

    if len(features.owners) < FEWEST_PATIENTS:
        raise ValueError(f"read-back: {len(features.owners)} training patients, needs {FEWEST_PATIENTS}")
    scaler = ConditionScaler.fit(factors.loc[features.owners], "cohort_zscore", log=log)
    targets, truth = (
        scaler.transform(factors.loc[names].to_numpy(dtype=float)).astype(np.float64)
        for names in (features.owners, held_out)
    )
    model = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(features.values, targets)
    first: dict[Arm, np.ndarray] = {}
    second: dict[Arm, np.ndarray] = {}
    arms: dict[Arm, Owned] = {"real": real, "synthetic": synthetic}
    for arm, images in arms.items():
        said = model.predict(images.values).reshape(len(images.owners), truth.shape[1])
        groups = [said[images.owners == name] for name in held_out]
        first[arm] = np.stack([group.mean(axis=0) for group in groups])
        second[arm] = np.stack([(group**2).mean(axis=0) for group in groups])
    return ReadBack(tuple(map(str, factors.columns)), held_out, truth, first, second, np.zeros(len(held_out), int))


def stack(parts: Sequence[ReadBack]) -> ReadBack:
    """Join the folds' results; ValueError when their factors differ."""
    if len({part.factors for part in parts}) != 1:
        raise ValueError("read-back: the folds name different factors")
    arms: tuple[Arm, Arm] = ("real", "synthetic")
    return ReadBack(
        parts[0].factors,
        np.concatenate([part.patients for part in parts]),
        np.concatenate([part.truth for part in parts]),
        {arm: np.concatenate([part.first[arm] for part in parts]) for arm in arms},
        {arm: np.concatenate([part.second[arm] for part in parts]) for arm in arms},
        np.repeat(np.arange(len(parts)), [len(part.patients) for part in parts]),
    )
