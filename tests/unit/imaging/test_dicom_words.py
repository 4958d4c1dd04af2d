"""Text elements of a header that are written onward pass closed vocabularies."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.imaging.dicom import words
from radgen_lib.imaging.dicom.header import HeaderFault, read_header
from tests.unit.imaging.dicom_images import Series, ramp


@pytest.mark.parametrize(
    ("maker", "model", "written"),
    [
        ("GE MEDICAL SYSTEMS", "SIGNA EXCITE", ("GE MEDICAL SYSTEMS", "SIGNA EXCITE")),
        ("GE MEDICAL SYSTEMS", "DISCOVERY MR750w", ("GE MEDICAL SYSTEMS", "DISCOVERY MR750w")),
        ("GE Healthcare", "Signa HDxt 1.5T", ("GE MEDICAL SYSTEMS", "Signa HDxt 1.5T")),
        ("Siemens Healthineers", "MAGNETOM Vida", ("SIEMENS", "MAGNETOM Vida")),
        ("Philips Medical Systems", "Ingenia Huber", ("PHILIPS", "Ingenia")),
        ("TOSHIBA", "Anna Huber", ("TOSHIBA", "")),
        ("Canon_MEDICAL", "Vantage Galan 3T", ("CANON", "Vantage Galan 3T")),
        ("FUJIFILM Corporation", "ECHELON Smart", ("FUJIFILM", "ECHELON Smart")),
        ("Klinik Huber, 12.03.2019", "Avanto", ("other", "")), ("", "Avanto", ("", "")),
        ("Hitachi, bought by Dr. Huber", "H004711 1950-03-12 19500312", ("HITACHI", "")),
        ("Gerda", "Signa", ("other", "")),
    ],
)  # fmt: skip
def test_makers_and_models(maker: str, model: str, written: tuple[str, str]) -> None:
    assert (words.vendor(maker), words.model(model, words.vendor(maker))) == written


@given(maker=st.text(max_size=40), model=st.text(max_size=40))
def test_nothing_else_is_written(maker: str, model: str) -> None:
    vendors = {"", "other", "GE MEDICAL SYSTEMS", "SIEMENS", "PHILIPS", "TOSHIBA", "CANON", "HITACHI", "FUJIFILM"}
    assert words.vendor(maker) in vendors
    for found in (words.model(model, "SIEMENS"), words.model(f"Avanto {model}", "SIEMENS")):
        assert all(word.lower() in words._MODELS or words._CODE.fullmatch(word) for word in found.split())
    assert words.model(model, words.OTHER) == ""


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "not MR (modality CT)"),
        ({"Modality": "HUBER"}, "not MR (modality other)"),
    ],
)
def test_a_refused_modality_is_quoted_only_where_it_is_one(tmp_path: Path, tags: dict[str, str], reason: str) -> None:
    Series(ramp((1, 8, 8)), tags=tags).images()[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(HeaderFault) as fault:
        read_header(tmp_path / "a.dcm")
    assert str(fault.value) == reason


def test_a_row_holds_words_of_the_lists(tmp_path: Path) -> None:
    tags = {"Manufacturer": "SIEMENS at Huber", "ManufacturerModelName": "Aera Anna",
            "PhotometricInterpretation": "HUBER"}  # fmt: skip
    Series(ramp((1, 8, 8)), tags=tags).images()[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (row,) = read_header(tmp_path / "a.dcm")
    assert (row["manufacturer"], row["model"], row["photometric"]) == ("SIEMENS", "Aera", "other")
    assert words.transfer_syntax("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    assert words.transfer_syntax("Huber") == words.transfer_syntax("1.2.1950") == "not a known one"


def test_values_that_break_the_standard_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The field library warns of such a value and repeats it; conversion is forced by letters beyond ASCII."""
    tags = {"ImageType": "ORIGINAL\\PRIMARY\\HUBER", "FrameOfReferenceUID": "1.2.99999.1"}
    image = Series(ramp((1, 8, 8)), tags=tags).images()[0]
    image.SpecificCharacterSet = "ISO_IR 100"
    image.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (
        (tmp_path / "a.dcm").read_bytes().replace(b"HUBER", b"H\xdcBER").replace(b"1.2.99999.1", b"1.2.H\xdcBER.1")
    )
    (tmp_path / "a.dcm").write_bytes(content)
    with caplog.at_level(logging.INFO):
        (row,) = read_header(tmp_path / "a.dcm")
    assert row["image_type"] == "ORIGINAL\\PRIMARY\\HÜBER" and caplog.text == ""
