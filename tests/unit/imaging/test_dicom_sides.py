"""Breasts in stacks of their own are two dynamic series; of other geometries one is the study's, whatever the UIDs."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radgen_lib.cohort.selection import OTHER_GEOMETRY
from radgen_lib.imaging.choice import keep_all
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.pixels import INVERTED_FAULT
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import AXIAL, PATIENT, SAGITTAL, Series, ledger, ramp, write

X = {"R": -60.0, "L": 60.0}


def one(side: str, place: int, uid: str, **options: Any) -> Series:
    """The pre-contrast (0) or a post-contrast phase of one breast, sagittal: R lies at lower x."""
    tags = {"AcquisitionTime": f"09{10 + 2 * place:02d}00", **options.pop("tags", {})}
    if place:
        tags["ContrastBolusAgent"] = "Gd"
    origin = (X[side], -100.0, 90.0)
    return Series(ramp(start=1000 * place + ord(side)), uid=uid, tags=tags, **{"origin": origin, **options})


def found_in(root: Path, made: list[Series]) -> pd.DataFrame:
    for number, series in enumerate(made):
        write(root, series.images(), f"f{number}", seed=number)
    return find_phases(scan(root, ledger(*[(f"f{k}", "", series.uid) for k, series in enumerate(made)])).instances)[0]


def both(uids: list[str], posts: int = 1, **tags: Any) -> list[Series]:
    places = [(side, place) for side in "RL" for place in range(posts + 1)]
    return [one(side, place, uid, tags=tags) for (side, place), uid in zip(places, uids, strict=True)]


@pytest.mark.parametrize("uids", [[f"1.2.3.{k}" for k in order] for order in list(permutations((1, 2, 3, 4)))[::5]])
def test_each_breast_has_its_phases_whatever_the_uids(tmp_path: Path, uids: list[str]) -> None:
    table = found_in(tmp_path, both(uids))
    assert table["volume"].tolist() == [f"{PATIENT}/1/{name}" for name in ("pre", "pre-2", "post1", "post1-2")]
    assert table["kept"].all() and table["side"].tolist() == ["right", "left", "right", "left"]
    assert dict(zip(table["volume"].str.split("/").str[-1], table["series"], strict=True)) == dict(
        zip(("pre", "post1", "pre-2", "post1-2"), uids, strict=True)
    )
    assert table["seconds"].tolist() == [0, 0, 120, 120]
    assert table.loc[table["index_phase"], "volume"].tolist() == [f"{PATIENT}/1/post1"], "one a study: the right one"
    assert table["decision"].str.contains("of two breasts in stacks of their own, by place").all()


def test_the_breast_with_more_phases_comes_first(tmp_path: Path) -> None:
    made = [*both([f"1.2.3.{k}" for k in range(1, 5)]), one("L", 2, "1.2.3.5")]
    table = found_in(tmp_path, made).set_index("volume")
    assert table["kept"].all() and table.loc[f"{PATIENT}/1/post2", "side"] == "left"
    assert table["side"].value_counts().to_dict() == {"left": 3, "right": 2}
    assert table.loc[table["index_phase"], "series"].tolist() == ["1.2.3.4"]


def test_the_second_breast_is_the_one_that_lost_a_phase_and_keeps_its_number(tmp_path: Path) -> None:
    made = both([f"1.2.3.{k}" for k in range(1, 7)], posts=2)
    for series in made:
        series.tags["TemporalPositionIdentifier"] = 1 + int(series.tags["AcquisitionTime"][2:4]) // 2 - 5
    del made[1]  # post1 of the right one is not there at all
    table = found_in(tmp_path, made).set_index("volume")
    names = ("pre", "pre-2", "post1", "post2", "post2-2")
    assert table.index.tolist() == [f"{PATIENT}/1/{name}" for name in names]
    assert table["side"].tolist() == ["left", "right", "left", "left", "right"]
    made[1].skip = (2,)
    lost = found_in(tmp_path / "b", made).set_index("volume")["reason"]
    assert lost[lost != ""].index.tolist() == [f"{PATIENT}/1/post2-2"]


@pytest.mark.parametrize(("right", "left", "said"), [("R", "L", 0), ("", "", 0), ("L", "L", 2), ("B", "B", 0)])
def test_tags_that_contradict_the_place_are_named(tmp_path: Path, right: str, left: str, said: int) -> None:
    made = both([f"1.2.3.{k}" for k in range(1, 5)])
    for series in made:
        series.tags["ImageLaterality"] = right if series.origin[0] < 0 else left
    table = found_in(tmp_path, made)
    assert table["side"].tolist() == ["right", "left", "right", "left"]
    assert table["decision"].str.contains("though the tags say left").sum() == said


@pytest.mark.parametrize(
    ("said", "side"), [("L", "left"), ("R", "right"), ("B", ""), ("U", ""), ("JANE", ""), ("", "")]
)
def test_the_side_of_a_study_with_one_series_is_that_of_the_tags(tmp_path: Path, said: str, side: str) -> None:
    made = [one("R", place, f"1.2.3.{place}", tags={"Laterality": said}) for place in range(2)]
    table = found_in(tmp_path, made)
    assert set(table["side"]) == {side} and table["phase"].tolist() == ["pre", "post1"]
    assert table["decision"].str.contains("breast by the tags").all() == bool(side)


def test_axial_stacks_beside_each_other_are_two_breasts(tmp_path: Path) -> None:
    made = both([f"1.2.3.{k}" for k in range(1, 5)])
    for series in made:
        series.orientation = AXIAL
    table = found_in(tmp_path, made)
    assert table["kept"].all() and table["side"].tolist() == ["right", "left", "right", "left"]


@pytest.mark.parametrize(
    "options",
    [{"orientation": AXIAL}, {"origin": (-60.0, -20.0, 90.0)}, {"origin": (-50.0, -60.0, 90.0)}],
    ids=["another plane", "further back", "overlapping along x"],
)
def test_other_geometries_are_no_second_breast_and_are_kept_with_everything(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    made = [one("R", place, f"1.2.3.{place}") for place in range(3)]
    late = [one("R", 3 + place, f"1.2.3.{8 + place}", **options) for place in range(2)]
    late[1].skip = (2,)
    table = found_in(tmp_path, [*made, *late])
    assert table["phase"].tolist() == ["pre", "post1", "post2", "other", "other"]
    assert table["reason"].tolist()[3] == OTHER_GEOMETRY
    assert table["reason"].tolist()[4].startswith(f"{OTHER_GEOMETRY}; missing slices: 1")
    every = keep_all(table)
    assert every["kept"].tolist() == [True, True, True, True, False], "what lacks slices stays out"


def test_a_stack_alone_of_the_other_breast_is_no_dynamic_series(tmp_path: Path) -> None:
    made = [one("R", place, f"1.2.3.{place}") for place in range(2)]
    table = found_in(tmp_path, [*made, one("L", 3, "1.2.3.9")])
    assert table["reason"].tolist() == ["", "", OTHER_GEOMETRY]
    alone = found_in(tmp_path / "b", [one("R", 0, "1.2.3.1"), one("L", 0, "1.2.3.2")])
    assert alone["phase"].tolist() == ["pre", "pre"] and alone["kept"].all()


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_planes_with_as_many_phases_the_uids_choose_none(tmp_path: Path, swap: bool) -> None:
    uids = [["1.2.3.1", "1.2.3.2"], ["1.2.3.8", "1.2.3.9"]][:: -1 if swap else 1]
    made = [one("R", k, uid, orientation=plane) for plane, own in zip((SAGITTAL, AXIAL), uids, strict=True)
            for k, uid in enumerate(own)]  # fmt: skip
    table = found_in(tmp_path, made)
    assert table.loc[table["kept"], "view"].tolist() == ["sagittal", "sagittal"]


def test_inverted_grey_levels_are_refused_with_the_reason(tmp_path: Path) -> None:
    made = [one("R", place, f"1.2.3.{place}") for place in range(3)]
    made[1].tags["PhotometricInterpretation"] = "MONOCHROME1"
    table = found_in(tmp_path, made)
    assert table["phase"].tolist() == ["pre", "post1", "post2"] and table["kept"].tolist() == [True, False, True]
    assert table["reason"].tolist()[1] == INVERTED_FAULT and "MONOCHROME1" in INVERTED_FAULT
    assert table.loc[table["index_phase"], "phase"].tolist() == ["post2"]


def test_images_with_a_position_and_no_orientation_are_refused(tmp_path: Path) -> None:
    made = [one("R", place, f"1.2.3.{place}") for place in range(2)]
    bare = one("R", 2, "1.2.3.7", tags={"ImageOrientationPatient": None})
    table = found_in(tmp_path, [*made, bare]).set_index("series")
    assert table.loc["1.2.3.7", "reason"] == "no position or orientation in the tags" and table["kept"].sum() == 2
