"""One fold of one generator, ready for the tests: held-out patients, real and synthetic images in one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.audit.matching import FoldDistances, Ranking, pair_distances
from radgen_lib.audit.runs import AuditRun, Fold
from radgen_lib.audit.sensitivity import Draws
from radgen_lib.audit.spaces import FeatureSpace, Owned, block_mean, feature_columns

WITHIN_SITE, OVERALL = "within_site", "overall"


@dataclass(frozen=True)
class FoldSpace:
    """Images of one fold in a feature space fitted on its real training images.

    train: one row per training patient; real: held-out real images; synthetic: draws of held-out conditions (owner =
    condition patient), ``patients``: held-out patients that have both, sorted; others: real images of the patients
    that other folds of the repeat hold out. They may have trained this fold's generator.
    """

    fold: Fold
    patients: np.ndarray
    train: Owned
    real: Owned
    synthetic: Owned
    others: Owned


def fold_space(
    run: AuditRun, fold: Fold, real_features: pd.DataFrame, extractor: str, held_out: np.ndarray | None = None
) -> FoldSpace | None:
    """Build the space of one fold; None when the fold has no held-out samples or no usable feature.

    ``held_out``: image indexes that the folds of the repeat hold out (default: this fold's). Features that are not
    finite in one of their real images or in a synthetic image of the fold are left out for the fold.
    """
    rows = run.rows("heldout", fold.name)
    real = real_features.set_index("image_index")
    tested, training = real.loc[fold.test], real.loc[fold.train]
    owners = run.index["condition_patient"].to_numpy(dtype=str)[rows]
    patients = np.intersect1d(tested["patient"].to_numpy(dtype=str), owners)
    columns = feature_columns(extractor, real_features, run.features)
    if not len(rows) or not len(patients) or not columns:
        return None
    train_owners = training["patient"].to_numpy(dtype=str)
    test_owners = tested["patient"].to_numpy(dtype=str)
    others = real.loc[fold.test[:0] if held_out is None else held_out]
    others = others[~others["patient"].isin(test_owners)]
    drawn = run.features.iloc[rows]
    space = FeatureSpace.fit(training, columns, train_owners)
    space = space.without(
        np.any([~np.isfinite(space.transform(table)).all(axis=0) for table in (tested, drawn, others)], axis=0)
    )
    if not space.columns:
        return None
    return FoldSpace(
        fold,
        patients,
        Owned(space.transform(training), train_owners).means(),
        Owned(space.transform(tested), test_owners).of(patients),
        Owned(space.transform(drawn), owners).of(patients),
        Owned(space.transform(others), others["patient"].to_numpy(dtype=str)),
    )


def distances(spaces: Sequence[FoldSpace], sites: dict[str, str], scope: str) -> list[FoldDistances]:
    """Distance matrices of the folds; the stratum is the patient's site, or one for all under ``overall``."""
    found = []
    for space in spaces:
        table = pair_distances(
            space.real.values, space.real.owners, space.synthetic.values, space.synthetic.owners, space.patients
        )
        strata = _strata(space.patients, sites, scope)
        found.append(FoldDistances(space.fold.repeat, space.patients, strata, table))
    return found


def rankings(spaces: Sequence[FoldSpace], sites: dict[str, str], scope: str) -> list[Ranking]:
    """Each fold's queries in the gallery of all held-out patients of the repeat, in the space of the querying fold.

    The patient's own entry holds the images that the querying fold holds out.
    """
    found = []
    for space in spaces:
        values = np.concatenate([space.real.values, space.others.values])
        owners = np.concatenate([space.real.owners, space.others.owners])
        gallery = np.unique(owners)
        table = pair_distances(values, owners, space.synthetic.values, space.synthetic.owners, space.patients, gallery)
        strata, gallery_strata = (_strata(names, sites, scope) for names in (space.patients, gallery))
        found.append(Ranking(space.patients, strata, gallery, gallery_strata, table))
    return found


def _strata(names: np.ndarray, sites: dict[str, str], scope: str) -> np.ndarray:
    return np.array([sites[name] if scope == WITHIN_SITE else "all" for name in names])


def feature_draws(spaces: Sequence[FoldSpace]) -> list[Draws]:
    """Draws by condition in feature space, per fold."""
    return [_draws(space.synthetic, space.patients) for space in spaces]


def pixel_draws(run: AuditRun, folds: Sequence[Fold]) -> list[Draws]:
    """Draws by held-out condition as 32 x 32 block means, per fold."""
    found = []
    for fold in folds:
        rows = run.rows("heldout", fold.name)
        if len(rows):
            owners = run.index["condition_patient"].to_numpy(dtype=str)[rows]
            found.append(_draws(Owned(block_mean(run.samples[rows]), owners), np.unique(owners)))
    return found


def _draws(rows: Owned, patients: np.ndarray) -> Draws:
    """Rows by patient; every patient keeps as many draws as the one with the fewest."""
    groups = [rows.values[rows.owners == name] for name in patients]
    fewest = min(len(group) for group in groups)
    return Draws(np.stack([group[:fewest] for group in groups]), patients)
