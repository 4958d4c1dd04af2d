"""Radiomic features of projections by PyRadiomics (93 per image: first order and five texture matrices)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from radgen_lib.core.progress import Progress

Binning = Literal["width25", "count32"]
PREFIX = "radiomics:"
_CLASSES = ("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
_SETTINGS: dict[str, dict[str, Any]] = {
    "width25": {"binWidth": 25, "force2D": True, "force2Ddimension": 0},
    "count32": {"binCount": 32, "force2D": True, "force2Ddimension": 0},
}
_BLOCK = 16


def radiomic_features(images: np.ndarray, *, binning: Binning, threads: int = 1) -> pd.DataFrame:
    """Features of ``images`` [n, H, W] (declared range [0, 1]); columns ``radiomics:<class>_<Feature>``, index 0..n-1.

    The mask is the fixed central box of rows and columns 1/8 to 7/8 (PROTOCOLS B.5). ``count32`` clips to [0, 1],
    rescales to 0-255 and uses 32 grey levels between minimum and maximum of the box. ``width25`` is the published
    setting: the image as it is with bins of width 25, so that all of [0, 1] is one grey level and most texture
    features are constants (weakness B-W05).

    The classes of PyRadiomics are called directly: the same values as its RadiomicsFeatureExtractor without that
    one's fixed cost per image. A value that is not finite becomes NaN. ``threads`` above 1 shares the images among
    processes; the result does not depend on it. Raises ValueError for images that are not finite [n, H, W].
    """
    images = np.asarray(images)
    if images.ndim != 3 or min(images.shape[1:]) < 8:
        raise ValueError(f"images {images.shape}: need [n, H, W] with sides of 8 pixels or more")
    if binning not in _SETTINGS:
        raise ValueError(f"binning {binning!r}: allowed are {', '.join(_SETTINGS)}")
    if not np.isfinite(images).all():
        first = int(np.flatnonzero(~np.isfinite(images).all(axis=(1, 2)))[0])
        raise ValueError(f"image {first} holds values that are not finite")
    blocks = [images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK)]
    progress = Progress(f"radiomics {binning}", len(images))
    rows: list[dict[str, float]] = []
    for found in _map_blocks(blocks, binning, threads):
        rows.extend(found)
        progress.advance(len(found))
    return pd.DataFrame(rows, columns=list(feature_names()), dtype=np.float64)


def _map_blocks(blocks: list[np.ndarray], binning: Binning, threads: int) -> Iterator[list[dict[str, float]]]:
    if threads <= 1 or len(blocks) <= 1:
        yield from (_block_features(block, binning) for block in blocks)
        return
    from joblib import Parallel, delayed

    # Processes, not threads: PyRadiomics holds the interpreter lock nearly all the time.
    run = Parallel(n_jobs=min(threads, len(blocks)), return_as="generator")
    yield from run(delayed(_block_features)(block, binning) for block in blocks)


def _block_features(images: np.ndarray, binning: Binning) -> list[dict[str, float]]:
    return [_features(image, binning) for image in images]


def central_box(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns from 1/8 to 7/8 of an image: the published mask."""
    return slice(height // 8, height - height // 8), slice(width // 8, width - width // 8)


def prepared(image: np.ndarray, binning: Binning) -> np.ndarray:
    """Float64 [1, H, W] as PyRadiomics takes it: 0-255 under ``count32``, unchanged under ``width25``."""
    image = image.astype(np.float64)[None]
    return np.clip(image, 0.0, 1.0) * 255.0 if binning == "count32" else image


def _features(image: np.ndarray, binning: Binning) -> dict[str, float]:
    import SimpleITK as sitk

    rows, columns = central_box(*image.shape)
    box = prepared(image, binning)[:, rows, columns]
    volume = sitk.GetImageFromArray(box)
    mask = sitk.GetImageFromArray(np.ones(box.shape, dtype=np.uint8))
    values: dict[str, float] = {}
    # An image without contrast divides by zero in some features; they become NaN below.
    with np.errstate(all="ignore"):
        for name, kind in _feature_classes().items():
            calculator = kind(volume, mask, **_SETTINGS[binning])
            calculator.enableAllFeatures()
            for feature, value in calculator.execute().items():
                number = float(value)
                values[f"{PREFIX}{name}_{feature}"] = number if np.isfinite(number) else float("nan")
    return values


@cache
def _feature_classes() -> dict[str, Any]:
    """The six classes by name; PyRadiomics' own logger is silenced, its failures arrive as NaN."""
    import radiomics
    from radiomics import firstorder, glcm, gldm, glrlm, glszm, ngtdm

    radiomics.logger.setLevel(logging.CRITICAL)
    kinds = (
        firstorder.RadiomicsFirstOrder, glcm.RadiomicsGLCM, glrlm.RadiomicsGLRLM, glszm.RadiomicsGLSZM,
        gldm.RadiomicsGLDM, ngtdm.RadiomicsNGTDM,
    )  # fmt: skip
    return dict(zip(_CLASSES, kinds, strict=True))


@cache
def feature_names() -> tuple[str, ...]:
    """The 93 column names in order: classes as listed, features by name, without PyRadiomics' deprecated ones."""
    return tuple(
        f"{PREFIX}{name}_{feature}"
        for name, kind in _feature_classes().items()
        for feature, deprecated in sorted(kind.getFeatureNames().items())
        if not deprecated
    )
