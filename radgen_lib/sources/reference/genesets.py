"""Gene sets in columns: one column a set, padded with NA (the KEGG sets of MSigDB as one repository holds them)."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.cells import read_text
from radgen_lib.sources.reference.schema import AGAIN, MISSING, Faults, Reference

KEGG_SETS = 186
_GENE = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")
_SET = re.compile(r"[A-Z0-9]+_[A-Z0-9_]+")


def read_gene_sets(path: Path, *, whole: bool = True) -> Reference:
    """Gene sets as one row a gene of a set: ``set``, ``gene``, in the order of the file.

    The file looks like GMT by its name and is not: it is tab-separated with a set's name at the head of a column. A
    gene that stands twice in a set, or text that is no gene symbol, is a fault of its row; ``whole`` asks for the 186
    sets of KEGG. Raises DataError for a file in which a column is no set, a set is empty, or whose number of sets is
    another.
    """
    cells = read_text(path, "\t")
    # The released file ends in a column of padding, without a name of its own.
    cells = cells[[name for name in cells.columns if name not in MISSING or not cells[name].isin(MISSING).all()]]
    strange = [name for name in cells.columns if not _SET.fullmatch(name)]
    if strange:
        raise data_error(path, f"column {strange[0]!r} is not named like a gene set (KEGG_...)", AGAIN, row=1)
    empty = [name for name in cells.columns if cells[name].isin(MISSING).all()]
    if empty:
        raise data_error(path, f"gene set {empty[0]} has no gene", AGAIN, row=1)
    if whole and len(cells.columns) != KEGG_SETS:
        raise data_error(path, f"holds {len(cells.columns)} gene sets, {KEGG_SETS} are expected", AGAIN, row=1)
    faults = Faults("gene", path)
    rows = [(name, gene) for name in cells.columns for gene in _genes(cells[name], faults)]
    return Reference(pd.DataFrame(rows, columns=["set", "gene"]), faults.frame())


def _genes(column: pd.Series, faults: Faults) -> list[str]:
    genes: dict[str, None] = {}
    for line, cell in column.items():
        gene = str(cell).strip()
        if gene in MISSING:
            continue
        if gene in genes or not _GENE.fullmatch(gene):
            reason = "stands twice in the set" if gene in genes else "is no gene symbol"
            faults.add(f"{column.name}/{gene[:40]}", line, str(column.name), reason)
            continue
        genes[gene] = None
    return list(genes)
