"""One study from its files to arrays on the training grid; what one worker process does at a time."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.imaging.contact import common_window, contact_sheet, sheet_name
from radgen_lib.imaging.dicom.read import read_volume
from radgen_lib.imaging.looks import look_at
from radgen_lib.imaging.mask_tables import Frame, MaskFile, StudyMasks, study_masks
from radgen_lib.imaging.resample import canonical, to_grid
from radgen_lib.imaging.store import VOLUME_TYPE
from radgen_lib.imaging.volume import Volume, VolumeFault

SCALE_PERCENTILE = 99.5
NIFTI_FOLDER = "nifti"
logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings repeat values of the tags


@dataclass(frozen=True)
class StudyTask:
    """A study to read, under the names that leave ingestion.

    phases: its rows of the phase table that are still kept, in the order of the table; members: the instances of each
    volume id; masks: the files with masks of the study; refused: the instances of stacks that are not kept, of which a
    picture is made.
    """

    patient: str
    study: str
    phases: tuple[dict[str, Any], ...]
    members: dict[str, pd.DataFrame]
    masks: tuple[MaskFile, ...]
    refused: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Patient and study number, for the log."""
        return "/".join(str(self.phases[0]["volume"]).split("/")[:2]) if self.phases else self.patient


@dataclass
class PhaseResult:
    """What became of one phase: ``grid`` is float16 [D, H, W], raw values divided by ``scale``, None when not kept.

    ``registration``: how it was brought onto the pre-contrast phase and, after a colon, why not as asked for; "" where
    nothing was asked for.
    """

    volume: str
    reason: str = ""
    scale: float = float("nan")
    registration: str = ""
    motion_before_mm: float = float("nan")
    motion_after_mm: float = float("nan")
    grid: np.ndarray | None = None
    sheet: bytes = b""


@dataclass
class StudyResult:
    """Phases in the order of the task, masks, and the volume id of the index phase ("" when no phase is kept).

    looks: a contact sheet of each refused stack whose images can be decoded, by volume id.
    """

    phases: list[PhaseResult]
    index: str
    masks: StudyMasks = field(default_factory=StudyMasks)
    looks: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reference:
    """The pre-contrast phase: its volume as acquired (after bias correction), its bias field, and its scale."""

    volume: Volume
    bias: np.ndarray | None
    scale: float


def read_study(task: StudyTask, root: Path, out: Path, imaging: Imaging) -> StudyResult:
    """Read all phases of a study, one volume in memory beside the pre-contrast one (beside two where a breast has one).

    Each phase: pixels, division by the bias field of the pre-contrast phase (so that enhancement stays what it is),
    registration to that phase, canonical orientation, grid, division by that phase's 99.5th percentile on the grid
    (by its own where the study has none). NIfTI files, where asked for, go below ``out``. A phase that cannot be read
    is a result with the reason; its study goes on.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value for VR", category=UserWarning)  # it repeats the value
        return _read_study(task, root, out, imaging)


def _read_study(task: StudyTask, root: Path, out: Path, imaging: Imaging) -> StudyResult:
    shape = (imaging.volume[0], imaging.volume[1], imaging.volume[2])
    results, frames = {}, []
    references: dict[str, _Reference] = {}
    for row in sorted(task.phases, key=lambda row: row["phase"] != "pre"):
        name = str(row["volume"])
        reference = _reference_of(row, references)
        try:
            result, frame, volume, bias = _read_phase(row, task, root, imaging, reference)
        except VolumeFault as fault:
            results[name] = PhaseResult(name, fault.reason)
            continue
        if reference is None and row["phase"] == "pre":
            references[str(row["side"])] = _Reference(volume, bias, result.scale)
        if imaging.nifti:
            _write_nifti(volume, out / NIFTI_FOLDER / sheet_name(name).replace(".jpg", ".nii.gz"))
        results[name] = result
        frames.append(frame)
    ordered = [results[str(row["volume"])] for row in task.phases]
    index = _index_phase(task.phases, ordered)
    _add_sheets(ordered)
    masks = study_masks(task.masks, frames, index=index, shape=shape, numbered=imaging.pseudonyms)
    failed = {result.volume: task.members[result.volume] for result in ordered if result.reason}
    looks = {name: look_at(rows, root, (shape[1], shape[2])) for name, rows in {**failed, **task.refused}.items()}
    return StudyResult(ordered, index, masks, {name: sheet for name, sheet in looks.items() if sheet})


def _reference_of(row: dict[str, Any], references: dict[str, _Reference]) -> _Reference | None:
    """The pre-contrast phase of the same dynamic series; of what is no contrast phase, the study's first."""
    own = references.get(str(row["side"]))
    if own is not None or str(row["phase"]).startswith(("pre", "post")):
        return own
    return next(iter(references.values()), None)


def _read_phase(
    row: dict[str, Any], task: StudyTask, root: Path, imaging: Imaging, reference: _Reference | None
) -> tuple[PhaseResult, Frame, Volume, np.ndarray | None]:
    """Result and frame of one phase, its volume after all corrections, and the bias field that it was divided by."""
    name, members = str(row["volume"]), task.members[str(row["volume"])]
    volume = read_volume(members, root)
    if not np.isfinite(volume.values).all():
        raise VolumeFault("values that are not finite")
    volume, bias = _corrected(volume, imaging, reference)
    geometry = _without_values(volume)
    result, transform = PhaseResult(name), None
    if reference is None:
        asked = imaging.registration != "none" and row["phase"] != "pre"
        result.registration = "none: no pre-contrast phase" if asked else ""
    elif imaging.registration != "none":
        from radgen_lib.imaging.registration import registered

        found = registered(volume, reference.volume, imaging.registration)
        volume, transform = found.volume, found.transform
        result.registration = found.outcome
        result.motion_before_mm, result.motion_after_mm = found.before_mm, found.after_mm
    grid = to_grid(canonical(volume), imaging.volume)
    result.scale = reference.scale if reference is not None else float(np.percentile(grid, SCALE_PERCENTILE))
    if not result.scale > 0:
        raise VolumeFault(f"no signal: the {SCALE_PERCENTILE:g}th percentile is {result.scale:g}")
    largest = float(np.finfo(VOLUME_TYPE).max)
    result.grid = np.clip(grid / np.float32(result.scale), -largest, largest).astype(VOLUME_TYPE)
    slices, images = _places(members, geometry)
    return result, Frame(name, geometry, _without_values(volume), slices, images, transform), volume, bias


def _corrected(volume: Volume, imaging: Imaging, reference: _Reference | None) -> tuple[Volume, np.ndarray | None]:
    """``volume`` divided by the bias field of the study, or by its own where there is none on its grid."""
    if not imaging.bias_correction:
        return volume, None
    from radgen_lib.imaging.bias import bias_field

    shared = reference.bias if reference is not None else None
    field_ = shared if shared is not None and shared.shape == volume.values.shape else bias_field(volume)
    return dataclasses.replace(volume, values=volume.values / field_), field_


def _without_values(volume: Volume) -> Volume:
    """The geometry alone: an array of one zero that looks as large as the volume."""
    return dataclasses.replace(volume, values=np.broadcast_to(np.float32(0), volume.values.shape))


def _places(members: pd.DataFrame, geometry: Volume) -> tuple[dict[int, int], frozenset[str]]:
    """InstanceNumber -> slice of the volume (where the numbers tell slices apart), and the SOP instance UIDs."""
    slices = np.rint(geometry.index(np.array(members["position"].tolist()))[:, 0]).astype(int).tolist()
    numbers = members["instance"].tolist()
    found = {int(number): place for number, place in zip(numbers, slices, strict=True) if number == number}
    return found, frozenset(members["sop"].astype(str))


def _index_phase(rows: Sequence[dict[str, Any]], results: list[PhaseResult]) -> str:
    """The first kept post-contrast phase, else the kept pre-contrast one, else ""."""
    kept = [(str(row["phase"]), result.volume) for row, result in zip(rows, results, strict=True) if not result.reason]
    posts = [volume for phase, volume in kept if phase.startswith("post")]
    return next(iter(posts or [volume for _, volume in kept]), "")


def _add_sheets(results: list[PhaseResult]) -> None:
    """Contact sheets of the kept phases under one grey window; every second row and column is enough to find it."""
    grids = [result.grid for result in results if result.grid is not None]
    window = common_window([grid[:, ::2, ::2] for grid in grids])
    for result in results:
        if result.grid is not None:
            result.sheet = contact_sheet(result.grid, window=window)


def _write_nifti(volume: Volume, path: Path) -> None:
    from radgen_lib.imaging.nifti import write_nifti

    write_nifti(canonical(volume), path)
