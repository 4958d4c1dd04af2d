"""One table of the page of ingestion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

LINES = 400


@dataclass(frozen=True)
class DataTable:
    """A table of the page: anchor, title, what it says, columns, rows as text, and rows beyond those shown."""

    anchor: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    more: int = 0


def as_text(value: object) -> str:
    """A cell: numbers to four digits, "" for what is missing."""
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def table_of(anchor: str, title: str, text: str, frame: pd.DataFrame, *, lines: int = LINES) -> DataTable:
    """A table with at most ``lines`` rows; the page says how many more there are."""
    rows = [tuple(as_text(value) for value in row) for row in frame.head(lines).itertuples(index=False)]
    return DataTable(anchor, title, text, tuple(map(str, frame.columns)), rows, max(len(frame) - lines, 0))
