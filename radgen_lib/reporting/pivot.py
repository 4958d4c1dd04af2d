"""Result rows of several protocols, laid side by side.

A *line* holds one cell per protocol. Protocols differ in split design by definition, so the design is not part of what
a line is about: beside an ``as_published`` number stands the rigorous number of the same generator under the rigorous
protocol's first design, tested on the same kind of images. Numbers of different generators never share a line. What
remains on its own (further designs, generators that only one protocol runs) gets a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from radgen_lib.core.errors import DataError
from radgen_lib.reporting.facts import SHARED, RunFacts
from radgen_lib.reporting.labels import rank

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("condition", "arm", "extractor", "task", "model", "metric")
KEY_COLUMNS = ("task", "condition", "extractor", "model", "arm", "generator", "design", "metric")
DESIGN_ORDER = ("grouped", "published_folds", "published_split", "split_trainings", "full", "site", "")
Row = dict[str, Any]
Variant = tuple[str, str]  # generator, design


def joined(parts: Mapping[str, str]) -> str:
    """Texts of several protocols in one cell: once when they agree, otherwise each with its protocol's name."""
    told = {name: text for name, text in parts.items() if text}
    if len(set(told.values())) <= 1 and len(told) == len(parts):
        return next(iter(told.values()), "")
    return "; ".join(f"{name}: {text}" for name, text in told.items())


@dataclass
class Line:
    """One line of a table: its keys (KEY_COLUMNS) and a result row per protocol that has one."""

    keys: dict[str, str]
    cells: dict[str, Row] = field(default_factory=dict)

    def told_keys(self) -> dict[str, str]:
        """Key columns as a table shows them: where the cells differ, each protocol's value with its name."""
        if not self.cells:
            return self.keys
        return {c: joined({name: cell[c] for name, cell in self.cells.items()}) for c in KEY_COLUMNS}

    def designs(self) -> list[str]:
        """Split designs behind the cells, each once, in the order of the protocols."""
        return list(dict.fromkeys(cell["design"] for cell in self.cells.values())) or [self.keys["design"]]

    def matches(self, patterns: dict[str, str]) -> bool:
        """Whether every key fits its shell pattern (``pixelrow_*``); keys not named fit anything."""
        return all(fnmatchcase(self.keys[column], pattern) for column, pattern in patterns.items())


def protocol_order(rows: pd.DataFrame, facts: RunFacts) -> list[str]:
    """Protocols of the configuration, any further ones that the rows name, then ``shared`` where rows have none."""
    found = [name for name in rows["protocol"].unique() if name and name not in facts.protocols]
    return [*facts.protocols, *sorted(found), *([SHARED] if (rows["protocol"] == "").any() else [])]


def _grouped(rows: pd.DataFrame) -> dict[tuple[str, ...], dict[str, dict[Variant, Row]]]:
    groups: dict[tuple[str, ...], dict[str, dict[Variant, Row]]] = {}
    for row in rows.to_dict("records"):
        cells = groups.setdefault(tuple(row[c] for c in ABOUT), {}).setdefault(row["protocol"] or SHARED, {})
        variant = (row["generator"], row["design"])
        if variant in cells:
            shown = {c: row[c] for c in ("item", "protocol", *KEY_COLUMNS)}
            raise DataError(f"{row.get('source', '')}: the result {shown} stands twice. Concatenate each file once")
        cells[variant] = row
    return groups


def _design_rank(variant: Variant) -> tuple[int, str]:
    design = variant[1]
    return (DESIGN_ORDER.index(design), "") if design in DESIGN_ORDER else (len(DESIGN_ORDER), design)


def _tested_on(variant: Variant) -> str:
    """What ``out_of_fold:test_on_real`` is tested on; numbers about different images never stand side by side."""
    return variant[1].partition(":")[2]


def _partner(variant: Variant, cells: dict[Variant, Row]) -> Variant | None:
    """The variant of another protocol (``cells``) that stands beside ``variant``: the same generator's, or none."""
    if variant in cells:
        return variant
    same = [v for v in cells if v[0] == variant[0] and _tested_on(v) == _tested_on(variant)]
    return min(same, key=_design_rank, default=None)


def _lines(key: tuple[str, ...], group: dict[str, dict[Variant, Row]], order: list[str]) -> Iterator[Line]:
    used: dict[str, set[Variant]] = {protocol: set() for protocol in order}
    for place, anchor in enumerate(order):
        for variant in sorted(group.get(anchor, {}), key=lambda v: (rank("generator", v[0]), _design_rank(v))):
            if variant in used[anchor]:
                continue
            line = Line({**dict(zip(ABOUT, key, strict=True)), "generator": variant[0], "design": variant[1]})
            line.cells[anchor] = group[anchor][variant]
            for other in order[place + 1 :]:
                found = _partner(variant, group.get(other, {}))
                if found is not None:
                    line.cells[other] = group[other][found]
                    used[other].add(found)
            yield line


def line_rank(line: Line) -> list[tuple[int, str]]:
    """Sort key of a line."""
    return [rank(column, line.keys[column]) for column in KEY_COLUMNS]


def pivot(rows: pd.DataFrame, facts: RunFacts) -> list[Line]:
    """Lay the result rows of one item side by side; raises DataError when one result stands twice."""
    order = protocol_order(rows, facts)
    lines = [line for key, group in _grouped(rows).items() for line in _lines(key, group, order)]
    return sorted(lines, key=line_rank)
