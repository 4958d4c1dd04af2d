"""A volume in patient space: values with the geometry that its DICOM tags gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from radgen_lib.core.errors import RadgenError

if TYPE_CHECKING:
    import SimpleITK as sitk

View = Literal["sagittal", "axial", "coronal", "oblique"]
_VIEWS: tuple[View, ...] = ("sagittal", "coronal", "axial")
# Cosine of the angle (26 degrees) up to which a tilted plane still goes by the name of the nearest one.
_NEAR = 0.9


class VolumeFault(RadgenError):
    """Instances that make no volume; ``reason`` is the clause that goes into the tables, without identifiers."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Volume:
    """Values on a regular grid in patient space (DICOM's LPS: x to the left, y to the back, z to the head; mm).

    ``values`` is float32 [z, y, x]: slices, rows, columns. ``spacing`` is (z, y, x) in mm, ``origin`` the place (x, y,
    z) of the middle of voxel [0, 0, 0], and the columns of ``direction`` (3 x 3) are unit vectors in patient space of
    growing x (column index), y (row index) and z (slice index). Raises ValueError for shapes that do not fit.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: np.ndarray

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.dtype != np.float32:
            raise ValueError(f"values {self.values.shape} {self.values.dtype}: need float32 [z, y, x]")
        if self.direction.shape != (3, 3) or not all(step > 0 for step in self.spacing):
            raise ValueError(f"direction {self.direction.shape}, spacing {self.spacing}: need 3 x 3 and positive steps")

    @property
    def view(self) -> View:
        """The anatomical plane of the slices."""
        return view_of(self.direction[:, 2])

    def point(self, index: np.ndarray) -> np.ndarray:
        """Patient coordinates (x, y, z) in mm, float64 [..., 3], of voxel indices (z, y, x) [..., 3]."""
        steps = np.asarray(index, dtype=np.float64) * np.asarray(self.spacing)
        return np.asarray(self.origin) + steps[..., ::-1] @ self.direction.T

    def index(self, point: np.ndarray) -> np.ndarray:
        """Voxel indices (z, y, x), float64 [..., 3] and not rounded, of patient coordinates (x, y, z) in mm."""
        steps = (np.asarray(point, dtype=np.float64) - np.asarray(self.origin)) @ np.linalg.inv(self.direction).T
        return steps[..., ::-1] / np.asarray(self.spacing)

    def to_sitk(self) -> sitk.Image:
        """The same image for SimpleITK; the values are copied."""
        import SimpleITK as sitk

        image: Any = sitk.GetImageFromArray(self.values)
        image.SetSpacing(tuple(float(step) for step in reversed(self.spacing)))
        image.SetOrigin(tuple(float(value) for value in self.origin))
        image.SetDirection(tuple(float(value) for value in self.direction.ravel()))
        return image  # SimpleITK's methods come without types


def view_of(normal: np.ndarray) -> View:
    """Plane of slices with this ``normal`` (unit vector in patient space); more than 26 degrees off is oblique."""
    lean = np.abs(np.asarray(normal, dtype=np.float64))
    axis = int(lean.argmax())
    return _VIEWS[axis] if lean[axis] >= _NEAR else "oblique"
