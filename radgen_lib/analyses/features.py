"""Features of images: radiomics always, an encoder's where its weights are there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.errors import RadgenError
from radgen_lib.imaging.radiomics import Binning, radiomic_features
from radgen_lib.metrics.encoders import WeightsMissing, encoder_features


def unit_images(images: np.ndarray, *, clamp: bool) -> np.ndarray:
    """float32 images in units of [0, 1]: uint8 is divided by 255, floats are clamped only when asked."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    values = images.astype(np.float32)
    return np.clip(values, 0.0, 1.0, out=values) if clamp else values


def feature_tables(
    images: np.ndarray,
    *,
    binning: Binning,
    clamp: bool,
    encoders: Sequence[str],
    weights: Path | None,
    preprocessing: str,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features (one row an image, in order) and the status of every feature space with the reason when it is absent.

    Identical images (a mean image, copies of training images) are measured once.
    """
    first, inverse = _distinct(images)
    distinct = unit_images(images[first], clamp=clamp)
    columns = [radiomic_features(distinct, binning=binning, threads=threads)]
    status = [("radiomics", "ok", "")]
    for name in encoders:
        try:
            found = encoder_features(name, distinct, weights=weights, preprocessing=preprocessing)
        except WeightsMissing as error:
            status.append((name, "weights not present", str(error)))
        except RadgenError as error:
            status.append((name, "failed", str(error)))
        else:
            columns.append(pd.DataFrame(found, columns=[f"{name}:{i}" for i in range(found.shape[1])]))
            status.append((name, "ok", ""))
    table = pd.concat([part.reset_index(drop=True) for part in columns], axis=1)
    return (
        table.iloc[inverse].reset_index(drop=True),
        pd.DataFrame(status, columns=["extractor", "status", "reason"]),
    )


def _distinct(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First position of each distinct image, in order, and which of these every image is: int [k] and [n].

    By digest: sorting whole images keeps several float copies of all of them (2 GB for 10,000).
    """
    number: dict[bytes, int] = {}
    keys = (hashlib.sha256(image.tobytes()).digest() for image in images)
    inverse = np.array([number.setdefault(key, len(number)) for key in keys], dtype=int)
    return np.unique(inverse, return_index=True)[1], inverse
