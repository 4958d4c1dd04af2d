"""Which radiomic families answer when one variable of the condition is moved: a heat map for every generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from radgen_lib.reporting.labels import label
from radgen_lib.reporting.pivot import DESIGN_ORDER
from radgen_lib.reporting.style import INK, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd

SHARE, SIZE, AGREES = "response_share_", "response_size", "response_agreement_within_site"
ADJUSTED = "response_agreement_p_within_site_holm"
NOTHING = "no variable of a condition was moved by itself in this run"
PANEL = ["protocol", "condition", "generator"]
LEVEL = 0.05
STILL = 1e-3  # SD; families of a smaller change say how numbers were rounded


def variable_response(rows: pd.DataFrame) -> bytes:
    """Share of each family in the response to each variable, its size, and the agreement with real images.

    rows: result rows; those of S.ADH that name a single variable are used, of the first design (folds by patient where
    there are some) of each protocol, condition and generator.
    """
    wanted = rows["metric"].isin([SIZE, AGREES, ADJUSTED]) | rows["metric"].str.startswith(SHARE) if len(rows) else []
    mine = rows[wanted & (rows["item"] == "S.ADH") & ~rows["task"].isin(["", "all", "PC1"])] if len(rows) else rows
    panels = [(name, _table(part)) for name, part in mine.groupby(PANEL, sort=True)] if len(mine) else []
    tables = [(name, table) for name, table in panels if table.filter(like=SHARE).notna().any(axis=None)]
    if not tables:
        return nothing_to_show(NOTHING)
    with styled(height=sum(0.21 * len(table) + 0.95 for _, table in tables)) as figure:
        ratios = [len(table) + 3 for _, table in tables]
        grid = figure.subplots(len(tables), 1, squeeze=False, height_ratios=ratios)
        for axes, (name, table) in zip(grid.flat, tables, strict=True):
            _panel(axes, table)
            told = [label(column, str(value)) for column, value in zip(PANEL, name, strict=True)]
            design, n = label("design", table.attrs["design"]), table.attrs["n"]
            axes.set_title(f"{told[2]}, {told[1]}, {told[0]}, {design} (n = {n})", fontsize=8)
        return as_svg(figure)


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """Values by variable and metric of the first design; its name, and how many patients were moved, in ``attrs``."""
    designs = set(rows["design"])
    first = next((name for name in DESIGN_ORDER if name in designs), min(designs))
    mine = rows[rows["design"] == first]
    table: pd.DataFrame = mine.set_index(["task", "metric"])["value"].unstack("metric")  # noqa: PD010 - each pair stands once, nothing to aggregate
    table = table.sort_index()
    table.attrs = {"design": first, "n": int(mine.loc[mine["metric"] == SIZE, "n"].max())}
    return table


def _panel(axes: Any, table: pd.DataFrame) -> None:
    names = [column for column in table if column.startswith(SHARE)]
    values = table[names].where(table[SIZE] >= STILL).to_numpy(dtype=float)
    darkest = max(0.5, np.nanmax(values, initial=0.0))
    axes.pcolormesh(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=darkest, edgecolors="white")
    for y, task in enumerate(table.index):
        for x, value in enumerate(values[y]):
            told = f"{100 * value:.0f}" if np.isfinite(value) else "–"
            _text(axes, x, y, told, "white" if value > 0.3 else INK)
        agrees, p = (float(table.at[task, name]) if name in table else np.nan for name in (AGREES, ADJUSTED))
        _text(axes, len(names), y, f"{table.at[task, SIZE]:.2g}", INK)
        _text(axes, len(names) + 1, y, f"{agrees:+.2f}{'*' if p <= LEVEL else ''}" if np.isfinite(agrees) else "–", INK)
    columns = [*(name.removeprefix(SHARE) for name in names), "size", "agrees"]
    axes.set_xlim(0, len(columns))
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=7, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(table)) + 0.5, table.index, fontsize=7)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _text(axes: Any, x: int, y: int, text: str, colour: str) -> None:
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=colour)
