"""Masks of three formats as labelled volumes in patient space, and their way onto the grid of an image volume."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import highdicom as hd
import numpy as np
import SimpleITK
from pydicom.errors import InvalidDicomError

from radgen_lib.imaging.les import MaskFault, read_les
from radgen_lib.imaging.nifti import read_nifti
from radgen_lib.imaging.volume import Volume

sitk: Any = SimpleITK  # the package types only a part of its functions
# What highdicom and pydicom raise for objects that break the standard; their texts may quote attributes.
_READ_FAULTS = (
    InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError, RuntimeError, TypeError, IndexError,
    struct.error,
)  # fmt: skip
Source = Literal["SEG", "NIfTI", "les"]


@dataclass(frozen=True)
class Mask:
    """One label: ``volume`` holds 0 and 1 (float32) on the mask's own grid.

    series: UID of the series that the mask names, "" where the format names none; images: SOP instance UIDs of the
    images that it was drawn on (empty where unknown).
    """

    source: Source
    label: str
    volume: Volume
    series: str = ""
    images: frozenset[str] = frozenset()

    @property
    def voxels(self) -> int:
        """Voxels inside the mask, on its own grid."""
        return int(np.count_nonzero(self.volume.values))

    @property
    def volume_mm3(self) -> float:
        """Volume in mm^3, on its own grid."""
        return self.voxels * float(np.prod(self.volume.spacing))


def read_seg(path: Path, *, numbered: bool = False) -> list[Mask]:
    """The segments of a DICOM Segmentation object, one mask each, in order of their numbers.

    Frames that the object leaves out (slices without lesion) are zero. Fractional segments count from one half. A
    label is the object's own (free text), or ``segment 1``, ``segment 2``, ... where ``numbered``.
    Raises MaskFault when highdicom cannot read the object or its frames lie on no regular grid.
    """
    try:
        data = hd.seg.segread(path)
        references = _references(data)
        masks = []
        for place, number in enumerate(data.segment_numbers, start=1):
            found = data.get_volume(segment_numbers=[number], combine_segments=False)
            label = f"segment {place}" if numbered else str(data.get_segment_description(number).segment_label)
            masks.append(Mask("SEG", label, _volume_of(found), *references))
    except _READ_FAULTS as error:
        raise MaskFault(f"segmentation cannot be read ({type(error).__name__})") from error
    return masks


def _references(data: Any) -> tuple[str, frozenset[str]]:
    """Series UID and SOP instance UIDs of the images that a segmentation refers to."""
    series = [str(item.SeriesInstanceUID) for item in data.get("ReferencedSeriesSequence", [])]
    images = {
        str(image.ReferencedSOPInstanceUID)
        for frame in data.PerFrameFunctionalGroupsSequence
        for derivation in frame.get("DerivationImageSequence", [])
        for image in derivation.get("SourceImageSequence", [])
    }
    return (series[0] if len(series) == 1 else ""), frozenset(images)


def _volume_of(found: Any) -> Volume:
    """Our volume of a highdicom one with axes (slices, rows, columns[, segment])."""
    values = np.asarray(found.array)
    values = values[..., 0] if values.ndim == 4 else values
    slices, rows, columns = (float(step) for step in found.spacing)
    left, back, up = (float(value) for value in found.position)
    return Volume(
        values=(values >= 0.5).astype(np.float32),
        spacing=(slices, rows, columns),
        origin=(left, back, up),
        direction=np.ascontiguousarray(np.asarray(found.direction, dtype=np.float64)[:, ::-1]),
    )


def read_nifti_mask(path: Path) -> list[Mask]:
    """One mask per positive whole number in a NIfTI file (label ``label <n>``; a single one is ``lesion``).

    Raises MaskFault for a file that cannot be read, has values that are not whole numbers, or has none above zero.
    """
    volume = read_nifti(path)
    numbers = np.unique(volume.values)
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        raise MaskFault("NIfTI mask holds values that are not whole numbers")
    found = [int(number) for number in numbers if number > 0]
    if not found:
        raise MaskFault("mask is empty")
    names = {number: f"label {number}" for number in found} if len(found) > 1 else {found[0]: "lesion"}
    return [
        Mask("NIfTI", name, dataclasses.replace(volume, values=(volume.values == number).astype(np.float32)))
        for number, name in names.items()
    ]


def read_les_mask(path: Path, volume: Volume, slices: Mapping[int, int], *, series: str = "") -> Mask:
    """A ``.les`` file on the grid of the phase ``volume`` that it belongs to; ``slices``: InstanceNumber -> slice.

    Raises MaskFault as :func:`~radgen_lib.imaging.les.read_les` and ``LesMask.place``.
    """
    depth, height, width = volume.values.shape
    placed = read_les(path).place((depth, height, width), slices)
    return Mask("les", "lesion", dataclasses.replace(volume, values=placed.astype(np.float32)), series)


def onto(mask: Volume, volume: Volume, transform: SimpleITK.Transform | None = None) -> Volume:
    """``mask`` on the grid of ``volume`` through patient space (nearest neighbour; 0 outside the mask's grid).

    ``transform`` maps places in ``volume`` to places in ``mask``, as a registration gives it. Raises MaskFault when no
    voxel of the mask falls inside the volume.
    """
    if transform is not None or not _same_grid(mask, volume):
        reference = sitk.Image([int(size) for size in reversed(volume.values.shape)], sitk.sitkUInt8)
        reference.SetSpacing(tuple(float(step) for step in reversed(volume.spacing)))
        reference.SetOrigin(tuple(float(value) for value in volume.origin))
        reference.SetDirection(tuple(float(value) for value in volume.direction.ravel()))
        moved = sitk.Resample(mask.to_sitk(), reference, transform or sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
        mask = dataclasses.replace(volume, values=sitk.GetArrayFromImage(moved).astype(np.float32))
    if not mask.values.any():
        raise MaskFault("mask lies outside the volume")
    return mask


def _same_grid(one: Volume, other: Volume) -> bool:
    return (
        one.values.shape == other.values.shape
        and np.allclose(one.spacing, other.spacing, atol=1e-4)
        and np.allclose(one.origin, other.origin, atol=1e-3)
        and np.allclose(one.direction, other.direction, atol=1e-5)
    )
