"""Gene sets at the ends of each factor's loadings (gseapy), and among its strongest genes as a cross-check.

Both compare a set with other genes of the tensor. Genes of a pathway vary together, so small p-values here say that
the set and the component belong together in these patients, not how surely they would in others.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.factors.genes import TOP_GENES, strongest
from radgen_lib.analyses.factors.multiple import false_discovery
from radgen_lib.core.rows import RESULT_COLUMNS, result_frame, result_row
from radgen_lib.core.seeds import derive_seed

ITEM = "F.SETS"
ENRICHMENT_COLUMNS = (*RESULT_COLUMNS, "p", "fdr", "genes")
SMALLEST, LARGEST = 5, 500
PERMUTATIONS = 1000
FEWEST_SETS = 2
SMALLEST_P = 1e-10
"""Smaller p-values are not followed: they take most of the time and are about permuted genes only."""
LEAST_WEIGHT = 1e-8
"""Weight of a gene without loading, as a share of the sum over genes: too little to move a score."""
FEW_ALIKE = "fewer than 10 permuted scores had its sign"
Row = dict[str, Any]


def usable_sets(
    sets: pd.DataFrame, genes: Sequence[str], *, smallest: int = SMALLEST, largest: int = LARGEST
) -> dict[str, list[str]]:
    """Name -> genes that are among ``genes``, of the sets (table: set, gene) with ``smallest`` to ``largest`` of them.

    A set that holds every gene cannot be told from its complement and is left out.
    """
    known = sets[sets["gene"].isin(set(genes))].drop_duplicates(["set", "gene"])
    found = {str(name): part.tolist() for name, part in known.groupby("set", sort=False)["gene"]}
    most = min(largest, len(set(genes)) - 1)
    return {name: part for name, part in found.items() if smallest <= len(part) <= most}


def prerank(
    loadings: pd.Series, sets: Mapping[str, Sequence[str]], *, seed: int, permutations: int = PERMUTATIONS
) -> pd.DataFrame:
    """Gene set enrichment analysis of one component, indexed by set: es, nes, p, genes (leading edge, strongest first).

    gseapy's preranked analysis (Subramanian et al. 2005, weight 1) on the signed loadings (index: gene): a positive
    score lies at the positive end of the component (which way that is in an omic says the omic's loading). The p-value
    is that of the multilevel split (Korotkevich et al. 2021), which reaches down to 1e-10 where plain permutations end
    at one in their number, too much for a false discovery rate over thousands of sets. ``permutations`` scale the
    normalised score; where fewer than ten of them have the sign of the score, nes and p are NaN. Equal arguments give
    equal numbers. Raises ValueError for loadings that are not finite or all zero.
    """
    import gseapy

    values = loadings.to_numpy(dtype=float) + 0.0  # no zero with a sign
    if not np.isfinite(values).all() or not values.any():
        raise ValueError("loadings of a component must be finite and not all zero")
    # gseapy counts in whole numbers; a set in which all weights round to zero stops it.
    least = LEAST_WEIGHT * np.abs(values).sum()
    values = np.where(np.abs(values) < least, np.copysign(least, values), values)
    order = np.argsort(-values, kind="stable")
    # Names of one kind: gseapy changes the case of all genes when some of them have small letters.
    code = {gene: f"G{place}" for place, gene in enumerate(loadings.index)}
    ranking = pd.Series(values[order], index=[f"G{place}" for place in order], name="loading")
    with _errors_to_log("gseapy"):
        found = gseapy.prerank(
            rnk=ranking, gene_sets={name: [code[gene] for gene in genes] for name, genes in sets.items()},
            min_size=1, max_size=len(ranking), permutation_num=permutations, ascending=None, threads=1, outdir=None,
            no_plot=True, seed=seed, method="multilevel", eps=SMALLEST_P,
        )  # fmt: skip
    table = found.res2d.set_index("Term").reindex(list(sets))
    lead = [_decoded(text, loadings.index) for text in table["Lead_genes"]]
    return pd.DataFrame(
        {"es": table["ES"], "nes": table["NES"], "p": table["NOM p-val"], "genes": lead}, index=table.index
    ).rename_axis("set")


@contextmanager
def _errors_to_log(name: str) -> Iterator[None]:
    """Send what is written to standard error, by Python or by compiled code, to the log as lines of ``name``."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as heard:
        kept = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            with redirect_stderr(heard):
                yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.flush()
            heard.seek(0)
            for line in heard.read().splitlines():
                logging.getLogger("radgen").info("%s: %s", name, line)


def _decoded(text: object, genes: pd.Index) -> str:
    return ";".join(str(genes[int(code[1:])]) for code in str(text).split(";") if code.startswith("G"))


def over_representation(
    chosen: Sequence[str], sets: Mapping[str, Sequence[str]], universe: Sequence[str]
) -> pd.DataFrame:
    """Whether ``chosen`` genes hold more of a set than chance, indexed by set: odds_ratio, low, high, p, genes.

    The p-value is the upper tail of the hypergeometric distribution; the odds ratio has half a gene added to every
    cell (Haldane 1956) and Woolf's 95 % interval. ``universe``: all genes of the tensor, of which ``chosen`` and the
    sets are parts. genes: those of the set that were chosen.
    """
    from scipy.stats import hypergeom, norm

    shared = [[gene for gene in chosen if gene in members] for members in map(set, sets.values())]
    both = np.array([len(genes) for genes in shared], dtype=int)
    size = np.array([len(set(genes)) for genes in sets.values()], dtype=int)
    cells = np.array([both, len(chosen) - both, size - both, len(universe) - size - len(chosen) + both]) + 0.5
    log_ratio = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    half = norm.ppf(0.975) * np.sqrt((1 / cells).sum(axis=0))
    return pd.DataFrame(
        {
            "odds_ratio": np.exp(log_ratio), "low": np.exp(log_ratio - half), "high": np.exp(log_ratio + half),
            "p": hypergeom.sf(both - 1, len(universe), size, len(chosen)), "genes": [";".join(g) for g in shared],
        },
        index=pd.Index(list(sets), name="set"),
    )  # fmt: skip


def enrichment(
    loadings: pd.DataFrame,
    sets: pd.DataFrame,
    *,
    seed: int,
    model: str,
    permutations: int = PERMUTATIONS,
    top: int = TOP_GENES,
) -> pd.DataFrame:
    """Enrichment rows (F.SETS) of every component and set: columns :data:`ENRICHMENT_COLUMNS`.

    Args:
        loadings: genes x components, signed; sets: table of set and gene; model: name of the factorisation.

    Metric ``nes`` is the normalised enrichment score of the loadings (:func:`prerank`), ``odds_ratio`` that of the
    ``top`` strongest genes whatever their sign (:func:`over_representation`). ``arm`` is the component, ``task`` the
    set, ``n`` counts the set's genes in the tensor. ``fdr`` is Benjamini and Hochberg's over all components and sets,
    for each metric. With no component, or fewer than two sets to test, there is one row with the reason.
    """
    tested = usable_sets(sets, list(loadings.index))
    keys: Row = {"item": ITEM, "protocol": "rigorous", "model": model, "design": "full"}
    reason = _why_not(loadings, tested)
    if reason:
        row = result_row(**keys, metric="nes", n=len(tested), reason=reason, note="n counts gene sets")
        return result_frame([row]).assign(p=np.nan, fdr=np.nan, genes="")[list(ENRICHMENT_COLUMNS)]
    rows: list[Row] = []
    for component in loadings.columns:
        column = loadings[component]
        ranked = prerank(column, tested, seed=derive_seed(seed, "enrichment", component), permutations=permutations)
        counted = over_representation(list(strongest(column, top)), tested, list(loadings.index))
        arm = {**keys, "arm": component}
        rows += [_ranked_row(arm, name, len(tested[name]), found) for name, found in ranked.iterrows()]
        rows += [_counted_row(arm, name, len(tested[name]), found, top) for name, found in counted.iterrows()]
    extra = pd.DataFrame([{name: row.pop(name) for name in ("p", "genes")} for row in rows])
    table = result_frame(rows).join(extra)
    table["fdr"] = table.groupby("metric", sort=False)["p"].transform(false_discovery)
    return table[list(ENRICHMENT_COLUMNS)]


def _why_not(loadings: pd.DataFrame, tested: Mapping[str, Sequence[str]]) -> str:
    if not len(loadings.columns):
        return "the fit kept no component"
    if len(tested) < FEWEST_SETS:
        count = f"{len(tested)} gene sets have {SMALLEST} to {LARGEST} of the {len(loadings)} genes of the tensor"
        return f"{count}, {FEWEST_SETS} are needed"
    return ""


def _ranked_row(keys: Row, name: object, size: int, found: pd.Series) -> Row:
    known = bool(np.isfinite(found["nes"]))
    row = result_row(
        **keys, task=str(name), metric="nes", value=found["nes"] if known else np.nan, n=size,
        interval="none: a score against permuted genes", reason="" if known else FEW_ALIKE,
        note="n counts genes of the set",
    )  # fmt: skip
    return {**row, "p": found["p"] if known else np.nan, "genes": found["genes"]}


def _counted_row(keys: Row, name: object, size: int, found: pd.Series, top: int) -> Row:
    row = result_row(
        **keys, task=str(name), metric="odds_ratio", value=found["odds_ratio"], low=found["low"], high=found["high"],
        n=size, interval="Woolf, 95 %", note=f"n counts genes of the set; the {top} strongest genes of the component",
    )  # fmt: skip
    return {**row, "p": found["p"], "genes": found["genes"]}
