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
from radgen_lib.sources.nifti_place import LPS_TO_RAS, NiftiFault, open_nifti, read_values


def affine_of(volume: Volume) -> np.ndarray:
    """4 x 4 affine from voxel indices (column, row, slice) to millimetres in NIfTI's axes (right, anterior, superior).

    DICOM and :class:`Volume` count to the left and to the back, so the first two patient axes change sign.
    """
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ np.asarray(volume.direction) @ np.diag(volume.spacing[::-1])
    affine[:3, 3] = LPS_TO_RAS @ np.asarray(volume.origin)
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
    """Read a three-dimensional ``.nii`` or ``.nii.gz`` as float32.

    Raises MaskFault for what :func:`~radgen_lib.sources.nifti_place.open_nifti` refuses: masks are held to the rules of
    images, so that a place is never guessed.
    """
    try:
        image, place = open_nifti(path)
        values = read_values(image, place.shape)
    except NiftiFault as fault:
        raise MaskFault(f"NIfTI: {fault}") from fault
    columns, rows, slices = place.spacing
    origin = (float(place.origin[0]), float(place.origin[1]), float(place.origin[2]))
    return Volume(values.astype(np.float32).transpose(2, 1, 0), (slices, rows, columns), origin, place.direction)
