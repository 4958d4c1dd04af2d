"""The flow diagram of the cohort."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radgen_lib.reporting.style import COLOURS, FAINT, INK, WIDTH, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# The first group is a path: a step takes what the step before it kept. The others are tables of their own.
GROUPS = ("Images", "Omics", "Labels", "Outcome")
_STARTS = {
    "expression": "Omics", "gene": "Omics", "factor": "Omics", "condition": "Omics", "series": "Images",
    "image": "Images", "projection": "Images", "survival": "Outcome", "outcome": "Outcome",
    "omics": "Omics", "file": "Images", "study": "Images", "phase": "Images", "volume": "Images",
    "fetched": "Images", "mask": "Images", "patients": "Images", "copy": "Omics", "methylation": "Omics",
    "mutation": "Omics",
}  # fmt: skip


def group_of(step: str) -> str:
    """The group that a step of the selection belongs to; what nobody named is a label."""
    return next((group for start, group in _STARTS.items() if step.startswith(start)), "Labels")


def cohort_flow(flow: pd.DataFrame) -> bytes:
    """Flow diagram of the cohort: a box per step with what was kept, and beside it what was left out and why.

    flow: columns step, kept, excluded, reason (or ``reasons``), and where known unit, source, kept_patients and used
    (patients of the step who also have the condition: those whom the analyses use). Steps are grouped; arrows lead
    along the images only, because no other group is made from the one above it.
    """
    if not len(flow):
        return nothing_to_show("the selection table is empty")
    grouped = {name: [row for row in flow.to_dict("records") if group_of(str(row["step"])) == name] for name in GROUPS}
    grouped = {name: rows for name, rows in grouped.items() if rows}
    height = len(flow) + 0.62 * len(grouped)
    with styled(WIDTH + 0.8, 0.72 * height + 0.1) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 10), ylim=(-height, 0.05))
        axes.set_axis_off()
        top = 0.0
        for name, rows in grouped.items():
            axes.text(0.12, top - 0.34, name, va="center", fontsize=11, fontweight="bold", color=INK)
            axes.plot([1.9, 9.88], [top - 0.34, top - 0.34], color=FAINT, lw=1)
            top -= 0.62
            for i, row in enumerate(rows):
                if i and name == GROUPS[0]:
                    arrow = {"arrowstyle": "-|>", "color": INK}
                    axes.annotate("", (2.3, top - 0.12), (2.3, top + 0.12), arrowprops=arrow)
                _step(axes, top - 0.5, row)
                top -= 1
        return as_svg(figure)


def _step(axes: Axes, y: float, row: Mapping[str, Any]) -> None:
    """One box at height ``y``, with what was left out to its right."""
    from matplotlib.patches import FancyBboxPatch

    style: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.08", "fc": "#e8f1f8", "ec": COLOURS[0], "lw": 1.2,
    }  # fmt: skip
    axes.add_patch(FancyBboxPatch((0.12, y - 0.38), 4.36, 0.76, mutation_aspect=0.3, **style))
    lines = _kept(row).replace(", ", ",\n")
    up, down, size = (0.24, -0.12, 9) if "\n" in lines else (0.16, -0.17, 10)
    axes.text(2.3, y + up, _wrapped(str(row["step"]), 32, most=1), ha="center", va="center", fontsize=size)
    axes.text(2.3, y + down, lines, ha="center", va="center", fontsize=size, fontweight="bold")
    axes.plot([4.5, 4.85], [y, y], color=FAINT, lw=1.5)
    text = "none left out"
    if row["excluded"]:
        reason = row["reasons"] if "reasons" in row else row["reason"]
        text = _wrapped(f"{row['excluded']} left out: {reason}", 38, most=4)
    axes.text(4.98, y, text, ha="left", va="center", fontsize=9, color="#5b6673")


def _kept(row: Mapping[str, Any]) -> str:
    unit, patients = str(row.get("unit") or ""), row.get("kept_patients", row["kept"])
    several = "s" if unit and row["kept"] != 1 and not unit.endswith("s") else ""
    used = row.get("used")
    if used is not None and used == used:
        return f"{patients} patients labelled, {used} with a condition"
    whose = f" ({patients} patients)" if patients != row["kept"] else ""
    return f"{row['kept']} {unit}{several} kept{whose}"


def _wrapped(text: str, width: int, most: int = 2) -> str:
    return "\n".join(textwrap.wrap(text.replace("_", " "), width, max_lines=most, placeholder=" …"))
