"""From the DICOM series of a shard to the files that training and the report read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.cohort.ids import is_research_code
from radgen_lib.core.atomic import atomic_path, write_parquet
from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import StopRequested, data_error
from radgen_lib.core.progress import Progress
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.imaging.choice import keep_all
from radgen_lib.imaging.contact import SheetArchive, sheet_name
from radgen_lib.imaging.decisions import ingest_selection, lost_series, series_table, with_unreadable
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.scan import scan
from radgen_lib.imaging.looks import worth_a_look
from radgen_lib.imaging.mask_tables import MaskFile, files_by_study, mask_frame
from radgen_lib.imaging.pseudonyms import Names, Pseudonyms
from radgen_lib.imaging.store import MASK_TYPE, VOLUME_TYPE, ArrayWriter
from radgen_lib.imaging.study import NIFTI_FOLDER, StudyResult, StudyTask, read_study

_LOG = logging.getLogger("radgen")
_NEW = {"row": -1, "scale": np.nan, "registration": "", "motion_before_mm": np.nan, "motion_after_mm": np.nan}
_LARGE = ("volumes.npy", "masks.npy", "contact_sheets.zip")
_TABLES = ("series", "phases", "selection", "masks")


def ingest_shard(
    ledger: pd.DataFrame, root: Path, out: Path, *, imaging: Imaging, names: Mapping[str, str] | None, jobs: int
) -> dict[str, int]:
    """Read the series of ``ledger`` (files below ``root``) and write the files of a shard to ``out``.

    Written, each whole or not at all: volumes.npy (float16 [n, D, H, W]), masks.npy (uint8), contact_sheets.zip, the
    tables series, phases, selection and masks (Parquet), and ``nifti/`` where the configuration asks for it. A series
    or phase that cannot be used is a row with its reason and the rest goes on. ``names``: patient -> name to write
    instead; with ``imaging.pseudonyms`` studies and series (and, without ``names``, patients) get keyed pseudonyms,
    whose key and links stay in ``root/pseudonyms``. Up to ``jobs`` processes read one study each; the result does not
    depend on their number. Returns counts: series, series_kept, patients_kept, volumes, masks.

    SIGTERM raises StopRequested after the study in work; nothing is kept of it, the next start reads the shard again.
    """
    root, out = Path(root), Path(out)
    pseudonyms = Pseudonyms(root) if imaging.pseudonyms else None
    called = Names(dict(names) if names is not None else None, pseudonyms)
    _require_research_codes(ledger, called)
    instances, faults, refused = scan(root, ledger, jobs=jobs)
    phases, members, series = find_phases(instances, refused)
    lost = lost_series(ledger, {*instances["series"].astype(str), *refused["series"].astype(str)}, faults)
    phases = with_unreadable(keep_all(phases) if imaging.phases == "all" else phases, lost)
    phases, members = _renamed(phases, members, called)
    tasks = _tasks(phases, members, _mask_files(instances, phases, root, called))
    _LOG.info("images: %d studies, %d phases, %d kept so far", len(tasks), len(phases), int(phases["kept"].sum()))
    with ExitStack() as stack:
        writer = _Writer(stack, out, tuple(imaging.volume))
        _read_all(tasks, writer, root, out, imaging, jobs)
        phases, masks = _with_results(phases, writer), mask_frame(writer.mask_rows)
        named = masks.assign(series=called.column("series", masks["series"]))
        series = series_table(series, phases, members, lost, called)
        selection = ingest_selection(ledger, series, phases, named, faults, called)
    _drop_old_nifti(out, set(phases.loc[phases["kept"], "volume"]) if imaging.nifti else set())
    for name, table in zip(_TABLES, (series, phases, selection, named), strict=True):
        write_parquet(out / f"{name}.parquet", table)
    if pseudonyms is not None:
        pseudonyms.write_links(out.name)
    return {
        "series": len(series),
        "series_kept": int(series["kept"].sum()),
        "patients_kept": int(phases.loc[phases["kept"], "patient"].nunique()),
        "volumes": int(phases["kept"].sum()),
        "masks": int(named["kept"].sum()),
    }


def _require_research_codes(ledger: pd.DataFrame, called: Names) -> None:
    """Refuse identifiers of a hospital where no pseudonym takes their place: they would stand in every result."""
    if called.hidden:
        return
    foreign = sum(not is_research_code(patient) for patient in ledger["patient"].astype(str).unique() if patient)
    if foreign:
        raise data_error(
            "ledger of the images",
            f"{foreign} patients have identifiers that are no public research code (TCGA, Duke, phantom)",
            "Set imaging.pseudonyms: true for this cohort",
        )


def _renamed(
    phases: pd.DataFrame, members: dict[str, pd.DataFrame], called: Names
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Phase table and members under the names that leave ingestion. ValueError when two patients share one."""
    patients = called.column("patient", phases["patient"])
    volumes = [
        alias + volume.removeprefix(str(patient))
        for alias, patient, volume in zip(patients, phases["patient"], phases["volume"], strict=True)
    ]
    if len(set(volumes)) < len(volumes):
        raise ValueError("two patients have the same name")
    keys = dict(zip(phases["volume"], volumes, strict=True))
    renamed = phases.assign(
        volume=volumes,
        patient=patients,
        study=called.column("study", phases["study"]),
        series=called.column("series", phases["series"]),
    )
    if called.hidden:
        renamed["site"] = ""  # it is a part of the identifier
    return renamed, {keys[volume]: rows for volume, rows in members.items()}


def _mask_files(
    instances: pd.DataFrame, phases: pd.DataFrame, root: Path, called: Names
) -> dict[tuple[str, int], list[MaskFile]]:
    """Files with masks by (name of the patient, study number): segmentations of the scan, and the folder ``masks``."""
    studies = phases.drop_duplicates(["patient", "study_number"])
    numbers = dict(zip(studies["study"], studies["study_number"], strict=True))
    found: dict[tuple[str, int], list[MaskFile]] = {}
    for row in instances[instances["kind"] == "SEG"].drop_duplicates("sop").to_dict("records"):
        number = int(numbers.get(called.study(str(row["study"])), 0))
        file = MaskFile(root / row["folder"] / row["file"], "SEG", str(row["series"]))
        found.setdefault((called.patient(str(row["patient"])), number), []).append(file)
    raw = {patient: called.patient(patient) for patient in instances["patient"].astype(str).unique()}
    known = {
        (str(patient), int(number)) for patient, number in zip(studies["patient"], studies["study_number"], strict=True)
    }
    by_raw = [(patient, number) for patient, alias in raw.items() for name, number in known if name == alias]
    for (patient, number), files in files_by_study(root, by_raw).items():
        found.setdefault((raw[patient], number), []).extend(files)
    return found


def _tasks(
    phases: pd.DataFrame, members: dict[str, pd.DataFrame], masks: dict[tuple[str, int], list[MaskFile]]
) -> list[StudyTask]:
    """One task a study with anything to read or look at, in the order of the table; then masks without a study."""
    tasks = []
    left = dict(masks)
    for (patient, number), rows in phases.groupby(["patient", "study_number"], sort=False):
        key = (str(patient), int(number))
        kept = rows[rows["kept"]]
        files, refused = tuple(left.pop(key, [])), worth_a_look(rows, members)
        if len(kept) or files or refused:
            records = tuple({str(k): v for k, v in row.items()} for row in kept.to_dict("records"))
            used = {str(row["volume"]): members[str(row["volume"])] for row in records}
            tasks.append(StudyTask(key[0], str(rows["study"].iloc[0]), records, used, files, refused))
    return tasks + [StudyTask(patient, "", (), {}, tuple(files)) for (patient, _), files in sorted(left.items())]


class _Writer:
    """The three large files of a shard while they grow, and the rows that go with them."""

    def __init__(self, stack: ExitStack, out: Path, shape: tuple[int, ...]) -> None:
        # Entered first, so left last: each file is closed before it gets its name.
        paths = [stack.enter_context(atomic_path(out / name)) for name in _LARGE]
        self._volumes = ArrayWriter(paths[0], shape, VOLUME_TYPE)
        self._masks = ArrayWriter(paths[1], shape, MASK_TYPE)
        self._sheets = SheetArchive(paths[2])
        for part in (self._volumes, self._masks, self._sheets):
            stack.callback(part.close)
        self.phase_rows: dict[str, dict[str, Any]] = {}
        self.mask_rows: list[dict[str, object]] = []

    def add(self, task: StudyTask, result: StudyResult) -> None:
        """Append what a study gave."""
        for phase in result.phases:
            facts = {"index_phase": phase.volume == result.index, "kept": not phase.reason, "reason": phase.reason}
            if phase.grid is not None:
                facts |= {"row": self._volumes.append(phase.grid), "scale": phase.scale}
                facts["registration"] = phase.registration
                facts |= {"motion_before_mm": phase.motion_before_mm, "motion_after_mm": phase.motion_after_mm}
                self._sheets.add(phase.volume, phase.sheet)
            self.phase_rows[phase.volume] = facts
        for volume, sheet in result.looks.items():
            self._sheets.add(volume, sheet)
        arrays = iter(result.masks.arrays)
        for row in result.masks.rows:
            placed = self._masks.append(next(arrays)) if row["kept"] else -1
            self.mask_rows.append({**row, "patient": task.patient, "study": task.study, "row": placed})


def _read_all(tasks: list[StudyTask], writer: _Writer, root: Path, out: Path, imaging: Imaging, jobs: int) -> None:
    progress = Progress("studies", len(tasks))
    results = _results(tasks, root, out, imaging, jobs)
    with stop_on_signal() as stop, _dropping(results):
        for task, result in zip(tasks, results, strict=True):
            writer.add(task, result)
            kept = sum(not phase.reason for phase in result.phases)
            for phase in result.phases:
                if ": " in phase.registration:
                    _LOG.warning("%s: registration %s", phase.volume, phase.registration)
            _LOG.info("%s: %d of %d phases, %d masks", task.name, kept, len(task.phases), len(result.masks.arrays))
            progress.advance()
            if stop:
                raise StopRequested("images: stopped; nothing is kept of this shard, the next start reads it again")


@contextmanager
def _dropping(results: Generator[StudyResult, None, None]) -> Iterator[None]:
    """Close ``results`` at the end; that work of other processes is dropped by it is meant, and no warning."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*have been cancelled", category=UserWarning)
            results.close()


def _results(
    tasks: list[StudyTask], root: Path, out: Path, imaging: Imaging, jobs: int
) -> Generator[StudyResult, None, None]:
    """Results in the order of ``tasks``, each as soon as it and those before it are there."""
    work: Callable[..., StudyResult] = read_study
    if jobs <= 1 or len(tasks) <= 1:
        yield from (work(task, root, out, imaging) for task in tasks)
        return
    from joblib import Parallel, delayed

    run = Parallel(
        n_jobs=min(jobs, len(tasks)), backend="loky", return_as="generator", batch_size=1, pre_dispatch="n_jobs"
    )
    yield from run(delayed(work)(task, root, out, imaging) for task in tasks)


def _with_results(phases: pd.DataFrame, writer: _Writer) -> pd.DataFrame:
    """The phase table with what reading gave; the new columns stand before the decision on the phase."""
    order = [name for name in phases.columns if name not in ("kept", "reason")]
    rows = [
        {**line, **_NEW, "index_phase": False, **writer.phase_rows.get(str(line["volume"]), {})}
        for line in phases.to_dict("records")
    ]
    table = pd.DataFrame(rows, columns=[*order, *_NEW, "kept", "reason"])
    kinds = {name: phases[name].dtype for name in phases.columns}
    return table.astype({**kinds, "row": "int64", "scale": "float64", "kept": "bool", "index_phase": "bool"})


def _drop_old_nifti(out: Path, kept: set[str]) -> None:
    """Remove NIfTI files of an earlier run that this one does not have."""
    wanted = {sheet_name(volume).replace(".jpg", ".nii.gz") for volume in kept}
    for path in sorted((out / NIFTI_FOLDER).glob("*.nii.gz")):
        if path.name not in wanted:
            path.unlink()
