"""Which components come back, and how many, when the whole cohort is factorised again from another seed."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from radgen_lib.analyses.scoring import Row
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import derive_seed
from radgen_lib.omics.btf.align import match
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import FoldFit, fit_fold
from radgen_lib.omics.btf.gathering import component_names

STABILITY_COLUMNS = ("seed", "rank", "component", "match", "explained", "n")
RETURNED = 0.9


def stability(tensor: StoredTensor, first: FoldFit, settings: Factors, seed: int) -> pd.DataFrame:
    """Look for the components of the saved fit on everyone in fits from ``settings.seeds`` - 1 other seeds.

    ``first`` is the fit that genes, gene sets and associations are told of, so that F01 is the same component in all
    of them. The others learn from its patients and start from random points: fits that all start from the SVD would
    agree about more than the data say.

    Columns: seed (0 is ``first``), rank of that fit, component of the first fit, match (|correlation| over patients
    with its partner in the fit of ``seed``, best one-to-one pairing; 0 without a partner, 1 with itself), explained
    (share of an omic's variance in the first fit, mean over omics), n patients. A first fit without components has
    one row a seed, component "" and match NaN. Raises DataError where ``first`` is not of the tensor.
    """
    names = [str(name) for name in first.model.patients_ or ()]
    factors, explained = first.model.factors_, first.model.explained_.mean(axis=1)
    tables = [seed_rows(0, factors, factors, explained)]
    for number in range(1, settings.seeds):
        own = derive_seed(seed, "stability", number)
        model = fit_fold(tensor, first.fold, names, settings, seed=own, start="random").model
        logging.getLogger("radgen").info("stability: seed %d, %d components", number, model.n_components_)
        tables.append(seed_rows(number, factors, model.factors_, explained))
    return pd.concat(tables, ignore_index=True)


def seed_rows(number: int, first: np.ndarray, factors: np.ndarray, explained: np.ndarray) -> pd.DataFrame:
    """Rows of one fit: components of ``first`` [N, R] with their match among ``factors`` [N, K]."""
    names = component_names(first.shape[1])
    columns = {"component": names, "match": match(factors, first), "explained": explained}
    table = pd.DataFrame(columns) if names else pd.DataFrame({"component": [""], "match": [np.nan], "explained": [0.0]})
    table = table.assign(seed=number, rank=factors.shape[1], n=len(factors))
    return table[list(STABILITY_COLUMNS)]


def rank_as_set(components: int) -> str:
    """What a rank means that is the number of components at the start."""
    return f"all {components} components of the start were kept, so the rank is the setting and not learned"


def rank_words(found: int, offered: int) -> str:
    """Whether ``found`` components of ``offered`` ones were learned to be enough, or are the setting."""
    return rank_as_set(offered) if found >= offered else f"rank learned: {found} of {offered} stayed on"


def stability_rows(table: pd.DataFrame, components: int) -> pd.DataFrame:
    """Result rows of item F.STAB: median rank with its range, and for each component how often it came back.

    ``returned``: share of the other seeds in which its match exceeds :data:`RETURNED`; ``match``: median over the
    other seeds with its range. Seeds are no sample of patients: ranges are no confidence intervals. ``components``: how
    many a fit starts with; the note says in how many seeds none was switched off, since that rank is the setting.
    """
    ranks = table.groupby("seed")["rank"].first()
    n = int(table["n"].iloc[0])
    keys: Row = {"item": "F.STAB", "protocol": "rigorous"}
    band: Row = {"low": ranks.min(), "high": ranks.max(), "interval": f"range over {len(ranks)} seeds"}
    full = int((ranks >= components).sum())
    note = f"{full} of {len(ranks)} seeds: {rank_as_set(components)}" if full else ""
    rows = [result_row(**keys, metric="rank", value=ranks.median(), n=n, note=note, **band)]
    others = table[(table["seed"] != 0) & (table["component"] != "")]
    if others.empty:
        rows.append(result_row(**keys, metric="returned", n=n, reason="the first fit kept no component"))
    for name, part in others.groupby("component", sort=True):
        found, back = part["match"], int((part["match"] > RETURNED).sum())
        own: Row = {**keys, "task": str(name), "n": n}
        told = f"{back} of {len(part)} other seeds with |r| > {RETURNED:g}"
        rows.append(result_row(**own, metric="returned", value=back / len(part), interval="none: a count", note=told))
        band = {"low": found.min(), "high": found.max(), "interval": f"range over {len(part)} other seeds"}
        rows.append(result_row(**own, metric="match", value=found.median(), **band))
    return result_frame(rows)
