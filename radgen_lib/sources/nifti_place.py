"""A three-dimensional NIfTI file: whether it has a place in the patient, and its values. Images and masks alike."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

LEVELS = 65535
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_SKEW = 1e-3
_THINNEST_MM, _FARTHEST_MM = 1e-3, 1e6
_MILLIMETRES = ("mm", "unknown")
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError,
               nib.spatialimages.HeaderDataError)  # fmt: skip


class NiftiFault(Exception):
    """A NIfTI file that cannot be used; the text says what is wrong and what to do, without names."""


@dataclass(frozen=True)
class Place:
    """Where a volume lies, in DICOM's axes (LPS, mm).

    ``shape`` counts columns, rows and slices (the three axes of the file); the columns of ``direction`` (3 x 3) are
    unit vectors along them, ``spacing`` their steps, ``origin`` is the middle of the first voxel.
    """

    shape: tuple[int, int, int]
    direction: np.ndarray
    spacing: tuple[float, float, float]
    origin: np.ndarray


def open_nifti(path: Path) -> tuple[Any, Place]:
    """The image (values not read yet) and its place. Raises NiftiFault when it is no volume with a place."""
    try:
        image: Any = nib.load(path)
        codes = int(image.header["sform_code"]), int(image.header["qform_code"])
        unit, affine = image.header.get_xyzt_units()[0], np.asarray(image.affine, dtype=np.float64)
    except FileNotFoundError as error:
        raise NiftiFault("the file is not there. Correct the column file") from error
    except (*_UNREADABLE, KeyError) as error:
        raise NiftiFault(f"the file cannot be read as NIfTI ({type(error).__name__}). Write it again") from error
    shape = image.shape[:3] if image.shape[3:] == (1,) else image.shape
    if len(shape) != 3:
        raise NiftiFault(f"the file has {len(shape)} dimensions, not 3. Write each phase as a file of its own")
    if not 0 < min(shape) <= max(shape) <= LEVELS:
        raise NiftiFault(f"an axis has {min(shape)} or {max(shape)} voxels, not 1 to {LEVELS}. Write it again")
    if codes == (0, 0):
        raise NiftiFault("no valid affine (sform_code and qform_code are 0). Write it with its place in the patient")
    if unit not in _MILLIMETRES:
        raise NiftiFault(f"the affine is in units of {unit}. Write it in mm")
    return image, _place(shape, affine)


def _place(shape: tuple[int, int, int], affine: np.ndarray) -> Place:
    axes, origin = LPS_TO_RAS @ affine[:3, :3], LPS_TO_RAS @ affine[:3, 3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or spacing.min() < _THINNEST_MM:
        raise NiftiFault("no valid affine (not finite, or an axis without length). Write it with its place")
    if np.abs(origin).max() + (spacing * shape).sum() > _FARTHEST_MM:
        raise NiftiFault("no valid affine (farther away than a kilometre). Write it in mm")
    direction = axes / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SKEW:
        raise NiftiFault("the affine is sheared: its axes are not at right angles. Resample it to a straight grid")
    return Place(shape, direction, (float(spacing[0]), float(spacing[1]), float(spacing[2])), origin)


def read_values(image: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Values [columns, rows, slices] as the file scales them. Raises NiftiFault when they are no finite numbers."""
    try:
        values = np.asarray(image.dataobj)
    except _UNREADABLE as error:
        raise NiftiFault(f"the values cannot be read ({type(error).__name__}). Write the file again") from error
    if values.dtype.kind not in "iuf":
        raise NiftiFault("the voxels are colours or complex numbers. Write one real number a voxel")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise NiftiFault(f"{count} voxels are not finite. Replace them, for instance by 0")
    if max(abs(float(values.min())), abs(float(values.max()))) > float(np.finfo(np.float32).max) / 2:
        raise NiftiFault("values are larger than 32 bits hold. Scale them")
    return values.reshape(shape)
