"""Plain values of DICOM elements, decoded here because tens of thousands of headers are read.

pydicom's own conversion builds an object per element and raises for values that break the standard; a header of a
public collection often does, in elements that decide nothing. Here such a value is missing ("" or NaN).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.multival import MultiValue

from radgen_lib.imaging.dicom.elements import read_elements as read_elements  # part of this module's interface

NONE = float("nan")
_DAY = 86400.0
_CHARACTER_SET = 0x00080005
# Values of ContrastBolusAgent, upper case, that say there was none.
NO_CONTRAST = ("", "NO", "NONE", "N", "0", "OFF", "NO CONTRAST")

# Elements of a data set by the number of their tag, as pydicom read them: mostly raw, none converted before it is used.
Elements = Mapping[int, Any]


@cache
def tag_of(keyword: str) -> int:
    """Number of a DICOM tag by its keyword; raises KeyError for an unknown one."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword}: no such DICOM keyword")
    return tag


def converted(data: Elements, keyword: str) -> Any:
    """Value of an element as pydicom converts it, None when it is absent."""
    element = data.get(tag_of(keyword))
    if isinstance(element, RawDataElement):
        names = data.get(_CHARACTER_SET)
        codes = names.value if names is not None else None
        codes = codes.decode("ascii", "ignore").split("\\") if isinstance(codes, bytes) else codes
        element = convert_raw_data_element(element, encoding=convert_encodings(codes) if codes else None)
    return None if element is None else element.value


def text(data: Elements, keyword: str) -> str:
    """Value as text without padding, parts of a multiple value joined by a backslash; "" when absent or empty."""
    element = data.get(tag_of(keyword))
    if element is None:
        return ""
    value = element.value
    if isinstance(value, bytes) and value.isascii():
        plain = value.decode("ascii")
        return "\\".join([part.strip(" \0") for part in plain.split("\\")]) if "\\" in plain else plain.strip(" \0")
    value = converted(data, keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list | tuple | MultiValue) else str(value).strip(" \0")


def numbers(data: Elements, keyword: str, count: int) -> tuple[float, ...] | None:
    """``count`` decimal numbers of a text element (DS, IS), or None when they are not there."""
    parts = text(data, keyword).split("\\")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def number(data: Elements, keyword: str) -> float:
    """First number of a text element (DS, IS), NaN when there is none."""
    written = text(data, keyword).partition("\\")[0]
    if not written:
        return NONE
    try:
        return float(written)
    except ValueError:
        return NONE


def binary(data: Elements, keyword: str) -> float:
    """A number of a binary element (FD, UL, US), NaN when absent."""
    value = converted(data, keyword)
    return float(value) if isinstance(value, int | float) else NONE


def whole(data: Elements, keyword: str, default: int = -1) -> int:
    """An unsigned 16-bit element (US), e.g. Rows, or a whole number written as text; ``default`` when absent."""
    element = data.get(tag_of(keyword))
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes) and len(element.value) == 2:
        return int.from_bytes(element.value, "little" if element.is_little_endian else "big")
    value = converted(data, keyword)
    return int(value) if isinstance(value, int | float) else default


def items(data: Elements, keyword: str) -> list[Elements]:
    """Items of a sequence, [] when it is absent or empty."""
    found = converted(data, keyword) if tag_of(keyword) in data else None
    return [{int(tag): element for tag, element in item.items()} for item in found or ()]


def first(data: Elements, keyword: str) -> Elements:
    """First item of a sequence, empty when there is none."""
    found = items(data, keyword)
    return found[0] if found else {}


def day_of(value: str) -> float:
    """Day number of a DICOM date (YYYYMMDD, also with dots), NaN when it is none."""
    digits = value.replace(".", "")[:8]
    try:
        return float(dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal())
    except ValueError:
        return NONE


def seconds_of(value: str) -> float:
    """Seconds of the day of a DICOM time (HHMMSS.ffffff, shortened, or with colons), NaN when it is none."""
    digits = value.replace(":", "")
    whole_part, _, fraction = digits.partition(".")
    if len(whole_part) not in (2, 4, 6) or not whole_part.isdigit() or (fraction and not fraction.isdigit()):
        return NONE
    hours, minutes, seconds = (int(whole_part[k : k + 2] or 0) for k in (0, 2, 4))
    return hours * 3600.0 + minutes * 60.0 + seconds + (float(f"0.{fraction}") if fraction else 0.0)


def moment(date: str, time: str, day_zero: float) -> float:
    """Seconds since midnight of ``day_zero``; an unknown date counts as that day, an unknown time gives NaN."""
    days = day_of(date) - day_zero
    # Pseudonymised dates of one study may disagree by years; only the day after midnight is believed.
    return seconds_of(time) + (_DAY if days == 1 else 0.0)


def moment_of(datetime: str, day_zero: float) -> float:
    """As :func:`moment`, of one DICOM date-time (YYYYMMDDHHMMSS.ffffff, offset from UTC ignored)."""
    plain = datetime.partition("+")[0].partition("-")[0]
    return moment(plain[:8], plain[8:], day_zero)
