"""Values and data sets of DICOM objects that are written here: by the phantom, and from NIfTI files."""

from __future__ import annotations

import hashlib
import uuid
from copy import copy
from io import BytesIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset


def named_uid(*names: object) -> str:
    """A UID under 2.25. (from a UUID, PS3.5 B.2) that depends on ``names`` alone; at most 44 letters."""
    text = "\x1f".join(map(str, names))
    return f"2.25.{uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5).int}"


def clock(seconds: float) -> str:
    """Time of day as DICOM TM, to the millisecond; ``seconds`` since midnight, in [0, 86400)."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}{minutes % 60:02d}{rest // 1000:02d}.{rest % 1000:03d}000"


def seconds_of_day(time: str) -> float:
    """Inverse of :func:`clock`."""
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])


def number(value: float) -> str:
    """A decimal string of at most 16 letters, without a minus before zero."""
    text = f"{value:.7f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def copied(header: Dataset) -> Dataset:
    """A new dataset with copies of the elements of ``header``: pydicom assigns into an element that is there."""
    fresh = Dataset({tag: item if isinstance(item, RawDataElement) else copy(item) for tag, item in header.items()})
    implicit, little = header.original_encoding
    fresh.set_original_encoding(implicit, little, header.original_character_set)
    return fresh


def settled(header: Dataset) -> Dataset:
    """``header`` with its elements encoded: copying and writing them again costs next to nothing."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, header)
    return read_dataset(BytesIO(buffer.getvalue()), is_implicit_VR=False, is_little_endian=True)
