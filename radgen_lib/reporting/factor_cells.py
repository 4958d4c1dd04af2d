"""What the tables of the page of factors are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from radgen_lib.reporting.factor_names import event_word
from radgen_lib.reporting.view import number


@dataclass(frozen=True)
class Cell:
    """A number or words, lines below it in small type, or the reason why there is nothing."""

    text: str = ""
    below: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: title, what it says, names of its columns, rows (head, cells), and the file of its numbers."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, tuple[Cell, ...]]]
    file: str
    more: int = 0


def result_cell(row: dict[str, Any]) -> Cell:
    """A result row as a cell: value, limits, n with the positive or the deaths among them; or its reason."""
    if not math.isfinite(row["value"]):
        return Cell(reason=row["reason"])
    ranged = math.isfinite(row["low"]) and math.isfinite(row["high"])
    limits = f"{number(row['low'])} to {number(row['high'])}" if ranged else ""
    events = f", {row['events']:.0f} {event_word(row['metric'])}" if math.isfinite(row["events"]) else ""
    people = f"{row['n']:.0f} genes" if row["item"] == "F.SETS" else f"n {row['n']:.0f}{events}"
    return Cell(number(row["value"]), tuple(filter(None, (limits, people))))
