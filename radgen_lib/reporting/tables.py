"""Paper tables: published | as published, rerun | rigorous, with n, interval, verdict, and a reason for every gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen_lib.core.atomic import write_csv
from radgen_lib.core.errors import DataError
from radgen_lib.core.plan import PUBLISHED_FOLDS
from radgen_lib.core.rows import RESULT_COLUMNS, result_row
from radgen_lib.reporting.claims import CLAIMS, Claim, find
from radgen_lib.reporting.expected import missing_reason, required, unmet
from radgen_lib.reporting.facts import PUBLISHED, SHARED, RunFacts
from radgen_lib.reporting.labels import ITEM_TITLES, label
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line, Row, line_rank, pivot, protocol_order
from radgen_lib.reporting.published import REFERENCE_CITATION, pixelrow_reference, published_values
from radgen_lib.reporting.verdict import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd

ITEMS = tuple(ITEM_TITLES)
_PLACES = {"B.ABS1": "preprint abstract", "B.ABS2": "final abstract"}
GROUP = ("", "_low", "_high", "_n", "_events", "_setup", "_reason", "_source")
_FIELDS = ("value", "low", "high", "n", "events", "setup", "reason", "source")


def settings_rows(facts: RunFacts) -> list[dict[str, Any]]:
    """Numbers that are settings of the as-published protocol, as result rows (folds of the cross-validation)."""
    keys: dict[str, Any] = {"item": "B.ABS2", "metric": "cv_folds", "protocol": PUBLISHED, "design": "published_folds"}
    if "published_folds" in (facts.switch(PUBLISHED, "designs") or ()):
        return [result_row(**keys, value=PUBLISHED_FOLDS, note="setting, by construction")]
    return [result_row(**keys, reason=f"design published_folds is not run under the {facts.preset} preset")]


def check_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Result rows with a ``source`` column, text columns without NaN; raises DataError naming what is missing."""
    missing = [column for column in (*RESULT_COLUMNS, "source") if column not in rows]
    if missing:
        raise DataError(f"result rows: columns {missing} are missing. Read them with core.rows and add `source`")
    numbers = {"value", "low", "high", "n", "events"}
    text = [column for column in (*RESULT_COLUMNS, "source") if column not in numbers]
    return rows.assign(**{column: rows[column].fillna("").astype(str) for column in text})


def _joined(parts: Mapping[str, str]) -> str:
    """Texts of several protocols in one cell: once when they agree, otherwise each with its protocol's name."""
    told = {name: text for name, text in parts.items() if text}
    if len(set(told.values())) <= 1 and len(told) == len(parts):
        return next(iter(told.values()), "")
    return "; ".join(f"{name}: {text}" for name, text in told.items())


def _group(protocol: str, row: Mapping[str, Any] | None, reason: str) -> dict[str, Any]:
    """The columns of one protocol."""
    values: dict[str, Any] = {"setup": "", "source": "", **(row or {}), "reason": reason}
    if row is not None:
        values["setup"] = ", ".join(text for text in (row["generator"], row["design"]) if text)
    return {f"{protocol}{end}": values.get(name, math.nan) for end, name in zip(GROUP, _FIELDS, strict=True)}


def _record(
    line: Line, heading: dict[str, Any], reasons: Mapping[str, str], verdict: Verdict, facts: RunFacts, order: list[str]
) -> dict[str, Any]:
    """One table row of a line; ``heading`` holds item, row, col, published, citation and a note."""
    cells = line.cells
    said = {name: reasons.get(name, "") for name in order}
    reason = _joined(said)
    return {
        **{name: heading.get(name, "") for name in ("item", "row", "col")},
        **line.keys,
        "published": heading.get("published", math.nan),
        "citation": heading.get("citation", ""),
        **{column: value for name in order for column, value in _group(name, cells.get(name), said[name]).items()},
        "interval": _joined({name: cell["interval"] for name, cell in cells.items()}),
        "verdict": verdict.verdict,
        "reason": "; ".join(text for text in (verdict.reason, reason) if text),
        "note": "; ".join(t for t in (heading.get("note", ""), _joined({n: c["note"] for n, c in cells.items()})) if t),
        "preset": facts.preset,
    }


def _reasons(item: str, line: Line, order: list[str], facts: RunFacts, told: list[Row]) -> dict[str, str]:
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
    parts = [label(c, line.keys[c]) for c in KEY_COLUMNS if c != "metric" and line.keys[c] and c in varying]
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
    row, col, the key columns that vary, published, citation, a group per protocol (value, low, high, n, events,
    setup, reason, source), interval, verdict, reason, note, preset. Raises DataError when one result stands twice.
    """
    import pandas as pd

    mine = check_rows(rows)
    mine = mine[mine["item"] == item]
    order, lines = protocol_order(mine, facts), pivot(mine, facts)
    lines += [cell.line() for cell in unmet(required(item, facts), lines)]
    told = [row for row in mine.to_dict("records") if row["reason"]]
    lines, varying, records = sorted(lines, key=line_rank), _varying(lines), []
    for line in lines:
        value, tolerance = _reference_of(line) if item == "B.TD" else (math.nan, None)
        cell = line.cells.get(PUBLISHED) or line.cells.get(SHARED) or {}
        verdict = judge(
            value, cell.get("value", math.nan), cell.get("low", math.nan), cell.get("high", math.nan),
            preset=facts.preset, tolerance=tolerance,
        )  # fmt: skip
        heading = {"item": item, **_labels(line, varying), "published": value}
        heading["citation"] = REFERENCE_CITATION if math.isfinite(value) else ""
        reasons = _reasons(item, line, order, facts, told)
        records.append(_record(line, heading, reasons, verdict, facts, order))
    table = pd.DataFrame(records)
    dropped = [column for column in KEY_COLUMNS if column not in varying and column != "metric"]
    return table.drop(columns=dropped, errors="ignore")


def _claim_records(
    claim: Claim, value: float, heading: dict[str, Any], rows: pd.DataFrame, facts: RunFacts
) -> list[dict[str, Any]]:
    """Table rows of one published number: the judged one first, then the other readings of it."""
    order = [name for name in protocol_order(rows, facts) if name != SHARED]
    records = []
    for place in range(max(len(claim.as_published), len(claim.rigorous))):
        line = Line(dict.fromkeys(KEY_COLUMNS, ""))
        for name in order:
            picks = claim.picks(name)
            found = find(rows, picks[place], name, facts) if place < len(picks) else None
            if found is not None:
                line.cells[name] = found
        told = line.cells.get(PUBLISHED, {})
        first = next(iter(line.cells.values()), {})
        line.keys.update({column: first.get(column, "") for column in KEY_COLUMNS})
        verdict = judge(
            value, told.get("value", math.nan), told.get("low", math.nan), told.get("high", math.nan),
            preset=facts.preset, tolerance=claim.tolerance, invalid=claim.invalid,
        )  # fmt: skip
        reasons = {
            name: line.cells[name]["reason"] if name in line.cells else _absent(claim, name, place, facts)
            for name in order
        }
        picks = claim.as_published if place < len(claim.as_published) else claim.rigorous
        told_heading = {**heading, "col": picks[place].label, "published": value}
        records.append(_record(line, told_heading, reasons, verdict, facts, order))
    return records


def _absent(claim: Claim, protocol: str, place: int, facts: RunFacts) -> str:
    picks = claim.picks(protocol)
    if place >= len(picks):
        return "not run under this protocol" if picks else "has no counterpart"
    if claim.absent:
        return claim.absent
    design = picks[place].patterns.get("design", "")
    if design and design not in (facts.switch(protocol, "designs") or ()):
        where = f"the {facts.preset} preset" if protocol == PUBLISHED else protocol
        return f"design {design} is not run under {where}"
    return "no result came from the analysis"


def abstract_tables(rows: pd.DataFrame, facts: RunFacts) -> dict[str, pd.DataFrame]:
    """Tables B.ABS1, B.ABS2 and the overview S.SIDE (one row per published number of system B)."""
    import pandas as pd

    settings = pd.DataFrame(settings_rows(facts)).assign(source="config")
    rows = check_rows(pd.concat([rows, settings], ignore_index=True) if len(rows) else settings)
    published = published_values("B").set_index(["item", "row"])
    tables: dict[str, list[dict[str, Any]]] = {"B.ABS1": [], "B.ABS2": [], "S.SIDE": []}
    for claim in CLAIMS:
        cell = published.loc[(claim.item, claim.row)]
        heading = {"item": claim.item, "row": claim.row, "citation": cell["citation"], "note": claim.why}
        records = _claim_records(claim, float(cell["value"]), heading, rows, facts)
        tables[claim.item] += records
        tables["S.SIDE"].append(
            {**records[0], "item": "S.SIDE", "row": f"{claim.row} ({_PLACES[claim.item]})", "col": cell["col"]}
        )
    return {item: pd.DataFrame(records) for item, records in tables.items()}


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
