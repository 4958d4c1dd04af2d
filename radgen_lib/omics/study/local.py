"""A study of one's own: plain tables under fixed names, or a portal's folder, patients renamed before anything is read.

Plain tables become a portal's folder for the time of reading, in a private temporary place, so that every rule,
decision and fault is that of :func:`~radgen_lib.omics.study.read.read_study`. Sample columns then bear the patient's
name, and columns of a clinical table that have no meaning here (names, dates) never reach a reader.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from radgen_lib.cohort.ids import is_patient_id
from radgen_lib.core.errors import DataError, data_error
from radgen_lib.omics.study.clinical import sample_index
from radgen_lib.omics.study.clinical_files import read_text_table
from radgen_lib.omics.study.clinical_terms import known_columns
from radgen_lib.omics.study.decisions import STUDY, Choices, Decisions
from radgen_lib.omics.study.local_files import Renaming, write_clinical, write_matrix, write_mutations
from radgen_lib.omics.study.local_text import first_cells
from radgen_lib.omics.study.meta import OMICS, Profile, read_profiles, sequenced_samples, study_root
from radgen_lib.omics.study.read import Study, read_study
from radgen_lib.omics.study.samples import SampleIndex
from radgen_lib.sources.tar_archive import unpack_tar

# File name without its ending -> what the portal calls such a table.
TABLES = {
    "expression": ("MRNA_EXPRESSION", "CONTINUOUS"),
    "copy_number": ("COPY_NUMBER_ALTERATION", "LOG2-VALUE"),
    "methylation": ("METHYLATION", "CONTINUOUS"),
    "mutations": ("MUTATION_EXTENDED", "MAF"),
    "clinical": ("CLINICAL", "PATIENT_ATTRIBUTES"),
}
SEQUENCED = "sequenced"
_TEXT = (".csv", ".tsv", ".txt")
_SHEETS = (".xlsx", ".xlsm")
_PLACE = "Name the tables expression, copy_number, methylation, mutations or clinical, ending .csv, .tsv or .txt"


def read_any_study(
    source: Path,
    *,
    drivers: Sequence[str],
    rename: Callable[[str], str] | None = None,
    clinical: Path | None = None,
    scratch: Path | None = None,
    choices: Choices | None = None,
) -> Study:
    """Read a study in whatever form it is: a portal's folder or tarball, or a folder of plain tables.

    Plain tables are ``expression``, ``copy_number``, ``methylation`` (genes x samples), ``mutations`` (one row a
    variant), ``clinical`` (one row a patient; XLSX too) and ``sequenced`` (one patient a line), as .csv, .tsv or .txt.
    ``rename`` gives the name of each patient in everything that is returned (keyed pseudonyms, the same as the
    images'); no cell is then quoted anywhere, text passes closed vocabularies, ages above 89 are 90, and tables are
    called by their kind. ``clinical`` is a clinical table elsewhere, whose values go before those of the study;
    ``scratch`` is a private folder for temporary files.
    Raises DataError when there is no table, when one stands twice, and when ``rename`` is None and a patient's
    identifier is no public research code.
    """
    choices = choices or Choices()
    if rename is None and clinical is None and not is_plain(source):
        study = read_study(source, drivers=drivers, choices=choices)
    else:
        with tempfile.TemporaryDirectory(prefix=".study-", dir=scratch) as place:
            study = _converted(source, Path(place), drivers, rename, clinical, choices)
    if rename is None:
        _require_codes(study, source)
    return study


def is_plain(source: Path) -> bool:
    """Whether ``source`` is a folder without any meta file, in itself and in the folders below it."""
    return source.is_dir() and not any(source.glob("meta*.txt")) and not any(source.glob("*/meta*.txt"))


def plain_tables(folder: Path) -> tuple[dict[str, Path], int]:
    """Kind -> file of a folder of plain tables, and how many files have no meaning here.

    Raises DataError for two files of one kind, and when there is no table at all.
    """
    found: dict[str, Path] = {}
    others = 0
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        kind, ending = path.stem.lower(), path.suffix.lower()
        if kind not in (*TABLES, SEQUENCED) or ending not in (*_TEXT, *(_SHEETS if kind == "clinical" else ())):
            others += 1
        elif kind in found:
            raise data_error(path.name, f"the folder holds {found[kind].name} as well", "Leave one of them")
        else:
            found[kind] = path
    if not set(found) & set(TABLES):
        raise data_error(folder.name, f"holds neither tables nor meta files ({others} other files)", _PLACE)
    return found, others


def _converted(
    source: Path, place: Path, drivers: Sequence[str], rename: Callable[[str], str] | None, clinical: Path | None,
    choices: Choices,
) -> Study:  # fmt: skip
    log = Decisions(quotes=rename is None)
    folder = source
    if source.is_file():
        folder = place / "raw"
        unpack_tar(source, folder, suffixes=(".txt",))
    if is_plain(folder):
        tables, others = plain_tables(folder)
        if others:
            log.add("table", "folder", "further files", "not used", "no table of a known name", count=others)
        profiles = [_profile(kind, path) for kind, path in tables.items() if kind != SEQUENCED]
        sequenced = first_cells(tables[SEQUENCED], log) if SEQUENCED in tables else None
    else:
        profiles, sequenced = _portal(study_root(folder), choices, log)
    if clinical is not None:
        profiles = [_profile("clinical", clinical), *profiles]  # the first of several tables goes before the others
    if rename is not None:
        profiles = [_by_kind(profile, place / "tables" / str(i)) for i, profile in enumerate(profiles)]
    work = place / "study"
    work.mkdir()
    _write_folder(profiles, sequenced, work, Renaming(_index(profiles, log), rename), log)
    study = read_study(work, drivers=drivers, choices=choices, quotes=rename is None)
    return replace(
        study,
        decisions=pd.concat([log.frame(), study.decisions], ignore_index=True),
        losses=pd.concat([log.losses(), study.losses], ignore_index=True),
    )


def _portal(root: Path, choices: Choices, log: Decisions) -> tuple[list[Profile], list[str] | None]:
    """Profiles and sequenced samples of a portal's folder; where nothing is quoted, what was left out is counted."""
    if log.quotes:
        return read_profiles(root, choices, log), sequenced_samples(root, log)
    silent = Decisions()
    try:
        profiles, sequenced = read_profiles(root, choices, silent), sequenced_samples(root, silent)
    except DataError:
        raise data_error(root.name, "a meta file or case list cannot be read", "Save it as UTF-8 text") from None
    if lost := int((silent.frame()["step"] == "meta").sum()):
        log.add("meta", "folder", "meta files", "not used or left out", "no table of use, or no such file", count=lost)
    return profiles, sequenced


def _by_kind(profile: Profile, folder: Path) -> Profile:
    """A profile whose file is called by its kind: the names that people give to files and profiles are text too."""
    ending = profile.path.suffix.lower()
    name = profile.kind.removesuffix("_patient") + (ending if ending in (*_TEXT, *_SHEETS) else ".txt")
    folder.mkdir(parents=True)
    (folder / name).symlink_to(profile.path.resolve())
    plain = profile.meta == profile.path.name
    return replace(profile, path=folder / name, stable_id="", meta=name if plain else "its meta file")


def _profile(kind: str, path: Path) -> Profile:
    name = "clinical_patient" if kind == "clinical" else kind
    return Profile(name, TABLES[kind][1], kind, path, path.name)


def _index(profiles: Sequence[Profile], log: Decisions) -> SampleIndex:
    """Whose sample is whose, from all clinical tables that have a column of samples, the study's sample file first.

    A table that cannot be read is a row of the log: without it the names of samples alone tell whose they are.
    """
    index = SampleIndex()
    # A table from elsewhere heads the list: of samples the study itself knows more, so that is asked last.
    last_first = [profile for profile in reversed(profiles) if profile.kind.startswith("clinical")]
    for profile in sorted(last_first, key=lambda profile: profile.kind != "clinical_sample"):
        try:
            table = read_text_table(profile.path, Decisions())
        except DataError:
            # Its text may quote cells; the fault itself is told where the table is written.
            log.add("sample", profile.path, "samples", "not by this table", "the table cannot be read")
            continue
        if "sample" in known_columns(table.columns):
            log.add("sample", table.name, "samples", "patients by this table", "it has a column of samples")
            index, clashes = index.filled(sample_index(table))
            if clashes:
                reason = "another table gives them to another patient, and goes first"
                log.add("sample", table.name, "samples", "not by this table", reason, count=clashes)
    return index


def _write_folder(
    profiles: Sequence[Profile], sequenced: Sequence[str] | None, work: Path, renaming: Renaming, log: Decisions
) -> None:
    """Write the folder of a portal, every patient under the name that leaves ingestion; what cannot be is a row."""
    faults: list[DataError] = []
    names = sorted({renaming.patient_of(sample) for sample in sequenced or ()} - {""})
    # Matrices last: what names a patient elsewhere is no gene there.
    for number, profile in sorted(enumerate(profiles), key=lambda pair: pair[1].kind in OMICS):
        kind = profile.kind
        write = write_matrix if kind in OMICS else write_mutations if kind == "mutations" else write_clinical
        try:
            path = write(profile, work / str(number), renaming, log)
        except DataError as error:
            log.add(kind, profile.path, profile.stable_id or kind, "left out", str(error))
            log.untally(profile.path)
            log.tally(STUDY, "tables", 0, [str(error)])
            faults.append(error)
            continue
        alteration, datatype = TABLES.get(kind, TABLES["clinical"])
        keys = {
            "genetic_alteration_type": alteration,
            "datatype": profile.datatype if kind == "copy_number" else datatype,
            "stable_id": profile.stable_id,
            "data_filename": path.relative_to(work).as_posix(),
        }
        text = "".join(f"{key}: {value}\n" for key, value in keys.items())
        (work / f"meta_{number:02d}.txt").write_text(text, encoding="utf-8")
    if faults and len(faults) == len(profiles):
        raise faults[0]
    if sequenced is not None:
        (work / "case_lists").mkdir()
        listed = "stable_id: local_sequenced\ncase_list_ids: " + "\t".join(names) + "\n"
        (work / "case_lists/cases_sequenced.txt").write_text(listed, encoding="utf-8")


def _require_codes(study: Study, source: Path) -> None:
    """Refuse local identifiers that would be written onward as they are."""
    patients = set(study.clinical["patient"])
    foreign = sum(not is_patient_id(patient) for patient in patients)
    if foreign:
        raise data_error(
            source.name,
            f"{foreign} of {len(patients)} patients have identifiers that are no public research code",
            "Set imaging.pseudonyms: true for the cohort: images and tables then get the same keyed pseudonyms",
        )
