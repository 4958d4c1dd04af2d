"""Test 6 of condition adherence: do image features follow a condition that is moved in steps?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations as orderings

import numpy as np

STRICT = 1 - 1e-9


@dataclass(frozen=True)
class Series:
    """Features [s, d] of one patient's images at s increasing shifts of the condition, same noise in all of them."""

    patient: str
    values: np.ndarray


@dataclass(frozen=True)
class Response:
    """Observed value, mean of the null, one-sided p, z, per-patient values and their names."""

    value: float
    null: float
    p: float
    z: float
    per_patient: np.ndarray
    patients: np.ndarray


def spearman_orders(values: np.ndarray) -> np.ndarray:
    """Spearman correlation of each feature [s, d] with every order of the s shifts, [s!, d]; order 0 is the true one.

    A feature that does not vary has no order: its correlation is set to 0, so it counts as not monotone.
    """
    from scipy.stats import rankdata

    steps = len(values)
    ranks = rankdata(values, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    norm = np.sqrt((ranks**2).sum(axis=0))
    orders = np.array(list(orderings(range(steps))), dtype=float) - (steps - 1) / 2
    orders /= np.sqrt((orders[0] ** 2).sum())
    scaled: np.ndarray = orders @ np.divide(ranks, norm, out=np.zeros_like(ranks), where=norm > 0)
    return scaled


def monotone_share(series: Sequence[Series], *, permutations: int, rng: np.random.Generator) -> Response:
    """Share of features that rise or fall at every step, mean over patients, against shuffled steps.

    The null shuffles the steps of a patient for all features (and all repeats of that patient) together, because
    features are correlated; it is exact for each patient and drawn ``permutations`` times across patients.
    """
    orders = [(np.abs(spearman_orders(one.values)) >= STRICT).mean(axis=1) for one in series]
    table, names = _by_patient(orders, series)
    return _against_null(table[:, 0], table, names, permutations, rng)


def direction_agreement(series: Sequence[Series], *, permutations: int, rng: np.random.Generator) -> Response:
    """Mean over features of |mean over patients of Spearman's rho|: 1 when all patients respond in one direction."""
    table, names = _by_patient([spearman_orders(one.values) for one in series], series)
    observed = float(np.abs(table[:, 0].mean(axis=0)).mean())
    picks = rng.integers(0, table.shape[1], size=(permutations, len(names)))
    null = np.array([np.abs(table[np.arange(len(names)), pick].mean(axis=0)).mean() for pick in picks])
    own = np.sign(table[:, 0].mean(axis=0))
    return _summary(observed, null, (table[:, 0] * own).mean(axis=1), names)


def holm(p: Sequence[float]) -> np.ndarray:
    """P-values adjusted for their number by Holm 1979, in the order given."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _by_patient(values: Sequence[np.ndarray], series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the repeats of each patient: [p, s!, ...] and the patients, sorted."""
    owners = np.array([one.patient for one in series])
    names = np.unique(owners)
    stacked = np.stack(values)
    return np.stack([stacked[owners == name].mean(axis=0) for name in names]), names


def _against_null(
    own: np.ndarray, table: np.ndarray, names: np.ndarray, permutations: int, rng: np.random.Generator
) -> Response:
    picks = rng.integers(0, table.shape[1], size=(permutations, len(names)))
    return _summary(float(own.mean()), table[np.arange(len(names)), picks].mean(axis=1), own, names)


def _summary(value: float, null: np.ndarray, per_patient: np.ndarray, names: np.ndarray) -> Response:
    p = (1 + int((null >= value - 1e-12).sum())) / (len(null) + 1)
    spread = float(null.std())
    z = (value - float(null.mean())) / spread if spread > 1e-12 else 0.0
    return Response(value, float(null.mean()), p, z, per_patient, names)
