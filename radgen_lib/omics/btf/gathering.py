"""The fits of several jobs side by side, and the factors as conditions of generators."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

WHOLE = "full"  # the fold that trains on everyone
FACTOR_COLUMNS = ("fold", "patient", "role", "component", "mean", "sd")


def component_names(count: int) -> list[str]:
    """F01, F02, ... largest share of the variance first."""
    return [f"F{k + 1:02d}" for k in range(count)]


def gather(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all jobs below one another, in the order of the jobs; raises ValueError for a fold that two jobs hold."""
    folds = [set(part["fold"]) for part in parts]
    twice = sorted({fold for i, one in enumerate(folds) for other in folds[:i] for fold in one & other})
    if twice:
        raise ValueError(f"fold {twice[0]!r} was fitted by two jobs")
    return pd.concat(parts, ignore_index=True)


def conditions(factors: pd.DataFrame) -> pd.DataFrame:
    """Posterior means as one row a fold and patient: fold, patient, F01, ...

    A fold with fewer components than another has NaN in the columns beyond. Patients whom a fold could not project
    (no measured omic) have no row. ``factors``: columns :data:`FACTOR_COLUMNS`.
    """
    known = factors.dropna(subset=["mean"])
    wide = known.pivot_table(index=["fold", "patient"], columns="component", values="mean")
    order = list(dict.fromkeys(known["fold"]))
    wide = wide.reindex(sorted(wide.columns), axis=1).reset_index()
    wide.columns.name = None
    place = wide["fold"].map({fold: i for i, fold in enumerate(order)})
    return wide.assign(place=place).sort_values(["place", "patient"]).drop(columns="place").reset_index(drop=True)
