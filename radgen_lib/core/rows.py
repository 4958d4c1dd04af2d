"""The one long format of results: a row per number, with its n, its interval or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

KEYS = (
    "item", "protocol", "condition", "generator", "arm", "extractor", "task", "model", "design", "metric",
)  # fmt: skip
RESULT_COLUMNS = (*KEYS, "value", "low", "high", "n", "events", "interval", "reason", "note")


def result_row(
    *,
    item: str,
    metric: str,
    value: float = math.nan,
    low: float = math.nan,
    high: float = math.nan,
    n: int = 0,
    events: int | None = None,
    reason: str = "",
    **keys: str,
) -> dict[str, Any]:
    """One result. A value that is not a finite number needs a ``reason``; unknown keys raise TypeError."""
    unknown = set(keys) - set(RESULT_COLUMNS)
    if unknown:
        raise TypeError(f"result_row: unknown columns {sorted(unknown)}; allowed: {', '.join(RESULT_COLUMNS)}")
    if not math.isfinite(value) and not reason:
        raise ValueError(f"result_row: {item} {metric} {keys}: a value that is not a number needs a reason")
    row: dict[str, Any] = dict.fromkeys(RESULT_COLUMNS, "")
    row.update(keys, item=item, metric=metric, value=float(value), low=float(low), high=float(high), n=int(n))
    row.update(events=math.nan if events is None else float(events), reason=reason)
    return row


def result_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Table of result rows in the fixed order of columns; duplicates of the key columns raise ValueError."""
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(RESULT_COLUMNS))
    double = table[table.duplicated(list(KEYS), keep=False)]
    if len(double):
        raise ValueError(f"result rows stand twice: {double[list(KEYS)].iloc[0].to_dict()}")
    return table
