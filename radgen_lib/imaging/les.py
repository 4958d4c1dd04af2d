"""Lesion files (``.les``) of the University of Chicago group: a three-dimensional tumour mask in a box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radgen_lib.core.errors import RadgenError

_HEADER = np.dtype("<u2")
_NUMBERS = 6


class MaskFault(RadgenError):
    """A mask that cannot be used; the text is the reason that its row gets."""


@dataclass(frozen=True)
class LesMask:
    """A mask in a box of an image series.

    values: bool [slices, rows, columns] of the box; row, column: where the box starts, counted from 0; instance:
    DICOM InstanceNumber of its first slice (the following slices have the following numbers).
    """

    values: np.ndarray
    row: int
    column: int
    instance: int

    @property
    def instances(self) -> range:
        """InstanceNumbers of the slices of the box."""
        return range(self.instance, self.instance + len(self.values))

    @property
    def voxels(self) -> int:
        """Voxels inside the mask."""
        return int(self.values.sum())

    def volume_mm3(self, spacing: tuple[float, float, float]) -> float:
        """Volume in mm^3 at ``spacing`` (slices, rows, columns; mm); radiomic feature S1 of the same group."""
        return self.voxels * float(np.prod(spacing))

    def place(self, shape: tuple[int, int, int], slices: Mapping[int, int]) -> np.ndarray:
        """Bool ``shape`` (slices, rows, columns) of a phase volume with the mask at its place.

        ``slices``: InstanceNumber -> slice of that volume. Raises MaskFault when the box leaves the image or a slice
        of the box is not in the volume.
        """
        _, rows, columns = self.values.shape
        if self.row < 0 or self.column < 0 or self.row + rows > shape[1] or self.column + columns > shape[2]:
            raise MaskFault(f"box leaves the image of {shape[1]} x {shape[2]}")
        missing = [number for number in self.instances if number not in slices]
        if missing:
            raise MaskFault(f"slice with InstanceNumber {missing[0]} is not in the volume")
        placed = np.zeros(shape, dtype=bool)
        for number, plane in zip(self.instances, self.values, strict=True):
            placed[slices[number], self.row : self.row + rows, self.column : self.column + columns] = plane
        return placed


def read_les(path: Path) -> LesMask:
    """Read one ``.les`` file.

    Layout: six little-endian uint16 (first row, column and slice, last row, column and slice, all inclusive), then
    one byte a voxel in Fortran order over rows, columns and slices. Rows and columns are counted from 1 (on the real
    files the masks fit the enhancing tissue one voxel up and left of a count from 0); slices are DICOM
    InstanceNumbers. Raises MaskFault for a file of another length, a box that is turned round, values other than 0
    and 1, or an empty mask.
    """
    content = path.read_bytes()
    start = _HEADER.itemsize * _NUMBERS
    if len(content) < start:
        raise MaskFault(f"lesion file has {len(content)} bytes, less than its header")
    row, column, first, last_row, last_column, last = np.frombuffer(content[:start], _HEADER).astype(int).tolist()
    shape = (last_row - row + 1, last_column - column + 1, last - first + 1)
    if min(shape) < 1:
        raise MaskFault(f"box of the lesion file is empty: {shape[0]} x {shape[1]} x {shape[2]}")
    if len(content) - start != np.prod(shape):
        raise MaskFault(f"lesion file holds {len(content) - start} voxels, its box {np.prod(shape)}")
    values = np.frombuffer(content[start:], np.uint8).reshape(shape, order="F").transpose(2, 0, 1)
    if values.max() > 1:
        raise MaskFault("lesion file holds values other than 0 and 1")
    if not values.any():
        raise MaskFault("mask is empty")
    return LesMask(values.astype(bool), row - 1, column - 1, first)
