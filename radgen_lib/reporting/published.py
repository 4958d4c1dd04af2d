"""Published numbers of the five systems, each with the publication it was read from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.core.errors import data_error

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).parent / "data" / "published_values.csv"
REFERENCE_FILE = Path(__file__).parent / "data" / "pixelrow_reference.csv"
COLUMNS = ("system", "source", "item", "row", "col", "value", "sd_or_ci", "n", "note")
REFERENCE_COLUMNS = ("image", "reference", "value", "tolerance")
REFERENCE_CITATION = "measured on the released projections (no published value)"

_PAPERS = {
    "A": "Huang et al., J Transl Med 2024, doi 10.1186/s12967-024-05018-9",
    "B": "Chen et al., PLoS Comput Biol 2024;20(10), doi 10.1371/journal.pcbi.1012490",
    "C": "Liu & Hu, Biomark Res 2023;11:9, doi 10.1186/s40364-023-00455-y",
    "D": "Osuala et al., arXiv 2409.18872v1 (2024)",
    "E": "Shiri et al., Mol Imaging Biol 2025",
}
_SOURCES = {
    "preprint abstract": "Chen et al., preprint abstract (README of Kylelhc/BC_RadiogenomicCPDM, 2023)",
    "PLoS Comput Biol 2024 abstract": f"{_PAPERS['B']} (abstract)",
}


def citation(system: str, source: str) -> str:
    """Citation of one source; the kind of place (figure, script) is kept where it is not the paper's text."""
    if source in _SOURCES:
        return _SOURCES[source]
    if system not in _PAPERS:
        raise KeyError(f"system {system!r}: no citation; known: {', '.join(_PAPERS)}")
    return _PAPERS[system] if source == "paper" else f"{_PAPERS[system]} ({source})"


def published_values(system: str | None = None, *, path: Path = FILE) -> pd.DataFrame:
    """Read the published numbers: columns ``system source item row col value sd_or_ci n note citation``.

    ``value`` is float (NaN where the paper leaves the cell empty), the others are text. ``system`` (A to E) keeps one
    system. Raises DataError for missing columns, text in ``value``, or a cell that stands twice.
    """
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise data_error(path, f"columns are {', '.join(table.columns)}", f"Expected {', '.join(COLUMNS)}")
    value = pd.to_numeric(table["value"].replace("", None), errors="coerce")
    bad = table.index[value.isna() & (table["value"] != "")]
    if len(bad):
        raise data_error(path, f"value {table['value'][bad[0]]!r} is not a number", "Correct it", row=int(bad[0]) + 2)
    double = table.index[table.duplicated(["source", "system", "item", "row", "col"])]
    if len(double):
        raise data_error(path, "the same cell stands twice", "Keep one", row=int(double[0]) + 2)
    pairs = zip(table["system"], table["source"], strict=True)
    table = table.assign(value=value.astype(float), citation=[citation(*pair) for pair in pairs])
    return table if system is None else table[table["system"] == system].reset_index(drop=True)


def pixelrow_reference() -> pd.DataFrame:
    """Reference values of the pixel-row Frechet distance, measured once on the released projections (B.TD).

    Columns ``image`` (the patient of the test image), ``reference`` (the arm of B.TD rows),
    ``value`` (pixel units 0 to 1), ``tolerance`` (NaN where the reference is random).
    """
    import pandas as pd

    return pd.read_csv(REFERENCE_FILE, dtype={"image": str, "reference": str})
