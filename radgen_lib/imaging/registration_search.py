"""Searches for the displacement between two images: shift, rigid, cubic spline; and how well the images tell it.

Mutual information (Mattes et al., IEEE TMI 2003) is the measure, because contrast agent changes the grey values; all
of it is SimpleITK's. One thread and regular sampling, so that the result is the same on every machine. Every search
is repeated in two halves of the image: how far their ends are apart says what the images leave open.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import SimpleITK

sitk: Any = SimpleITK  # the package types only a part of its functions
Image = Any  # SimpleITK.Image
Transform = Any  # SimpleITK.Transform
Kind = Literal["shift", "rigid", "bspline"]
_BINS = 64
_MESH_MM = 60.0  # distance of the spline's control points
_STEPS_MM = (4.0, 2.0, 1.0)  # voxels of the levels, coarse to fine
_SPLINE_STEP_MM = 3.0
_SAMPLES, _SPLINE_SAMPLES = 30_000, 15_000  # voxels that the measure is computed on, at most
_PLACES_MM = 16.0  # distance of the places that displacement is averaged over
_BLOCK_MM = 40.0  # edge of the blocks that the halves consist of, as the fields of a chessboard
_SEED = 1  # SimpleITK moves regular samples a little at random


class Pair:
    """A fixed image (``target``) and a moving one (``source``), float32 images of SimpleITK.

    Transforms map places in the target to places in the source. The same arguments give the same answers.
    """

    def __init__(self, source: Image, target: Image) -> None:
        self.target = target
        self.levels = {step: (thinned(source, step), thinned(target, step)) for step in (*_STEPS_MM, _SPLINE_STEP_MM)}
        self._places = _foreground(target)

    def information(self, transform: Transform) -> float:
        """Mutual information of the target and the transformed source; NaN where they do not overlap."""
        source, target = self.levels[_STEPS_MM[-1]]
        method = _method(target, _SAMPLES)
        method.SetInitialTransform(transform)
        try:
            return -float(method.MetricEvaluate(target, source))
        except RuntimeError:
            return float("nan")

    def distance(self, one: Transform, other: Transform) -> float:
        """Root mean square distance in mm of where two transforms take the places of the target's foreground."""
        ends = [np.array([transform.TransformPoint(place) for place in self._places]) for transform in (one, other)]
        return float(np.sqrt(((ends[0] - ends[1]) ** 2).sum(axis=1).mean())) if self._places else 0.0

    def search(self, kind: Kind, before: Transform) -> Transform:
        """The shift, the rigid transform, or ``before`` with a cubic spline, that raises mutual information most.

        Raises RuntimeError (of SimpleITK) where the search finds no end.
        """
        if kind == "bspline":
            return self._spline(before, 0)
        if kind == "shift":
            return self._descend(sitk.TranslationTransform(3), 0)
        # Not from the shift on: where its gradient is nil, the first step would be of angles alone, in radians.
        size = self.target.GetSize()
        middle = self.target.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in size])
        return self._descend(sitk.Euler3DTransform(middle), 0)

    def apart(self, kind: Kind, before: Transform, found: Transform) -> float:
        """How far (mm, see distance) the ends of the search that ended at ``found`` are apart in two halves.

        Arguments and errors are those of ``search``.
        """
        if kind == "bspline":
            return self.distance(self._spline(before, 1), self._spline(before, 2))
        again = sitk.TranslationTransform if kind == "shift" else sitk.Euler3DTransform
        return self.distance(self._descend(again(found), 1), self._descend(again(found), 2))

    def _descend(self, transform: Transform, half: int) -> Transform:
        """Move ``transform`` down the gradient, coarse to fine; a half begins where the whole image ended."""
        for step_mm in _STEPS_MM[-1:] if half else _STEPS_MM:
            source, target = self.levels[step_mm]
            method = _method(target, _SAMPLES, half)
            # Angles: the first step is measured in mm at the image's edge, a step of 1 would be a radian.
            angles = transform.GetNumberOfParameters() > 3
            method.SetOptimizerAsRegularStepGradientDescent(
                learningRate=step_mm / 2,
                minStep=1e-4 if angles else 0.005,
                numberOfIterations=100,
                relaxationFactor=0.6,
                estimateLearningRate=method.Once if angles else method.Never,
                maximumStepSizeInPhysicalUnits=step_mm / 2,
            )
            method.SetOptimizerScalesFromPhysicalShift()
            method.SetInitialTransform(transform, inPlace=True)
            method.Execute(target, source)
        return transform

    def _spline(self, start: Transform, half: int) -> Transform:
        source, target = self.levels[_SPLINE_STEP_MM]
        extent = [count * edge for count, edge in zip(self.target.GetSize(), self.target.GetSpacing(), strict=True)]
        mesh = [max(1, round(length / _MESH_MM)) for length in extent]
        spline = sitk.BSplineTransformInitializer(self.target, mesh, order=3)
        method = _method(target, _SPLINE_SAMPLES, half)
        method.SetMovingInitialTransform(start)
        method.SetInitialTransform(spline, inPlace=True)
        method.SetOptimizerAsLBFGSB(
            gradientConvergenceTolerance=1e-5, numberOfIterations=20, maximumNumberOfFunctionEvaluations=60
        )
        method.Execute(target, source)
        return sitk.CompositeTransform([start, spline])


def _method(target: Image, samples: int, half: int = 0) -> Any:
    """A registration with what all uses share, on at most ``samples`` voxels of ``target``, or of one ``half``."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)  # sums in another order end in another place
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_BINS)
    share = min(1.0, samples / target.GetNumberOfPixels())
    method.SetMetricSamplingStrategy(method.REGULAR if share < 1 else method.NONE)
    method.SetMetricSamplingPercentage(share, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    if half:
        method.SetMetricFixedMask(_half(target, half))
    return method


def _half(target: Image, half: int) -> Image:
    """Mask of the blocks of ``target`` whose numbers along the axes add up to an odd (1) or an even (2) number."""
    counts = [max(1, round(_BLOCK_MM / spacing)) for spacing in reversed(target.GetSpacing())]
    places = np.indices(target.GetSize()[::-1], sparse=True)
    parity = sum(place // count for place, count in zip(places, counts, strict=True)) % 2
    mask = sitk.GetImageFromArray((parity == half % 2).astype(np.uint8))
    mask.CopyInformation(target)
    return mask


def thinned(image: Image, step_mm: float) -> Image:
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


def _foreground(target: Image) -> list[list[float]]:
    """Places in mm of the foreground (Otsu) of ``target``, about 16 mm apart."""
    coarse = thinned(target, _PLACES_MM)
    inside = sitk.GetArrayFromImage(sitk.OtsuThreshold(coarse, 0, 1, 128)) > 0
    return [list(coarse.TransformIndexToPhysicalPoint((x, y, z))) for z, y, x in np.argwhere(inside).tolist()]
