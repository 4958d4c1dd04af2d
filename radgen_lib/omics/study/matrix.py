"""Wide matrices of a study (genes in rows, samples in columns), streamed block by block into float32.

A block of good lines is parsed by Arrow, all columns at once; a block in which Arrow finds a fault is read again line
by line, so that every bad cell and every ragged row is named while the rest of the matrix goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.text import BLOCK, Block, blocks, split_block

ANNOTATIONS = frozenset({
    "HUGO_SYMBOL", "HUGO", "GENE", "GENE_SYMBOL", "SYMBOL", "ENTREZ_GENE_ID", "COMPOSITE.ELEMENT.REF",
    "ENTITY_STABLE_ID", "NAME", "DESCRIPTION", "TRANSCRIPT_ID", "CYTOBAND", "LOCUS ID", "LOCUS_ID",
})  # fmt: skip
_SYMBOL = ("HUGO_SYMBOL", "HUGO", "GENE_SYMBOL", "GENE", "SYMBOL", "NAME")
LEFT_OUT = "row left out"
_AGAIN = "Fetch the study again, or leave the matrix out"


@dataclass(frozen=True)
class Header:
    """First row of a matrix: its width, where symbol, Entrez id and description stand, and the sample columns."""

    line: int
    width: int
    symbol: int
    entrez: int | None
    description: int | None
    samples: tuple[str, ...]
    positions: tuple[int, ...]


class Rows(NamedTuple):
    """Some rows of a matrix; ``values`` is float32 [kept samples, rows] with NaN for missing cells."""

    symbols: list[str]
    entrez: list[str]
    descriptions: list[str]
    values: np.ndarray


def read_header(path: Path, log: Decisions, properties: Sequence[str] = ()) -> Header:
    """Read the column names; ``properties`` are further annotation columns that the meta file declares.

    Row names written by R have no column name of their own, which is then added. Raises DataError for a file without
    rows, without a column of gene symbols or without samples.
    """
    first = _first_rows(path, log)
    line, names = first[0]
    if len(first) > 1 and len(first[1][1]) == len(names) + 1:
        names = ["Hugo_Symbol", *names]
        log.add("matrix", path, f"line {line}", "first column called Hugo_Symbol", "the header lacks its first name")
    known = ANNOTATIONS | {name.upper() for name in properties}
    upper = [name.upper() for name in names]
    if upper and not upper[0]:
        upper[0] = "HUGO_SYMBOL"
    symbol = next((upper.index(name) for name in _SYMBOL if name in upper), None)
    positions = tuple(i for i, name in enumerate(upper) if name and name not in known)
    if symbol is None or not positions:
        lacking = "no column of gene symbols (Hugo_Symbol)" if symbol is None else "no sample columns"
        raise data_error(path.name, f"{lacking}; the header begins with {', '.join(names[:5])}", _AGAIN, row=line)
    entrez = upper.index("ENTREZ_GENE_ID") if "ENTREZ_GENE_ID" in upper else None
    description = upper.index("DESCRIPTION") if "DESCRIPTION" in upper else None
    return Header(line, len(names), symbol, entrez, description, tuple(names[i] for i in positions), positions)


def read_rows(
    path: Path, header: Header, columns: Sequence[int], log: Decisions, *, size: int = BLOCK
) -> Iterator[Rows]:
    """Stream the rows of a matrix; ``columns`` are indices into ``header.samples``, in the order wanted.

    Ragged rows and cells that hold text become rows of the log (the cell is missing); infinities are missing and
    counted. The values do not depend on ``size`` (bytes of a block) but for the last bit of a cell in a faulty block.
    """
    wanted = [header.positions[column] for column in columns]
    faults: list[tuple[str, str, str]] = []
    infinite = kept = 0
    for block in blocks(path, size):
        rows = _fast(header, wanted, _body(header, block)) or _careful(path, header, wanted, block, faults, log)
        odd = np.isinf(rows.values)
        if odd.any():
            infinite += int(odd.sum())
            rows.values[odd] = np.nan
        kept += len(rows.symbols)
        if rows.symbols:
            yield rows
    log.extend("matrix", path, faults)
    log.tally(path, "rows", kept, [reason for _, decision, reason in faults if decision == LEFT_OUT])
    if infinite:
        log.add("missing", path, "infinite cells", "missing", "an infinity is not a measurement", count=infinite)


def _first_rows(path: Path, log: Decisions) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    for block in blocks(path):
        for row in split_block(path, block, log):
            found.append(row)
            if len(found) == 2:
                return found
    if not found:
        raise data_error(path.name, "is empty", _AGAIN)
    raise data_error(path.name, "holds a header and no rows", _AGAIN, row=found[0][0])


def _body(header: Header, block: Block) -> Block:
    """The part of a block that lies below the header."""
    content = block.content
    while block.line <= header.line and content:
        content = content[content.find(b"\n") + 1 :] if b"\n" in content else b""
        block = Block(block.line + 1, content)
    return block


def _fast(header: Header, wanted: Sequence[int], block: Block) -> Rows | None:
    """Rows of a faultless block, or None when a line is ragged, a comment, not UTF-8, or holds text in a number."""
    if not block.content or b"\n#" in block.content or block.content.startswith(b"#"):
        return None
    names = [f"c{i}" for i in range(header.width)]
    texts = [i for i in (header.symbol, header.entrez, header.description) if i is not None]
    types: Mapping[str, pa.DataType] = {
        **{names[i]: pa.string() for i in texts}, **{names[i]: pa.float32() for i in wanted},
    }  # fmt: skip
    size = len(block.content) + 1
    try:
        table = pacsv.read_csv(
            pa.BufferReader(block.content),
            read_options=pacsv.ReadOptions(column_names=names, block_size=size),
            parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=sorted(MISSING_CELLS),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    values = np.empty((len(wanted), table.num_rows), dtype=np.float32)
    for row, position in zip(values, wanted, strict=True):
        row[:] = table.column(names[position]).to_numpy()
    symbols, entrez, descriptions = (
        _texts(table, names, i) for i in (header.symbol, header.entrez, header.description)
    )
    return Rows(symbols, entrez, descriptions, values)


def _texts(table: pa.Table, names: Sequence[str], position: int | None) -> list[str]:
    if position is None:
        return [""] * table.num_rows
    return [str(text).strip().strip('"') for text in table.column(names[position]).to_pylist()]


def _careful(
    path: Path,
    header: Header,
    wanted: Sequence[int],
    block: Block,
    faults: list[tuple[str, str, str]],
    log: Decisions,
) -> Rows:
    """Rows of any block, cell by cell: what cannot be read is added to ``faults``."""
    kept: list[list[str]] = []
    values: list[np.ndarray] = []
    sample_of = dict(zip(header.positions, header.samples, strict=True))
    for line, cells in split_block(path, block, log):
        if line <= header.line:
            continue
        if len(cells) != header.width:
            reason = f"{len(cells)} cells where {header.width} are expected"
            faults.append((f"line {line} {cells[header.symbol] if len(cells) > header.symbol else ''}".strip(),
                           LEFT_OUT, reason))  # fmt: skip
            continue
        numbers, bad = _numbers([cells[i] for i in wanted])
        for i in bad:
            item = f"line {line} {cells[header.symbol]} {sample_of[wanted[i]]}"
            held = repr(cells[wanted[i]][:40]) if log.quotes else "no number"
            faults.append((item, "missing", f"the cell holds {held}"))
        kept.append(cells)
        values.append(numbers)
    stacked = np.stack(values, axis=1) if values else np.empty((len(wanted), 0), dtype=np.float32)
    places = (header.symbol, header.entrez, header.description)
    symbols, entrez, descriptions = (["" if i is None else cells[i] for cells in kept] for i in places)
    return Rows(symbols, entrez, descriptions, stacked)


def _numbers(cells: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    """Numbers of some cells (NaN for missing and unreadable ones) and the positions of the unreadable ones."""
    found, bad = np.full(len(cells), np.nan, dtype=np.float32), []
    for i, cell in enumerate(cells):
        if cell in MISSING_CELLS:
            continue
        try:
            with np.errstate(over="ignore"):
                found[i] = np.float32(_plain(cell))
        except ValueError:
            bad.append(i)
    return found, bad


def _plain(cell: str) -> float:
    # float() also takes 1_000 and digits of other scripts, which no study means as a number.
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    return float(cell)
