"""Held-out density by number of components offered: its figure, its words and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radgen_lib.reporting.factor_cells import Cell, Grid, result_cell
from radgen_lib.reporting.factor_names import listed, metric_name, task_label
from radgen_lib.reporting.factor_words import Sentence
from radgen_lib.reporting.style import COLOURS, INK, WIDTH, as_svg, nothing_to_show, styled
from radgen_lib.reporting.view import number

if TYPE_CHECKING:
    import pandas as pd

DENSITY, DIFFERENCE = "log_density_entries", "log_density_entries_difference"
EVERY, FILE = "all omics", "tables/F.RANK.csv"
# What the words say of a paired interval, and what they must not be taken for.
READING = (
    "lower, higher: the 95 % interval of the paired difference lies below, above 0; undecided: it holds 0; one split, "
    "not corrected for the number of comparisons, and what another training would change is not in it"
)


def rank_figure(rows: pd.DataFrame, components: int) -> bytes:
    """A panel for all omics and for each: log density of hidden values against the number of components offered.

    rows: result rows (item F.RANK; arm is the number offered); components: what the other fits start from.
    """
    known = rows[(rows["metric"] == DENSITY) & rows["value"].notna()]
    if known.empty:
        return nothing_to_show(str(rows["reason"].iloc[0]) if len(rows) else "nothing was computed")
    kept = _kept(rows)
    tasks = list(dict.fromkeys(known["task"]))
    lines = -(-len(tasks) // 2)
    with styled(width=WIDTH + 0.4, height=1.75 * lines + 0.3) as figure:
        grid = figure.subplots(lines, 2, squeeze=False)
        for axes, task in zip(grid.flat, tasks, strict=False):
            _panel(axes, known[known["task"] == task], kept, components)
            axes.set_title(task_label(task), fontsize=9, loc="left")
        for axes in grid.flat[len(tasks) :]:
            axes.set_visible(False)
        figure.supxlabel("components offered (kept)", fontsize=9)
        figure.supylabel("log density, nats a value", fontsize=9)
        return as_svg(figure)


def _panel(axes: Any, part: pd.DataFrame, kept: dict[int, int], components: int) -> None:
    part = part.assign(offered=part["arm"].astype(int)).sort_values("offered")
    offered, value = part["offered"].to_numpy(), part["value"].to_numpy(float)
    arms = np.nan_to_num(np.abs(part[["low", "high"]].to_numpy(float).T - value))
    axes.axvline(components, color=INK, lw=0.7, ls="--")
    axes.errorbar(offered, value, yerr=arms, color=COLOURS[0], marker="o", ms=4, lw=1.2)
    axes.set_xticks(offered, [f"{count}\n({kept.get(count, '?')})" for count in offered], fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.margins(x=0.12)
    axes.grid(True, axis="y")


def _kept(rows: pd.DataFrame) -> dict[int, int]:
    found = rows[rows["metric"] == "rank"].dropna(subset=["value"])
    return {int(arm): int(value) for arm, value in zip(found["arm"], found["value"], strict=True)}


def rank_words(rows: pd.DataFrame) -> list[Sentence]:
    """What was kept of what was offered, and from which number on held-out patients show no gain."""
    known = rows[(rows["metric"] == DENSITY) & (rows["task"] == EVERY) & rows["value"].notna()]
    if known.empty:
        return [Sentence(f"No density of held-out patients by number of components: {_reason(rows)}.", FILE)]
    kept = _kept(rows)
    told = [f"{arm} ({kept.get(int(arm), '?')}): {number(value)}" for arm, value in known[["arm", "value"]].to_numpy()]
    text = (
        f"Components offered (kept) and log density of hidden values, in nats a value, in {int(known['n'].iloc[0])} "
        f"patients held out inside the training part of one fold: {'; '.join(told)}."
    )
    return [Sentence(text + _against_most(rows), FILE)]


def _against_most(rows: pd.DataFrame) -> str:
    """How fewer components compare with the most that were offered, by paired intervals."""
    pairs = rows[rows["metric"] == DIFFERENCE].dropna(subset=["low", "high"])
    if pairs.empty:
        return ""
    sides = pairs["arm"].str.split(" - ")
    said = []
    for task, part in pairs.assign(fewer=sides.str[0]).groupby("task", sort=False):
        cases = {
            "lower with": part["high"] < 0, "higher with": part["low"] > 0,
            "undecided with": (part["low"] <= 0) & (part["high"] >= 0),
        }  # fmt: skip
        told = [f"{name} {listed(list(part.loc[where, 'fewer']))}" for name, where in cases.items() if where.any()]
        said.append(f"{task_label(str(task))} {', '.join(told)}")
    return f" Against {sides.str[1].iloc[0]} offered, on the same values ({READING}): {'; '.join(said)}."


def _reason(rows: pd.DataFrame) -> str:
    reasons = [str(reason) for reason in rows["reason"] if reason]
    return reasons[0] if reasons else "nothing was computed"


def rank_grids(rows: pd.DataFrame) -> list[Grid]:
    """Measures and omics across, numbers of components offered down; none where nothing was computed."""
    part = rows[(rows["arm"] != "") & ~rows["metric"].str.endswith("_difference")]
    if part.empty:
        return []
    heads = list(dict.fromkeys(zip(part["metric"], part["task"], strict=True)))
    cells = {(row["arm"], row["metric"], row["task"]): result_cell(row) for row in part.to_dict("records")}
    arms = sorted(part["arm"].unique(), key=int)
    absent = Cell(reason="no fit")
    lines = [(arm, tuple(cells.get((arm, *head), absent) for head in heads)) for arm in arms]
    names = [": ".join(filter(None, (metric_name(metric).short, task and task_label(task)))) for metric, task in heads]
    text = (
        "Patients who were held out inside the training part of fold cv0-0; the same values are hidden from every fit. "
        "Intervals are over these patients and keep the fits as they are."
    )
    return [Grid("By number of components offered", text, ("Offered", *names), lines, FILE)]
