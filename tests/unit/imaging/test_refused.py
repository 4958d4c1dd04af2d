"""Refused series keep their place: a row with the reason, and the other phases are called what they would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from radgen_lib.imaging.choice import keep_all
from radgen_lib.imaging.decisions import lost_series, with_unreadable
from radgen_lib.imaging.dicom.header import HeaderFault, read_header
from radgen_lib.imaging.dicom.phases import PHASE_COLUMNS, find_phases
from radgen_lib.imaging.dicom.refused import REFUSED
from radgen_lib.imaging.dicom.scan import COLUMNS, Scan, scan
from tests.unit.imaging.dicom_images import AXIAL, PATIENT, Series, ledger, ramp, write
from tests.unit.imaging.test_dicom_frames import enhanced, single_frames

OTHER = "TCGA-AO-A03V"
SLICES = 6
# Evidence of order -> tags of phase k; the contrast agent is in the tags of the last two only.
EVIDENCE: dict[str, Callable[[int], dict[str, Any]]] = {
    "agent and clock": lambda k: {"AcquisitionTime": f"09{10 + k}00", **({"ContrastBolusAgent": "Gd"} if k else {})},
    "clock alone": lambda k: {"AcquisitionTime": f"09{10 + k}00"},
    "content clock": lambda k: {"ContentTime": f"09{10 + k}00", "ContrastBolusAgent": "Gd"},
    "temporal position": lambda k: {"TemporalPositionIdentifier": k + 1, "TemporalResolution": 60_000},
    "trigger": lambda k: {"TriggerTime": 60_000 * k},
    "acquisition number": lambda k: {"AcquisitionNumber": 5 + k},
    "series number": lambda k: {"SeriesNumber": 5 + k},
    "series number, one clock": lambda k: {"SeriesNumber": 5 + k, "AcquisitionTime": "091000"},
}
WITHIN_ONE = ("clock alone", "content clock", "temporal position", "trigger", "acquisition number")
UNKNOWN_SYNTAX = b"1.2.840.10008.1.2.9\0"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


def without_pixels(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\xe0\x7f\x10\x00")])


def unknown_syntax(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", UNKNOWN_SYNTAX))


FILES = {"truncated": cut, "no pixel data": without_pixels, "unreadable transfer syntax": unknown_syntax}


def phases_of(count: int, evidence: str) -> list[list[Dataset]]:
    """Images of ``count`` phases, each with values and a series of its own; nothing but ``evidence`` orders them."""
    made = []
    for k in range(count):
        tags = {"AcquisitionTime": "", "SeriesNumber": 7, **EVIDENCE[evidence](k)}
        made.append(Series(ramp((SLICES, 5, 4), start=1000 * k), uid=f"1.2.3.{k + 1}", tags=tags).images())
    return made


def store(root: Path, made: list[list[Dataset]], *, seed: int = 0) -> pd.DataFrame:
    """Write each list of images into a folder; the ledger of them."""
    rows = []
    for number, images in enumerate(made):
        write(root, images, f"f{number}", seed=seed)
        rows.append((f"f{number}", PATIENT, str(images[0].SeriesInstanceUID)))
    return ledger(*rows)


def in_one_series(made: list[list[Dataset]]) -> list[list[Dataset]]:
    for k, images in enumerate(made):
        for image in images:
            image.SeriesInstanceUID, image.InstanceNumber = "1.2.3.1", image.InstanceNumber + SLICES * k
    return [[image for images in made for image in images]]


def labels(scanned: Scan) -> pd.DataFrame:
    """Phase, decision, seconds and whether it is kept, by the identifier of the phase's first image."""
    table, members, _ = find_phases(scanned.instances, scanned.refused)
    first = [min(members[volume]["sop"]) for volume in table["volume"]]
    return table.assign(first=first).set_index("first")[["phase", "decision", "seconds", "kept", "reason"]]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_refusing_a_phase_leaves_the_names_of_the_others(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    count = data.draw(st.integers(2, 6), label="phases")
    lost = data.draw(st.integers(0, count - 1), label="lost")
    one = data.draw(st.booleans(), label="all in one series")
    evidence = data.draw(st.sampled_from(WITHIN_ONE if one else list(EVIDENCE)), label="evidence")
    how = data.draw(st.sampled_from([*FILES, *([] if one else ["PatientID", "two patients", "clash"])]), label="how")
    some = data.draw(st.sets(st.integers(0, SLICES - 1), min_size=1), label="slices")
    root = tmp_path_factory.mktemp("refused")
    made = phases_of(count, evidence)
    bad = [str(image.SOPInstanceUID) for image in made[lost]]
    before = labels(scan(root, store(root, in_one_series(made) if one else made)))
    if how == "PatientID":
        for image in made[lost]:
            image.PatientID = OTHER
    elif how == "two patients":
        for k in sorted(some)[: SLICES - 1]:
            made[lost][k].PatientID = OTHER
    table = store(root, in_one_series(made) if one else made)
    if how == "clash":  # every image once more, under the same identifier but with other pixels
        twins = [Dataset(image) for image in made[lost]]
        for image, twin in zip(made[lost], twins, strict=True):
            twin.file_meta, twin.PixelData = image.file_meta, bytes(len(image.PixelData))
            twin["PixelData"].VR = "OW"
        write(root, twins, "twins")
        table = pd.concat([table, ledger(("twins", PATIENT, str(made[lost][0].SeriesInstanceUID)))])
    if how in FILES:
        for path in root.glob("f*/*.dcm"):
            (row,) = read_header(path)
            if row["sop"] in [bad[k] for k in some]:
                FILES[how](path)
    after = labels(scan(root, table))
    mine = after[after.index.isin(bad)].iloc[0]
    assert len(after) == count and (after["phase"].tolist(), after["decision"].tolist()) == (
        before["phase"].tolist(), before["decision"].tolist(),
    )  # fmt: skip
    assert not mine["kept"] and (how in mine["reason"] or "duplicate SOP instance with" in mine["reason"])
    others = ~after.index.isin(bad)
    pd.testing.assert_frame_equal(after[others], before[others])
    assert after.loc[others, "kept"].all()


@pytest.mark.parametrize(("evidence", "one"), [*((e, False) for e in EVIDENCE), *((e, True) for e in WITHIN_ONE)])
def test_every_evidence_of_order_holds_for_a_refused_phase(tmp_path: Path, evidence: str, one: bool) -> None:
    made = phases_of(4, evidence)
    bad = {str(image.SOPInstanceUID) for image in made[1]}
    table = store(tmp_path, in_one_series(made) if one else made)
    before = labels(scan(tmp_path, table))
    for path in tmp_path.glob("f*/*.dcm"):
        if read_header(path)[0]["sop"] in bad:
            cut(path)
    after = labels(scan(tmp_path, table))
    assert before["phase"].tolist() == ["pre", "post1", "post2", "post3"] and before["kept"].all()
    assert after.loc[after.index.isin(bad), "kept"].tolist() == [False] and after["kept"].sum() == 3
    pd.testing.assert_frame_equal(after.drop(columns=["kept", "reason"]), before.drop(columns=["kept", "reason"]))


@pytest.mark.parametrize("own", [(0, 1), (5,), (0, 2, 5), (1, 2, 3, 4)])
def test_few_images_of_the_right_patient_are_enough_to_know_the_phase(tmp_path: Path, own: tuple[int, ...]) -> None:
    """The others of the series are of a patient who was imaged earlier; slices lie 20 mm apart."""
    made = []
    for k in range(4):
        tags = EVIDENCE["clock alone"](k)
        made.append(Series(ramp((SLICES, 5, 4)), uid=f"1.2.3.{k + 1}", spacing=(20.0, 0.9, 0.8), tags=tags).images())
    before = labels(scan(tmp_path, store(tmp_path, made)))
    for place, image in enumerate(made[2]):
        if place not in own:
            image.PatientID, image.AcquisitionTime = OTHER, "080000"
    after = labels(scan(tmp_path, store(tmp_path, made)))
    assert before["phase"].tolist() == after["phase"].tolist() == ["pre", "post1", "post2", "post3"]
    assert after["seconds"].tolist() == before["seconds"].tolist() == [0, 60, 120, 180]
    assert after["kept"].tolist() == [True, True, False, True]
    assert after["reason"].iloc[2] == f"all {len(own)} images refused: two patients in one series folder"


def test_the_dynamic_series_stays_the_one_that_it_was(tmp_path: Path) -> None:
    """Two phases of eight slices, two of six in another orientation: which are the study's does not hang on a fault."""
    made = [Series(ramp((8, 5, 4)), uid=f"1.2.3.{k}", tags=EVIDENCE["clock alone"](k)).images() for k in (0, 1)]
    for k in (2, 3):
        tags = EVIDENCE["clock alone"](k)
        made.append(Series(ramp(start=k), uid=f"1.2.3.{k}", orientation=AXIAL, tags=tags).images())
    before = labels(scan(tmp_path, store(tmp_path, made)))
    for place in (2, 3, 6):  # what is left has gaps, and is no stack
        made[1][place].PatientID = OTHER
    after = labels(scan(tmp_path, store(tmp_path, made)))
    assert before["phase"].tolist() == after["phase"].tolist() == ["pre", "post1", "other", "other"]
    assert before["kept"].tolist() == [True, True, False, False] and after["kept"].tolist() == [True, *[False] * 3]


@pytest.mark.parametrize("order", [1, -1])
def test_the_row_of_a_refused_phase_says_why_and_what_it_would_be(tmp_path: Path, order: int) -> None:
    table = store(tmp_path, phases_of(4, "agent and clock"))
    for number, path in enumerate(sorted((tmp_path / "f2").iterdir())):
        FILES["truncated" if number else "no pixel data"](path)
    found = scan(tmp_path, table[::order])
    assert list(found.refused) == [*COLUMNS, REFUSED] and len(found.refused) == SLICES
    assert set(found.instances["series"]).isdisjoint(found.refused["series"])
    phases, members, series = find_phases(found.instances, found.refused)
    assert phases["volume"].tolist() == [f"{PATIENT}/1/{name}" for name in ("pre", "post1", "post2", "post3")]
    lost = phases.iloc[2]
    assert lost["reason"] == "all 6 images refused: truncated: 28 of 40 bytes of pixel data"
    assert (lost["slices"], lost["rows"], lost["view"], lost["seconds"]) == (6, 5, "sagittal", 120)
    assert not lost["index_phase"] and phases["kept"].tolist() == [True, True, False, True]
    row = series.set_index("series").loc["1.2.3.3"]
    assert (row["n_instances"], row["n_phases"], row["kept"], row["reason"]) == (0, 1, False, lost["reason"])
    assert set(members[lost["volume"]][REFUSED]) > {"no pixel data"}
    # Without them the third phase would be taken for the second.
    assert find_phases(found.instances)[0]["phase"].tolist() == ["pre", "post1", "post2"]


def test_a_refused_subtraction_is_no_volume_when_everything_is_kept(tmp_path: Path) -> None:
    made = phases_of(3, "agent and clock")
    for image in made[2]:
        image.SeriesDescription = "SUB 1"
    table = store(tmp_path, made)
    for path in (tmp_path / "f2").iterdir():
        cut(path)
    found = scan(tmp_path, table)
    phases = keep_all(find_phases(found.instances, found.refused)[0])
    assert phases["phase"].tolist() == ["pre", "post1", "subtraction"] and not phases["kept"].iloc[2]
    assert phases["reason"].iloc[2].startswith("subtraction: not a contrast phase; all 6 images refused")


def test_an_image_that_came_whole_as_well_costs_nothing(tmp_path: Path) -> None:
    """The second file of an image is cut; a second series of the same phase is cut whole."""
    made = phases_of(3, "agent and clock")
    table = store(tmp_path, made)
    before = labels(scan(tmp_path, table))
    write(tmp_path, made[1][:3], "again")
    for image in made[1]:
        image.SeriesInstanceUID, image.SOPInstanceUID = "1.2.3.77", f"{image.SOPInstanceUID}.77"
    write(tmp_path, made[1], "resent")
    for path in [*(tmp_path / "again").iterdir(), *(tmp_path / "resent").iterdir()]:
        cut(path)
    more = ledger(("again", PATIENT, "1.2.3.2"), ("resent", PATIENT, "1.2.3.77"))
    found = scan(tmp_path, pd.concat([table, more]))
    after = labels(found)
    pd.testing.assert_frame_equal(after[: len(before)], before)
    assert set(found.refused["series"]) == {"1.2.3.77"}
    assert after["reason"].tolist()[3:] == ["the same series twice"] and before["kept"].all()


def test_images_of_a_stranger_move_nobody(tmp_path: Path) -> None:
    """A folder with a series of its own patient and files of another series of another one."""
    made = phases_of(3, "clock alone")
    table = store(tmp_path, made)
    before = labels(scan(tmp_path, table))
    stranger = Series(ramp(), uid="9.9.1", study="9.9", patient=OTHER).images()
    for number, image in enumerate(stranger):
        image.save_as(tmp_path / "f1" / f"x{number}.dcm", enforce_file_format=True)
    found = scan(tmp_path, table)
    assert set(found.refused["patient"]) == {PATIENT} and set(found.refused["series"]) == {"1.2.3.2"}
    after = labels(found)
    assert after["phase"].tolist() == before["phase"].tolist()
    assert after["reason"].tolist()[1] == "all 6 images refused: two patients in one series folder"
    pd.testing.assert_frame_equal(scan(tmp_path, table.assign(patient="")).refused, found.refused)
    for image in stranger:
        image.SeriesInstanceUID, image.StudyInstanceUID = "1.2.3.2", "1.2.3"
    write(tmp_path, [*made[1], *stranger], "f1")
    assert set(scan(tmp_path, table).refused["patient"]) == {PATIENT}
    nobody = scan(tmp_path, table.assign(patient=""))  # and nobody knows whose series it is
    assert nobody.refused.empty and OTHER not in nobody.faults.to_csv()


def test_a_header_that_is_whole_is_told_and_one_that_is_not_is_not(tmp_path: Path) -> None:
    (image,) = Series(ramp((1, 5, 4))).images()
    write(tmp_path, [image])
    path = tmp_path / "a" / "0000.dcm"
    content = path.read_bytes()
    (whole,) = read_header(path)
    end = content.rindex(b"\xe0\x7f\x10\x00")
    for length, told in ((len(content) - 1, True), (end, True), (end - 1, False), (400, False), (0, False)):
        path.write_bytes(content[:length])
        with pytest.raises(HeaderFault) as caught:
            read_header(path)
        assert len(caught.value.rows) == told
        for row in caught.value.rows:
            assert {name: row[name] for name in ("position", "acquisition_time", "rows", "series", "sop")} == {
                name: whole[name] for name in ("position", "acquisition_time", "rows", "series", "sop")
            }
    image.Modality = "SEG"
    write(tmp_path, [image])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HeaderFault, match="segmentation: truncated") as caught:
        read_header(path)
    assert not caught.value.rows


def unreadable(root: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = scan(root, table)
    known = {*found.instances["series"], *found.refused["series"]}
    lost = lost_series(table, known, found.faults)
    phases = find_phases(found.instances, found.refused)[0]
    return with_unreadable(phases, lost), phases


def test_a_series_without_any_header_is_a_row_and_its_study_is_told(tmp_path: Path) -> None:
    made = phases_of(4, "clock alone")
    table = store(tmp_path, made).assign(study="1.2.3")
    for number in (1, 3):
        for path in (tmp_path / f"f{number}").iterdir():
            path.write_text("no DICOM")
    (tmp_path / "lone").mkdir()
    extra = ledger(("lone", PATIENT, "7.7.1"), ("lone", "", "7.8.1")).assign(study=["7.7", "7.8"])
    gone = ledger(("gone", PATIENT, "1.2.3.9"), status="missing", reason="404").assign(study="1.2.3")
    after, before = unreadable(tmp_path, pd.concat([table, extra, gone], ignore_index=True))
    names = ("1/pre", "1/post1", "1/unreadable", "1/unreadable-2", "2/unreadable")
    assert after["volume"].tolist() == [f"{PATIENT}/{name}" for name in names]
    assert after["reason"].tolist()[2:] == ["not a DICOM file (6 files)"] * 2 + ["no files in the folder"]
    assert list(after) == list(PHASE_COLUMNS) and not after["kept"].iloc[2:].any()
    assert after["decision"].iloc[:2].str.endswith("; 2 series of the study cannot be read").all()
    assert before["decision"].str.contains("cannot be read").sum() == 0
    pd.testing.assert_frame_equal(after.iloc[:2].drop(columns="decision"), before.drop(columns="decision"))
    assert set(after["site"]) == {"AO"}


def test_what_was_never_a_phase_gets_no_row(tmp_path: Path) -> None:
    made = phases_of(2, "clock alone")
    report, copies, segmentation = (Series(ramp(), uid=f"1.2.3.{k}").images() for k in (50, 51, 52))
    for image in report:
        image.Modality = "SR"
    for image, original in zip(copies, made[0], strict=True):
        image.SOPInstanceUID, image.PixelData = original.SOPInstanceUID, original.PixelData
    for image in segmentation:
        image.Modality = "SEG"
    table = store(tmp_path, [*made, report, copies, segmentation]).assign(study="1.2.3")
    for path in (tmp_path / "f4").iterdir():
        cut(path)
    after, before = unreadable(tmp_path, table)
    pd.testing.assert_frame_equal(after, before)
    assert after["volume"].tolist() == [f"{PATIENT}/1/pre", f"{PATIENT}/1/post1"]


def test_several_frames_of_a_refused_file_are_all_told(tmp_path: Path) -> None:
    """A pre-contrast series, and a multi-frame file of three later phases that was cut."""
    images = single_frames(3)
    for image in images:
        image.ContrastBolusAgent = "Gd"
    multi = enhanced(images)
    pre = Series(ramp((5, 6, 7)), uid="1.2.3.30", tags={"AcquisitionTime": "090500", "EchoTime": 2.5}).images()
    table = store(tmp_path, [pre, [multi]])
    before = labels(scan(tmp_path, table))
    (path,) = (tmp_path / "f1").iterdir()
    cut(path)
    found, again = scan(tmp_path, table), scan(tmp_path, table[::-1])
    pd.testing.assert_frame_equal(found.refused, again.refused)
    after = labels(found)
    assert len(found.refused) == 15 and after["phase"].tolist() == ["pre", "post1", "post2", "post3"]
    pd.testing.assert_frame_equal(after[["phase", "decision", "seconds"]], before[["phase", "decision", "seconds"]])
    assert before["kept"].all() and after["kept"].tolist() == [True, False, False, False]
    assert after["reason"].str.startswith("all 5 images refused: truncated: 1248 of 1260").sum() == 3
