"""Where the pixel data of a DICOM file lies, whether all of it is there, and its values."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from radgen_lib.imaging.volume import VolumeFault

IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)
_PIXEL_DATA = b"\x7f\xe0\x00\x10"
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
# MONOCHROME1: the least value is white. No tag of MR says which stored value is no signal, so turned round they would
# have an offset that nobody knows, and relative enhancement would be wrong.
INVERTED = "MONOCHROME1"
INVERTED_FAULT = "MONOCHROME1: the grey levels are inverted, and no tag says which stored value is no signal"
# What pydicom and its decoders raise for files that break the standard or a codec's.
DECODE_FAULTS = (
    OSError, EOFError, ValueError, KeyError, AttributeError, RuntimeError, TypeError, IndexError, BytesLengthException,
)  # fmt: skip


class PixelPlace(NamedTuple):
    """First byte and length of the values of the PixelData element; length -1 is encapsulated (compressed)."""

    offset: int
    length: int


@cache
def can_decode(transfer_syntax: str) -> bool:
    """Whether pixel data of this transfer syntax can be read here."""
    if transfer_syntax in (*NATIVE, DEFLATED):
        return True
    try:
        return bool(get_decoder(UID(transfer_syntax)).is_available)
    except NotImplementedError:
        return False


def find_pixels(handle: BinaryIO, transfer_syntax: str) -> PixelPlace | None:
    """Place of the pixel data whose tag begins where ``handle`` stands, None when something else or nothing begins.

    Not for the deflated syntax, whose places on disk mean nothing.
    """
    order = "big" if transfer_syntax == EXPLICIT_BIG else "little"
    tag = handle.read(4)
    if order == "little":
        tag = tag[1::-1] + tag[:1:-1]
    if tag != _PIXEL_DATA:
        return None
    # Explicit: value representation, two reserved bytes, length; implicit: length alone.
    head = handle.read(4 if transfer_syntax == IMPLICIT_LITTLE else 8)[-4:]
    if len(head) < 4:
        return None
    length = int.from_bytes(head, "big" if order == "big" else "little")
    return PixelPlace(handle.tell(), -1 if length == _UNDEFINED else length)


def fragments_complete(handle: BinaryIO, place: PixelPlace, size: int) -> bool:
    """Whether encapsulated pixel data reaches its end mark and holds a fragment (``size``: bytes of the file)."""
    at, fragments = place.offset, -1  # the first item is the offset table
    while at + 8 <= size:
        handle.seek(at)
        mark = handle.read(8)
        if mark[:4] == _ITEM_END:
            return fragments > 0
        if mark[:4] != _ITEM:
            return False
        at += 8 + int.from_bytes(mark[4:], "little")
        fragments += 1
    return False


def frame_bytes(rows: int, columns: int, bits_allocated: int) -> int:
    """Bytes of one native frame of one sample per pixel."""
    return -(-rows * columns * bits_allocated // 8)


def native_frame(
    content: bytes, shape: tuple[int, int], *, bits: int, stored: int, signed: bool, big: bool
) -> np.ndarray:
    """Integer values [rows, columns] of one native frame of ``bits`` allocated and ``stored`` bits per pixel."""
    kind = np.dtype(f"{'>' if big else '<'}{'i' if signed else 'u'}{bits // 8}")
    values = np.frombuffer(content, dtype=kind).reshape(shape)
    unused = bits - stored
    if unused:
        # Old files keep overlays in the unused high bits; shifting back and forth drops them and restores the sign.
        values = np.right_shift(np.left_shift(values.astype(kind.newbyteorder("=")), unused), unused)
    return values


def decoded_frames(path: Path, frames: list[int]) -> list[np.ndarray]:
    """Integer values [rows, columns] of ``frames`` of a file by pydicom's decoders; VolumeFault when they fail."""
    try:
        data = pydicom.dcmread(path)
        if int(data.get("NumberOfFrames", 1) or 1) == 1:
            return [pixel_array(data)] * len(frames)
        return [pixel_array(data, index=frame) for frame in frames]
    except DECODE_FAULTS as error:
        raise VolumeFault(f"compressed pixel data cannot be decoded ({type(error).__name__})") from error
