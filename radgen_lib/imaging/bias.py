"""Uneven coil sensitivity: N4 (Tustison et al., IEEE TMI 2010), as SimpleITK has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK

from radgen_lib.imaging.volume import Volume

sitk: Any = SimpleITK  # the package types only a part of its functions
_FEWEST = 8  # voxels an axis keeps when it is thinned out


def bias_field(volume: Volume, *, shrink: int = 4) -> np.ndarray:
    """The smooth positive field, float32 [z, y, x], that N4 finds in the foreground (Otsu's threshold) of ``volume``.

    The field is fitted on every ``shrink``-th voxel of each axis (fewer where an axis would keep less than eight) and
    evaluated on all. One thread, so that the result is the same on every machine. Raises ValueError for ``shrink``
    below 1; a volume without contrast, or whose foreground is too small to be thinned out, has a field of ones.
    """
    if shrink < 1:
        raise ValueError(f"shrink = {shrink}: must be 1 or more")
    if volume.values.max() <= volume.values.min():
        return np.ones(volume.values.shape, dtype=np.float32)
    image = sitk.Cast(volume.to_sitk(), sitk.sitkFloat32)
    foreground = sitk.OtsuThreshold(image, 0, 1, 128)
    factors = [max(1, min(shrink, size // _FEWEST)) for size in image.GetSize()]
    thinned = sitk.Shrink(foreground, factors)
    if not sitk.GetArrayFromImage(thinned).any():
        return np.ones(volume.values.shape, dtype=np.float32)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetNumberOfWorkUnits(1)
    corrector.SetMaximumNumberOfIterations([30, 20, 10])
    corrector.Execute(sitk.Shrink(image, factors), thinned)
    field: np.ndarray = sitk.GetArrayFromImage(sitk.Exp(corrector.GetLogBiasFieldAsImage(image)))
    return field.astype(np.float32)
