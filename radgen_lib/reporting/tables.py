"""Paper tables: published | as published, rerun | rigorous, with n, interval, verdict, and a reason for every gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.core.atomic import write_csv
from radgen_lib.reporting.abstracts import abstract_tables
from radgen_lib.reporting.expected import required, unmet
from radgen_lib.reporting.facts import PUBLISHED, SHARED, RunFacts
from radgen_lib.reporting.gaps import Evidence, missing_reason
from radgen_lib.reporting.labels import BESIDE, ITEM_TITLES, label
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line, line_rank, pivot, protocol_order
from radgen_lib.reporting.published import REFERENCE_CITATION, pixelrow_reference
from radgen_lib.reporting.records import check_rows, record
from radgen_lib.reporting.verdict import judge

if TYPE_CHECKING:
    import pandas as pd

ITEMS = tuple(ITEM_TITLES)
# Items whose numbers are repeated from another's rows: what those rows say of a gap holds for it too.
REPEATED = {"B.F2": ("B.TC",)}


def _reasons(item: str, line: Line, order: list[str], facts: RunFacts, told: Evidence) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in order:
        cell = line.cells.get(name)
        if cell is not None:
            found[name] = cell["reason"]
        elif SHARED in (name, *line.cells):
            found[name] = "" if name == SHARED else "does not depend on the protocol"
        else:
            found[name] = missing_reason(item, line.keys, name, facts, told)
    return found


def _varying(lines: Iterable[Line]) -> list[str]:
    lines = list(lines)
    return [column for column in KEY_COLUMNS if len({line.keys[column] for line in lines}) > 1]


def _labels(line: Line, varying: list[str]) -> dict[str, str]:
    parts = [label(c, line.keys[c]) for c in KEY_COLUMNS if c not in ("metric", "design") and c in varying]
    parts.append(BESIDE.join(label("design", name) for name in line.designs() if name and "design" in varying))
    parts = [part for part in parts if part]
    return {"row": " | ".join(parts) or "all", "col": label("metric", line.keys["metric"])}


def _reference_of(line: Line) -> tuple[float, float | None]:
    """Reference value and tolerance of a B.TD line (NaN, None where there is none)."""
    for row in pixelrow_reference().itertuples():
        if line.keys["arm"] == row.reference and line.keys["task"] == row.image:
            return float(row.value), None if math.isnan(row.tolerance) else float(row.tolerance)
    return math.nan, None


def item_table(item: str, rows: pd.DataFrame, facts: RunFacts) -> pd.DataFrame:
    """Table of one item from its result rows (``rows`` may hold other items too; they are left out).

    Every result row of the item appears; every required cell that no row fills appears with a reason. Columns: item,
    row, col, the key columns that vary, published, citation, a group per protocol (value, low, high, interval, n,
    events, setup, reason, source), verdict, reason, note, preset. Raises DataError when one result stands twice.
    """
    import pandas as pd

    checked = check_rows(rows)
    mine = checked[checked["item"] == item]
    rows_behind = checked[checked["item"].isin([item, *REPEATED.get(item, ())])]
    order, lines = protocol_order(mine, facts), pivot(mine, facts)
    lines += [cell.line() for cell in unmet(required(item, facts), lines)]
    told = Evidence(rows_behind.to_dict("records"))
    lines, varying, records = sorted(lines, key=line_rank), _varying(lines), []
    for line in lines:
        value, tolerance = _reference_of(line) if item == "B.TD" else (math.nan, None)
        cell = line.cells.get(PUBLISHED) or line.cells.get(SHARED) or {}
        verdict = judge(
            value, cell.get("value", math.nan), cell.get("low", math.nan), cell.get("high", math.nan),
            preset=facts.preset, tolerance=tolerance, interval=cell.get("interval", ""), elsewhere=facts.elsewhere,
        )  # fmt: skip
        heading = {"item": item, **_labels(line, varying), "published": value}
        heading["citation"] = REFERENCE_CITATION if math.isfinite(value) else ""
        reasons = _reasons(item, line, order, facts, told)
        records.append(record(line, heading, reasons, verdict, facts, order))
    table = pd.DataFrame(records)
    dropped = [column for column in KEY_COLUMNS if column not in varying and column != "metric"]
    return table.drop(columns=dropped, errors="ignore")


def _with_risk_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the log-rank tests of B.TC repeated as B.F2, whose curves they belong to."""
    import pandas as pd

    tests = rows[(rows["item"] == "B.TC") & (rows["metric"] == "logrank_p")]
    if tests.empty:
        return rows
    return pd.concat([rows, tests.assign(item="B.F2")], ignore_index=True)


def build_tables(rows: pd.DataFrame, facts: RunFacts) -> dict[str, pd.DataFrame]:
    """All tables of system B, by item, in the order of the report; items that only the rows name come last."""
    checked = _with_risk_groups(check_rows(rows))
    further = sorted(set(checked["item"]) - set(ITEMS) - {""})
    made = {
        item: item_table(item, checked, facts)
        for item in (*ITEMS, *further)
        if item not in ("B.ABS1", "B.ABS2", "S.SIDE")
    }
    made |= abstract_tables(checked, facts)
    return {item: made[item] for item in (*ITEMS, *further)}


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write one CSV per item into ``folder``, atomically; returns the paths."""
    paths = [folder / f"{item}.csv" for item in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        write_csv(path, table)
    return paths


def read_table(path: Path) -> pd.DataFrame:
    """A table as :func:`write_tables` wrote it: numbers are floats (NaN where empty), everything else text."""
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    groups = [name.removesuffix("_low") for name in table.columns if name.endswith("_low")]
    numbers = ["published", *groups, *(f"{g}_{part}" for g in groups for part in ("low", "high", "n", "events"))]
    for name in numbers:
        if name in table:
            table[name] = pd.to_numeric(table[name])
    return table
