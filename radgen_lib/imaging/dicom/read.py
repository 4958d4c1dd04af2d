"""One phase's instances as a volume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.imaging.dicom.geometry import Stack, stack_planes
from radgen_lib.imaging.dicom.pixels import (
    EXPLICIT_BIG,
    INVERTED,
    INVERTED_FAULT,
    NATIVE,
    decoded_frames,
    frame_bytes,
    native_frame,
)
from radgen_lib.imaging.volume import Volume
from radgen_lib.imaging.volume import VolumeFault as VolumeFault  # part of this module's interface

_SAME = ("rows", "columns", "spacing_row", "spacing_col")
_BITS = (8, 16, 32)


class _Image(NamedTuple):
    """What a row of the scan says about the pixels of one frame; the fields are columns of the scan."""

    folder: str
    file: str
    frame: int
    transfer_syntax: str
    pixel_offset: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float
    intercept: float


def read_volume(instances: pd.DataFrame, root: Path) -> Volume:
    """Volume of the ``instances`` (rows of a scan, in any order) whose files lie below ``root``.

    Slices are sorted along the normal of the planes, which makes the direction right-handed; values are the stored
    ones by RescaleSlope and RescaleIntercept of their own frame. Files whose pixel data is not compressed are read at
    the place that the scan noted, without parsing them again. A place that stands twice is read once when both
    frames hold the same pixels. Raises VolumeFault with the reason for what makes no volume.
    """
    if not len(instances):
        raise VolumeFault("no instances")
    if instances["orientation"].isna().any() or instances["position"].isna().any():
        raise VolumeFault("no position or orientation in the tags")
    shape, spacing = _matrix(instances)
    stack = stack_planes(np.array(instances["orientation"].tolist()), np.array(instances["position"].tolist()))
    columns = [instances[name].tolist() for name in _Image._fields]
    values = _values([_Image(*row) for row in zip(*columns, strict=True)], str(root), stack, shape)
    x, y, z = (float(value) for value in stack.origin)
    return Volume(values, (stack.step, *spacing), (x, y, z), stack.direction)


def _matrix(instances: pd.DataFrame) -> tuple[tuple[int, int], tuple[float, float]]:
    """Rows and columns, and their spacing in mm, that all instances share."""
    rows, columns, down, along = (_shared(instances[name].tolist()) for name in _SAME)
    samples, photometric = instances["samples"].iloc[0], str(instances["photometric"].iloc[0])
    if (instances["photometric"] == INVERTED).any():
        raise VolumeFault(INVERTED_FAULT)
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        raise VolumeFault(f"colour ({photometric})")
    spacing = float(down), float(along)
    if not all(step > 0 for step in spacing):
        raise VolumeFault("no pixel spacing in the tags")
    return (int(rows), int(columns)), spacing


def _shared(values: list[Any]) -> Any:
    """The one value that all have, NaN too; VolumeFault when there are several."""
    first = values[0]
    if not all(value == first or (value != value and first != first) for value in values):
        raise VolumeFault("planes of several matrices or pixel sizes")
    return first


def _values(images: list[_Image], root: str, stack: Stack, shape: tuple[int, int]) -> np.ndarray:
    """Values, float32 [slices, rows, columns]: each frame goes to its slice while it is still in the cache."""
    _refuse_layouts(images)
    packed = _packed(images, root, shape)
    values = np.empty((len(stack.order), *shape), dtype=np.float32)
    again = np.empty(shape if len(images) > len(stack.order) else (0, 0), dtype=np.float32)
    for slot, (index, *others) in zip(values, stack.order, strict=True):
        _fill(slot, index, images, root, packed)
        for other in others:
            _fill(again, other, images, root, packed)
            if not np.array_equal(slot, again):
                raise VolumeFault("two slices at the same place with different pixels")
    return values


def _fill(slot: np.ndarray, index: int, images: list[_Image], root: str, packed: Mapping[int, np.ndarray]) -> None:
    """Write the rescaled values of an image into ``slot``, float32 [rows, columns]."""
    image = images[index]
    frame = packed[index] if index in packed else _native(image, root, (slot.shape[0], slot.shape[1]))
    if image.slope == 1.0 and image.intercept == 0.0:
        slot[:] = frame
        return
    scaled = frame * np.float64(image.slope)
    scaled += np.float64(image.intercept)
    slot[:] = scaled


def _refuse_layouts(images: list[_Image]) -> None:
    """VolumeFault for pixels that are not compressed and not laid out as those of MR are."""
    layouts = {(i.bits_allocated, i.bits_stored, i.high_bit) for i in images if i.transfer_syntax in NATIVE}
    for bits, stored, high in sorted(layouts):
        if bits not in _BITS or not 0 < stored <= bits or high != stored - 1:
            raise VolumeFault(f"pixels of {stored} bits in {bits}, highest {high}: not a layout of MR")


def _packed(images: list[_Image], root: str, shape: tuple[int, int]) -> dict[int, np.ndarray]:
    """Stored values of the images that need a decoder, by index; a file is opened once for all its frames."""
    files: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        # Big-endian bytes stand in turned pairs where their element is one of words (OW), which pydicom looks up.
        turned = image.transfer_syntax == EXPLICIT_BIG and image.bits_allocated == 8
        if image.transfer_syntax not in NATIVE or turned:
            files.setdefault(f"{root}/{image.folder}/{image.file}", []).append(index)
    found: dict[int, np.ndarray] = {}
    for path, indices in files.items():
        decoded = decoded_frames(Path(path), [images[index].frame for index in indices])
        if any(frame.shape != shape for frame in decoded):
            raise VolumeFault("decoded pixels do not have the rows and columns of the header")
        found.update(zip(indices, decoded, strict=True))
    return found


def _native(image: _Image, root: str, shape: tuple[int, int]) -> np.ndarray:
    """Stored values, integers [rows, columns], from the place in the file that the scan noted."""
    size = frame_bytes(*shape, image.bits_allocated)
    try:
        with open(f"{root}/{image.folder}/{image.file}", "rb", buffering=0) as handle:
            handle.seek(image.pixel_offset + image.frame * size)
            content = handle.read(size)
    except OSError as error:
        raise VolumeFault(f"a file cannot be read ({error.strerror or type(error).__name__})") from error
    if len(content) != size:
        raise VolumeFault("a file is shorter than when it was scanned")
    big = image.transfer_syntax == EXPLICIT_BIG
    return native_frame(
        content, shape, bits=image.bits_allocated, stored=image.bits_stored, signed=image.signed, big=big
    )
