"""Figures of the page of factors, as bytes of SVG: loadings, stability, traces and calibration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radgen_lib.analyses.factors.stability import RETURNED
from radgen_lib.omics.btf.gathering import component_names
from radgen_lib.reporting.style import COLOURS, FAINT, INK, MARKERS, WIDTH, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd

MOST_GENES = 60
CLEAR = 2.0  # posterior SDs from zero


def omic_label(omic: str) -> str:
    """Name of an omic as a person writes it."""
    return omic.replace("_", " ")


def shown_genes(loadings: np.ndarray, most: int = MOST_GENES) -> np.ndarray:
    """Rows of the genes to draw: the largest of every component [genes, R], grouped by the component they lead.

    Every component gives as many genes as the others; a gene stands once, with the component where it is largest.
    """
    rank = loadings.shape[1]
    if not rank:
        return np.empty(0, dtype=np.intp)
    each = max(1, most // rank)
    top = np.unique(np.argsort(-np.abs(loadings), axis=0, kind="stable")[:each])
    relative = np.abs(loadings[top]) / np.maximum(np.abs(loadings).max(axis=0), np.finfo(float).tiny)
    leader = relative.argmax(axis=1)
    size = relative[np.arange(len(top)), leader]
    return np.asarray(top[np.lexsort((-size, leader))])


def loadings_figure(
    loadings: np.ndarray,
    spread: np.ndarray,
    weights: np.ndarray,
    genes: Sequence[str],
    omics: Sequence[str],
    doubtful: Collection[str] = (),
) -> bytes:
    """Heat-map of the largest gene loadings by component, below the loadings of the omics.

    loadings and spread (posterior SD) [genes, R], weights [omics, R]; doubtful components get a star.
    Each component is drawn relative to its largest loading.
    A cell is blank where the loading lies less than two posterior SDs from zero.
    """
    rank = loadings.shape[1]
    if not rank:
        return nothing_to_show("the fit on all patients kept no component")
    rows = shown_genes(loadings)
    largest = np.maximum(np.abs(loadings).max(axis=0), np.finfo(float).tiny)
    unclear = ~(np.abs(loadings) >= CLEAR * np.nan_to_num(spread))
    drawn = np.where(unclear, np.nan, loadings / largest)[rows]
    strip = weights / np.maximum(np.abs(weights).max(axis=0), np.finfo(float).tiny)
    with styled(height=0.155 * (len(rows) + len(omics)) + 1.5) as figure:
        above, below = figure.subplots(2, 1, height_ratios=[len(omics), len(rows)], sharex=True)
        _heat(above, strip, [omic_label(omic) for omic in omics])
        image = _heat(below, drawn, [genes[row] for row in rows])
        for axes in (above, below):
            axes.tick_params(labelbottom=False)
        above.set_title("omics", fontsize=10)
        below.set_title("genes", fontsize=10)
        below.tick_params(axis="x", labelbottom=True)
        below.set_xticks(np.arange(rank) + 0.5, starred(component_names(rank), doubtful), fontsize=8, rotation=90)
        bar = figure.colorbar(image, ax=[above, below], location="bottom", shrink=0.7, aspect=30, pad=0.02)
        bar.set_label("loading, relative to the largest of the component", fontsize=9)
        return as_svg(figure)


def starred(names: Sequence[str], doubtful: Collection[str]) -> list[str]:
    """Names of components, with a star behind those that the chains do not agree on."""
    return [f"{name}*" if name in doubtful else name for name in names]


def _heat(axes: Any, values: np.ndarray, names: Sequence[str]) -> Any:
    image = axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1, edgecolor="white", linewidth=0.4)
    axes.set(ylim=(len(names), 0), xlim=(0, values.shape[1]))
    axes.set_xticks(np.arange(values.shape[1]) + 0.5)
    axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    return image


def stability_figure(ranks: pd.Series, matches: pd.DataFrame) -> bytes:
    """Number of components by seed, and how well each component of the first seed is found in the other seeds.

    ranks: index seed, values the number of components; matches: columns component, match (|correlation| of the
    patients' factors), a row for each component and further seed.
    """
    if len(ranks) < 2 or matches.empty:
        return nothing_to_show("stability needs fits from two seeds or more that keep a component")
    names = sorted(matches["component"].unique())
    with styled(height=2.4 + 0.17 * len(names)) as figure:
        above, below = figure.subplots(2, 1, height_ratios=[1.3, 0.17 * len(names) + 0.4])
        counts = ranks.value_counts().sort_index()
        above.bar(counts.index, counts.to_numpy(), color=COLOURS[0], width=0.7)
        above.set_xlim(counts.index.min() - 1.5, counts.index.max() + 1.5)
        above.set(xlabel="components kept", ylabel="seeds", xticks=counts.index, yticks=[0, int(counts.max())])
        above.set_title(f"How many components ({len(ranks)} seeds)", fontsize=10)
        for place, name in enumerate(names):
            found = matches.loc[matches["component"] == name, "match"].to_numpy(float)
            clear = np.median(found) > RETURNED
            below.plot(found, np.full(len(found), place), "o", ms=4, alpha=0.45, color=COLOURS[0 if clear else 1])
            below.plot(np.median(found), place, "|", ms=11, mew=2, color=INK)
        below.axvline(RETURNED, color=INK, lw=0.8, ls="--")
        below.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6), xlabel="|correlation| with the first seed")
        below.set_yticks(range(len(names)), names, fontsize=8)
        below.set_title("Does the component come back", fontsize=10)
        below.grid(True, axis="x")
        return as_svg(figure)


def traces_figure(trace: pd.DataFrame, *, burn_in: int, approximate: bool) -> bytes:
    """Log-likelihood by sweep and chain of one fit; burn-in shaded, and what follows it in a panel of its own.

    trace: columns chain, sweep, log_likelihood and, for an approximation, elbo (the bound that it climbs, drawn then).
    """
    column = "elbo" if approximate and "elbo" in trace else "log_likelihood"
    trace = trace.dropna(subset=[column]) if column in trace else trace.iloc[:0]
    if trace.empty:
        return nothing_to_show("the fit on all patients left no trace")
    with styled(height=3.0 if approximate else 4.6) as figure:
        panels = [figure.subplots()] if approximate else list(figure.subplots(2, 1))
        for place, (chain, part) in enumerate(trace.groupby("chain", sort=True)):
            part = part.sort_values("sweep")
            style: Any = {"color": COLOURS[place % len(COLOURS)], "lw": 0.9, "label": f"chain {int(chain) + 1}"}
            for axes, start in zip(panels, (0, burn_in), strict=False):
                later = part[part["sweep"] >= start]
                axes.plot(later["sweep"], later[column] / 1000, **style)
        _whole(panels[0], trace, column)
        if not approximate:
            panels[0].axvspan(0, burn_in, color=FAINT, alpha=0.6, lw=0)
            panels[0].set_title("all sweeps (burn-in shaded)", fontsize=10)
            panels[1].set_title("after burn-in", fontsize=10)
            panels[0].legend(loc="lower right", ncols=2)
        for axes in panels:
            axes.set_ylabel("thousand nats")
            axes.grid(True, axis="y")
        panels[-1].set_xlabel("sweep")
        return as_svg(figure)


def _whole(axes: Any, trace: pd.DataFrame, column: str) -> None:
    """The first sweeps climb so far that they would hide the rest: the axis starts where most of the climb is done."""
    values = trace[column] / 1000
    low, high = float(values.quantile(0.05)), float(values.max())
    margin = max((high - low) * 0.15, 1e-9)
    axes.set(ylim=(low - margin, high + margin), xlim=(0, float(trace["sweep"].max()) or 1.0))
    axes.set_title("lower bound of the evidence", fontsize=10)


def calibration_figure(coverage: pd.DataFrame) -> bytes:
    """Share of hidden entries inside predictive intervals against the nominal level, a line an omic.

    coverage: columns omic, level, covered, low, high (95 % interval over patients), all in [0, 1].
    """
    coverage = coverage.dropna(subset=["covered"]) if len(coverage) else coverage
    if not len(coverage):
        return nothing_to_show("no predictive interval could be checked")
    with styled(width=WIDTH, height=WIDTH) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--", label="as it should be")
        for place, (omic, part) in enumerate(coverage.groupby("omic", sort=False)):
            part = part.sort_values("level")
            nudge = (place - 1) * 0.006  # intervals of several omics would hide each other
            arms = np.abs(part[["low", "high"]].to_numpy(float).T - part["covered"].to_numpy(float))
            axes.errorbar(
                part["level"] + nudge, part["covered"], yerr=np.nan_to_num(arms), color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)], ms=5, lw=1.2, label=omic_label(str(omic)) or "all omics",
            )  # fmt: skip
        lowest = max(0.0, float(min(coverage["level"].min(), coverage["covered"].min())) - 0.1)
        axes.set(xlim=(lowest, 1.01), ylim=(lowest, 1.01), xlabel="nominal level", ylabel="hidden entries inside")
        axes.grid(True)
        axes.legend(loc="upper left")
        return as_svg(figure)
