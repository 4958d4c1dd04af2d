"""Which masks a study has, on which of its volumes each belongs, and the table of all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.imaging.les import MaskFault
from radgen_lib.imaging.volume import Volume

MASK_COLUMNS = (
    "volume", "patient", "study", "source", "label", "row", "voxels", "volume_mm3", "series", "kept", "reason",
)  # fmt: skip
_TYPES = {"row": "int64", "voxels": "int64", "volume_mm3": "float64", "kept": "bool"}
FOLDER = "masks"  # beside the DICOM store: <patient>[_<study number>][...].les, .nii, .nii.gz
_SOURCES = {".les": "les", ".nii": "NIfTI", ".nii.gz": "NIfTI"}
_NOTHING: Mapping[str, object] = {"label": "", "voxels": 0, "volume_mm3": 0.0}
_LOG = logging.getLogger("radgen")


@dataclass(frozen=True)
class MaskFile:
    """A file that holds masks of a study; series: UID of the segmentation's own series, "" for other formats."""

    path: Path
    source: str
    series: str = ""


@dataclass(frozen=True)
class Frame:
    """Where a kept volume lies as it was acquired, and how it got onto the grid of the study.

    geometry: volume whose values are not used; slices: InstanceNumber -> slice; images: its SOP instance UIDs;
    transform: of the registration (from places in ``target`` to places in ``geometry``), None without one; target:
    geometry of the pre-contrast phase, or of the volume itself.
    """

    volume: str
    geometry: Volume
    target: Volume
    slices: Mapping[int, int]
    images: frozenset[str]
    transform: Any = None


@dataclass
class StudyMasks:
    """Masks of one study: rows of the table, and uint8 arrays for the kept ones in the same order."""

    rows: list[dict[str, object]] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)


def mask_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The table of masks (:data:`MASK_COLUMNS`) in its types, also when there are none."""
    return pd.DataFrame(list(rows), columns=list(MASK_COLUMNS)).astype(_TYPES)


def files_by_study(root: Path, studies: Iterable[tuple[str, int]]) -> dict[tuple[str, int], list[MaskFile]]:
    """Files of the folder ``masks`` by (patient, study number).

    A file is named ``<patient>``, then ``_<study number>`` unless it is of the first study, then anything after an
    underscore, dot or dash. Files of no patient of ``studies`` are counted in the log: they are of another shard.
    """
    known = set(studies)
    patients = sorted({patient for patient, _ in known}, key=len, reverse=True)
    found: dict[tuple[str, int], list[MaskFile]] = {}
    others = 0
    for path in sorted((root / FOLDER).glob("*")) if (root / FOLDER).is_dir() else []:
        ending = next((end for end in (".nii.gz", ".nii", ".les") if path.name.endswith(end)), "")
        stem = path.name.removesuffix(ending)
        owner = next((patient for patient in patients if _is_of(stem, patient)), None)
        if not ending or owner is None:
            others += 1
            continue
        number = stem[len(owner) + 1 :].split("_")[0]
        study = int(number) if stem[len(owner) :].startswith("_") and number.isdecimal() else 1
        found.setdefault((owner, study), []).append(MaskFile(path, _SOURCES[ending]))
    if others:
        _LOG.info("masks: %d files are of no patient of this shard", others)
    return found


def _is_of(stem: str, patient: str) -> bool:
    return stem.startswith(patient) and not stem[len(patient) : len(patient) + 1].isalnum()


def study_masks(
    files: Iterable[MaskFile],
    frames: list[Frame],
    *,
    index: str,
    shape: tuple[int, int, int],
    numbered: bool = False,
) -> StudyMasks:
    """Every mask of ``files`` on the grid ``shape`` of the volume that it was drawn on.

    A mask that names its images goes to the volume with most of them; one that does not (NIfTI) to the volume
    ``index``; a ``.les`` to ``index`` when that has its InstanceNumbers, else to the first volume that has. A mask of
    a registered volume moves with it. What cannot be used is a row with its reason. With ``numbered`` the labels of
    segmentations, which are free text, are ``segment 1``, ``segment 2``, ... in each file.
    """
    found = StudyMasks()
    for file in files:
        try:
            pairs = _pairs(file, frames, index, numbered)
        except MaskFault as fault:
            found.rows.append(_row(file, str(fault)))
            continue
        for mask, frame in pairs:
            facts: dict[str, object] = {"label": mask.label, "voxels": mask.voxels, "volume_mm3": mask.volume_mm3}
            try:
                array = _on_grid(mask.volume, frame, shape)
            except MaskFault as fault:
                found.rows.append(_row(file, str(fault), frame, facts))
                continue
            found.rows.append(_row(file, "", frame, facts))
            found.arrays.append(array)
    return found


def _pairs(file: MaskFile, frames: list[Frame], index: str, numbered: bool) -> list[tuple[Any, Frame]]:
    """The masks of a file, each with the volume that it belongs to."""
    from radgen_lib.imaging import masks

    if not frames:
        raise MaskFault("study has no usable volume")
    preferred = next((frame for frame in frames if frame.volume == index), frames[0])
    if file.source == "les":
        return [_lesion(file.path, preferred, frames)]
    if file.source == "NIfTI":
        return [(mask, preferred) for mask in masks.read_nifti_mask(file.path)]
    return [(mask, _drawn_on(mask.images, frames, preferred)) for mask in masks.read_seg(file.path, numbered=numbered)]


def _lesion(path: Path, preferred: Frame, frames: list[Frame]) -> tuple[Any, Frame]:
    from radgen_lib.imaging.les import read_les
    from radgen_lib.imaging.masks import read_les_mask

    numbers = set(read_les(path).instances)
    frame = next((one for one in (preferred, *frames) if numbers <= set(one.slices)), preferred)
    return read_les_mask(path, frame.geometry, frame.slices), frame


def _drawn_on(images: frozenset[str], frames: list[Frame], preferred: Frame) -> Frame:
    if not images:
        return preferred
    shared = [len(images & frame.images) for frame in frames]
    if not max(shared):
        raise MaskFault("segmentation refers to images that are in no kept volume of the study")
    return frames[int(np.argmax(shared))]


def _on_grid(mask: Volume, frame: Frame, shape: tuple[int, int, int]) -> np.ndarray:
    """Uint8 ``shape``: onto the acquired volume, along with its registration, canonical, nearest voxel."""
    from radgen_lib.imaging.masks import onto
    from radgen_lib.imaging.resample import canonical, to_grid

    placed = onto(mask, frame.geometry)
    if frame.transform is not None:
        placed = onto(placed, frame.target, frame.transform)
    array = to_grid(canonical(placed), shape, order="nearest").astype(np.uint8)
    if not array.any():
        raise MaskFault("mask is smaller than a voxel of the grid")
    return array


def _row(
    file: MaskFile, reason: str, frame: Frame | None = None, facts: Mapping[str, object] = _NOTHING
) -> dict[str, object]:
    row: dict[str, object] = {"volume": frame.volume if frame else "", "source": file.source, "series": file.series}
    return {**row, **facts, "kept": not reason, "reason": reason}
