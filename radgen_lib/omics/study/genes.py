"""From rows of a matrix to genes: current symbols, one row a gene, several probes of a gene as one value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radgen_lib.omics.study.aliases import current_symbol
from radgen_lib.omics.study.decisions import Choices, Decisions


def current_symbols(symbols: Sequence[str], entrez: Sequence[str], path: Path, log: Decisions) -> list[str]:
    """Current symbol of every row ("" for no gene); each decision becomes a row of the log."""
    found, faults = [], []
    for symbol, number in zip(symbols, entrez, strict=True):
        current, reason = current_symbol(symbol, number)
        if reason:
            decision = "row left out" if not current else "renamed" if current != symbol else "name kept"
            if not log.quotes and (not current or decision == "name kept"):
                # Symbol or Entrez id may be a date here, or anything else.
                symbol, reason = "" if not current else symbol, "no gene symbol" if not current else "by the Entrez id"
            faults.append((symbol or "(no symbol)", decision, reason))
        found.append(current)
    log.extend("gene symbol", path, faults, most=500)
    return found


def one_row_a_gene(genes: Sequence[str], values: np.ndarray, path: Path, log: Decisions) -> list[int]:
    """Columns of ``values`` [patients, rows] to keep, one a gene, in order of first appearance.

    Of several rows of a gene the one with fewest missing cells is kept, then the one of highest variance, then the
    first: a mean would hold values that nobody measured, and mixes transcripts of different level.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for column, gene in enumerate(genes):
        if gene:
            places[gene].append(column)
    kept = []
    for gene, columns in places.items():
        if len(columns) > 1:
            best = min(columns, key=lambda column: _quality(values[:, column], column))
            reason = f"{len(columns)} rows; row {columns.index(best) + 1} has fewest missing, then highest variance"
            log.add("gene rows twice", path, gene, "one row kept", reason, count=len(columns) - 1)
            columns = [best]
        kept.append(columns[0])
    return kept


def _quality(row: np.ndarray, column: int) -> tuple[int, float, int]:
    there = row[~np.isnan(row)].astype(np.float64)
    return row.size - there.size, -float(there.var()) if there.size else 0.0, column


def enough_values(genes: Sequence[str], values: np.ndarray, choices: Choices, path: Path, log: Decisions) -> np.ndarray:
    """Bool per gene: not more than the allowed share of ``values`` [patients, genes] is missing; others are logged."""
    share = np.isnan(values).mean(axis=0)
    good = share <= choices.max_missing
    faults = [
        (genes[i], "gene left out", f"{100 * share[i]:.3g} % of the patients are missing")
        for i in np.flatnonzero(~good).tolist()
    ]
    log.extend("gene missingness", path, faults, most=1000)
    return good
