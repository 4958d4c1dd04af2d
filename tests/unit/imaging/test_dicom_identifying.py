"""Which identifying attributes a scan names, wherever in the file they are, and that no value of one is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from radgen_lib.imaging.dicom.identifying import IDENTIFYING, SEQUENCES, looked_into
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import PATIENT, Series, ledger, ramp, write


def named(root: Path, images: list[Dataset], seed: int = 0) -> set[str]:
    """What a scan names, the same for every image of the series."""
    write(root, images, seed=seed)
    found = scan(root, ledger(("a", PATIENT, "1.2.3.1"))).instances
    (cell,) = set(found["identifying"])
    assert len(found) == len(images) and "secret" not in found.to_csv().lower()
    return set(filter(None, cell.split(",")))


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_names_are_keywords_of_the_standard_and_sequences_stand_apart() -> None:
    for keyword in (*IDENTIFYING, *SEQUENCES):
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        assert (dictionary_VR(tag) == "SQ") == (keyword in SEQUENCES), keyword
    assert len({*IDENTIFYING, *SEQUENCES}) == len(IDENTIFYING) + len(SEQUENCES)


@pytest.mark.parametrize(
    "keyword",
    ["IssuerOfPatientID", "StudyID", "DeviceSerialNumber", "ResponsiblePerson", "ImageComments", "PatientAddress"],
)
def test_attributes_of_the_top_level(tmp_path: Path, keyword: str) -> None:
    assert named(tmp_path, Series(ramp(), tags={keyword: "SECRET 7"}).images()) == {keyword}


@pytest.mark.parametrize("value", ["", "0", "000", "^^", PATIENT])
def test_empty_values_noughts_and_the_research_code_tell_nothing(tmp_path: Path, value: str) -> None:
    assert named(tmp_path, Series(ramp(), tags={"StudyID": value, "PatientComments": value}).images()) == set()


def test_items_of_sequences_are_looked_into(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    for image in images:
        inner = item(PersonName="Secret^Sam", ContextIdentifier="1")
        image.ReferencedStudySequence = Sequence(
            [item(AccessionNumber="SECRET1", PurposeOfReferenceCodeSequence=[inner])]
        )
        image.RequestAttributesSequence = Sequence([item(ScheduledProcedureStepDescription="SECRET")])
        image.OtherPatientIDsSequence = Sequence([])
    assert named(tmp_path, images) == {"AccessionNumber", "PersonName", "RequestAttributesSequence"}


def test_private_elements_are_counted_without_their_creators(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    for image in images:
        block = image.private_block(0x0009, "SECRET MAKER", create=True)
        block.add_new(0x01, "LO", "SECRET NAME")
        block.add_new(0x02, "SQ", [item(PatientName="Secret^Sam")])
        image.ReferencedStudySequence = Sequence([item(AccessionNumber="")])
        image.ReferencedStudySequence[0].private_block(0x0011, "SECRET", create=True).add_new(0x01, "SH", "SECRET")
    assert named(tmp_path, images) == {"3 private elements"}


def test_one_file_a_series_is_read_whole_whatever_its_name(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    images[0].ReferencedStudySequence = Sequence([item(AccessionNumber="SECRET1")])
    assert named(tmp_path / "x", images) == named(tmp_path / "y", images, seed=3) == {"AccessionNumber"}


def test_a_file_that_is_cut_short_raises_nothing(tmp_path: Path) -> None:
    (image,) = Series(ramp((1, 5, 4)), tags={"PatientComments": "SECRET"}).images()
    write(tmp_path, [image])
    path = tmp_path / "a/0000.dcm"
    assert looked_into(path) == ["PatientComments"]
    content = path.read_bytes()
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        # Without the research code, which may be cut off, the name is taken for one.
        assert set(looked_into(path)) <= {"PatientComments", "PatientName"}
    assert looked_into(tmp_path / "none.dcm") == []
