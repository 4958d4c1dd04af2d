"""What the features of an image do when one variable of its condition is moved (test 6 of condition adherence)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.audit.response import Series
from radgen_lib.audit.runs import AuditRun, Fold
from radgen_lib.audit.spaces import FeatureSpace, Owned, feature_columns

DIRECTION = "PC1"  # moves all variables together; the generators' name for it
CROSSING = "patients of this design also train the generator: agreement would be memory"
SHARED = "several folds of a repeat hold out the same patient: permutations would count it several times"
NO_IMAGES = "no images with a shifted condition were drawn for this generator"


@dataclass(frozen=True)
class ShiftedFold:
    """Held-out patients of one fold whose condition was moved, in SD of the fold's real training images.

    factors: names [v]; shifts: SD, increasing, 0 among them [s]; patients [p]; values [p, v, s, d]; real: the mean
    real image of every held-out patient [q, d].
    """

    fold: Fold
    factors: tuple[str, ...]
    shifts: np.ndarray
    patients: np.ndarray
    values: np.ndarray
    real: Owned

    def places(self, factor: str | None) -> list[int]:
        """Position of a factor, if this fold has it; of all single variables for None."""
        wanted = [name for name in self.factors if name != DIRECTION] if factor is None else [factor]
        return [i for i, name in enumerate(self.factors) if name in wanted]

    def slopes(self) -> np.ndarray:
        """Least-squares change of every feature per SD of the factor, [p, v, d]."""
        centred = self.shifts - self.shifts.mean()
        found: np.ndarray = np.einsum("s,pvsd->pvd", centred, self._changes()) / (centred**2).sum()
        return found

    def sizes(self) -> np.ndarray:
        """Mean over the shifts of |feature - feature at shift 0| per SD of the shift, [p, v, d]."""
        moved = self.shifts != 0
        steps = np.abs(self.shifts[moved])[:, None]
        found: np.ndarray = (np.abs(self._changes()[:, :, moved]) / steps).mean(axis=2)
        return found

    def _changes(self) -> np.ndarray:
        """From the image at shift 0: exactly 0 where nothing changed, so that rounding gives no slope a direction."""
        found: np.ndarray = self.values - self.values[:, :, self.shifts == 0]
        return found


@dataclass(frozen=True)
class Shifted:
    """All folds of a design over the same features, or the reason why there is nothing to test.

    crossing: why real images of the design cannot judge the generator, "" where they can.
    """

    folds: tuple[ShiftedFold, ...]
    columns: tuple[str, ...]
    families: tuple[str, ...]
    reason: str = ""
    crossing: str = ""

    def factors(self) -> list[str]:
        """Names of all factors, in order of first appearance."""
        return list(dict.fromkeys(name for fold in self.folds for name in fold.factors))

    def series(self, factor: str | None) -> list[Series]:
        """Features of each patient over the shifts of one factor; of every single variable for None."""
        return [
            Series(str(patient), fold.values[i, v])
            for fold in self.folds
            for v in fold.places(factor)
            for i, patient in enumerate(fold.patients)
        ]

    def by_family(self) -> dict[str, np.ndarray]:
        """Positions of the kept features by family (firstorder, glcm, ...); a family may have kept none."""
        owner = np.array([_family(column) for column in self.columns])
        return {family: np.flatnonzero(owner == family) for family in self.families}


def shifted(run: AuditRun, folds: Sequence[Fold], real_features: pd.DataFrame, extractor: str) -> Shifted:
    """Build the folds of a design.

    Features are kept that vary between the real training patients of every fold and are finite in every image used.
    """
    columns = feature_columns(extractor, real_features, run.features)
    families = tuple(dict.fromkeys(map(_family, columns)))
    index = run.index[run.index["kind"] == "response"] if {"factor", "shift"} <= set(run.index) else run.index[:0]
    drawn = [fold for fold in folds if len(fold.test) and (index["fold"] == fold.name).any()]
    if not drawn:
        return Shifted((), (), families, NO_IMAGES)
    real = real_features.set_index("image_index")
    kept = columns
    for fold in drawn:
        rows = index.index[index["fold"] == fold.name]
        there = [table[kept].to_numpy(dtype=float) for table in (run.features.loc[rows], real.loc[fold.test])]
        kept = [name for name, fine in zip(kept, _finite(there), strict=True) if fine]
        kept = list(_space(real, fold, kept).columns)
    if not kept:
        return Shifted((), (), families, f"no {extractor} feature is finite and varies in every fold")
    found = [_fold(run, index, fold, real, kept) for fold in drawn]
    whole = tuple(one for one in found if len(one.patients))
    why = "" if whole else "no patient has an image at every shift"
    return Shifted(whole, tuple(kept), families, why, _crossing(folds, real["patient"].astype(str)))


def _crossing(folds: Sequence[Fold], owner: pd.Series) -> str:
    """Why held-out patients (``owner`` of each image) are not new to their generator, or not one of a repeat's."""
    held_out: dict[str, set[str]] = {}
    sharing = ""
    for fold in folds:
        test = set(owner.loc[fold.test])
        if test & set(owner.loc[fold.train]):
            return CROSSING
        sharing = SHARED if test & held_out.setdefault(fold.repeat, set()) else sharing
        held_out[fold.repeat] |= test
    return sharing


def _fold(run: AuditRun, index: pd.DataFrame, fold: Fold, real: pd.DataFrame, columns: list[str]) -> ShiftedFold:
    space, rows = _space(real, fold, columns), index[index["fold"] == fold.name]
    tested = real.loc[fold.test]
    values = space.transform(run.features.loc[rows.index])
    at = {
        key: i
        for i, key in enumerate(zip(rows["condition_patient"].astype(str), rows["factor"], rows["shift"], strict=True))
    }
    shifts = np.sort(rows["shift"].unique())
    factors = tuple(name for name in rows["factor"].unique() if name)
    # The image at the patient's own condition is drawn once and belongs to every factor.
    places = {
        patient: [[at.get((patient, factor if shift else "", shift)) for shift in shifts] for factor in factors]
        for patient in sorted(rows["condition_patient"].astype(str).unique())
    }
    whole = {name: table for name, table in places.items() if all(i is not None for line in table for i in line)}
    shape = (len(whole), len(factors), len(shifts))
    order = np.array(list(whole.values()), dtype=int).reshape(shape)
    means = Owned(space.transform(tested), tested["patient"].to_numpy(dtype=str)).means()
    return ShiftedFold(fold, factors, shifts, np.array(list(whole), dtype=str), values[order], means)


def _space(real: pd.DataFrame, fold: Fold, columns: list[str]) -> FeatureSpace:
    training = real.loc[fold.train]
    return FeatureSpace.fit(training, columns, training["patient"].to_numpy(dtype=str))


def _finite(tables: Sequence[np.ndarray]) -> np.ndarray:
    found: np.ndarray = np.all([np.isfinite(table).all(axis=0) for table in tables], axis=0)
    return found


def _family(column: str) -> str:
    """``glcm`` of ``radiomics:glcm_Contrast``."""
    return column.partition(":")[2].partition("_")[0]
