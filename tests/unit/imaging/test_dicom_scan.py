"""Scans of DICOM stores: what the headers say, and one fault with its reason for every file that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from radgen_lib.imaging.dicom.fields import day_of, moment, seconds_of, tag_of
from radgen_lib.imaging.dicom.scan import COLUMNS, FAULT_COLUMNS, Scan, scan
from tests.unit.imaging.dicom_images import PATIENT, SAGITTAL, Series, ledger, ramp, write

OTHER = "TCGA-AO-A03V"


def scanned(root: Path, images: list[Dataset], folder: str = "a") -> Scan:
    write(root, images, folder)
    return scan(root, ledger((folder, PATIENT, "1.2.3.1")))


def test_headers_of_a_plain_series(tmp_path: Path) -> None:
    tags = {"SeriesDescription": "Sag T1", "TriggerTime": "1500.5", "ContrastBolusAgent": "Yes  gad", "FlipAngle": 10,
            "TemporalPositionIdentifier": 2, "NumberOfTemporalPositions": 5, "RescaleSlope": 2}  # fmt: skip
    found = scanned(tmp_path, Series(ramp(), tags=tags).images())
    assert list(found.instances) == list(COLUMNS) and list(found.faults) == list(FAULT_COLUMNS)
    assert len(found.instances) == 6 and found.faults.empty
    row = found.instances.iloc[4]
    assert row["instance"] == 5 and row["orientation"] == SAGITTAL and row["position"] == (-72.0, -100.0, 90.0)
    assert (row["rows"], row["columns"], row["spacing_row"], row["spacing_col"]) == (5, 4, 0.9, 0.8)
    assert (row["trigger"], row["temporal"], row["slope"]) == (1500.5, 2, 2)
    assert row["acquisition_time"] == 9 * 3600 + 600 and row["contrast"] and not row["signed"]
    assert row["pixel_bytes"] == 40 and row["pixels_sha256"] == ""
    content = (tmp_path / "a" / row["file"]).read_bytes()
    assert content[row["pixel_offset"] :][:40] == ramp()[4].tobytes()


@pytest.mark.parametrize("agent", ["", "NO", "None", "n"])
def test_an_empty_or_denied_contrast_agent_is_none(tmp_path: Path, agent: str) -> None:
    assert (
        not scanned(tmp_path, Series(ramp(), tags={"ContrastBolusAgent": agent}).images()).instances["contrast"].any()
    )


def test_contrast_by_volume_or_start_time(tmp_path: Path) -> None:
    tags = {"ContrastBolusVolume": [0, 12, 0, 0, 0, 0], "ContrastBolusStartTime": ["", "", "0912", "", "", ""]}
    found = scanned(tmp_path, Series(ramp(), tags=tags).images()).instances
    assert found["contrast"].tolist() == [False, True, True, False, False, False]


def test_only_names_of_identifying_attributes_are_kept(tmp_path: Path) -> None:
    secret = {"PatientName": "Example^Erika", "PatientBirthDate": "19500214", "InstitutionName": "Example Hospital",
              "OperatorsName": "Example^Op", "AccessionNumber": "A77", "OtherPatientIDs": PATIENT}  # fmt: skip
    found = scanned(tmp_path, Series(ramp(), tags=secret).images()).instances
    names = "PatientName,PatientBirthDate,InstitutionName,OperatorsName,AccessionNumber"
    assert set(found["identifying"]) == {names}
    text = found.to_csv()
    assert not any(word in text for word in ("Erika", "19500214", "Example", "A77"))
    assert set(scanned(tmp_path, Series(ramp()).images(), "b").instances["identifying"]) == {""}


def test_broken_files_are_faults_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write(tmp_path, Series(ramp((9, 5, 4))).images())
    names = sorted(path.name for path in folder.iterdir())
    content = {name: (folder / name).read_bytes() for name in names}
    place = content[names[0]].index(b"\xe0\x7f\x10\x00")
    (folder / names[0]).write_bytes(content[names[0]][:-10])
    (folder / names[1]).write_bytes(content[names[1]][:place])
    (folder / names[2]).write_bytes(b"<html>503</html>")
    (folder / names[3]).write_bytes(b"")
    (folder / names[4]).write_bytes(content[names[4]][: place - 1])
    (folder / names[5]).write_bytes(content[names[5]][:300])
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1")))
    reasons = dict(zip(found.faults["file"], found.faults["reason"], strict=True))
    assert reasons[names[0]] == "truncated: 30 of 40 bytes of pixel data"
    assert reasons[names[1]] == "no pixel data"
    assert reasons[names[2]] == reasons[names[3]] == "not a DICOM file"
    assert "truncated" in reasons[names[4]] and "truncated" in reasons[names[5]]
    assert len(found.instances) == 3 and len(found.faults) == 6
    assert set(found.faults["patient"]) == {PATIENT} and set(found.faults["series"]) == {"1.2.3.1"}


def test_a_file_cut_anywhere_is_a_fault_and_never_an_error(tmp_path: Path) -> None:
    """Byte by byte through the header: no length of the file escapes as an exception or passes as an image."""
    image = Series(ramp()).images()[0]
    write(tmp_path, [image])
    path = tmp_path / "a" / "0000.dcm"
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1")))
        assert found.instances.empty and len(found.faults) == 1, length


def test_a_header_that_promises_more_pixels_than_there_are(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    images[1].Rows = 50
    found = scanned(tmp_path, images)
    assert found.faults["reason"].tolist() == ["pixel data of 40 bytes where the header needs 400"]


def test_truncated_compressed_pixels_and_unknown_syntaxes(tmp_path: Path) -> None:
    images = Series(ramp((3, 16, 16))).images()
    for image in images:
        image.compress(RLELossless, generate_instance_uid=False)
    write(tmp_path, images)
    first, second, _ = sorted((tmp_path / "a").iterdir())
    first.write_bytes(first.read_bytes()[:-20])
    content = second.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.9.9.9\0")
    second.write_bytes(content)
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1")))
    assert len(found.instances) == 1
    assert set(found.faults["reason"]) == {
        "truncated: compressed pixel data ends early",
        "unreadable transfer syntax (not a known one)",
    }


def test_patients_that_disagree_are_refused_without_their_names(tmp_path: Path) -> None:
    mixed = Series(ramp()).images()
    mixed[3].PatientID = OTHER
    write(tmp_path, mixed, "mixed")
    write(tmp_path, Series(ramp(), uid="1.2.3.2", patient=OTHER).images(), "other")
    write(tmp_path, Series(ramp(), uid="1.2.3.3").images(), "good")
    rows = ledger(("mixed", PATIENT, "1.2.3.1"), ("other", PATIENT, "1.2.3.2"), ("good", PATIENT, "1.2.3.3"))
    found = scan(tmp_path, rows)
    assert set(found.instances["folder"]) == {"good"}
    reasons = dict(zip(found.faults["folder"], found.faults["reason"], strict=True))
    assert reasons == {
        "mixed": "two patients in one series folder (6 files)",
        "other": "PatientID disagrees with the ledger (6 files)",
    }
    assert OTHER not in found.faults.to_csv()


def test_a_shared_folder_is_told_apart_by_series(tmp_path: Path) -> None:
    images = [*Series(ramp()).images(), *Series(ramp(), uid="1.2.4.1", study="1.2.4", patient=OTHER).images()]
    write(tmp_path, images)
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1"), ("a", OTHER, "1.2.4.1")))
    assert found.faults.empty and found.instances.groupby("series")["patient"].unique().str[0].to_dict() == {
        "1.2.3.1": PATIENT,
        "1.2.4.1": OTHER,
    }
    assert scan(tmp_path, ledger(("a", "", "1.2.3.1"), ("a", "", "1.2.4.1"))).faults.empty


def test_the_same_instance_twice_counts_once(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    write(tmp_path, images, "a")
    write(tmp_path, images[:2], "b")
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1"), ("b", PATIENT, "1.2.3.1")))
    assert len(found.instances) == 6 and found.instances["sop"].is_unique
    assert found.faults["reason"].tolist() == ["duplicate SOP instance (2 files)"]
    images[1].PixelData = bytes(40)
    write(tmp_path, images[:2], "b")
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1"), ("b", PATIENT, "1.2.3.1")))
    assert len(found.instances) == 5
    assert found.faults["reason"].tolist().count("duplicate SOP instance with different content") == 2


def test_other_modalities_are_refused_and_segmentations_pass(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    images[0].Modality, images[1].Modality = "PR", "SEG"
    images[1].SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    found = scanned(tmp_path, images)
    assert found.faults["reason"].tolist() == ["not MR (modality PR)"]
    assert sorted(found.instances["kind"]) == ["MR"] * 4 + ["SEG"]


def test_series_that_the_ledger_lacks_are_faults(tmp_path: Path) -> None:
    rows = pd.concat([ledger(("a", PATIENT, "1.2.3.1"), status="missing", reason="404"), ledger(("b", PATIENT, "1"))])
    found = scan(tmp_path, rows)
    assert found.instances.empty
    assert found.faults["reason"].tolist() == ["missing: 404", "no files in the folder"]


def test_files_in_subfolders_count_and_hidden_ones_do_not(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    write(tmp_path, images[:3], "a")
    write(tmp_path, images[3:], "a/more")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"x")
    found = scan(tmp_path, ledger(("a", PATIENT, "1.2.3.1")))
    assert len(found.instances) == 6 and found.faults.empty


def test_processes_and_names_of_files_change_nothing(tmp_path: Path) -> None:
    rows = []
    for number in range(3):
        series = Series(ramp((200, 2, 2)), uid=f"1.2.3.{number}", tags={"AcquisitionTime": f"09{number}000"})
        write(tmp_path, series.images(), f"s{number}", seed=number)
        rows.append((f"s{number}", PATIENT, f"1.2.3.{number}"))
    one, two = scan(tmp_path, ledger(*rows), jobs=1), scan(tmp_path, ledger(*reversed(rows)), jobs=2)
    pd.testing.assert_frame_equal(one.instances, two.instances)
    assert len(one.instances) == 600


def test_the_real_files_say_what_they_are(mirror: Path) -> None:
    root = mirror / "Sherry960419_dip-breastcancer-radiology-pipeline" / "data"
    found = scan(root, ledger(("dicoms", "", "")))
    # Six patients in one folder: nobody knows whose it is, unless the ledger has a row for each.
    assert found.instances.empty
    patients = sorted(path.stem for path in (root / "dicoms").glob("*.dcm"))
    series = scan(root, ledger(*[("dicoms", "", name) for name in patients])).instances
    assert series["patient"].tolist() == patients
    assert set(series["kind"]) == {"MR"} and (series["pixel_offset"] > 0).all()
    assert {tuple(np.array(o) + 0.0) for o in series["orientation"]} == {SAGITTAL}
    assert set(series["manufacturer"]) == {"GE MEDICAL SYSTEMS"} and set(series["field_strength"]) == {1.5}
    assert not series["identifying"].str.contains("PatientName").any()


def test_dates_and_times() -> None:
    assert seconds_of("121004.5") == 12 * 3600 + 10 * 60 + 4.5 and seconds_of("12:10") == 43800
    assert np.isnan(seconds_of("")) and np.isnan(seconds_of("noon")) and np.isnan(day_of("2001"))
    zero = day_of("20010315")
    assert day_of("20010316") - zero == 1
    assert moment("20010316", "000010", zero) == 86410
    assert moment("20050101", "000010", zero) == 10 == moment("", "000010", zero)
    with pytest.raises(KeyError, match="NoSuchThing"):
        tag_of("NoSuchThing")
