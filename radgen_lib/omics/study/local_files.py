"""Tables of any delimiter as the text files of a portal, patients under the names that leave ingestion."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from radgen_lib.cohort.selection import Selection
from radgen_lib.core.errors import DataError, data_error
from radgen_lib.omics.study.clinical_files import read_text_table
from radgen_lib.omics.study.clinical_terms import COLUMNS, column_key, known_columns
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.matrix import Header, read_header
from radgen_lib.omics.study.meta import Profile
from radgen_lib.omics.study.samples import SampleIndex, choose_samples, normal_patient
from radgen_lib.omics.study.text import blocks, decode

_AGAIN = "Save it as CSV or TSV with one row of column names"
_SYMBOLS = frozenset({"HUGO_SYMBOL", "HUGO", "GENE_SYMBOL", "GENE", "SYMBOL", "NAME"})
_PEOPLE = frozenset({*COLUMNS["patient"], *COLUMNS["sample"]})
_MAF_SAMPLES = ("TUMOR_SAMPLE_BARCODE", "SAMPLE_ID", "TUMOUR_SAMPLE_BARCODE", "SAMPLE", *COLUMNS["patient"])
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+(?:[eE]-?\d+)?")


class Renaming:
    """The name of a patient or of a sample's patient in everything that is written; ``rename`` None: the identifier."""

    def __init__(self, index: SampleIndex, rename: Callable[[str], str] | None) -> None:
        self.index, self._rename = index, rename

    def name(self, patient: str) -> str:
        """Name of a patient in normal form; "" stays ""."""
        patient = normal_patient(patient)
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


def table_rows(path: Path, log: Decisions) -> Iterator[list[str]]:
    """Rows of a delimited file (comma, semicolon or tab, as the first row tells), cells stripped.

    Numbers with a decimal comma become numbers in files with semicolons. Raises DataError for what is no text table.
    """

    def lines() -> Iterator[str]:
        for block in blocks(path):
            yield from io.StringIO(decode(path, block, log), newline="")

    stream = (line for line in lines() if line.strip() and not line.startswith("#"))
    first = next(stream, None)
    if first is None:
        return
    delimiter = max("\t,;", key=first.count)
    try:
        for text in ([first], stream):
            for row in csv.reader(text, delimiter=delimiter):
                cells = [cell.strip() for cell in row]
                yield [_point(cell) for cell in cells] if delimiter == ";" else cells
    except csv.Error as error:
        raise data_error(path.name, f"is not a table ({error})", _AGAIN) from error


def _point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _has_semicolons(path: Path) -> bool:
    start = next(blocks(path)).content.splitlines()
    first = next((line for line in start if line.strip() and not line.startswith(b"#")), b"")
    return first.count(b";") > max(first.count(b","), first.count(b"\t"))


def first_cells(path: Path, log: Decisions) -> list[str]:
    """The first cell of every row, without that of a header."""
    return [row[0] for row in table_rows(path, log) if row[0] and column_key(row[0]) not in _PEOPLE]


def write_matrix(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write a matrix of genes x samples with patients as column names; the rows stay as they are."""
    folder.mkdir()
    raw = _as_tabs(profile, folder, log) if profile.meta == profile.path.name else profile.path
    header = _header(raw, profile)
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
        shutil.copyfileobj(source, out)
    return target


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
        top[0] = _with_symbols(profile.path, top[0], len(top[1]), log)
    with open(target, "w", encoding="utf-8", newline="\n") as out:
        for rows in (top, stream):
            out.writelines("\t".join(cell.replace("\t", " ") for cell in row) + "\n" for row in rows)
    return target


def _with_symbols(path: Path, names: list[str], width: int, log: Decisions) -> list[str]:
    if len(names) == width - 1:
        names = ["", *names]
    if column_key(names[0]) in _PEOPLE:
        problem = "its first column is one of patients or samples"
        raise data_error(path.name, problem, "Genes stand in rows and samples in columns: transpose the table")
    if {name.upper() for name in names} & _SYMBOLS:
        return names
    log.add("matrix", path, "first column", "read as gene symbols", "no column is called so")
    return ["Hugo_Symbol", *names[1:]]


def write_mutations(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write variants with patients as samples; those of a sample that does not stand for its patient are left out."""
    folder.mkdir()
    stream = table_rows(profile.path, log)
    header = next(stream, [])
    upper = [column_key(name) for name in header]
    place = next((upper.index(name) for name in _MAF_SAMPLES if name in upper), -1)
    if place < 0:
        raise data_error(profile.path.name, "no column of samples or patients", "Call it Tumor_Sample_Barcode", row=1)
    rows = [row for row in stream if len(row) > place and row[place]]
    samples = list(dict.fromkeys(row[place] for row in rows))
    names = dict(zip(samples, renaming.columns(samples, profile, log), strict=True))
    header[place] = "Tumor_Sample_Barcode"
    target = folder / profile.path.name
    with open(target, "w", encoding="utf-8", newline="\n") as out:
        out.write("\t".join(header) + "\n")
        for row in rows:
            if names[row[place]]:
                out.write("\t".join([*row[:place], names[row[place]], *row[place + 1 :]]) + "\n")
    return target


def write_clinical(profile: Profile, folder: Path, renaming: Renaming, log: Decisions) -> Path:
    """Write the columns of a clinical table that have a meaning here, patients renamed; others are rows of the log."""
    folder.mkdir()
    table = read_text_table(profile.path, log)
    places = known_columns(table.columns)
    if "patient" not in places:
        raise data_error(table.name, "no column of patients (PATIENT_ID)", _AGAIN, row=table.header_line)
    clean = _point if profile.path.suffix.lower() == ".csv" and _has_semicolons(profile.path) else str
    used = {what: place for what, place in places.items() if what not in ("sample", "sample_type")}
    unused = [name for place, name in enumerate(table.columns) if place not in places.values()]
    log.extend("clinical column", table.name, [(name, "not used", "has no known meaning") for name in unused])
    text = profile.path.suffix.lower() in (".csv", ".tsv", ".txt")
    target = folder / (profile.path.name if text else f"{profile.path.name}.csv")
    with open(target, "w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, delimiter="," if target.suffix.lower() == ".csv" else "\t", lineterminator="\n")
        line = _row_at(write, out, 0, max(table.header_line, 1), [COLUMNS[what][0] for what in used])
        for number, row in zip(table.lines, table.rows, strict=True):
            cells = [
                renaming.name(row[place]) if what == "patient" else clean(row[place]) for what, place in used.items()
            ]
            line = _row_at(write, out, line, number, cells)
    return target


def _row_at(write: object, out: io.TextIOWrapper, line: int, wanted: int, cells: list[str]) -> int:
    """Write a row at its line of the user's file, so that decisions name that; the line it went to."""
    out.write("\n" * max(wanted - line - 1, 0))
    write.writerow(cells)  # type: ignore[attr-defined] # the type of csv.writer() has no public name
    return max(wanted, line + 1)
