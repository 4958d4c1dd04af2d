"""Figures of what the factors are worth and go along with: the comparison of methods, and clinical associations."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from radgen_lib.reporting.factor_figures import starred
from radgen_lib.reporting.factor_names import METRICS, event_word, method_label, method_order, task_label
from radgen_lib.reporting.style import COLOURS, FAINT, INK, MARKERS, WIDTH, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd

# What stands in the figure, in its order; the tables hold the rest.
SHOWN = ("impute_rmse_entries", "impute_rmse_omic", "auroc", "harrell_c")
CHANCE = {"auroc": 0.5, "harrell_c": 0.5}
SIGNIFICANT = 0.05


def comparison_figure(rows: pd.DataFrame) -> bytes:
    """A panel for each measure and task: every method with its 95 % interval over patients.

    rows: result rows (item F.CMP). Hidden entries are shown for all omics together, a hidden omic for each. A method
    without a number in a panel has no dot there; the table says why.
    """
    panels = _panels(rows)
    if not panels:
        return nothing_to_show("no method could be scored")
    known = rows[rows["value"].notna()]
    methods = sorted(known["model"].unique(), key=method_order)
    lines = -(-len(panels) // 2)
    with styled(width=WIDTH + 0.4, height=lines * (0.62 + 0.165 * len(methods)) + 0.2) as figure:
        grid = figure.subplots(lines, 2, squeeze=False)
        for axes, (metric, task, part) in zip(grid.flat, panels, strict=False):
            _panel(axes, part, methods, metric, task)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(panels))
            if place % 2:
                axes.set_yticklabels([])
        return as_svg(figure)


def _panels(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    found = []
    for metric in SHOWN:
        part = rows[(rows["metric"] == metric) & rows["value"].notna()]
        tasks = list(dict.fromkeys(part["task"]))
        if metric == "impute_rmse_entries" and "all omics" in tasks:
            tasks = ["all omics"]
        found += [(metric, task, part[part["task"] == task]) for task in tasks]
    return found


def _panel(axes: Any, part: pd.DataFrame, methods: list[str], metric: str, task: str) -> None:
    for row in part.to_dict("records"):
        place = methods.index(row["model"])
        ours = row["model"].startswith("btf_")
        colour = COLOURS[1] if row["protocol"] == "as_published" else COLOURS[0] if ours else COLOURS[7]
        axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.6)
        axes.plot(row["value"], place, MARKERS[0 if ours else 1], color=colour, ms=5 if ours else 4)
    if metric in CHANCE:
        axes.axvline(CHANCE[metric], color=INK, lw=0.7, ls="--")
    events = f", {counts(part['events'])} {event_word(metric)}" if part["events"].notna().any() else ""
    people = f"n {counts(part['n'])}{events}"
    axes.set_title(f"{METRICS[metric].short}: {task_label(task)}\n{people}", fontsize=8, loc="left")
    axes.set_yticks(range(len(methods)), [method_label(name) for name in methods], fontsize=8)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(True, axis="x")


def counts(values: pd.Series) -> str:
    """Smallest to largest of some counts, NaN left out; the one number where they are equal."""
    low, high = values.min(), values.max()
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def common_scale(metric: str, value: np.ndarray) -> np.ndarray:
    """Effects of several kinds on one scale from -1 to 1, 0 for none.

    AUROC: 2 AUROC - 1 (the rank-biserial correlation); eta squared: its root, without a sign; hazard ratio per SD: its
    logarithm, cut at 1; Spearman's correlation as it is.
    """
    value = np.asarray(value, dtype=float)
    if metric == "auroc":
        return 2 * value - 1
    if metric == "eta_squared":
        return np.sqrt(np.maximum(value, 0.0))
    return np.clip(np.log(value), -1, 1) if metric == "hazard_ratio" else value


def associations_figure(table: pd.DataFrame, doubtful: Collection[str] = ()) -> bytes:
    """Components by endpoints: colour is the effect (:func:`common_scale`), a dot marks a false discovery rate < 5 %.

    table: result rows (item F.ASSOC; arm is the component, task the endpoint) with the column fdr, over all tests.
    doubtful: components that get a star, because the chains do not agree on them.
    """
    known = table[table["value"].notna() & (table["arm"] != "")]
    if known.empty:
        return nothing_to_show("no component could be tested against an endpoint")
    components, tasks = sorted(known["arm"].unique()), list(dict.fromkeys(known["task"]))
    effect, sure = np.full((len(components), len(tasks)), np.nan), []
    for row in known.to_dict("records"):
        place = components.index(row["arm"]), tasks.index(row["task"])
        effect[place] = common_scale(row["metric"], row["value"])
        sure += [place] if row["fdr"] < SIGNIFICANT else []
    people = known.groupby("task")["n"].agg(counts)
    with styled(height=0.2 * len(components) + 2.3) as figure:
        axes = figure.subplots()
        image = axes.pcolormesh(effect, cmap="RdBu_r", vmin=-1, vmax=1, edgecolor="white", linewidth=0.6)
        if sure:
            down, across = np.array(sure).T + 0.5
            axes.plot(across, down, "o", ms=4, mfc="white", mec=INK, mew=0.8, ls="none")
        axes.set(ylim=(len(components), 0), xlim=(0, len(tasks)))
        axes.set_yticks(np.arange(len(components)) + 0.5, starred(components, doubtful), fontsize=8)
        names = [f"{task_label(task)}, n {people[task]}" for task in tasks]
        axes.set_xticks(np.arange(len(tasks)) + 0.5, names, fontsize=8, rotation=55, ha="right")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set(visible=True, color=FAINT)
        bar = figure.colorbar(image, ax=axes, location="top", shrink=0.8, aspect=30, pad=0.02)
        bar.set_label("effect, one scale for all kinds", fontsize=9)
        bar.ax.tick_params(labelsize=8)
        return as_svg(figure)
