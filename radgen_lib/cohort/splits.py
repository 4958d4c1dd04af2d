"""Splits of the imaged patients, drawn once and written as a file that every fit reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radgen_lib.cohort.dealing import deal
from radgen_lib.cohort.endpoints import endpoint_splits
from radgen_lib.cohort.ids import site_of
from radgen_lib.cohort.published import PUBLISHED_TEST, published_test
from radgen_lib.core.config.cohort import Splits
from radgen_lib.core.errors import ConfigError, DataError, LeakageError
from radgen_lib.core.plan import PUBLISHED_FOLDS, fold_names
from radgen_lib.core.seeds import make_rng

__all__ = ["DESIGNS", "SPLIT_COLUMNS", "check_splits", "endpoint_splits", "image_splits"]

DESIGNS = ("published_split", "published_folds", "grouped", "site", "full")
SPLIT_COLUMNS = ("design", "fold", "image_index", "patient", "role")
Fold = tuple[str, frozenset[int]]


def image_splits(
    patients: pd.DataFrame,
    series: pd.DataFrame,
    *,
    folds: int,
    repeats: int,
    seed: int,
    designs: Sequence[str] | None = None,
    sites: Mapping[str, Sequence[str]] | None = None,
    stand_in: bool = True,
) -> pd.DataFrame:
    """Train and test images of every fold of every design: design, fold, image_index, patient, role.

    - ``published_split``: images of the papers' four test series (those that exist) are the test part; patients cross.
      In a cohort with none of them images 1, 16, 24 and 33 stand in, unless ``stand_in`` is False, as it must be where
      the results are held against the papers' numbers.
    - ``published_folds``: a random partition of the images into 15 folds as even as possible (58: 13 of 4 and 2 of
      3), not grouped; patients cross. The papers give no list of theirs, so the draw is our own in every cohort.
    - ``grouped``: ``folds`` folds by patient, drawn ``repeats`` times, stratified by site and ER status.
    - ``site``: each group of ``sites`` (None: those of the released cohort) held out once; a group with no image, or
      with all of them, has no fold.
    - ``full``: every image trains, nothing is tested.

    ``designs`` names the wanted ones; None takes all, without those published ones that need more or other images
    (the log names them). Names of folds are those of :func:`radgen_lib.core.plan.fold_names`. The result depends on
    the sets of patients and images and on ``seed``, not on the order of rows. Raises ConfigError when there are fewer
    patients (or images) than folds, or for an unknown design, DataError when a published test image is needed and none
    exists.
    """
    single = published_test(series, stand_in=stand_in)
    wanted = _possible(series, single) if designs is None else designs
    series = series.sort_values("image_index")
    groups = Splits().sites if sites is None else sites
    named = Splits(folds=folds, repeats=repeats, sites={name: list(codes) for name, codes in groups.items()})
    names = {design: fold_names(design, named) for design in wanted}
    parts = []
    for design in wanted:
        for fold, test in _held_out(design, names[design], patients, series, folds, seed, groups, single):
            part = series[["image_index", "patient"]].copy()
            part["design"], part["fold"] = design, fold
            part["role"] = np.where(part["image_index"].isin(test), "test", "train")
            parts.append(part)
    if not parts:
        return pd.DataFrame(columns=list(SPLIT_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(SPLIT_COLUMNS)]


def _possible(series: pd.DataFrame, single: frozenset[int]) -> list[str]:
    impossible = {
        "published_split": not single,
        "published_folds": len(series) < PUBLISHED_FOLDS,
    }
    left_out = [design for design, is_so in impossible.items() if is_so]
    if left_out:
        logging.getLogger("radgen").warning("%d images: no folds of %s", len(series), ", ".join(left_out))
    return [design for design in DESIGNS if design not in left_out]


def _held_out(
    design: str,
    names: Sequence[str],
    patients: pd.DataFrame,
    series: pd.DataFrame,
    folds: int,
    seed: int,
    sites: Mapping[str, Sequence[str]],
    single: frozenset[int],
) -> list[Fold]:
    if design == "published_split":
        return [(names[0], _some(single))]
    if design == "published_folds":
        return _image_folds(names, series, seed)
    if design == "grouped":
        return _grouped(names, patients, series, folds, seed)
    if design == "site":
        return _sites(series, sites)
    if design == "full":
        return [(names[0], frozenset())]
    raise ConfigError(f"design {design!r} is not known. Allowed: {', '.join(DESIGNS)}")


def _some(single: frozenset[int]) -> frozenset[int]:
    if not single:
        raise DataError(
            f"published_split: none of the images {', '.join(map(str, PUBLISHED_TEST))} is there, by its series or "
            "(in a cohort of other series) by its number. Leave published_split out of the designs of this cohort"
        )
    return single


def _image_folds(names: Sequence[str], series: pd.DataFrame, seed: int) -> list[Fold]:
    if len(series) < PUBLISHED_FOLDS:
        raise ConfigError(
            f"published_folds: {PUBLISHED_FOLDS} folds need as many images, this cohort has {len(series)}. "
            "Leave published_folds out of the designs"
        )
    order = make_rng(seed, "published_folds").permutation(series["image_index"].to_numpy())
    parts = np.array_split(order, len(names))
    return [(name, frozenset(part.tolist())) for name, part in zip(names, parts, strict=True)]


def _grouped(names: Sequence[str], patients: pd.DataFrame, series: pd.DataFrame, folds: int, seed: int) -> list[Fold]:
    imaged = patients[patients["patient"].isin(series["patient"])].sort_values("patient")
    if len(imaged) < folds:
        raise ConfigError(
            f"cohorts.*.splits.folds = {folds}: only {len(imaged)} patients have images. Allowed: 2 to {len(imaged)}"
        )
    strata = (imaged["site"] + " er " + imaged["er"].map(str)).to_numpy()
    held_out: list[Fold] = []
    for repeat in range(len(names) // folds):
        dealt = deal(strata, folds, make_rng(seed, "grouped", repeat))
        for fold in range(folds):
            group = imaged["patient"].to_numpy()[dealt == fold]
            images = series.loc[series["patient"].isin(group), "image_index"]
            held_out.append((names[repeat * folds + fold], frozenset(images.tolist())))
    return held_out


def _sites(series: pd.DataFrame, sites: Mapping[str, Sequence[str]]) -> list[Fold]:
    site = series["patient"].map(site_of)
    tests = {
        f"site-{group}": frozenset(series.loc[site.isin(members), "image_index"].tolist())
        for group, members in sites.items()
    }
    return [(name, test) for name, test in tests.items() if 0 < len(test) < len(series)]


def check_splits(splits: pd.DataFrame, *, split_unit: str) -> pd.DataFrame:
    """Patients on both sides of a fold: design, fold, patient, train_images, test_images (empty when there is none).

    Raises LeakageError naming the first of them when ``split_unit`` is ``"patient"``.
    """
    sides = splits.pivot_table(
        index=["design", "fold", "patient"], columns="role", values="image_index", aggfunc="count", fill_value=0
    ).reindex(columns=["train", "test"], fill_value=0)
    both = sides[(sides["train"] > 0) & (sides["test"] > 0)].rename(
        columns={"train": "train_images", "test": "test_images"}
    )
    crossings = both.rename_axis(columns=None).reset_index()
    if split_unit == "patient" and len(crossings):
        first = crossings.iloc[0]
        raise LeakageError(
            f"splits: design {first['design']}, fold {first['fold']}: patient {first['patient']} stands on both sides "
            f"({len(crossings)} such crossings). Split by patient, or use split_unit: image in as_published only"
        )
    return crossings
