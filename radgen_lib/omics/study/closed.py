"""Tables of people whose identifiers are replaced, cell by cell through closed vocabularies, with what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from radgen_lib.omics.study.clinical_terms import column_key
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.mutations import COLUMNS
from radgen_lib.omics.study.vocabulary import STATUSES, clinical_cell, gene_symbol, variant, variant_kind

Row = tuple[int, list[str]]
_MOST = 500


class ClosedCells:
    """Cells of a clinical table as they may be written onward; remembers line and kind of each fault, never a cell."""

    def __init__(self, table: str, log: Decisions) -> None:
        self._table, self._log = table, log
        self._faults: dict[str, list[tuple[str, str, str]]] = {}
        self._changed: Counter[tuple[str, str]] = Counter()

    def read(self, column: str, text: str, line: int) -> str:
        """What is written for a cell of ``column``; "" for patients, who are named elsewhere."""
        if column == "patient":
            return ""
        cell = clinical_cell(column, text)
        if cell.fault and cell.text:
            self._changed[column, cell.fault] += 1
        elif cell.fault:
            self._faults.setdefault(column, []).append((f"line {line}", "left empty", cell.fault))
        return cell.text

    def report(self) -> None:
        """Write the log: a row a fault, and one row for all values that were changed alike."""
        for column, faults in self._faults.items():
            self._log.extend(f"clinical {column}", self._table, faults, most=_MOST)
        for (column, reason), count in self._changed.items():
            self._log.add(f"clinical {column}", self._table, column, "pooled", reason, count=count)


def closed_variants(
    header: Sequence[str], rows: Sequence[Row], known: Collection[str], path: Path, log: Decisions
) -> tuple[list[str], list[Row]]:
    """Header and rows (line, cells) of a MAF with the columns that are read, each in its vocabulary.

    A symbol that has not the form of one, or is an identifier (``known``), is "", which leaves the variant out later;
    a class that is not known is "Other"; any other cell that does not fit is "". All are counted in ``log``.
    """
    upper = [column_key(name) for name in header]
    places = {
        what: place
        for what, names in COLUMNS.items()
        if (place := next((upper.index(name) for name in names if name in upper), -1)) >= 0
    }
    lost: Counter[str] = Counter()
    kept: list[Row] = []
    for line, row in rows:
        said = {what: row[place] if place < len(row) else "" for what, place in places.items()}
        cells = {what: _cell(what, text, known) for what, text in said.items()}
        lost.update(what for what in cells if cells[what] != said[what] and said[what] not in MISSING_CELLS)
        kept.append((line, list(cells.values())))
    for what, count in sorted(lost.items()):
        decision = "written as Other" if what == "kind" else "left empty"
        log.add("mutation", path, f"cells of {what}", decision, "not in the vocabulary of the column", count=count)
    return [COLUMNS[what][0].title() for what in places], kept


def _cell(what: str, text: str, known: Collection[str]) -> str:
    if what == "sample":
        return text  # the name that takes the place of the patient
    if what == "gene":
        return "" if text in known else gene_symbol(text).partition(";")[0]
    if what == "kind":
        return variant_kind(text)
    if what == "variant":
        return variant(text)
    if what == "entrez":
        number = text.removesuffix(".0")
        return number if number.isdigit() and len(number) < 10 else ""
    return text.lower() if text.lower() in STATUSES else ""
