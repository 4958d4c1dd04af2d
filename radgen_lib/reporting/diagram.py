"""The flow diagram of the cohort."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radgen_lib.reporting.style import COLOURS, FAINT, INK, WIDTH, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd


def cohort_flow(flow: pd.DataFrame) -> bytes:
    """Flow diagram of the cohort: a box per step with what was kept, and beside it what was left out and why.

    flow: columns step, kept, excluded, reason (or ``reasons``), and where known unit and source.
    """
    if not len(flow):
        return nothing_to_show("the selection table is empty")
    reasons = "reasons" if "reasons" in flow else "reason"
    from matplotlib.patches import FancyBboxPatch

    with styled(WIDTH + 0.8, 0.85 * len(flow) + 0.1) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 10), ylim=(-len(flow) + 0.45, 0.55))
        axes.set_axis_off()
        for i, row in enumerate(flow.to_dict("records")):
            if i:
                axes.annotate("", (2.3, -i + 0.33), (2.3, -i + 0.67), arrowprops={"arrowstyle": "-|>", "color": INK})
            style: dict[str, Any] = {
                "boxstyle": "round,pad=0,rounding_size=0.08",
                "fc": "#e8f1f8",
                "ec": COLOURS[0],
                "lw": 1.2,
            }
            axes.add_patch(FancyBboxPatch((0.12, -i - 0.32), 4.36, 0.64, mutation_aspect=0.3, **style))
            axes.text(2.3, -i + 0.13, _wrapped(str(row["step"]), 32, most=1), ha="center", va="center", fontsize=10)
            axes.text(2.3, -i - 0.15, _kept(row), ha="center", va="center", fontsize=10, fontweight="bold")
            if row["excluded"]:
                text = _wrapped(f"{row['excluded']} left out: {row[reasons]}", 38, most=4)
                axes.plot([4.5, 4.85], [-i, -i], color=FAINT, lw=1.5)
                axes.text(4.98, -i, text, ha="left", va="center", fontsize=9, color="#5b6673")
        return as_svg(figure)


def _kept(row: Mapping[str, Any]) -> str:
    unit = str(row.get("unit") or "")
    return f"{row['kept']} {unit}{'s' if unit and row['kept'] != 1 and not unit.endswith('s') else ''} kept"


def _wrapped(text: str, width: int, most: int = 2) -> str:
    return "\n".join(textwrap.wrap(text.replace("_", " "), width, max_lines=most, placeholder=" …"))
