"""The reference page of the data: every entry of the registry, and the columns of every reference table."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from radgen_lib.core.atomic import write_text
from radgen_lib.sources.reference.catalogue import READERS, Reader, schemas
from radgen_lib.sources.reference.schema import Column, Schema
from radgen_lib.sources.registry import Source, load_registry

PAGE = "docs/reference/data.md"
_HEAD = """# Data

Made by `python -m radgen_lib.sources.reference` from the registry and the schemas of the readers. `radgen sources`
tells which of these files are here. Links only: no file is part of radgen, and "none stated" means that the publisher
names no licence.

## Files

| entry | content | bytes | licence | address | cite |
|---|---|---|---|---|---|
"""
_TABLES = """
## Reference tables

`read_reference(entry, path)` of `radgen_lib.sources.reference.catalogue` reads and checks a file and returns the table
and its faults: one row for each row that was dropped or cell that was emptied, with the reason. Structure (columns,
numbers of rows, sums that the source states) is an error of one line.
"""


def data_page(registry: Mapping[str, Source] | None = None) -> str:
    """Text of the page for ``registry`` (None: the one that comes with radgen)."""
    entries = load_registry() if registry is None else registry
    lines = [_file_row(source) for source in entries.values()]
    parts = [_HEAD + "\n".join(lines) + "\n", _TABLES]
    groups: dict[Reader, list[str]] = {}
    for entry in (name for name in entries if name in READERS):
        groups.setdefault(READERS[entry], []).append(entry)
    parts += ["\n".join(_section(reader, names)) for reader, names in groups.items()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def write_page(root: Path) -> list[str]:
    """Bring the page under ``root`` up to date; returns its name where it had drifted."""
    path, text = root / PAGE, data_page()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    write_text(path, text)
    return [PAGE]


def _file_row(source: Source) -> str:
    address = f"[link]({source.url})" if source.url else source.ask
    size = "unknown" if source.bytes is None else f"{source.bytes:,}"
    cells = (f"`{source.name}`", source.what, size, source.licence, address, source.citation)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _section(reader: Reader, entries: list[str]) -> Iterator[str]:
    """One reader: what it returns, what is asked of each entry that it reads, and their columns."""
    known = schemas()
    columns: dict[str, Column] = {}
    yield f"### {reader.__name__}"
    yield ""
    yield " ".join((inspect.getdoc(reader) or "").split("\n\n")[0].split())
    yield ""
    for entry in entries:
        schema = known.get(entry)
        yield f"- `{entry}`" + ("" if schema is None else f": {_facts(schema)}")
        if schema is not None:
            columns = {**{column.to: column for column in schema.columns}, **columns}
    if columns:
        yield ""
        yield "| column | in the file | holds |"
        yield "|---|---|---|"
        for column in columns.values():
            yield f"| `{column.to}` | {column.name} | {_holds(column)} |"


def _facts(schema: Schema) -> str:
    facts = [f"{schema.rows:,} rows, one a {schema.unit}", f"unique {' and '.join(schema.key)}"]
    facts += [f"sum of {name} {total:g}" for name, total in schema.totals.items()]
    if schema.checks:
        facts.append("a row is set aside when " + ", ".join(check.says for check in schema.checks))
    return "; ".join(facts)


def _holds(column: Column) -> str:
    if column.words:
        return ", ".join(column.words) + (", or empty" if column.missing else "")
    kinds = {"patient": "code of a patient", "text": "text", "number": "number", "whole": "whole number"}
    low, high = (f"{bound:g}" if math.isfinite(bound) else "" for bound in (column.low, column.high))
    bounds = f" from {low} to {high}" if low and high else f" from {low}" if low else f" up to {high}" if high else ""
    return kinds.get(column.kind, "") + bounds + (", or empty" if column.missing else "")
