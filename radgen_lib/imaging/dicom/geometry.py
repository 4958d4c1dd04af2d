"""Whether image planes make one volume, in which order, and where it lies: from the tags alone (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from radgen_lib.imaging.volume import VolumeFault

# Tags hold decimal numbers of a few digits: two planes this close (mm) are one plane.
SAME_PLACE_MM = 0.02
SAME_DIRECTION = 1e-3
_STEP_SHARE = 0.01
_TILT_DEGREES = 0.2


class Stack(NamedTuple):
    """Planes in order along their normal.

    ``order`` lists, slice by slice, the indices of the planes at that place (more than one where a place stands
    twice); ``step`` is in mm, ``origin`` (x, y, z) the first voxel of slice 0, ``direction`` as of
    :class:`~radgen_lib.imaging.volume.Volume`.
    """

    order: tuple[tuple[int, ...], ...]
    step: float
    origin: np.ndarray
    direction: np.ndarray


def axes_of(orientation: np.ndarray) -> np.ndarray:
    """Right-handed 3 x 3 whose columns are row direction, column direction and normal of ImageOrientationPatient (6).

    Raises VolumeFault when the six numbers are not two directions at right angles.
    """
    along, down = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    lengths = np.linalg.norm(along), np.linalg.norm(down)
    if not np.isfinite([*along, *down]).all() or not np.allclose(lengths, 1, atol=1e-2) or abs(along @ down) > 1e-2:
        raise VolumeFault("orientation in the tags is not two directions at right angles")
    along = along / lengths[0]
    down = down - (down @ along) * along
    down /= np.linalg.norm(down)
    # Adding zero turns -0 into 0.
    return np.column_stack([along, down, np.cross(along, down)]) + 0.0


def stack_planes(orientations: np.ndarray, positions: np.ndarray) -> Stack:
    """The stack of n planes by ``orientations`` [n, 6] and ``positions`` [n, 3] (mm), whatever their order.

    Raises VolumeFault: fewer than two places, several orientations, slices that lack (how many), uneven steps, planes
    that are shifted against each other (gantry tilt, with its angle).
    """
    orientations, positions = np.asarray(orientations, dtype=np.float64), np.asarray(positions, dtype=np.float64)
    if np.ptp(orientations, axis=0).max() > SAME_DIRECTION:
        raise VolumeFault("planes of several orientations")
    # The median does not depend on the order of the planes, in its last bit either.
    direction = axes_of(np.median(orientations, axis=0))
    order = group_places(positions, direction)
    places = np.array([positions[list(group)].min(axis=0) for group in order])
    if len(places) < 2:
        raise VolumeFault("one slice only")
    depths = places @ direction[:, 2]
    _refuse_steps(np.diff(depths))
    _refuse_shifts(places, direction)
    step = float(depths[-1] - depths[0]) / (len(places) - 1)
    return Stack(order, step, places[0], direction)


def group_places(positions: np.ndarray, direction: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Indices of ``positions`` [n, 3] by place: growing along the normal, equal places together."""
    depths = positions @ direction[:, 2]
    aside = positions @ direction[:, :2]
    keys = np.lexsort((aside[:, 1], aside[:, 0], np.round(depths / SAME_PLACE_MM)))
    groups: list[list[int]] = []
    for index in map(int, keys):
        if groups and np.abs(positions[index] - positions[groups[-1][0]]).max() <= SAME_PLACE_MM:
            groups[-1].append(index)
        else:
            groups.append([index])
    return tuple(tuple(sorted(group)) for group in groups)


def missing_slices(steps: np.ndarray) -> int:
    """Slices that lack between planes with these ``steps`` (mm): 0 for an even stack, -1 when steps are just uneven."""
    base = float(np.min(steps))
    if base <= 0:
        return -1
    ratio = steps / base
    # The least of many noisy steps is too small; long gaps may be off by as many errors.
    even = np.abs(ratio - np.round(ratio)) <= np.maximum(_STEP_SHARE * 2 * np.round(ratio), SAME_PLACE_MM / base)
    return int((np.round(ratio) - 1).sum()) if even.all() else -1


def _refuse_steps(steps: np.ndarray) -> None:
    tolerance = max(_STEP_SHARE * float(np.median(steps)), SAME_PLACE_MM)
    if steps.min() <= SAME_PLACE_MM:
        raise VolumeFault("planes at one depth lie at different places")
    if np.ptp(steps) <= 2 * tolerance:
        return
    lacking = missing_slices(steps)
    if lacking > 0:
        count = len(steps) + 1
        raise VolumeFault(f"missing slices: {lacking} of {count + lacking} lack between the first and the last")
    raise VolumeFault(f"uneven spacing: steps of {steps.min():.3g} to {steps.max():.3g} mm")


def _refuse_shifts(places: np.ndarray, direction: np.ndarray) -> None:
    aside = (places - places[0]) @ direction[:, :2]
    along = (places - places[0]) @ direction[:, 2]
    slope = aside[-1] / along[-1]
    tilt = math.degrees(math.atan(float(np.linalg.norm(slope))))
    if tilt > _TILT_DEGREES:
        raise VolumeFault(f"gantry tilt: slices are shifted along a line {tilt:.1f} degrees off their normal")
    if np.abs(aside - along[:, None] * slope).max() > 10 * SAME_PLACE_MM:
        raise VolumeFault("slices are shifted against each other")
