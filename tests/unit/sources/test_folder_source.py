"""A user's own folder of DICOM files, in any layout and with everything that goes wrong in such folders."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError
from radgen_lib.sources import folder
from tests.unit.sources.small_dicom import make_instance, uid, write_series


def take(location: Path, root: Path, **changes: Any) -> pd.DataFrame:
    imaging = Imaging(source="folder", location=str(location))
    return folder.fetch_series(folder.list_series(imaging), root, imaging, jobs=2, offline=False, **changes)


def listed(location: Path) -> pd.DataFrame:
    return folder.list_series(Imaging(source="folder", location=str(location)))


def test_series_are_grouped_by_headers_in_any_layout(tmp_path: Path) -> None:
    flat = tmp_path / "in" / "all in one"
    for name, patient, series, count in (("a", "P1", (1, 1), 3), ("b", "P1", (1, 2), 2), ("c", "P2", (2, 1), 2)):
        for path in write_series(tmp_path / name, patient, series, count):
            flat.mkdir(parents=True, exist_ok=True)
            path.rename(flat / f"{name}{path.stem}")  # no ending, as scanners export
    deep = tmp_path / "in" / "x" / "y"
    deep.mkdir(parents=True)
    (flat / "a2").rename(deep / "IM00002.ima")
    ledger = take(tmp_path / "in", tmp_path / "data")
    assert ledger[["patient", "series", "n_files", "status"]].to_numpy().tolist() == [
        ["P1", uid(1, 1), 3, "ok"], ["P1", uid(1, 2), 2, "ok"], ["P2", uid(2, 1), 2, "ok"],
    ]  # fmt: skip
    assert list(ledger["expected_files"]) == [3, 2, 2] and set(ledger["origin"]) == {"folder"}
    names = sorted(path.name for path in (tmp_path / "data" / ledger["folder"][0]).iterdir())
    assert names == [f"{uid(1, 1, number)}.dcm" for number in (1, 2, 3)]


def test_files_are_linked_and_take_no_room(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in", "P1", (1, 1), 2)
    before = [path.stat().st_mtime_ns for path in source]
    ledger = take(tmp_path / "in", tmp_path / "data")
    stored = sorted((tmp_path / "data" / ledger["folder"][0]).iterdir())
    assert [one.samefile(other) for one, other in zip(source, stored, strict=True)] == [True, True]
    assert [path.stat().st_mtime_ns for path in source] == before and len(list((tmp_path / "in").iterdir())) == 2


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM])
def test_files_are_copied_where_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, "no link")

    source = write_series(tmp_path / "in", "P1", (1, 1), 2)
    monkeypatch.setattr(folder.os, "link", refuse)
    ledger = take(tmp_path / "in", tmp_path / "data")
    stored = sorted((tmp_path / "data" / ledger["folder"][0]).iterdir())
    assert [path.read_bytes() for path in stored] == [path.read_bytes() for path in source]
    assert not source[0].samefile(stored[0])
    copied = stored[0].stat().st_ino
    pd.testing.assert_frame_equal(take(tmp_path / "in", tmp_path / "data"), ledger)
    assert stored[0].stat().st_ino == copied  # not copied again


def test_changed_and_added_files_are_taken_up(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in", "P1", (1, 1), 2)
    first = take(tmp_path / "in", tmp_path / "data")
    replaced = tmp_path / "new.dcm"
    shutil.copyfile(source[0], replaced)
    content = bytearray(replaced.read_bytes())
    content[-1] ^= 1
    replaced.write_bytes(content)
    os.replace(replaced, source[0])  # same name and size, another file
    second = take(tmp_path / "in", tmp_path / "data")
    assert second["sha256"][0] != first["sha256"][0] and second["bytes"][0] == first["bytes"][0]
    make_instance("P1", (1, 1), 3).save_as(tmp_path / "in" / "3.dcm", enforce_file_format=True)
    assert take(tmp_path / "in", tmp_path / "data")["n_files"].to_list() == [3]


def test_unreadable_files_are_counted_and_never_named(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in" / "MUSTERMANN", "P1", (1, 1), 2)
    (tmp_path / "in" / "MUSTERMANN" / "IM3").write_bytes(b"not dicom at all")
    (tmp_path / "in" / "MUSTERMANN" / "00004").write_bytes(b"")
    (tmp_path / "in" / "MUSTERMANN" / "5.dcm").write_bytes(source[0].read_bytes()[:140])
    (tmp_path / "in" / "MUSTERMANN" / "6.dcm").symlink_to(tmp_path / "gone")
    lacking = make_instance("P1", (1, 1), 9)
    del lacking.SeriesInstanceUID
    lacking.save_as(tmp_path / "in" / "7.dcm", enforce_file_format=True)
    for name in ("readme.txt", "mask.nii.gz", ".hidden", "DICOMDIR", "table.xlsx"):
        (tmp_path / "in" / name).write_bytes(b"anything")
    ledger = take(tmp_path / "in", tmp_path / "data")
    lost = ledger[ledger["status"] != "ok"]
    assert set(lost["status"]) == {"failed"} and not lost[["patient", "series", "folder"]].any(axis=None)
    reasons = " | ".join(sorted(lost["reason"]))
    assert "2 x file is no DICOM file" in reasons and "1 x file cannot be opened (No such file" in reasons
    assert "1 x DICOM file has no SeriesInstanceUID" in reasons and len(lost) == 4
    assert "1 x DICOM file is damaged" in reasons or "1 x DICOM file has no PatientID" in reasons
    assert "MUSTERMANN" not in reasons and str(tmp_path) not in reasons and ledger["n_files"].sum() == 2


def test_header_cut_in_the_middle_is_damaged_or_lacking(tmp_path: Path) -> None:
    whole = write_series(tmp_path / "made", "P1", (1, 1), 1)[0].read_bytes()
    (tmp_path / "in").mkdir()
    for size in range(132, 700, 13):
        (tmp_path / "in" / "1.dcm").write_bytes(whole[:size])
        table = listed(tmp_path / "in")  # never an exception
        assert len(table) <= 1
        assert not len(table) or table["status"][0] == "failed" or table["series"][0] == uid(1, 1)


def test_two_patients_in_one_series_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", "P1", (1, 1), 3)
    make_instance("P2", (1, 1), 9).save_as(tmp_path / "in" / "9.dcm", enforce_file_format=True)
    write_series(tmp_path / "in" / "ok", "P2", (2, 1), 2)
    ledger = take(tmp_path / "in", tmp_path / "data")
    assert list(ledger["status"]) == ["failed", "ok"] and ledger["patient"][0] == "P1"
    assert ledger["reason"][0] == "the files of the series name 2 patients"


def test_two_studies_in_one_series_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", "P1", (1, 1), 2)
    other = make_instance("P1", (1, 1), 9, StudyInstanceUID=uid(8))
    other.save_as(tmp_path / "in" / "9.dcm", enforce_file_format=True)
    assert list(listed(tmp_path / "in")["reason"]) == ["the files of the series name 2 studies"]


def test_second_file_of_an_instance_is_kept_for_the_reader_to_judge(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "a", "P1", (1, 1), 2)
    write_series(tmp_path / "in" / "b", "P1", (1, 1), 2)
    ledger = take(tmp_path / "in", tmp_path / "data")
    names = sorted(path.name for path in (tmp_path / "data" / ledger["folder"][0]).iterdir())
    stem = uid(1, 1)
    assert names == [f"{stem}.1-2.dcm", f"{stem}.1.dcm", f"{stem}.2-2.dcm", f"{stem}.2.dcm"]


def test_masks_come_along_and_other_modalities_do_not(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "a", "P1", (1, 1), 1)
    write_series(tmp_path / "in" / "b", "P1", (1, 2), 1, Modality="SEG")
    write_series(tmp_path / "in" / "c", "P1", (1, 3), 1, Modality="CT")
    assert list(listed(tmp_path / "in")["modality"]) == ["MR", "SEG"]


@pytest.mark.parametrize("patient", ["../../etc", "12/34", "a b"])
def test_foreign_patient_ids_stay_inside_the_store(tmp_path: Path, patient: str) -> None:
    write_series(tmp_path / "in", patient, (1, 1), 1)
    ledger = take(tmp_path / "in", tmp_path / "data")
    assert ledger["patient"][0] == patient and ledger["folder"][0].startswith("dicom/x-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "in"]
    assert (tmp_path / "data" / ledger["folder"][0]).is_dir()


def test_file_that_vanishes_is_a_row(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in", "P1", (1, 1), 2)
    imaging = Imaging(source="folder", location=str(tmp_path / "in"))
    table = folder.list_series(imaging)
    source[1].unlink()
    ledger = folder.fetch_series(table, tmp_path / "data", imaging, jobs=1, offline=True)
    assert list(ledger["status"]) == ["incomplete"] and "vanished" in ledger["reason"][0]


@pytest.mark.parametrize("location", [None, "nowhere-at-all"])
def test_folder_that_is_none(location: str | None) -> None:
    with pytest.raises(ConfigError, match="needs a folder with DICOM files"):
        folder.list_series(Imaging(source="folder", location=location))


def test_empty_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert listed(tmp_path).empty and "files" in listed(tmp_path)


def test_values_of_headers_reach_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path / "in", "SECRET-17", (1, 1), 2)
    body = (tmp_path / "in" / "1.dcm").read_bytes()
    (tmp_path / "in" / "1.dcm").write_bytes(body.replace(uid(1).encode(), b"x" + uid(1).encode()[1:]))
    with caplog.at_level("DEBUG", logger="radgen"):
        take(tmp_path / "in", tmp_path / "data")
    assert "series from folder" in caplog.text
    assert not any(word in caplog.text for word in ("SECRET", uid(1)[1:], str(tmp_path)))
