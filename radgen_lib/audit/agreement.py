"""Do real images say the same as a generator's response to a moved variable? (test 6 of condition adherence).

The real side is the rank correlation of the variable with each feature over real images of held-out patients, one value
per patient. It is taken inside each fold, where nobody trained the fold's generator: over all patients at once, those
who trained it would bring the chance associations that it learned from them, and agreement would be found in noise.
That keeps the value at 0 on average where nothing is associated. It does not make the folds independent: what a fold's
generator learned by chance from the patients of another fold returns there with the sides exchanged, so the null of a
repeat with several folds is spread (:mod:`radgen_lib.audit.nulls`) and p is conservative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from radgen_lib.audit.nulls import spread_null

FEWEST_REAL = 8


@dataclass(frozen=True)
class RealFold:
    """Real images and responses of one fold's held-out patients.

    patients [q] with their variables x [q, v], features y [q, d] and stratum [q]; responding [p]: those of the
    patients whose condition was moved, with slopes [p, v, d]; repeat: of the folds.
    """

    repeat: str
    patients: np.ndarray
    x: np.ndarray
    y: np.ndarray
    strata: np.ndarray
    responding: np.ndarray
    slopes: np.ndarray

    def groups(self) -> list[np.ndarray]:
        """Positions of the patients of each stratum that holds two or more."""
        found = [np.flatnonzero(self.strata == name) for name in np.unique(self.strata)]
        return [group for group in found if len(group) > 1]

    def freedom(self) -> int:
        """Patients of those strata less one a stratum: the fold's weight. A pair says little, but folds add up."""
        return sum(len(group) - 1 for group in self.groups())


@dataclass(frozen=True)
class Agreement:
    """Agreement of every variable [v]; by repeat observed [r, v] and with permuted patients [r, P, v]; drawn [B, v].

    n: patients with a real image that count; folds: that count, by repeat [r].
    """

    value: np.ndarray
    observed: np.ndarray
    null: np.ndarray
    drawn: np.ndarray
    n: int
    folds: tuple[int, ...]

    def of(self, variable: int | None) -> tuple[float, float, np.ndarray]:
        """Value, one-sided p and resampled values [B] of one variable, or of the mean over them (None).

        Repeats of the folds hold the same patients: with several, p = min(1, 2 median p), as in test 2. A permutation
        without a value counts against the claim.
        """
        value, observed, null, drawn = (
            mean_known(table, axis=-1) if variable is None else table[..., variable]
            for table in (self.value, self.observed, self.null, self.drawn)
        )
        p = [
            (1 + int((~(spread_null(other, folds) < one - 1e-12)).sum())) / (len(other) + 1)
            for one, other, folds in zip(observed, null, self.folds, strict=True)
            if np.isfinite(one)
        ]
        joined = float("nan") if not p else p[0] if len(p) == 1 else min(1.0, 2 * float(np.median(p)))
        return float(value), joined, drawn


def agreement(
    folds: Sequence[RealFold],
    *,
    permutations: int,
    counts: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    joined: bool = False,
) -> Agreement | str:
    """Spearman correlation over features of mean slope and real association: mean over folds, weighted by patients.

    The null permutes the variables among the real patients of a stratum, all variables together; where a repeat has
    several folds it is spread, as they learned from one another's patients. ``counts`` maps the
    patients [n] to how often each is drawn [B, n]; both sides are resampled by it, with ranks kept. ``joined``: the
    variables differ between folds, only their mean is kept (v = 1). Returns the reason where there are too few real
    patients.
    """
    usable = [fold for fold in folds if fold.freedom() and len(fold.responding)]
    real = [fold.patients[group] for fold in usable for group in fold.groups()]
    n = len(np.unique(np.concatenate(real))) if real else 0
    if n < FEWEST_REAL:
        return f"{n} held-out patients have a real image and others of the fold (and stratum), {FEWEST_REAL} are needed"
    people = np.unique(np.concatenate([names for fold in usable for names in (fold.patients, fold.responding)]))
    weights = counts(people)
    by_repeat: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for fold in usable:
        ranked = Ranked.of(fold)
        own, others = (weights[:, np.searchsorted(people, names)] for names in (fold.patients, fold.responding))
        tables = (ranked.observed(), ranked.permuted(permutations, rng), ranked.resampled(own, others))
        kept = [mean_known(table, axis=-1)[..., None] if joined else table for table in tables]
        by_repeat.setdefault(fold.repeat, []).append((np.array(fold.freedom()), *kept))
    observed, null, drawn = (np.stack([_over_folds(parts, i) for parts in by_repeat.values()]) for i in (1, 2, 3))
    folds_used = tuple(len(parts) for parts in by_repeat.values())
    return Agreement(mean_known(observed, 0), observed, null, mean_known(drawn, 0), n, folds_used)


def _over_folds(parts: Sequence[tuple[np.ndarray, ...]], place: int) -> np.ndarray:
    return mean_known(np.stack([part[place] for part in parts]), 0, [float(part[0]) for part in parts])


@dataclass(frozen=True)
class Ranked:
    """Ranks of one fold's real side, centred inside each stratum: x [q, v], y [q, d] without features that do not vary.

    slopes [p, v, d] of the same features; groups: positions of the patients of each stratum.
    """

    groups: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(cls, fold: RealFold) -> Ranked:
        """Rank inside the strata; a rank is divided by the stratum's size + 1, so that strata of any size compare."""
        from scipy.stats import rankdata

        groups = fold.groups()
        x, y = np.zeros(fold.x.shape), np.zeros(fold.y.shape)
        for group in groups:
            for ranks, values in ((x, fold.x), (y, fold.y)):
                own = rankdata(values[group], axis=0) / (len(group) + 1)
                ranks[group] = own - own.mean(axis=0)
        varies = (y**2).sum(axis=0) > 0
        return cls(groups, x, y[:, varies], fold.slopes[:, :, varies])

    def observed(self) -> np.ndarray:
        """Agreement of every variable, [v]."""
        return self._permuted(np.arange(len(self.x))[None])[0]

    def permuted(self, permutations: int, rng: np.random.Generator) -> np.ndarray:
        """The same with the variables of patients permuted inside strata, [P, v]."""
        order = np.tile(np.arange(len(self.x)), (permutations, 1))
        for group in self.groups:
            order[:, group] = group[rng.random((permutations, len(group))).argsort(axis=1)]
        return self._permuted(order)

    def _permuted(self, order: np.ndarray) -> np.ndarray:
        norms = np.sqrt((self.y**2).sum(axis=0))
        columns = zip(self.x.T, self.slopes.mean(axis=0), strict=True)
        return np.stack([_against(x[order] @ (self.y / norms), b[None]) for x, b in columns], axis=-1)

    def resampled(self, own: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The same with real patients counted ``own`` [B, q] times and responses ``others`` [B, p] times: [B, v]."""
        drawn = others.sum(axis=1, keepdims=True)
        found = []
        for v, x in enumerate(self.x.T):
            shared, spread = np.zeros((2, len(own), self.y.shape[1]))
            for group in self.groups:
                w, y = own[:, group].astype(float), self.y[group]
                n, sum_y = np.maximum(w.sum(axis=1, keepdims=True), 1), w @ y
                shared += (w * x[group]) @ y - (w @ x[group])[:, None] * sum_y / n
                spread += w @ y**2 - sum_y**2 / n
            real = np.divide(shared, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(shared), where=spread > 1e-12)
            slopes = np.divide(others @ self.slopes[:, v], drawn, out=np.full_like(shared, np.nan), where=drawn > 0)
            found.append(_against(real, slopes))
        return np.stack(found, axis=-1)


def _against(associations: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Few patients give many associations of the same size, which rounding must not put in an order."""
    return row_spearman(associations.round(9), slopes)


def row_spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman correlation of each row of a [m, d] with that of b [m or 1, d]: [m], NaN where a row does not vary."""
    from scipy.stats import rankdata

    ranks = []
    for values in (a, b):
        known = np.isfinite(values).all(axis=1, keepdims=True)
        own = np.where(known, rankdata(np.where(known, values, 0.0), axis=1), np.nan)
        ranks.append(own - own.mean(axis=1, keepdims=True))
    norm = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return np.divide((ranks[0] * ranks[1]).sum(axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def mean_known(values: np.ndarray, axis: int, weights: Sequence[float] | None = None) -> np.ndarray:
    """Weighted mean of the entries that are numbers along ``axis``; NaN where none is."""
    known = np.isfinite(values)
    shape = [1] * values.ndim
    shape[axis] = -1
    share = np.ones(values.shape[axis]) if weights is None else np.asarray(weights, dtype=float)
    each = known * share.reshape(shape)
    total = each.sum(axis=axis)
    sums = (np.where(known, values, 0.0) * each).sum(axis=axis)
    found: np.ndarray = np.divide(sums, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return found
