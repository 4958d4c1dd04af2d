"""Raw elements of a DICOM header: plain ones are cut from one block of bytes, which is fast, the rest by pydicom."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, BinaryIO

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string

# Bytes taken at once; more than the header of most single-frame images.
_BLOCK = 16384
_CHARACTER_SET = 0x00080005
_DELIMITERS = 0xFFFE
_SHORT = {name.encode("ascii"): str(name) for name in EXPLICIT_VR_LENGTH_16}
_LONG = {name.encode("ascii"): str(name) for name in EXPLICIT_VR_LENGTH_32}
_HEADS = {little: Struct(f"{'<' if little else '>'}HH2sH").unpack_from for little in (True, False)}
_PLAIN = {little: Struct(f"{'<' if little else '>'}HHL").unpack_from for little in (True, False)}
_LENGTHS = {little: Struct(f"{'<' if little else '>'}L").unpack_from for little in (True, False)}
_tag = lru_cache(4096)(BaseTag)


def read_elements(
    handle: BinaryIO, *, implicit: bool, little: bool, stop: int, only: set[int] | None
) -> Mapping[int, Any]:
    """Elements from where ``handle`` stands to the first tag of ``stop`` or more, where it is left standing.

    ``only`` are the tags to keep, None all. The elements are those of pydicom's ``data_element_generator``. Elements
    of a defined length and a known value representation that lie in the first block are cut from it here; from the
    first other one on, pydicom reads, and raises what it raises.
    """
    start = handle.tell()
    found: dict[int, Any] = {}
    at, ended = _cut(handle.read(_BLOCK), start, found, implicit=implicit, little=little, stop=stop, only=only)
    handle.seek(start + at)
    names = found.get(_CHARACTER_SET)
    encoding = list(_encoding(names.value, little)) if names is not None else default_encoding
    if ended:
        return found

    def beyond(tag: BaseTag, representation: str | None, length: int) -> bool:
        return int.__ge__(tag, stop)  # the tag's own comparison costs a tenth of the scan

    keep: Any = only
    rest = data_element_generator(handle, implicit, little, stop_when=beyond, encoding=encoding, specific_tags=keep)
    found.update({int(element.tag): element for element in rest})
    return found


def _cut(
    block: bytes, start: int, found: dict[int, Any], *, implicit: bool, little: bool, stop: int, only: set[int] | None
) -> tuple[int, bool]:
    """Put elements of ``block`` into ``found``; where the first other byte lies, and whether it begins ``stop``."""
    head, plain, longer = _HEADS[little], _PLAIN[little], _LENGTHS[little]
    at, last = 0, len(block) - 12
    name: str | None = None
    while at <= last:
        if implicit:
            group, number, length = plain(block, at)
            value_at = at + 8
        else:
            group, number, kind, length = head(block, at)
            value_at = at + 8
            name = _SHORT.get(kind)
            if name is None:
                name = _LONG.get(kind)
                if name is None:
                    return at, False
                (length,) = longer(block, value_at)
                value_at += 4
        tag = group << 16 | number
        if tag >= stop:
            return at, group != _DELIMITERS
        end = value_at + length
        if end > len(block):  # so is an undefined length
            return at, False
        if only is None or tag in only or tag == _CHARACTER_SET:
            value = block[value_at:end] if length else empty_value_for_VR(name, raw=True)
            found[tag] = RawDataElement(_tag(tag), name, length, value, start + value_at, implicit, little)  # type: ignore[arg-type]
        at = end
    return at, False


@lru_cache(64)
def _encoding(names: bytes | None, little: bool) -> tuple[str, ...]:
    """Encodings of the sequences to come; raises what pydicom raises for names that are none."""
    return tuple(convert_encodings(convert_string(names or b"", little)))
