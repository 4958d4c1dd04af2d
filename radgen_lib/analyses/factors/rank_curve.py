"""How well held-out patients are predicted by fits that start from more or fewer components.

Evidence beside the number of components that a fit keeps by itself: where the curve is flat, spare components do no
harm and further ones do no good; where it still climbs at its end, more should be offered. Everything happens in the
training part of one fold, a part of whose patients is held out of all fits: the fold's own test patients are not read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.factors.comparison import scaled_values, units
from radgen_lib.analyses.factors.imputing import DENSITY, EVERY, fold_scores, imputation_rows, members, ours
from radgen_lib.analyses.factors.stability import rank_words
from radgen_lib.analyses.scoring import Row
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.plan import PREDICTION_FOLD
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import FoldFit, fit_fold

ITEM, FOLD, HELD_OUT = "F.RANK", PREDICTION_FOLD.format(0, 0), 1 / 3
NOT_ASKED = "factors.rank_grid is empty: nothing was computed"


def rank_curve(tensor: StoredTensor, splits: pd.DataFrame, settings: Factors, *, seed: int, draws: int) -> pd.DataFrame:
    """Result rows of item F.RANK for each number of components of ``settings.rank_grid`` (``arm``).

    A third of the training patients of fold ``cv0-0`` is held out of all fits; genes, scale and fits are learned from
    the others, and the same entries of the held-out ones are hidden from every fit. Metrics: those of
    ``imputing.imputation_rows``, patient bootstrap; ``rank``, the number kept; ``log_density_entries_difference``
    against the largest number offered, paired. A fit that cannot be made is rows with the reason, an empty grid one
    row. Raises DataError without the fold.
    """
    keys: Row = {"item": ITEM, "protocol": "rigorous", "model": f"btf_{settings.method}", "design": FOLD}
    if not settings.rank_grid:
        return result_frame([result_row(**keys, metric=DENSITY, reason=NOT_ASKED)])
    learn, held_out = sides(splits, seed)
    fits, reasons, parts = {}, {}, []
    for count in settings.rank_grid:
        chosen = settings.model_copy(update={"components": count})
        try:
            fits[count] = fit_fold(tensor, f"{FOLD} inner", learn, chosen, seed=seed)
        except DataError as error:
            reasons[str(count)] = str(error)
            continue
        parts.append(_scores(tensor, fits[count], str(count), (learn, held_out), settings, seed))
        logging.getLogger("radgen").info("rank: %d components offered, %d kept", count, fits[count].model.n_components_)
    told = {str(count): reasons.get(str(count), "") for count in settings.rank_grid}
    scores = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["metric", "model", "omic"])
    rows = []
    for row in imputation_rows(scores, told, tensor.omics, keys, draws=draws, seed=derive_seed(seed, "rank curve")):
        rows.append({**row, "arm": row["model"], "model": keys["model"]})
    rows += [_kept(fit, count, keys) for count, fit in fits.items()]
    return result_frame(rows + _differences(scores, [*map(str, fits)], tensor.omics, keys, draws, seed))


def sides(splits: pd.DataFrame, seed: int) -> tuple[list[str], list[str]]:
    """Patients who are learned from and those held out, all of the training part of fold ``cv0-0``."""
    train = splits[(splits["fold"] == FOLD) & (splits["role"] == "train")]["patient"]
    if train.empty:
        raise DataError(f"factor splits: no fold {FOLD!r}. Make the splits again")
    names = make_rng(seed, "rank curve").permutation(np.array(sorted(train), dtype=object)).tolist()
    count = max(1, round(HELD_OUT * len(names)))
    return sorted(names[count:]), sorted(names[:count])


def _scores(
    tensor: StoredTensor, fit: FoldFit, name: str, who: tuple[list[str], list[str]], settings: Factors, seed: int
) -> pd.DataFrame:
    """Totals and counts of the held-out patients; genes and hidden entries are the same for every fit."""
    train, test = (scaled_values(tensor, fit, names) for names in who)
    return fold_scores(
        {name: partial(ours, fit.model.draws_)}, test, who[1], tensor.omics, unit=units(train),
        usable=~np.isnan(train).all(axis=0) & ~fit.scaler.flat_, share=settings.hidden_share,
        rng=make_rng(seed, "rank curve", "hidden entries"),
    )  # fmt: skip


def _kept(fit: FoldFit, offered: int, keys: Row) -> Row:
    facts: Row = {"metric": "rank", "value": float(fit.model.n_components_), "n": len(fit.model.factors_)}
    note = rank_words(fit.model.n_components_, offered)
    return result_row(**keys, **facts, arm=str(offered), interval="none: one fit", note=note)


def _differences(
    scores: pd.DataFrame, fitted: Sequence[str], omics: Sequence[str], keys: Row, draws: int, seed: int
) -> list[Row]:
    """Density with fewer components minus that with the most that could be fitted, on the same entries."""
    last, rows = fitted[-1] if fitted else "", []
    known = scores[scores["metric"] == DENSITY]
    for name in fitted[:-1]:
        for task in (EVERY, *omics):
            own: Row = {**keys, "arm": f"{name} - {last}", "task": task, "metric": f"{DENSITY}_difference"}
            part = known[known["omic"].isin(members(task, omics))]
            totals = part.pivot_table(index="patient", columns="model", values="total", aggfunc="sum")
            counts = part[part["model"] == last].groupby("patient")["count"].sum().to_numpy(dtype=float)
            if not len(counts):
                rows.append(result_row(**own, reason="nothing was hidden that could be predicted"))
                continue
            drawn = resampling.patient_weights(len(counts), draws, derive_seed(seed, "rank curve"))
            weights = np.vstack([np.ones(len(counts)), drawn])
            found = (weights @ (totals[name] - totals[last]).to_numpy()) / (weights @ counts)
            rows.append(result_row(**own, **resampling.banded(found[0], found[1:], len(counts), paired=True)))
    return rows
