"""Values of headers against pydicom's own conversion, and elements that break the standard."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from radgen_lib.imaging.dicom import fields as f
from radgen_lib.imaging.dicom.header import HeaderFault, read_header
from radgen_lib.imaging.dicom.pixels import IMPLICIT_LITTLE, can_decode, find_pixels, native_frame
from tests.unit.imaging.dicom_images import Series, ramp, write

END = 0xFFFF0000


def elements(data: Dataset, *, implicit: bool = False, little: bool = True) -> f.Elements:
    """A data set as it comes from a file."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, data)
    return f.read_elements(io.BytesIO(buffer.getvalue()), implicit=implicit, little=little, stop=END, only=None)


def sample() -> Dataset:
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SeriesDescription = "Säge T1 "
    data.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    data.ImagePositionPatient = [-1.5, 2.25, 1e-3]
    data.InstanceNumber, data.Rows = 12, 513
    data.EchoTime = "3.1 "
    data.OtherPatientIDsSequence = [Dataset(), Dataset()]
    data.OtherPatientIDsSequence[1].PatientID = "code"
    data.EffectiveEchoTime = 2.75
    return data


@pytest.mark.parametrize(("implicit", "little"), [(False, True), (True, True), (False, False)])
def test_values_are_those_of_pydicom_in_every_encoding(implicit: bool, little: bool) -> None:
    data = sample()
    read = elements(data, implicit=implicit, little=little)
    assert f.text(read, "SeriesDescription") == "Säge T1"
    assert f.text(read, "ImageType").split("\\") == list(data.ImageType)
    assert f.numbers(read, "ImagePositionPatient", 3) == tuple(data.ImagePositionPatient)
    assert f.number(read, "InstanceNumber") == 12 and f.number(read, "EchoTime") == 3.1
    assert f.whole(read, "Rows") == 513 and f.binary(read, "EffectiveEchoTime") == 2.75
    items = f.items(read, "OtherPatientIDsSequence")
    assert len(items) == 2 and f.first(read, "OtherPatientIDsSequence") == {}
    assert f.text(items[1], "PatientID") == "code"


def test_what_is_absent_or_broken_is_missing() -> None:
    data = Dataset()
    data.add_new(0x00280030, "DS", None)
    read = dict(elements(data))
    assert f.text(read, "SeriesDescription") == "" and np.isnan(f.number(read, "EchoTime"))
    assert f.numbers(read, "PixelSpacing", 2) is None and f.whole(read, "Columns") == -1
    assert f.items(read, "OtherPatientIDsSequence") == [] and np.isnan(f.binary(read, "EffectiveEchoTime"))
    raw = elements(sample())
    spoiled: dict[int, Any] = {tag: raw[tag] for tag in raw}
    for keyword, value in (("EchoTime", b"3,1"), ("ImagePositionPatient", b"1\\nan\\2")):
        spoiled[f.tag_of(keyword)] = raw[f.tag_of(keyword)]._replace(value=value)
    assert np.isnan(f.number(spoiled, "EchoTime")) and f.numbers(spoiled, "ImagePositionPatient", 3) is None
    assert f.numbers(raw, "ImagePositionPatient", 2) is None


@given(st.integers(0, 86_399), st.integers(0, 999_999))
def test_times_are_seconds_of_the_day(second: int, micro: int) -> None:
    written = f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}.{micro:06d}"
    assert f.seconds_of(written) == pytest.approx(second + micro / 1e6, abs=1e-9)
    assert f.moment_of(f"20010316{written}-0500", f.day_of("20010315")) == pytest.approx(86400 + second + micro / 1e6)


@pytest.mark.parametrize("broken", ["", "1", "12345", "ab", "121004.x", "noon"])
def test_what_is_no_time_is_missing(broken: str) -> None:
    assert np.isnan(f.seconds_of(broken)) and np.isnan(f.moment_of("20010315" + broken, f.day_of("20010315")))


def test_the_pixel_data_tag_is_found_where_the_header_ends(tmp_path: Path) -> None:
    assert find_pixels(io.BytesIO(b"\xe0\x7f\x10\x00OW\0\0\x08\0\0\0abcdefgh"), "1.2.840.10008.1.2.1") == (12, 8)
    assert find_pixels(io.BytesIO(b"\xe0\x7f\x10\x00\xff\xff\xff\xff"), IMPLICIT_LITTLE) == (8, -1)
    assert find_pixels(io.BytesIO(b"\x7f\xe0\x00\x10OW\0\0\0\0\0\x08"), "1.2.840.10008.1.2.2") == (12, 8)
    assert find_pixels(io.BytesIO(b"\xe0\x7f\x08\x00OF\0\0\x08\0\0\0"), "1.2.840.10008.1.2.1") is None
    assert find_pixels(io.BytesIO(b"\xe0\x7f\x10\x00OW"), "1.2.840.10008.1.2.1") is None


def test_an_explicit_syntax_with_implicit_elements_is_read(tmp_path: Path) -> None:
    """As some archives write them; the letters of the first element tell."""
    image = Series(ramp()).images()[0]
    write(tmp_path, [image])
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, image)
    whole = (tmp_path / "a" / "0000.dcm").read_bytes()
    start = whole.index(b"\x08\x00\x08\x00CS")
    path = tmp_path / "a" / "odd.dcm"
    path.write_bytes(whole[:start] + buffer.getvalue())
    row = read_header(path)[0]
    assert row["transfer_syntax"] == IMPLICIT_LITTLE and row["rows"] == 5
    assert path.read_bytes()[row["pixel_offset"] :][:40] == ramp()[0].tobytes()


def test_decoders_are_asked_for_and_not_guessed() -> None:
    known = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90",
             "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99"]  # fmt: skip
    assert all(map(can_decode, known))
    assert not can_decode("1.2.840.10008.1.2.4.100") and not can_decode("1.2.3")


@given(st.integers(1, 16), st.booleans(), st.booleans())
def test_stored_bits_are_cut_out_of_the_word(stored: int, signed: bool, big: bool) -> None:
    words = np.arange(0, 65536, 257, dtype=np.uint16)
    content = words.astype(">u2" if big else "<u2").tobytes()
    found = native_frame(content, (16, 16), bits=16, stored=stored, signed=signed, big=big).astype(int).ravel()
    low = words.astype(int) % (1 << stored)
    expected = np.where(low >= 1 << (stored - 1), low - (1 << stored), low) if signed else low
    np.testing.assert_array_equal(found, expected)


def test_real_headers_are_those_of_pydicom(mirror: Path) -> None:
    folder = mirror / "Sherry960419_dip-breastcancer-radiology-pipeline" / "data" / "dicoms"
    for path in sorted(folder.glob("*.dcm")):
        row, data = read_header(path)[0], pydicom.dcmread(path)
        assert row["patient"] == data.PatientID == path.stem
        assert row["position"] == tuple(data.ImagePositionPatient)
        assert row["orientation"] == tuple(data.ImageOrientationPatient)
        assert (row["rows"], row["columns"], row["bits_stored"]) == (data.Rows, data.Columns, data.BitsStored)
        assert (row["spacing_row"], row["spacing_col"]) == tuple(data.PixelSpacing)
        assert (row["tr"], row["te"]) == (data.RepetitionTime, data.EchoTime)
        assert row["description"] == data.SeriesDescription and row["instance"] == data.InstanceNumber
        content = path.read_bytes()[row["pixel_offset"] :][: row["pixel_bytes"]]
        assert content == data.PixelData


def test_a_file_without_identifiers_is_a_fault(tmp_path: Path) -> None:
    image = Series(ramp()).images()[0]
    del image.Modality
    write(tmp_path, [image])
    with pytest.raises(HeaderFault, match="no modality or identifiers"):
        read_header(tmp_path / "a" / "0000.dcm")
