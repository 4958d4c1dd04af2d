"""Tables of any delimiter as the text files of a portal, patients under the names that leave ingestion."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from radgen_lib.cohort.selection import Selection
from radgen_lib.core.errors import DataError, data_error
from radgen_lib.omics.study.clinical_files import TextTable, read_text_table
from radgen_lib.omics.study.clinical_terms import COLUMNS, column_key, known_columns
from radgen_lib.omics.study.closed import ClosedCells, closed_variants
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.local_text import AGAIN, PEOPLE, decimal_point, has_semicolons, table_rows
from radgen_lib.omics.study.matrix import Header, read_header
from radgen_lib.omics.study.meta import Profile
from radgen_lib.omics.study.samples import SampleIndex, choose_samples, normal_patient
from radgen_lib.omics.study.vocabulary import gene_symbol

_TRANSPOSE = "Genes stand in rows and samples in columns: transpose the table"
_COMMON_GENES = frozenset(
    {"TP53", "ESR1", "ERBB2", "PIK3CA", "GAPDH", "ACTB", "MKI67", "BRCA1", "BRCA2", "PGR", "EGFR"}
)
_SYMBOLS = frozenset({"HUGO_SYMBOL", "HUGO", "GENE_SYMBOL", "GENE", "SYMBOL", "NAME"})
_MAF_SAMPLES = ("TUMOR_SAMPLE_BARCODE", "SAMPLE_ID", "TUMOUR_SAMPLE_BARCODE", "SAMPLE", *COLUMNS["patient"])


class Renaming:
    """The name of a patient or of a sample's patient in everything that is written; ``rename`` None: the identifier.

    ``private``: whether identifiers are replaced, and cells pass :mod:`radgen_lib.omics.study.vocabulary`; ``known``:
    every identifier that was seen.
    """

    def __init__(self, index: SampleIndex, rename: Callable[[str], str] | None) -> None:
        self.index, self._rename = index, rename
        self.private = rename is not None
        self.known: set[str] = set()

    def name(self, patient: str) -> str:
        """Name of a patient in normal form; "" stays ""."""
        self.known.add(patient.strip())
        patient = normal_patient(patient)
        self.known.add(patient)
        return patient if self._rename is None or not patient else self._rename(patient)

    def patient_of(self, sample: str) -> str:
        """Name of the patient of a sample."""
        return self.name(self.index.sample(sample).patient)

    def columns(self, samples: Sequence[str], profile: Profile, log: Decisions) -> list[str]:
        """Per sample the name of the patient it stands for, "" for one that stands for nobody; those are counted."""
        chosen = choose_samples(samples, self.index, Selection(), step=profile.kind, source=profile.path)
        names = [""] * len(samples)
        for patient, place in chosen.items():
            names[place] = self.name(patient)
        if left := len(samples) - len(chosen):
            reason = "no tumour tissue, or another sample stands for the patient"
            log.add("sample", profile.path, "samples", "left out", reason, count=left)
        return names


def write_matrix(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write a matrix of genes x samples with patients as column names; the rows stay as they are.

    Where identifiers are replaced, a row keeps its symbol and Entrez id only where they have the form of such.
    """
    folder.mkdir()
    raw = _as_tabs(profile, folder, log) if profile.meta == profile.path.name else profile.path
    header = _header(raw, profile)
    if len(_COMMON_GENES & set(header.samples)) > 1:
        raise data_error(profile.path.name, "its columns are genes", _TRANSPOSE)
    names = [""] * header.width
    names[header.symbol] = "Hugo_Symbol"
    for place, title in ((header.entrez, "Entrez_Gene_Id"), (header.description, "DESCRIPTION")):
        if place is not None:
            names[place] = title
    for place, name in zip(header.positions, renaming.columns(header.samples, profile, log), strict=True):
        names[place] = name  # a column without a name is read by nobody
    target = folder / profile.path.name
    with open(raw, "rb") as source, open(target, "wb") as out:
        for _ in range(header.line):
            source.readline()
        out.write(b"#\n" * (header.line - 1) + "\t".join(names).encode() + b"\n")  # rows keep their line numbers
        if renaming.private:
            _copy_rows(source, out, header, renaming, profile.path, log)
        else:
            shutil.copyfileobj(source, out)
    return target


def _copy_rows(
    source: IO[bytes], out: IO[bytes], header: Header, renaming: Renaming, path: Path, log: Decisions
) -> None:
    """Rows whose names are none of a person; numbers are looked at later, and no fault of one is quoted."""
    last = max(place for place in (header.symbol, header.entrez) if place is not None)
    lost = short = 0
    for line in source:
        cells = line.rstrip(b"\r\n").split(b"\t", last + 1)
        if line.startswith(b"#") or len(cells) <= last:
            out.write(b"#\n")
            short += bool(line.strip()) and not line.startswith(b"#")
            continue
        said = cells[header.symbol].decode("utf-8", "replace").strip().strip('"')
        symbol = "" if said in renaming.known else gene_symbol(said)
        lost += not symbol and said not in MISSING_CELLS
        cells[header.symbol] = symbol.encode()
        if header.entrez is not None:
            number = cells[header.entrez].strip().strip(b'"').removesuffix(b".0")
            cells[header.entrez] = number if number.isdigit() and len(number) < 10 else b""
        out.write(b"\t".join(cells) + b"\n")
    log.tally(path, "rows", 0, ["too few cells"] * short)  # who reads the written rows counts those
    if lost := lost + short:
        log.add("gene symbol", path, "rows", "no symbol", "what stands there has not the form of one", count=lost)


def _header(raw: Path, profile: Profile) -> Header:
    try:
        return read_header(raw, Decisions(), profile.properties)
    except DataError:
        # Its text quotes the first row, which may hold identifiers.
        problem = "no rows, no column of gene symbols, or no column of samples"
        raise data_error(profile.path.name, problem, "Genes stand in rows, samples in columns") from None


def _as_tabs(profile: Profile, folder: Path, log: Decisions) -> Path:
    """A plain matrix with tabs, its first column called Hugo_Symbol unless some column is one of symbols."""
    target = folder / "raw"
    stream = table_rows(profile.path, log)
    top = [row for _, row in zip(range(2), stream, strict=False)]
    if len(top) == 2:
        top[0] = (top[0][0], _with_symbols(profile.path, top[0][1], len(top[1][1]), log))
    written = 0
    with open(target, "w", encoding="utf-8", newline="\n") as out:
        for rows in (top, stream):
            for line, row in rows:
                # Empty lines keep every row at the line of the user's file.
                out.write("\n" * (line - written - 1) + "\t".join(cell.replace("\t", " ") for cell in row) + "\n")
                written = max(line, written + 1)
    return target


def _with_symbols(path: Path, names: list[str], width: int, log: Decisions) -> list[str]:
    if len(names) == width - 1:
        names = ["", *names]
    if column_key(names[0]) in PEOPLE:
        problem = "its first column is one of patients or samples"
        raise data_error(path.name, problem, _TRANSPOSE)
    if {name.upper() for name in names} & _SYMBOLS:
        return names
    log.add("matrix", path, "first column", "read as gene symbols", "no column is called so")
    return ["Hugo_Symbol", *names[1:]]


def write_mutations(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write variants with patients as samples; those of a sample that does not stand for its patient are left out.

    Where identifiers are replaced, only the columns that have a meaning here are written, in their vocabularies.
    """
    folder.mkdir()
    stream = table_rows(profile.path, log)
    top, header = next(stream, (1, []))
    upper = [column_key(name) for name in header]
    place = next((upper.index(name) for name in _MAF_SAMPLES if name in upper), -1)
    if place < 0:
        raise data_error(profile.path.name, "no column of samples or patients", "Call it Tumor_Sample_Barcode", row=1)
    found = list(stream)
    rows = [(line, row) for line, row in found if len(row) > place and row[place]]
    log.tally(profile.path, "rows", 0, ["no sample"] * (len(found) - len(rows)))  # who reads the others counts them
    samples = list(dict.fromkeys(row[place] for _, row in rows))
    names = dict(zip(samples, renaming.columns(samples, profile, log), strict=True))
    header[place] = "Tumor_Sample_Barcode"
    kept = [(line, [*row[:place], names[row[place]], *row[place + 1 :]]) for line, row in rows if names[row[place]]]
    if renaming.private:
        header, kept = closed_variants(header, kept, renaming.known, profile.path, log)
    target = folder / profile.path.name
    with open(target, "w", encoding="utf-8", newline="\n") as out:
        out.write("\n" * (top - 1) + "\t".join(header) + "\n")
        written = top
        for line, row in kept:
            out.write("\n" * (line - written - 1) + "\t".join(row) + "\n")
            written = max(line, written + 1)
    return target


def write_clinical(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write the columns of a clinical table that have a meaning here, patients renamed; others are rows of the log."""
    folder.mkdir()
    table = read_text_table(profile.path, log)
    places = known_columns(table.columns)
    if "patient" not in places:
        raise data_error(table.name, "no column of patients (PATIENT_ID)", AGAIN, row=table.header_line)
    clean = decimal_point if profile.path.suffix.lower() == ".csv" and has_semicolons(profile.path) else str
    used = {what: place for what, place in places.items() if what not in ("sample", "sample_type")}
    unused = [(place, name) for place, name in enumerate(table.columns, start=1) if place - 1 not in places.values()]
    told = [(f"column {place}" if renaming.private else name) for place, name in unused]
    log.extend("clinical column", table.name, [(name, "not used", "has no known meaning") for name in told])
    reader = ClosedCells(table.name, log) if renaming.private else None
    text = profile.path.suffix.lower() in (".csv", ".tsv", ".txt")
    target = folder / (profile.path.name if text else f"{profile.path.name}.csv")
    with open(target, "w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, delimiter="," if target.suffix.lower() == ".csv" else "\t", lineterminator="\n")
        line = _row_at(
            write, out, 0, max(table.header_line, 1), [column_key(table.columns[place]) for place in used.values()]
        )
        for number, row in _rows_of_patients(table, places, renaming.index, log):
            said = {what: clean(row[place]) for what, place in used.items()}
            cells = {what: reader.read(what, text, number) if reader else text for what, text in said.items()}
            named = row[places["patient"]]
            cells["patient"] = "" if named.strip() in MISSING_CELLS else renaming.name(named)
            line = _row_at(write, out, line, number, list(cells.values()))
    if reader:
        reader.report()
    return target


def _rows_of_patients(
    table: TextTable, places: dict[str, int], index: SampleIndex, log: Decisions
) -> list[tuple[int, list[str]]]:
    """Lines and rows; of a table of samples, for each patient those of the sample that stands for it, as in a study."""
    rows = list(zip(table.lines, table.rows, strict=True))
    if "sample" not in places:
        return rows
    best: dict[str, tuple[int, str, int]] = {}
    nobody = {line for line, row in rows if row[places["patient"]].strip() in MISSING_CELLS}  # told by the reader
    for line, row in rows:
        if line not in nobody:
            patient, sample = normal_patient(row[places["patient"]]), row[places["sample"]].strip()
            key = (index.sample(sample).rank, sample, line)
            best[patient] = min(best.get(patient, key), key)
    kept = nobody | {line for *_, line in best.values()}
    if len(kept) < len(rows):
        log.add("clinical row", table.name, "samples", "rows left out", "another sample stands for the patient",
                count=len(rows) - len(kept))  # fmt: skip
    return [(line, row) for line, row in rows if line in kept]


def _row_at(write: object, out: io.TextIOWrapper, line: int, wanted: int, cells: list[str]) -> int:
    """Write a row at its line of the user's file, so that decisions name that; the line it went to."""
    out.write("\n" * max(wanted - line - 1, 0))
    write.writerow(cells)  # type: ignore[attr-defined] # the type of csv.writer() has no public name
    return max(wanted, line + 1)
