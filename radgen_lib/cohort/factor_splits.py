"""Splits of the patients whom a factorisation of the omics takes: with MRI or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radgen_lib.cohort.dealing import deal
from radgen_lib.cohort.ids import site_of
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.plan import PREDICTION_FOLD
from radgen_lib.core.seeds import make_rng

FACTOR_SPLIT_COLUMNS = ("fold", "patient", "role")
DESIGNS = ("grouped", "site", "full")
STRATA = ("subtype", "er")


def factor_splits(
    everyone: Sequence[str],
    patients: pd.DataFrame,
    image_splits: pd.DataFrame,
    *,
    folds: int,
    repeats: int,
    seed: int,
    sites: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Who trains and who is projected in each fit of the factors: fold, patient, role (``train``, ``test``).

    - one fold for each of the generators' (designs ``grouped``, ``site`` and ``full`` of ``image_splits``), with its
      name: the imaged test patients are left out of the fit; for a held-out site all patients of the site are,
    - ``cv0-0``, ...: ``folds`` folds over all patients of the tensor, drawn ``repeats`` times, stratified by subtype
      (where it is not known, by ER), for predictions from the factors themselves.

    Args:
        everyone: patients of the tensor.
        patients: the cohort's patient table (patient, subtype, er); a patient without row is a stratum of its own.
        image_splits: what :func:`radgen_lib.cohort.splits.image_splits` gave.

    Raises ConfigError when there are fewer patients than folds.
    """
    names = np.array(sorted(everyone), dtype=object)
    if len(names) < folds:
        raise ConfigError(f"factors.folds = {folds}: the tensor has {len(names)} patients only. Choose fewer folds")
    clean = image_splits[image_splits["design"].isin(DESIGNS)]
    parts = []
    for fold, rows in clean.groupby("fold", sort=False):
        test = set(rows.loc[rows["role"] == "test", "patient"])
        codes = sites.get(str(fold).removeprefix("site-"), ()) if str(fold).startswith("site-") else ()
        held_out = np.array([name in test or site_of(name) in codes for name in names], dtype=bool)
        parts.append(_part(str(fold), names, held_out))
    strata = _strata(names, patients)
    for repeat in range(repeats):
        assigned = deal(strata, folds, make_rng(seed, "factor_splits", repeat))
        parts += [_part(PREDICTION_FOLD.format(repeat, fold), names, assigned == fold) for fold in range(folds)]
    return pd.concat(parts, ignore_index=True)


def _part(fold: str, names: np.ndarray, held_out: np.ndarray) -> pd.DataFrame:
    roles = np.where(held_out, "test", "train")
    return pd.DataFrame({"fold": fold, "patient": names, "role": roles}, columns=list(FACTOR_SPLIT_COLUMNS))


def _strata(names: np.ndarray, patients: pd.DataFrame) -> np.ndarray:
    """The subtype of each patient, else the ER status, else that neither is known."""
    table = patients.set_index("patient").reindex(names)
    subtype = table["subtype"].fillna("").astype(str)
    er = table["er"].map({1.0: "ER+", 0.0: "ER-"}).fillna("unknown")
    return subtype.where(subtype != "", er).to_numpy(dtype=str)
