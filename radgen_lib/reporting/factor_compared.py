"""Tables of the page of factors: methods side by side, predictive intervals, decisions, and what has no number."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from radgen_lib.reporting.factor_cells import Cell, Grid, result_cell
from radgen_lib.reporting.factor_figures import omic_label
from radgen_lib.reporting.factor_names import method_label, method_order, metric_name, metric_order, task_label
from radgen_lib.reporting.view import number


def comparison_grids(rows: pd.DataFrame) -> list[Grid]:
    """A table for each measure: methods down, tasks across."""
    found = []
    for metric in sorted(rows["metric"].unique(), key=metric_order):
        part = rows[rows["metric"] == metric]
        tasks = list(dict.fromkeys(part["task"]))
        cells = {(row["model"], row["task"]): result_cell(row) for row in part.to_dict("records")}
        lines = [
            (method_label(model), tuple(cells.get((model, task), Cell(reason="no such row")) for task in tasks))
            for model in sorted(part["model"].unique(), key=method_order)
        ]
        names, unit = metric_name(metric), metric_name(metric).unit
        columns = ("Method", *(task_label(task) for task in tasks))
        found.append(
            Grid(
                names.name,
                f"{unit}; out of fold" if metric in ("auroc", "harrell_c") else unit,
                columns,
                lines,
                "tables/F.CMP.csv",
            )
        )
    return found


def coverage_grid(coverage: pd.DataFrame) -> Grid:
    """Share of hidden entries inside predictive intervals: omics down, nominal levels across."""
    levels = sorted(coverage["level"].unique())
    rows = []
    for omic, part in coverage.groupby("omic", sort=False):
        found = {row["level"]: row for row in part.to_dict("records")}
        rows.append((omic_label(str(omic)), tuple(_covered(found.get(level)) for level in levels)))
    columns = ("Omic", *(f"Level {100 * level:g} %" for level in levels))
    return Grid("Predictive intervals", "Share of hidden values inside.", columns, rows, "tables/F.CMP.csv")


def _covered(row: dict[str, Any] | None) -> Cell:
    if row is None or not math.isfinite(row["covered"]):
        return Cell(reason="nothing was hidden that could be predicted")
    limits = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
    people = f"n {row['n_patients']:.0f}, {row['n_entries']:.0f} values"
    return Cell(f"{100 * row['covered']:.1f} %", (limits, people))


def gap_grid(item: str, table: pd.DataFrame) -> Grid:
    """Rows without a number, by reason."""
    gaps = table[table["value"].isna()]
    rows = [
        (str(reason), (Cell(str(len(part))), Cell(", ".join(dict.fromkeys(map(_row_name, part.to_dict("records")))))))
        for reason, part in gaps.groupby("reason", sort=False)
    ]
    return Grid("Rows without a number, and why", "", ("Reason", "Rows", "Which"), rows, f"tables/{item}.csv")


def _row_name(row: dict[str, Any]) -> str:
    parts = (method_label(row["model"]), row["arm"], metric_name(row["metric"]).short, task_label(row["task"]))
    return " ".join(filter(None, parts))


def decision_grid(decisions: pd.DataFrame) -> Grid:
    """Decisions on genes, patients and scales."""
    rows = [
        (str(row["step"]), (Cell(str(row["item"])), Cell(str(row["decision"])), Cell(str(row["reason"])),
                            Cell(number(float(row["count"])))))
        for row in decisions.to_dict("records")
    ]  # fmt: skip
    columns = ("Step", "Item", "Decision", "Reason", "Count")
    text = "Before any gene is chosen; which genes vary is decided in the training patients of each fit."
    return Grid("Decisions on the tensor", text, columns, rows, "factors/decisions.parquet")
