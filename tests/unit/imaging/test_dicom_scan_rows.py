"""Rows of a scan: which files count, their order, their types, and which images are compared by their pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.imaging.dicom.scan import Scan, scan
from tests.unit.imaging.dicom_images import PATIENT, Series, ledger, ramp, write

ONE = ("a", PATIENT, "1.2.3.1")
# What two images of different series must share to be compared by their pixels.
TAGS = [
    "patient", "study", "orientation", "position", "rows", "columns", "temporal", "acquisition", "trigger",
    "acquisition_time", "content_time", "te",
]  # fmt: skip


def two_series(root: Path, first: dict[str, Any], second: dict[str, Any]) -> Scan:
    """Two series of two slices at the same places, with these tags."""
    write(root, Series(ramp((2, 3, 2)), tags=first).images(), "a")
    write(root, Series(ramp((2, 3, 2)), uid="1.2.3.2", tags=second).images(), "b")
    return scan(root, ledger(ONE, ("b", PATIENT, "1.2.3.2")))


def test_links_to_files_count_and_links_to_folders_and_to_nothing_do_not(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    write(tmp_path, images[:2], "a")
    write(tmp_path, images[2:4], "a/deep/deeper")
    write(tmp_path, images[4:], "elsewhere")
    write(tmp_path, images[:1], "a/.hidden")
    (tmp_path / "a" / "linked.dcm").symlink_to(tmp_path / "elsewhere" / "0000.dcm")
    (tmp_path / "a" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "gone.dcm").symlink_to(tmp_path / "nothing")
    found = scan(tmp_path, ledger(ONE))
    assert found.faults.empty
    names = {"0000.dcm", "0001.dcm", "deep/deeper/0000.dcm", "deep/deeper/0001.dcm", "linked.dcm"}
    assert set(found.instances["file"]) == names


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_a_folder_that_is_none_is_one_fault(tmp_path: Path, what: str) -> None:
    if what == "file":
        (tmp_path / "a").write_bytes(b"x")
    found = scan(tmp_path, ledger(ONE))
    assert found.instances.empty and found.faults["reason"].tolist() == ["no files in the folder"]


def test_rows_are_in_order_of_instance_and_images_without_a_number_come_last(tmp_path: Path) -> None:
    numbers = [7, None, 3, 12, None, 1]
    write(tmp_path, Series(ramp(), tags={"InstanceNumber": numbers}).images(), seed=4)
    rows = scan(tmp_path, ledger(ONE)).instances
    assert rows["instance"].tolist()[:4] == [1, 3, 7, 12] and rows["instance"].isna().sum() == 2
    # Those without a number stand by their UID.
    assert rows["sop"].tolist()[4:] == ["1.2.3.1.2", "1.2.3.1.5"]
    assert list(rows.index) == list(range(6))


def test_an_empty_scan_has_the_columns_and_types_of_a_full_one(tmp_path: Path) -> None:
    write(tmp_path, Series(ramp()).images())
    full = scan(tmp_path, ledger(ONE)).instances
    none = scan(tmp_path, ledger(("a", "TCGA-AO-A03V", "1.2.3.1")))
    assert none.instances.empty and none.faults["reason"].tolist() == ["PatientID disagrees with the ledger (6 files)"]
    pd.testing.assert_series_equal(none.instances.dtypes, full.dtypes)
    assert {full.dtypes[name].kind for name in ("instance", "slope", "study_date")} == {"f"}
    assert {full.dtypes[name].kind for name in ("frame", "rows", "pixel_offset")} == {"i"}
    assert {full.dtypes[name].kind for name in ("signed", "contrast")} == {"b"}


def test_only_images_that_may_be_copies_are_compared_by_their_pixels(tmp_path: Path) -> None:
    rows = two_series(tmp_path, {}, {"AcquisitionTime": ["091000", "091500"]}).instances
    sums = [hashlib.sha256(plane.tobytes()).hexdigest() for plane in ramp((2, 3, 2))]
    # The first slices agree in all tags, those that neither has among them; the second differ in their time.
    assert rows["temporal"].isna().all() and rows["trigger"].isna().all()
    assert rows["pixels_sha256"].tolist() == [sums[0], "", sums[0], ""]


@pytest.mark.parametrize("tag", ["AcquisitionTime", "ImagePositionPatient", "ImageOrientationPatient"])
def test_images_without_time_or_place_are_not_compared(tmp_path: Path, tag: str) -> None:
    rows = two_series(tmp_path, {tag: None}, {tag: None}).instances
    assert len(rows) == 4 and set(rows["pixels_sha256"]) == {""}


_TIMES = st.sampled_from([None, "091000", "091500"])


@settings(max_examples=15, deadline=None)
@given(
    times=st.lists(_TIMES, min_size=4, max_size=4),
    echoes=st.lists(st.sampled_from([None, 2.5]), min_size=4, max_size=4),
)
def test_images_compared_are_those_of_a_grouped_table(
    tmp_path_factory: pytest.TempPathFactory, times: list[str | None], echoes: list[float | None]
) -> None:
    """The same rule written with pandas: several series in a group of equal tags, where missing equals missing."""
    tags = [{"AcquisitionTime": times[k : k + 2], "EchoTime": echoes[k : k + 2]} for k in (0, 2)]
    rows = two_series(tmp_path_factory.mktemp("groups"), *tags).instances
    shared = rows.groupby(TAGS, dropna=False)["series"].transform("nunique") > 1
    expected = shared & (rows["acquisition_time"].notna() | rows["content_time"].notna())
    np.testing.assert_array_equal(rows["pixels_sha256"] != "", expected)


def test_of_many_copies_the_first_by_name_stays(tmp_path: Path) -> None:
    images = Series(ramp((2, 3, 2))).images()
    for folder in ("c", "a", "b"):
        write(tmp_path, images, folder)
    places = [(folder, PATIENT, "1.2.3.1") for folder in ("c", "b", "a")]
    found = scan(tmp_path, ledger(*places))
    assert found.instances["folder"].tolist() == ["a", "a"]
    told = found.faults[["folder", "reason"]].to_numpy().tolist()
    assert told == [[folder, "duplicate SOP instance (2 files)"] for folder in ("b", "c")]
