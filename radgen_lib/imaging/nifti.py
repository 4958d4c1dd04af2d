"""Volumes as NIfTI files, for people and other programs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from radgen_lib.core.atomic import write_bytes
from radgen_lib.imaging.les import MaskFault
from radgen_lib.imaging.volume import Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def affine_of(volume: Volume) -> np.ndarray:
    """4 x 4 affine from voxel indices (column, row, slice) to millimetres in NIfTI's axes (right, anterior, superior).

    DICOM and :class:`Volume` count to the left and to the back, so the first two patient axes change sign.
    """
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ np.asarray(volume.direction) @ np.diag(volume.spacing[::-1])
    affine[:3, 3] = _LPS_TO_RAS @ np.asarray(volume.origin)
    return affine


def write_nifti(volume: Volume, path: Path) -> None:
    """Write ``volume`` (float32) as ``.nii.gz``, atomically; the header holds geometry and nothing of the patient.

    Same volume, same bytes: the compressed file carries neither a name nor a time.
    """
    data = np.ascontiguousarray(volume.values.transpose(2, 1, 0), dtype=np.float32)
    image: Any = nib.Nifti1Image(data, affine_of(volume))  # type: ignore[no-untyped-call] # the class has no types
    image.header.set_xyzt_units("mm")
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def read_nifti(path: Path) -> Volume:
    """Read a three-dimensional ``.nii`` or ``.nii.gz``.

    Raises MaskFault when the file cannot be read, has no place in the patient (no affine), is not three-dimensional
    or has skewed axes.
    """
    try:
        image: Any = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise MaskFault(f"NIfTI cannot be read ({type(error).__name__})") from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise MaskFault(f"NIfTI has {values.ndim} dimensions, not 3")
    axes = _LPS_TO_RAS @ image.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(spacing).all() or spacing.min() <= 0:
        raise MaskFault("NIfTI has no usable affine")
    direction = axes / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise MaskFault("NIfTI has skewed axes")
    origin = _LPS_TO_RAS @ image.affine[:3, 3]
    return Volume(
        values=values.transpose(2, 1, 0),
        spacing=(float(spacing[2]), float(spacing[1]), float(spacing[0])),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=direction,
    )
