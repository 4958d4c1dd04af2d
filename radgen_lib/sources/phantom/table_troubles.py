"""Faults planted in the phantom's text tables, each once, and the list of where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import write_bytes
from radgen_lib.core.seeds import make_rng

CLINICAL, SAMPLES, MUTATIONS = "data_clinical_patient.txt", "data_clinical_sample.txt", "data_mutations.txt"
EXPRESSION, COPY_NUMBER = "data_mrna_seq_v2_rsem.txt", "data_log2_cna.txt"
METHYLATION = "data_methylation_hm27_hm450_merged.txt"
LONELY_SAMPLE = "PHAN-S3-ZZZZ-01"
_COPY = "linear_cna"
_PLANTED_ORDER = (
    "gene_rows_twice", "sample_swap", "sample_in_one_omic", "duplicated_matrix", "empty_matrix",
    "mutations_unknown_columns", "clinical_without_headers", "not_utf8", "windows_line_ends",
)  # fmt: skip
Place = tuple[str, str]
_Plant = Callable[[Path, np.random.Generator], Place]


def plant_table_troubles(folder: Path, troubles: Sequence[str], seed: int) -> pd.DataFrame:
    """Change the study in ``folder`` so that it holds each of ``troubles`` once; names of image faults are skipped.

    Returns trouble, file, where, in the order of planting (which is fixed, so that faults that meet in one file do
    not undo each other). Raises FileNotFoundError where the study lacks the file.
    """
    rows = []
    for trouble in _PLANTED_ORDER:
        if trouble in troubles:
            rng = make_rng(seed, "phantom", "trouble", trouble)
            crossed = trouble == "sample_swap" and "empty_matrix" in troubles
            plant = partial(_sample_swap, file=COPY_NUMBER) if crossed else _PLANTS[trouble]
            rows.append((trouble, *plant(folder, rng)))
    return pd.DataFrame(rows, columns=["trouble", "file", "where"])


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _save(path: Path, lines: Sequence[bytes]) -> None:
    write_bytes(path, b"".join(lines))


def _without_headers(folder: Path, _: np.random.Generator) -> Place:
    path = folder / CLINICAL
    _save(path, [line for line in _lines(path) if not line.startswith(b"#")])
    return CLINICAL, "the rows that begin with # are gone"


def _unknown_columns(folder: Path, rng: np.random.Generator) -> Place:
    """Columns in another order, with one more that no reader knows."""
    path = folder / MUTATIONS
    cells = [line.rstrip(b"\n").split(b"\t") for line in _lines(path)]
    order = rng.permutation(len(cells[0]))
    rows = [[row[i] for i in order] + [b"PHANTOM_NOTE" if n == 0 else b"-"] for n, row in enumerate(cells)]
    _save(path, [b"\t".join(row) + b"\n" for row in rows])
    return MUTATIONS, "columns in another order, and PHANTOM_NOTE"


def _windows_line_ends(folder: Path, _: np.random.Generator) -> Place:
    path = folder / SAMPLES
    _save(path, [line.rstrip(b"\n") + b"\r\n" for line in _lines(path)])
    return SAMPLES, "every line"


def _not_utf8(folder: Path, rng: np.random.Generator) -> Place:
    """One cell of a column that decides nothing gets a letter in Latin-1."""
    path = folder / CLINICAL
    lines = _lines(path)
    header = next(i for i, line in enumerate(lines) if not line.startswith(b"#"))
    column = lines[header].rstrip(b"\n").split(b"\t").index(b"ETHNICITY")
    place = int(rng.integers(header + 1, len(lines)))
    cells = lines[place].rstrip(b"\n").split(b"\t")
    cells[column] = "Español".encode("latin-1")
    lines[place] = b"\t".join(cells) + b"\n"
    _save(path, lines)
    return CLINICAL, f"row {place + 1}, ETHNICITY of {cells[0].decode()}"


def _gene_rows_twice(folder: Path, rng: np.random.Generator) -> Place:
    """A gene's row stands again at the end, with other numbers."""
    path = folder / EXPRESSION
    lines = _lines(path)
    first = int(rng.integers(1, len(lines)))
    cells = lines[first].rstrip(b"\n").split(b"\t")
    values = np.array([float(cell) for cell in cells[2:]]) * 1.5
    again = [cells[0], cells[1], *[f"{value:.4f}".encode() for value in values]]
    _save(path, [*lines, b"\t".join(again) + b"\n"])
    return EXPRESSION, f"{cells[0].decode()}: rows {first + 1} and {len(lines) + 1}"


def _sample_in_one_omic(folder: Path, rng: np.random.Generator) -> Place:
    """A sample that no other file knows."""
    path = folder / COPY_NUMBER
    lines = _lines(path)
    added = [LONELY_SAMPLE.encode(), *[f"{value:.3f}".encode() for value in rng.normal(0, 0.3, len(lines) - 1)]]
    _save(path, [line.rstrip(b"\n") + b"\t" + cell + b"\n" for line, cell in zip(lines, added, strict=True)])
    return COPY_NUMBER, LONELY_SAMPLE


def _empty_matrix(folder: Path, _: np.random.Generator) -> Place:
    path = folder / METHYLATION
    _save(path, _lines(path)[:1])
    return METHYLATION, "header and no rows"


def _duplicated_matrix(folder: Path, _: np.random.Generator) -> Place:
    """The log2 copy number once more under another name, as if it were another measurement."""
    name = f"data_{_COPY}.txt"
    write_bytes(folder / name, (folder / COPY_NUMBER).read_bytes())
    meta = (folder / "meta_log2_cna.txt").read_text(encoding="utf-8")
    for old, new in (
        ("LOG2-VALUE", "CONTINUOUS"), ("log2CNA", "linear_CNA"), (COPY_NUMBER, name),
        ("Log2 copy-number values", "Capped relative linear copy-number values"), ("Log2 ratio", "Relative value"),
    ):  # fmt: skip
        meta = meta.replace(old, new)
    write_bytes(folder / f"meta_{_COPY}.txt", meta.encode())
    return name, f"the numbers of {COPY_NUMBER}"


def _sample_swap(folder: Path, rng: np.random.Generator, file: str = METHYLATION) -> Place:
    """Two primary tumours of different subtypes change their columns in one matrix."""
    path = folder / file
    lines = [line.rstrip(b"\n").split(b"\t") for line in _lines(path)]
    one, other = _swapped_columns(folder, [cell.decode() for cell in lines[0]], rng)
    for cells in lines[1:]:
        cells[one], cells[other] = cells[other], cells[one]
    _save(path, [b"\t".join(cells) + b"\n" for cells in lines])
    return file, f"{lines[0][one].decode()} and {lines[0][other].decode()}"


def _swapped_columns(folder: Path, header: list[str], rng: np.random.Generator) -> tuple[int, int]:
    clinical = pd.read_csv(folder / CLINICAL, sep="\t", comment="#", dtype=str, keep_default_na=False)
    subtype = clinical.set_index("PATIENT_ID")["SUBTYPE"].to_dict()
    primary = [i for i, name in enumerate(header) if name.endswith("-01")]
    kinds = np.array([subtype.get(header[i][:-3], "") for i in primary])
    basal = np.array(primary)[kinds == "BRCA_Basal"]
    luminal = np.array(primary)[kinds == "BRCA_LumA"]
    if len(basal) and len(luminal):
        return int(rng.choice(basal)), int(rng.choice(luminal))
    first, second = rng.choice(primary, size=2, replace=False)
    return int(first), int(second)


_PLANTS: dict[str, _Plant] = {
    "clinical_without_headers": _without_headers,
    "mutations_unknown_columns": _unknown_columns,
    "windows_line_ends": _windows_line_ends,
    "not_utf8": _not_utf8,
    "gene_rows_twice": _gene_rows_twice,
    "sample_in_one_omic": _sample_in_one_omic,
    "empty_matrix": _empty_matrix,
    "duplicated_matrix": _duplicated_matrix,
    "sample_swap": _sample_swap,
}
TABLE_TROUBLES = tuple(_PLANTS)
"""Troubles that concern text tables."""
