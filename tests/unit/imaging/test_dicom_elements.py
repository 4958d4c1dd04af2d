"""Raw elements of headers against pydicom's own reader: elements, the place after them, errors.

Warnings of pydicom on broken values are left out, as in the scan.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import data_element_generator
from pydicom.filewriter import write_dataset

from radgen_lib.imaging.dicom.elements import read_elements

STOP = 0x7FE00000
ONLY = {0x00080005, 0x00080060, 0x00081140, 0x00100010, 0x00200032, 0x00280010}
SYNTAXES = {"implicit": (True, True), "explicit": (False, True), "big": (False, False)}


def written(data: Dataset, implicit: bool, little: bool) -> bytes:
    """The elements of ``data``, then the beginning of pixel data."""
    data.add_new(0x7FE00010, "OW", b"\1\2\3\4")
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, data)
    return buffer.getvalue()


def header(*, undefined: bool = False, long: int = 0, encoding: str = "ISO_IR 100") -> Dataset:
    """Elements of many representations, a sequence among them; ``long`` bytes of a private one."""
    data, item = Dataset(), Dataset()
    item.ReferencedSOPInstanceUID, item.PatientName = "1.2.3", "Exämple"
    data.SpecificCharacterSet, data.Modality, data.PatientName = encoding, "MR", "Exämple^Erika"
    data.ImageType, data.SeriesDescription, data.PatientID = ["ORIGINAL", "PRIMARY"], "", "A1"
    data.ReferencedImageSequence = [item, item]
    data["ReferencedImageSequence"].is_undefined_length = undefined
    data.add_new(0x00091001, "OB", bytes(long + long % 2))
    data.add_new(0x00091002, "UN", b"abcd")
    data.ImagePositionPatient, data.InstanceNumber = [-1.5, 2, 3e-3], 12
    data.TemporalPositionTimeOffset, data.Rows, data.PatientComments = 1.25, 256, "long text " * 20
    return data


def by_pydicom(handle: BytesIO, implicit: bool, little: bool, only: set[int] | None) -> dict[int, Any]:
    keep: Any = only
    found = data_element_generator(
        handle, implicit, little, stop_when=lambda tag, name, length: int(tag) >= STOP, specific_tags=keep
    )
    return {int(element.tag): element for element in found}


def outcome(read: Any, content: bytes, offset: int) -> tuple[Any, ...]:
    """What was read, its types, and where the handle stands; or the error."""
    handle = BytesIO(b"\0" * offset + content)
    handle.seek(offset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Mapping[int, Any] = read(handle)
    except Exception as error:  # noqa: BLE001 - whatever pydicom raises, ours must raise
        return type(error), str(error)
    kinds = [
        (type(one), type(one.tag), type(one.value), type(one.VR)) if isinstance(one, RawDataElement) else type(one)
        for one in found.values()
    ]
    return dict(found), list(found), kinds, handle.tell()


def assert_same(content: bytes, implicit: bool, little: bool, only: set[int] | None, offset: int = 0) -> Any:
    ours = outcome(lambda h: read_elements(h, implicit=implicit, little=little, stop=STOP, only=only), content, offset)
    assert ours == outcome(lambda h: by_pydicom(h, implicit, little, only), content, offset)
    return ours


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("only", [None, ONLY], ids=["all", "some"])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("long", [0, 16_300, 50_000])
def test_elements_are_those_of_pydicom(syntax: str, only: set[int] | None, undefined: bool, long: int) -> None:
    implicit, little = SYNTAXES[syntax]
    content = written(header(undefined=undefined, long=long), implicit, little)
    found, tags, _, place = assert_same(content, implicit, little, only, offset=132)
    assert content[place - 132 :][:4] == (b"\xe0\x7f\x10\x00" if little else b"\x7f\xe0\x00\x10")
    assert set(tags) == (only or set(tags)) and len(tags) >= 6
    rows = found[0x00280010]
    assert int.from_bytes(rows.value, "little" if little else "big") == 256
    assert content[rows.value_tell - 132 :][:2] == rows.value


@pytest.mark.parametrize("encoding", ["ISO_IR 192", "", "nonsense"])
def test_names_in_sequences_keep_the_encoding_of_the_file(encoding: str) -> None:
    """The sequence is read by pydicom after the character set was read here."""
    content = written(header(undefined=True, encoding="ISO_IR 192"), False, True)
    content = content.replace(b"ISO_IR 192", encoding.encode().ljust(10))
    found = assert_same(content, False, True, None)[0]
    if encoding == "ISO_IR 192":
        assert str(found[0x00081140].value[1].PatientName) == "Exämple"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_header_cut_anywhere_reads_or_fails_as_in_pydicom(syntax: str, undefined: bool) -> None:
    implicit, little = SYNTAXES[syntax]
    content = written(header(undefined=undefined), implicit, little)
    whole = [cut for cut in range(len(content)) if len(assert_same(content[:cut], implicit, little, ONLY)) == 4]
    failed = len(content) - len(whole)
    # Only a cut inside a length, or inside the undefined length of a sequence, is an error at this level.
    assert whole[0] == 0 and whole[-1] == len(content) - 1
    assert failed > 20 if undefined else failed < 40


_EXPLICIT = written(header(), False, True)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(_EXPLICIT) - 1), st.integers(0, 255)), max_size=6),
    implicit=st.booleans(),
    only=st.sampled_from([None, ONLY]),
)
@example(changes=[(4, ord("Z")), (5, ord("Z"))], implicit=False, only=None)  # a representation nobody knows
@example(changes=[(4, 1), (5, 2)], implicit=False, only=None)  # a writer that changed to implicit elements
@example(changes=[(6, 255), (7, 255)], implicit=False, only=ONLY)  # a length past the end
def test_damaged_headers_read_or_fail_as_in_pydicom(
    changes: list[tuple[int, int]], implicit: bool, only: set[int] | None
) -> None:
    content = bytearray(_EXPLICIT)
    for place, value in changes:
        content[place] = value
    assert_same(bytes(content), implicit, True, only)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_end_mark_of_an_item_ends_the_elements(syntax: str) -> None:
    implicit, little = SYNTAXES[syntax]
    mark = b"\xfe\xff\x0d\xe0" if little else b"\xff\xfe\xe0\x0d"
    content = written(header(), implicit, little)
    place = content.index(b"\x10\x00\x20\x00" if little else b"\x00\x10\x00\x20")  # PatientID
    found, *_, stands = assert_same(content[:place] + mark + bytes(4) + content[place:], implicit, little, None)
    assert stands == place + 8 and max(found) == 0x00100010


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=80), syntax=st.sampled_from(sorted(SYNTAXES)))
def test_bytes_that_are_no_header_read_or_fail_as_in_pydicom(content: bytes, syntax: str) -> None:
    implicit, little = SYNTAXES[syntax]
    assert_same(content, implicit, little, None)
