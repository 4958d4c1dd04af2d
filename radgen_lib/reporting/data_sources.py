"""Files that a cohort was made from beside its image series: where from, how large, and their sums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from radgen_lib.core.digest import file_sha256
from radgen_lib.reporting.data_table import DataTable, table_of
from radgen_lib.sources.checksums import fault_of, recorded_sum
from radgen_lib.sources.registry import Source

COLUMNS = ("name", "file", "bytes", "SHA-256", "sum known from", "address")
RECORDED = "recorded at first use"


def source_rows(registry: Mapping[str, Source], files: Iterable[str | Path]) -> pd.DataFrame:
    """A row (:data:`COLUMNS`) a file of the registry; each lies in a folder with the name of its entry.

    The size and the sum are those of the file at hand. A file that is not the one that the registry means, or that
    was recorded, says so with the sum that is expected. Raises KeyError for a folder that is no entry.
    """
    rows = []
    for path in map(Path, files):
        source = registry[path.parent.name]
        found, fault = fault_of(source, path, recorded_sum(path))
        known = "registry" if source.sum_known else RECORDED if recorded_sum(path) else "nowhere"
        if not source.sum_known and source.sha256_prefix:
            known += "; first digits by the publisher"
        known = f"NOT THAT FILE: {fault}" if fault else known
        address = source.url or "no public address"
        rows.append((source.name, source.filename, path.stat().st_size, found, known, address))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def rest_rows(tables: Iterable[str | Path]) -> pd.DataFrame:
    """A row a table of answers of the portal; the address and the day it was asked come from the card beside it."""
    rows = []
    for path in map(Path, tables):
        card = path.with_name(f"{path.stem}.card.json")
        told = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
        known = f"{RECORDED}, on {told['asked_on']}" if "asked_on" in told else "nowhere: its card is not there"
        address = str(told.get("service", "not known"))
        rows.append(("answers of the portal", path.name, path.stat().st_size, file_sha256(path), known, address))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sources_table(files: pd.DataFrame) -> DataTable:
    """The table of the page."""
    return table_of("files", "Files it was made from", "Beside the image series: files of the registry and answers of "
                    "the portal. A sum that the registry does not know was recorded when the file was first used; "
                    "later ones must equal it.", files)  # fmt: skip
