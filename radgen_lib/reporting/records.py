"""One line of a paper table: a group of columns per protocol, verdict, reason and note."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radgen_lib.core.errors import DataError
from radgen_lib.core.rows import RESULT_COLUMNS
from radgen_lib.reporting.facts import RunFacts
from radgen_lib.reporting.pivot import Line, joined
from radgen_lib.reporting.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

GROUP = ("", "_low", "_high", "_interval", "_n", "_events", "_setup", "_reason", "_source")
_FIELDS = ("value", "low", "high", "interval", "n", "events", "setup", "reason", "source")


def check_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Result rows with a ``source`` column, text columns without NaN; raises DataError naming what is missing."""
    missing = [column for column in (*RESULT_COLUMNS, "source") if column not in rows]
    if missing:
        raise DataError(f"result rows: columns {missing} are missing. Read them with core.rows and add `source`")
    numbers = {"value", "low", "high", "n", "events"}
    text = [column for column in (*RESULT_COLUMNS, "source") if column not in numbers]
    return rows.assign(**{column: rows[column].fillna("").astype(str) for column in text})


def _group(protocol: str, row: Mapping[str, Any] | None, reason: str) -> dict[str, Any]:
    """The columns of one protocol."""
    values: dict[str, Any] = {"setup": "", "source": "", "interval": "", **(row or {}), "reason": reason}
    if row is not None:
        told = (row["generator"], row["design"], row.get("statistic", ""))
        values["setup"] = ", ".join(text for text in told if text)
    return {f"{protocol}{end}": values.get(name, math.nan) for end, name in zip(GROUP, _FIELDS, strict=True)}


def record(
    line: Line, heading: dict[str, Any], reasons: Mapping[str, str], verdict: Verdict, facts: RunFacts, order: list[str]
) -> dict[str, Any]:
    """One table row of a line; ``heading`` holds item, row, col, published, citation and a note."""
    cells = line.cells
    said = {name: reasons.get(name, "") for name in order}
    reason = joined(said)
    return {
        **{name: heading.get(name, "") for name in ("item", "row", "col")},
        **line.told_keys(),
        "published": heading.get("published", math.nan),
        "citation": heading.get("citation", ""),
        **{column: value for name in order for column, value in _group(name, cells.get(name), said[name]).items()},
        "verdict": verdict.verdict,
        "reason": "; ".join(text for text in (verdict.reason, reason) if text),
        "note": "; ".join(t for t in (heading.get("note", ""), joined({n: c["note"] for n, c in cells.items()})) if t),
        "preset": facts.preset,
    }
