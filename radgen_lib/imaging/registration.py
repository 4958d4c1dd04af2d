"""Post-contrast phases onto the pre-contrast one, and the motion that is left.

Mutual information (Mattes et al., IEEE TMI 2003) is the measure, because contrast agent changes the grey values; all
of it is SimpleITK's. One thread and regular sampling, so that the result is the same on every machine.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import SimpleITK

from radgen_lib.imaging.volume import Volume, VolumeFault

sitk: Any = SimpleITK  # the package types only a part of its functions
_Image = Any  # SimpleITK.Image
_Transform = Any  # SimpleITK.Transform
How = Literal["none", "rigid", "bspline"]
_BINS = 32
_MESH_MM = 60.0  # distance of the spline's control points
_STEPS_MM = (4.0, 2.0, 1.0)  # voxels of the levels, coarse to fine
_SPLINE_STEP_MM = 3.0
_SAMPLES, _SPLINE_SAMPLES = 30_000, 15_000  # voxels that the measure is computed on, at most
_NAN = float("nan")
_ACCURACY_MM = 0.3  # a rigid search finds up to this between images of one place
_SEED = 1  # SimpleITK moves regular samples a little at random


@dataclasses.dataclass(frozen=True)
class Registered:
    """The moving image on the fixed one's grid, the motion before and after (mm), and the transform that was used.

    ``transform`` maps places in the fixed image to places in the moving one; None is the identity. ``outcome`` is the
    kind of transform that was used (none, rigid, bspline) and, after a colon, why it is not what was asked for.
    """

    volume: Volume
    before_mm: float
    after_mm: float
    transform: _Transform | None
    outcome: str


def register(moving: Volume, fixed: Volume, how: How) -> tuple[Volume, float, float]:
    """``moving`` on the grid of ``fixed`` after registration, and the motion before and after it in mm.

    See :func:`registered`, which also gives the transform.
    """
    found = registered(moving, fixed, how)
    return found.volume, found.before_mm, found.after_mm


def registered(moving: Volume, fixed: Volume, how: How) -> Registered:
    """Register ``moving`` to ``fixed``.

    ``rigid``: three shifts and three angles; ``bspline``: these, then a cubic spline with control points every 60 mm;
    ``none``: only brought to the grid, and motion is measured. Motion is the root mean square length, over the
    foreground (Otsu), of the rigid displacement that mutual information finds between two images: its first value
    is of the images as acquired, its second of the registered one, so what a rigid search can still find; NaN where
    the search fails. A registration that fails or does not raise mutual information is dropped, the spline to the
    rigid one before it, that to the image as acquired, and the outcome says so. Raises ValueError for another
    ``how``, VolumeFault when the images do not overlap.
    """
    if how not in ("none", "rigid", "bspline"):
        raise ValueError(f"registration {how!r}: allowed are none, rigid and bspline")
    target, source = _image(fixed), _image(moving)
    identity = sitk.Transform(3, sitk.sitkIdentity)
    if not (_varies(fixed) and _varies(moving)):
        said = "none" if how == "none" else "none: one of the images has a single value"
        return Registered(_resampled(source, target, identity, fixed), _NAN, _NAN, None, said)
    shared = {"none": _information(identity, source, target)}
    if np.isnan(shared["none"]):
        raise VolumeFault("cannot be registered: the images do not overlap")
    found, failed = _searched(source, target, how)
    before = _length(found["rigid"], target) if "rigid" in found else _NAN
    if how == "none":
        return Registered(_resampled(source, target, identity, fixed), before, before, None, "none")
    shared |= {name: _information(transform, source, target) for name, transform in found.items()}
    used = max(shared, key=lambda name: np.nan_to_num(shared[name], nan=-np.inf))
    transform = found.get(used)
    result = _resampled(source, target, identity if transform is None else transform, fixed)
    after = before if transform is None else _left(result, target)
    dropped = list(shared)[list(shared).index(used) + 1 :]
    return Registered(
        result, before, after, transform, _outcome(used, dropped, failed, worse=after > before + _ACCURACY_MM)
    )


def _outcome(used: str, dropped: list[str], failed: list[str], *, worse: bool) -> str:
    """The transform that was used, and after a colon what speaks against it."""
    reasons = [f"{name} dropped, it does not raise mutual information" for name in dropped]
    reasons += [f"{name} failed, its search found no end" for name in failed]
    reasons += ["more motion is left than there was"] if worse else []
    return f"{used}: {'; '.join(reasons)}" if reasons else used


def _searched(source: _Image, target: _Image, how: How) -> tuple[dict[str, _Transform], list[str]]:
    """Transforms by name, the weakest first, and the names of those whose search failed."""
    found: dict[str, _Transform] = {}
    try:
        found["rigid"] = _rigid(source, target)
        if how == "bspline":
            found["bspline"] = _spline(source, target, found["rigid"])
    except RuntimeError:  # the package's only error: all samples left the image, a scale is zero ...
        asked = ("rigid", "bspline") if how == "bspline" else ("rigid",)
        return found, [name for name in asked if name not in found]
    return found, []


def _left(result: Volume, target: _Image) -> float:
    """Motion that a rigid search finds between a registered image and ``target``; NaN where it fails."""
    try:
        return _length(_rigid(_image(result), target), target)
    except RuntimeError:
        return _NAN


def _image(volume: Volume) -> _Image:
    return sitk.Cast(volume.to_sitk(), sitk.sitkFloat32)


def _varies(volume: Volume) -> bool:
    return bool(volume.values.max() > volume.values.min())


def _resampled(source: _Image, target: _Image, transform: _Transform, fixed: Volume) -> Volume:
    """``source`` on the grid of ``target``; places outside ``source`` take its edge."""
    filter_ = sitk.ResampleImageFilter()
    filter_.SetReferenceImage(target)
    filter_.SetTransform(transform)
    filter_.SetInterpolator(sitk.sitkLinear)
    filter_.SetUseNearestNeighborExtrapolator(True)
    return dataclasses.replace(fixed, values=sitk.GetArrayFromImage(filter_.Execute(source)))


def _method(target: _Image, samples: int = _SAMPLES) -> Any:
    """A registration with what all uses share; the measure is computed on at most ``samples`` voxels."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)  # sums in another order end in another place
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_BINS)
    share = min(1.0, samples / target.GetNumberOfPixels())
    method.SetMetricSamplingStrategy(method.REGULAR if share < 1 else method.NONE)
    method.SetMetricSamplingPercentage(share, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _thinned(image: _Image, step_mm: float) -> _Image:
    """``image`` smoothed and thinned to voxels of about ``step_mm``, axis by axis: slices are thick already."""
    factors = [max(1, round(step_mm / spacing)) for spacing in image.GetSpacing()]
    if max(factors) == 1:
        return image
    sigmas = [
        factor * spacing / 2 if factor > 1 else 0.0 for factor, spacing in zip(factors, image.GetSpacing(), strict=True)
    ]
    for axis, sigma in enumerate(sigmas):
        if sigma:
            image = sitk.RecursiveGaussian(image, sigma=sigma, direction=axis)
    return sitk.Shrink(image, factors)


def _rigid(source: _Image, target: _Image) -> _Transform:
    """Rigid transform (about the centre of ``target``) from places in ``target`` to places in ``source``."""
    size = target.GetSize()
    middle = target.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in size])
    transform = sitk.Euler3DTransform(middle)
    for step_mm in _STEPS_MM:
        coarse = _thinned(target, step_mm)
        method = _method(coarse)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step_mm / 2, minStep=0.005, numberOfIterations=100, relaxationFactor=0.6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        method.Execute(coarse, _thinned(source, step_mm))
    return transform


def _spline(source: _Image, target: _Image, rigid: _Transform) -> _Transform:
    """``rigid`` after a cubic spline."""
    coarse = _thinned(target, _SPLINE_STEP_MM)
    extent = [count * spacing for count, spacing in zip(target.GetSize(), target.GetSpacing(), strict=True)]
    mesh = [max(1, round(length / _MESH_MM)) for length in extent]
    spline = sitk.BSplineTransformInitializer(target, mesh, order=3)
    method = _method(coarse, _SPLINE_SAMPLES)
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(spline, inPlace=True)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5, numberOfIterations=20, maximumNumberOfFunctionEvaluations=60
    )
    method.Execute(coarse, _thinned(source, _SPLINE_STEP_MM))
    return sitk.CompositeTransform([rigid, spline])


def _information(transform: _Transform, source: _Image, target: _Image) -> float:
    """Mutual information of ``target`` and the transformed ``source``; NaN where they do not overlap."""
    method = _method(target)
    method.SetInitialTransform(transform)
    try:
        return -float(method.MetricEvaluate(target, source))
    except RuntimeError:
        return _NAN


def _length(transform: _Transform, target: _Image) -> float:
    """Root mean square displacement in mm of ``transform`` over the foreground of ``target``."""
    coarse = _thinned(target, 4 * _STEPS_MM[0])
    foreground = sitk.GetArrayFromImage(sitk.OtsuThreshold(coarse, 0, 1, 128)) > 0
    squares = []
    for z, y, x in np.argwhere(foreground).tolist():
        place = np.array(coarse.TransformIndexToPhysicalPoint((x, y, z)))
        squares.append(float(((np.array(transform.TransformPoint(place)) - place) ** 2).sum()))
    return float(np.sqrt(np.mean(squares))) if squares else 0.0
