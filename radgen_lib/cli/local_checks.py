"""What ``radgen doctor`` understood of a user's own folder: series, phases, tables, who is in which, and gaps."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.cli.checks import Check
from radgen_lib.cli.cohort_checks import describe, disk_check, linked_need
from radgen_lib.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from radgen_lib.core.config.cohort import Cohort, Imaging
    from radgen_lib.core.config.model import Config
    from radgen_lib.omics.study.read import Study

# Series whose headers are all read to see what phases would be found.
SAMPLE = 50
_REASONS = 3
_NO_PHASE = "not a contrast phase$|images refused"
_LABELS = ("age", "stage", "subtype", "er", "pr", "her2", "os_days", "os_event")
# Series of NIfTI files, which are written as DICOM for it.
NIFTI_SAMPLE = 10
_FAULTS = 10
_NO_NIFTI = "A folder is read as DICOM unless it holds phases.csv, which says what each NIfTI file is"


def check_local(config: Config, name: str) -> Iterator[Check]:
    """Rows on a cohort whose images or molecular tables lie in folders of the user; nothing is written there.

    All headers are read once for the identifiers, the tables whole, and of at most :data:`SAMPLE` series the headers
    again as the run would, to see what phases it would find. Identifiers and values are never shown.
    """
    cohort = config.cohorts[name]
    imaged: set[str] | None = None
    if cohort.imaging is not None and cohort.imaging.source == "folder":
        listing = yield from _images(config, name, cohort.imaging)
        if listing is not None:
            imaged = set(listing["patient"]) - {""}
            yield from _identifiers(name, cohort.imaging, imaged)
    if cohort.omics is not None and cohort.omics.source == "folder":
        yield from _omics(config, name, cohort, imaged)


def _images(config: Config, name: str, imaging: Imaging) -> Generator[Check, None, pd.DataFrame | None]:
    """Rows on the series; returns the listing of sound ones, None when the folder cannot be listed at all."""
    from radgen_lib.sources.folder import is_nifti_folder, list_series
    from radgen_lib.sources.series_lists import choose_series

    what = f"images of {name}"
    try:
        listing = list_series(imaging)
    except (ConfigError, DataError) as error:
        yield Check("FAIL", what, str(error), "Correct `imaging.location`, or what the folder holds")
        return None
    nifti = is_nifti_folder(imaging)
    yield from _left_out(what, imaging, listing, nifti=nifti)
    good = listing[listing["status"] == ""]
    if good.empty:
        todo = "Repair the rows above" if nifti else "Correct `imaging.location`"
        yield Check("FAIL", what, f"no {'usable row in phases.csv' if nifti else 'DICOM series of MR'}", todo)
        return good
    chosen = choose_series(good, imaging)
    if len(chosen) < len(good):
        found = f"{len(good) - len(chosen)} of {len(good)} series are left out by series: {imaging.series}"
        yield Check("WARN", what, found, "`series: all` takes every one; what is no phase is told from its tags")
    there = chosen[chosen["status"] == ""]
    sized = there.assign(bytes=there["store_bytes"]) if nifti else there
    text = describe(sized) + (" of DICOM, written from NIfTI" if nifti else "")
    yield disk_check(config, what, text, linked_need(config, sized, imaging))
    yield from _phases(name, there, imaging)
    return good


def _left_out(what: str, imaging: Imaging, listing: pd.DataFrame, *, nifti: bool) -> Iterator[Check]:
    """Files that are not read, and rows that cannot be used, with their reasons."""
    if nifti:
        from radgen_lib.sources.nifti_folder import unlisted

        files, todo = unlisted(imaging), "They stand in no row of phases.csv; add them if they matter"
    else:
        places = Path(str(imaging.location)).rglob("[!.]*")
        files, todo = sum(path.name.endswith((".nii", ".nii.gz")) for path in places), _NO_NIFTI
    if files:
        yield Check("WARN", what, f"{files} NIfTI files are not read", todo)
    reasons = listing.loc[listing["status"] != "", "reason"]
    for reason in reasons[:_FAULTS]:
        yield Check("WARN", what, str(reason), "Left out, a row with the reason; repair it if it matters")
    if len(reasons) > _FAULTS:
        yield Check(
            "WARN", what, f"{len(reasons) - _FAULTS} further faults", "Each is a row with its reason in the run"
        )


def _phases(name: str, listing: pd.DataFrame, imaging: Imaging) -> Iterator[Check]:
    """What the reader would find in whole studies of up to :data:`SAMPLE` series, the first ones by identifier.

    Of NIfTI files, :data:`NIFTI_SAMPLE` are written as DICOM into a temporary folder.
    """
    from radgen_lib.imaging.dicom.phases import find_phases
    from radgen_lib.imaging.dicom.scan import scan
    from radgen_lib.sources.folder import fetch_series

    nifti = "item" in listing.columns
    sample = _whole_studies(listing, NIFTI_SAMPLE if nifti else SAMPLE)
    with tempfile.TemporaryDirectory(prefix="radgen-doctor-") as place:
        root = Path(place)
        ledger = fetch_series(sample, root, imaging, jobs=1, offline=True) if nifti else _linked(sample, root)
        scanned = scan(root, ledger, jobs=1)
    phases, _, series = find_phases(scanned.instances, scanned.refused)
    studies = series.groupby(["patient", "study"]).ngroups if len(series) else 0
    what, of = f"phases of {name}", f"in a sample of {len(sample)} of {len(listing)} series ({studies} studies)"
    kept = phases[phases["kept"].astype(bool)]
    kinds = kept["phase"].value_counts().sort_index()
    views = kept.drop_duplicates(["patient", "study"])["view"].value_counts()
    found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    text = f"{found} {of}; {', '.join(f'{count} {view}' for view, count in views.items()) or 'no view'}"
    with_pre = kept.loc[kept["phase"] == "pre", "study"].nunique()
    if kept.empty:
        yield Check("FAIL", what, f"none {of}", "See docs/explanation/ingestion.md for the tags that tell a phase")
    elif with_pre < studies or "sagittal" not in views:
        todo = "System B reads sagittal studies; intensities are scaled by the pre-contrast phase"
        yield Check("WARN", what, f"{text}; {studies - with_pre} without pre-contrast phase", todo)
    else:
        yield Check("OK", what, text)
    # What is no phase (localisers, subtractions) is left out as it should be; the rest is a loss, or told as a fault.
    dynamic = ~phases["reason"].str.contains(_NO_PHASE) & ~phases["kept"].astype(bool)
    lost = Counter([*phases.loc[dynamic, "reason"], *scanned.faults["reason"]])
    for reason, count in lost.most_common(_REASONS):
        yield Check("WARN", what, f"{count} x {reason}", "Left out, a row with the reason")
    if len(lost) > _REASONS:
        yield Check("WARN", what, f"{len(lost) - _REASONS} further reasons", "The page of the run lists every one")
    names = sorted({one for cell in series["identifying"] for one in str(cell).split(",") if one})
    if names:
        todo = "They are never written onward; keep the folder of `downloads:` private"
        yield Check("WARN", f"privacy of {name}", f"identifying attributes present: {', '.join(names)}", todo)


def _whole_studies(listing: pd.DataFrame, most: int) -> pd.DataFrame:
    """Series of the first studies, as many whole ones as ``most`` series hold, one at least."""
    sizes = listing.groupby(["patient", "study"], sort=True)["series"].transform("size").to_numpy()
    order = listing.assign(size=sizes).sort_values(["patient", "study", "series"], kind="stable")
    ends = order.groupby(["patient", "study"], sort=False)["size"].first().cumsum()
    taken = set(ends.index[(ends <= most) | (ends == ends.iloc[0])])
    return order[[key in taken for key in zip(order["patient"], order["study"], strict=True)]]


def _linked(sample: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Each series as a folder of symbolic links below ``place``, and its ledger."""
    folders = []
    for number, files in enumerate(sample["files"]):
        folder = place / str(number)
        folder.mkdir()
        for index, (_, path) in enumerate(files):
            (folder / f"{index}.dcm").symlink_to(path)
        folders.append(str(number))
    return sample[["patient", "study", "series"]].assign(folder=folders, status="ok", reason="")


def _identifiers(name: str, imaging: Imaging, patients: set[str]) -> Iterator[Check]:
    from radgen_lib.cohort.ids import is_patient_id
    from radgen_lib.omics.study.samples import normal_patient

    foreign = sum(not is_patient_id(normal_patient(patient)) for patient in patients)
    text = f"{foreign} of {len(patients)} patients bear no public research code"
    if foreign and not imaging.pseudonyms:
        todo = "Set `imaging.pseudonyms: true`: images and tables get keyed pseudonyms"
        yield Check("FAIL", f"identifiers of {name}", text, todo)
    elif imaging.pseudonyms:
        yield Check("OK", f"identifiers of {name}", "replaced by keyed pseudonyms in everything below `results:`")
    elif patients:
        yield Check("OK", f"identifiers of {name}", "public research codes, kept")


def _omics(config: Config, name: str, cohort: Cohort, imaged: set[str] | None) -> Iterator[Check]:
    from radgen_lib.core.layout import DRIVERS
    from radgen_lib.omics.study.decisions import Choices
    from radgen_lib.omics.study.local import read_any_study

    what, place = f"omics of {name}", Path(str(cohort.omics.location if cohort.omics else ""))
    if not place.exists():
        yield Check("FAIL", what, "there is no such folder", "Correct `omics.location`")
        return
    clinical = Path(cohort.clinical) if cohort.clinical else None
    choices = Choices.of(cohort.omics) if cohort.omics else Choices()
    try:
        study = read_any_study(place, drivers=DRIVERS, rename=str, clinical=clinical, choices=choices)
    except DataError as error:
        yield Check("FAIL", what, str(error), "See docs/how-to/own-data.md for the form of the tables")
        return
    yield from _matrices(what, study)
    yield from _genes(what, study, config.cpdm.genes)
    yield _clinical(name, study)
    if imaged is not None:
        yield _overlap(name, study, imaged)
    left = study.decisions[study.decisions["decision"] == "left out"]
    for table, reason in left[["table", "reason"]].drop_duplicates().head(_REASONS).itertuples(index=False):
        yield Check("WARN", what, f"{table}: {reason}", "Correct it, or go on without")


def _matrices(what: str, study: Study) -> Iterator[Check]:
    for matrix in study.matrices:
        yield Check("OK", what, f"{matrix.omic}: {len(matrix.patients)} patients x {len(matrix.genes)} genes")
    absent = {"expression", "copy_number", "methylation"} - {matrix.omic for matrix in study.matrices}
    for omic in sorted(absent):
        status, todo = ("FAIL", "System B needs it") if omic == "expression" else ("WARN", "System B goes without it")
        yield Check(status, what, f"{omic}: no table", todo)  # type: ignore[arg-type] # one of the two
    if study.mutations.empty:
        yield Check("WARN", what, "mutations: none", "Mutation endpoints will be gaps with the reason")
    else:
        counted = f"{len(study.mutations)} variants of {study.mutations['patient'].nunique()} patients"
        yield Check("OK", what, f"mutations: {counted}")


def _genes(what: str, study: Study, genes: Sequence[str]) -> Iterator[Check]:
    """The genes of the condition have to be in every matrix whose genes the tensor is cut to; in expression always."""
    union = study.choices.genes == "union"
    for matrix in (matrix for matrix in study.matrices if not union or matrix.omic == "expression"):
        absent = [gene for gene in genes if gene not in set(matrix.genes)]
        if absent:
            found = f"{matrix.omic} lacks {len(absent)} of {len(genes)} genes of the condition: {', '.join(absent)}"
            todo = "Correct `cpdm.genes`" + ("" if union else ", leave this table out, or set `omics.genes: union`")
            yield Check("FAIL", what, found, todo)


def _clinical(name: str, study: Study) -> Check:
    told = {label: int((study.clinical[label].notna() & (study.clinical[label] != "")).sum()) for label in _LABELS}
    text = ", ".join(f"{label} {count}" for label, count in told.items() if count)
    text = f"of {len(study.clinical)} patients: {text or 'nothing'}"
    missing = [label for label, count in told.items() if not count]
    todo = f"No values of {', '.join(missing)}: what needs them becomes a gap with the reason" if missing else ""
    return Check("WARN" if missing else "OK", f"clinical table of {name}", text, todo)


def _overlap(name: str, study: Study, imaged: set[str]) -> Check:
    from radgen_lib.omics.study.samples import normal_patient

    patients = {normal_patient(patient) for patient in imaged}
    molecular = next((set(matrix.patients) for matrix in study.matrices if matrix.omic == "expression"), set())
    both = len(patients & molecular)
    found = f"{len(patients)} imaged, {len(molecular)} with expression, {both} with both"
    if not both:
        return Check("FAIL", f"overlap of {name}", found, "PatientID of the images must be the name in the tables")
    todo = "Patients without expression become rows with the reason" if both < len(patients) else ""
    return Check("WARN" if todo else "OK", f"overlap of {name}", found, todo)
