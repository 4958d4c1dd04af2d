"""Post-contrast phases onto the pre-contrast one, and the motion that is left.

A search for motion always ends somewhere, and contrast agent, the pulsing heart and thick slices draw it away from
where the patient is. So a transform is used only when it moves the image by more than what two halves of the image
disagree about; else what was there before it stays, and the outcome says so.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import SimpleITK

from radgen_lib.imaging.registration_search import Image, Kind, Pair, Transform
from radgen_lib.imaging.volume import Volume, VolumeFault

sitk: Any = SimpleITK  # the package types only a part of its functions
How = Literal["none", "rigid", "bspline"]
_STEPS: dict[str, tuple[Kind, ...]] = {
    "none": ("shift", "rigid"), "rigid": ("shift", "rigid"), "bspline": ("shift", "rigid", "bspline")
}  # fmt: skip
_VOXELS = 0.1  # share of a voxel's edge (geometric mean) that no search tells from rest
_SURE = {"shift": 1.0, "rigid": 3.0, "bspline": 2.0}  # times the halves' distance: more is free, more fits by chance
_NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Registered:
    """The moving image on the fixed one's grid, the motion before and after (mm), and the transform that was used.

    ``transform`` maps places in the fixed image to places in the moving one; None is the identity. ``outcome`` is the
    kind of transform that was used (none, shift, rigid, bspline) and, after a colon, why it is not what was asked for.
    """

    volume: Volume
    before_mm: float
    after_mm: float
    transform: Transform | None
    outcome: str


def register(moving: Volume, fixed: Volume, how: How) -> tuple[Volume, float, float]:
    """``moving`` on the grid of ``fixed`` after registration, and the motion before and after it in mm.

    See :func:`registered`, which also gives the transform.
    """
    found = registered(moving, fixed, how)
    return found.volume, found.before_mm, found.after_mm


def registered(moving: Volume, fixed: Volume, how: How) -> Registered:
    """Register ``moving`` to ``fixed``.

    ``rigid``: three shifts, then three angles with them; ``bspline``: then a cubic spline with control points every
    60 mm; ``none``: only brought to the grid, and motion is measured. A step is used when it raises mutual information
    and takes the image further than a tenth of a voxel and than its ends in two halves of the image are apart (angles:
    thrice, spline: twice that); else the transform before it stays. A rigid transform without angles is a ``shift``.

    Motion is a root mean square displacement in mm over the foreground (Otsu). ``before_mm``: of the transform that
    is used, or of the shift that was found but not used. ``after_mm``: how far the transforms of two halves of the
    image are apart, for the kind that is used; ``before_mm`` where none is. Both are estimates from the images, and an
    error that the halves share is in neither. NaN where the search fails. Raises ValueError for another ``how``,
    VolumeFault when the images do not overlap.
    """
    if how not in _STEPS:
        raise ValueError(f"registration {how!r}: allowed are none, rigid and bspline")
    target, source = _image(fixed), _image(moving)
    still = sitk.Transform(3, sitk.sitkIdentity)
    if not (_varies(fixed) and _varies(moving)):
        said = "none" if how == "none" else "none: one of the images has a single value"
        return Registered(_resampled(source, target, still, fixed), _NAN, _NAN, None, said)
    pair = Pair(source, target)
    if np.isnan(pair.information(still)):
        raise VolumeFault("cannot be registered: the images do not overlap")
    used, transform, before, after, reasons = _stepwise(pair, still, _STEPS[how])
    if how == "none":
        return Registered(_resampled(source, target, still, fixed), before, before, None, "none")
    if used == "shift" and how == "rigid" and not any("failed" in reason for reason in reasons):
        reasons = []  # a shift is a rigid transform
    outcome = f"{used}: {'; '.join(reasons)}" if reasons else used
    result = _resampled(source, target, transform, fixed)
    return Registered(result, before, after, None if used == "none" else transform, outcome)


_STILL = "it moves less than a tenth of a voxel"


def _stepwise(pair: Pair, still: Transform, steps: tuple[Kind, ...]) -> tuple[str, Transform, float, float, list[str]]:
    """Kind and transform of the last step that is used, motion before and after, and why later steps are not used."""
    used, transform, before, after = "none", still, _NAN, _NAN
    reasons: list[str] = []
    doubt = 0.0  # what halves disagree about; a search for more is not surer than one for less
    for kind in steps:
        try:
            found = pair.search(kind, transform)
            fault, apart = _judged(pair, kind, transform, found, doubt)
        except RuntimeError:  # the package's only error: all samples left the image, a scale is zero ...
            return used, transform, before, after, [*reasons, f"{kind} failed, its search found no end"]
        doubt = max(doubt, apart)
        if fault:
            if fault != _STILL:  # there was nothing to do, which is no fault
                reasons.append(f"{kind} dropped, {fault}")
            if kind == "shift":
                before = after = pair.distance(found, still)
            continue
        used, transform, reasons = kind, found, []
        before, after = pair.distance(found, still), apart
    return used, transform, before, after, reasons


def _judged(pair: Pair, kind: Kind, before: Transform, found: Transform, doubt: float) -> tuple[str, float]:
    """Why the end of a search is not used in place of the transform ``before`` it ("" where it is), and mm apart.

    ``doubt`` is how far apart the ends of earlier searches were; 0 mm is returned where it was not measured.
    """
    if not pair.information(found) > pair.information(before):  # nor when it is NaN: outside the image
        return "it does not raise mutual information", 0.0
    moves = pair.distance(found, before)
    if moves <= _VOXELS * float(np.prod(pair.target.GetSpacing())) ** (1 / 3):
        return _STILL, 0.0
    apart = pair.apart(kind, before, found)
    return ("two halves of the image disagree about it" if moves <= _SURE[kind] * max(apart, doubt) else ""), apart


def _image(volume: Volume) -> Image:
    return sitk.Cast(volume.to_sitk(), sitk.sitkFloat32)


def _varies(volume: Volume) -> bool:
    return bool(volume.values.max() > volume.values.min())


def _resampled(source: Image, target: Image, transform: Transform, fixed: Volume) -> Volume:
    """``source`` on the grid of ``target``; places outside ``source`` take its edge."""
    filter_ = sitk.ResampleImageFilter()
    filter_.SetReferenceImage(target)
    filter_.SetTransform(transform)
    filter_.SetInterpolator(sitk.sitkLinear)
    filter_.SetUseNearestNeighborExtrapolator(True)
    return dataclasses.replace(fixed, values=sitk.GetArrayFromImage(filter_.Execute(source)))
