"""Factors that were planted in a phantom against those that were found; nothing is ever fitted with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.factors.endpoints import Arm
from radgen_lib.analyses.factors.stability import rank_words
from radgen_lib.analyses.scoring import Row
from radgen_lib.core.errors import data_error
from radgen_lib.core.rows import result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import FEWEST_PATIENTS
from radgen_lib.omics.btf.align import match
from radgen_lib.omics.btf.gathering import WHOLE

MOST_DRAWS = 500  # a draw pairs all components anew; limits of a mean of correlations need no more


def read_planted(truth: Path) -> pd.DataFrame:
    """Planted factors by patient, a column each, from the truth folder of a phantom."""
    file = truth / "factors.parquet"
    if not file.is_file():
        raise data_error(file, "is not there", "Write the phantom again")
    return pd.read_parquet(file).set_index("patient").astype(float)


def recovery_rows(
    arms: Mapping[str, Arm],
    planted: pd.DataFrame,
    *,
    offered: Mapping[str, int],
    given: Mapping[str, int],
    seed: int,
    draws: int,
) -> list[Row]:
    """Rows ``factor_match`` (mean over the planted factors, and each as a task) and ``rank`` of every arm.

    Factor match is the |correlation| over patients of a planted factor with its partner in the best one-to-one pairing;
    without a partner it is 0. arms: by model, with features of the fold :data:`WHOLE`; offered: components at the start
    of models that learn how many they need; given: of models whose number somebody chose. Intervals: bootstrap over
    patients of the factors as fitted, paired anew in each draw.
    """
    rows = []
    for arm in arms.values():
        keys: Row = {"item": "F.CMP", "protocol": arm.protocol, "model": arm.model}
        found = arm.features.get(WHOLE, pd.DataFrame()).dropna()
        people = planted.index.intersection(found.index).sort_values()
        few = "" if len(people) >= FEWEST_PATIENTS else f"{len(people)} patients with planted factors"
        reason = arm.reason or few
        if reason:
            rows.append(result_row(**keys, task="", metric="factor_match", note=arm.note, reason=reason))
            continue
        how = _who_chose(found.shape[1], offered.get(arm.model), given.get(arm.model))
        note = "; ".join(text for text in (f"{planted.shape[1]} planted", how, arm.note) if text)
        facts: Row = {"metric": "rank", "value": float(found.shape[1]), "n": len(people), "interval": "none: one fit"}
        rows.append(result_row(**keys, task="", **facts, note=note))
        rows += _match_rows(found.loc[people], planted.loc[people], {**keys, "note": arm.note}, seed, draws)
    return rows


def _who_chose(found: int, offered: int | None, given: int | None) -> str:
    """Whether the data or a person chose the number of components; "" of a model that nobody named."""
    if offered is not None:
        return rank_words(found, offered)
    if given is None:
        return ""
    return f"rank set to {given}, not learned" + (f"; {found} stayed on" if found < given else "")


def _match_rows(found: pd.DataFrame, planted: pd.DataFrame, keys: Row, seed: int, draws: int) -> list[Row]:
    n, rng = len(planted), make_rng(seed, "factor match", len(planted))
    a, b = found.to_numpy(dtype=float), planted.to_numpy(dtype=float)
    values = match(a, b)
    samples = np.sort(rng.integers(n, size=(min(draws, MOST_DRAWS), n)), axis=1)
    drawn = np.array([match(a[rows], b[rows]) for rows in samples])
    worst = f"lowest {values.min():.3f} ({planted.columns[values.argmin()]})"
    note = "; ".join(text for text in (worst, keys["note"]) if text)
    band = resampling.banded(values.mean(), drawn.mean(axis=1), n)
    rows = [result_row(**{**keys, "note": note}, **band, task="", metric="factor_match")]
    for place, name in enumerate(planted.columns):
        band = resampling.banded(values[place], drawn[:, place], n)
        rows.append(result_row(**keys, **band, task=str(name), metric="factor_match"))
    return rows
