"""Phases of studies: which images are one phase, what each is called and why, and what is refused with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from radgen_lib.imaging.dicom.phases import PHASE_COLUMNS, SERIES_COLUMNS, find_phases
from radgen_lib.imaging.dicom.read import read_volume
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import AXIAL, CORONAL, PATIENT, SAGITTAL, Series, ledger, ramp, write

Found = tuple[pd.DataFrame, dict[str, pd.DataFrame], pd.DataFrame]


def found_in(root: Path, *series: Series | list[Dataset]) -> Found:
    """Phases of series written below ``root``, each in its folder."""
    rows = []
    for number, made in enumerate(series):
        images = made.images() if isinstance(made, Series) else made
        write(root, images, f"f{number}", seed=number)
        rows.append((f"f{number}", "", str(images[0].SeriesInstanceUID)))
    return find_phases(scan(root, ledger(*rows)).instances)


def dynamic(posts: int = 3, *, start: int = 1, agent: bool = True, **tags: Any) -> list[Series]:
    """One series a phase, two minutes apart, as GE writes them; series numbers run against time."""
    made = []
    for k in range(posts + 1):
        own = {"AcquisitionTime": f"09{10 + 2 * k:02d}00", "SeriesNumber": 90 - k, **tags}
        if agent and k:
            own["ContrastBolusAgent"] = "Magnevist"
        made.append(Series(ramp(start=1000 * (k + start)), uid=f"1.2.3.{start + k}", tags=own))
    return made


def named(found: Found) -> dict[str, str]:
    """Phase name -> series UID of the kept phases."""
    table = found[0][found[0]["kept"]]
    return dict(zip(table["phase"], table["series"], strict=True))


def test_one_phase_a_series_by_contrast_and_time(tmp_path: Path) -> None:
    table, members, series = found = found_in(tmp_path, *dynamic())
    assert list(table) == list(PHASE_COLUMNS) and list(series) == list(SERIES_COLUMNS)
    assert named(found) == {"pre": "1.2.3.1", "post1": "1.2.3.2", "post2": "1.2.3.3", "post3": "1.2.3.4"}
    assert table["seconds"].tolist() == [0, 120, 240, 360] and set(table["seconds_source"]) == {"acquisition"}
    assert table["volume"].tolist() == [f"{PATIENT}/1/{name}" for name in ("pre", "post1", "post2", "post3")]
    assert table.loc[table["index_phase"], "phase"].tolist() == ["post1"]
    row = table.iloc[1]
    assert (row["view"], row["slices"], row["rows"], row["cols"], row["site"]) == ("sagittal", 6, 5, 4, "AO")
    assert (row["spacing_slice"], row["spacing_row"], row["spacing_col"]) == (3.0, 0.9, 0.8)
    assert series["kept"].all() and set(series["n_phases"]) == {1} and set(series["n_instances"]) == {6}
    assert set(series["kind_of_pixels"]) == {"MONOCHROME2 16/16 unsigned"}
    volume = read_volume(members[row["volume"]], tmp_path)
    assert volume.values.min() == 2000


PHASES_BY_TAG = {
    "temporal position": {"TemporalPositionIdentifier": (1, 2, 3), "NumberOfTemporalPositions": 3},
    "acquisition number": {"AcquisitionNumber": (4, 5, 6)},
    "trigger time": {"TriggerTime": (0, 90_000, 180_000)},
    "acquisition time": {"AcquisitionTime": ("091000", "091130", "091300")},
    "content time": {"ContentTime": ("091000", "091130", "091300")},
}


def several_in_one(tags: dict[str, Any], values: np.ndarray | None = None) -> list[Dataset]:
    """Three phases of six slices in one series, numbered place by place."""
    images = []
    for k in range(3):
        own = {name: value[k] if isinstance(value, tuple) else value for name, value in tags.items()}
        one = Series(ramp(start=1000 * k) if values is None else values, tags=own).images()
        for place, image in enumerate(one):
            image.SOPInstanceUID = f"1.2.3.1.{k}.{place}"
            image.InstanceNumber = 3 * place + k + 1
        images += one
    return images


@pytest.mark.parametrize("how", PHASES_BY_TAG)
def test_several_phases_in_one_series(tmp_path: Path, how: str) -> None:
    table, members, series = found_in(tmp_path, several_in_one(PHASES_BY_TAG[how]))
    assert table["phase"].tolist() == ["pre", "post1", "post2"] and table["kept"].all()
    assert all(f"{k + 1} of 3 in its series by {how}" in clause for k, clause in enumerate(table["decision"]))
    assert series["n_phases"].tolist() == [3]
    for k, name in enumerate(table["volume"]):
        assert read_volume(members[name], tmp_path).values.min() == 1000 * k


def test_phases_by_repeated_positions_need_order_by_instance_number(tmp_path: Path) -> None:
    table, members, _ = found_in(tmp_path, several_in_one({}))
    assert len(table) == 3 and table["decision"].str.contains("repeated positions").all()
    # Nothing says which came first, so none is called pre-contrast.
    assert set(table["phase"]) == {"other"} and not table["kept"].any()
    assert members[table["volume"][0]]["instance"].tolist() == [1, 4, 7, 10, 13, 16]


def test_times_that_differ_from_slice_to_slice_rank_the_phases(tmp_path: Path) -> None:
    images = several_in_one({})
    for number, image in enumerate(images):
        image.AcquisitionTime = f"09{10 + number // 6:02d}{number % 6:02d}"
    table, members, _ = found_in(tmp_path, images)
    assert table["phase"].tolist() == ["pre", "post1", "post2"]
    assert table["decision"].str.contains("order of acquisition times").all()
    assert read_volume(members[f"{PATIENT}/1/post2"], tmp_path).values.min() == 2000


def test_a_slice_that_lacks_in_one_phase_of_several_is_found(tmp_path: Path) -> None:
    images = several_in_one(PHASES_BY_TAG["temporal position"])
    table, _, _ = found_in(tmp_path, [image for k, image in enumerate(images) if k != 8])
    assert table["kept"].tolist() == [True, False, True]
    assert table["reason"].tolist()[1].startswith("missing slices: 1 of 6")


@pytest.mark.parametrize("split", [lambda k: k % 2, lambda k: k >= 3, lambda k: k % 3])
def test_one_phase_over_several_series_is_joined(tmp_path: Path, split: Any) -> None:
    images = Series(ramp()).images()
    groups: dict[int, list[Dataset]] = {}
    for k, image in enumerate(images):
        image.SeriesInstanceUID = f"1.2.3.{int(split(k))}"
        groups.setdefault(int(split(k)), []).append(image)
    table, members, series = found_in(tmp_path, *groups.values())
    assert len(table) == 1 and table["kept"].all() and table["slices"].tolist() == [6]
    assert f"slices from {len(groups)} series" in table["decision"][0]
    assert len(series) == len(groups) and series["kept"].all()
    np.testing.assert_array_equal(read_volume(members[table["volume"][0]], tmp_path).values, ramp()[::1])


def test_slices_of_another_moment_are_not_joined(tmp_path: Path) -> None:
    images = Series(ramp((12, 5, 4))).images()
    for k, image in enumerate(images):
        image.SeriesInstanceUID = f"1.2.3.{k % 2}"
        image.AcquisitionTime = f"091{k % 2}00"
    table, _, _ = found_in(tmp_path, images[::2], images[1::2])
    assert table["slices"].tolist() == [6, 6]


def test_missing_slices_inside_and_at_the_end(tmp_path: Path) -> None:
    made = dynamic()
    made[1].skip, made[2].skip = (2,), (0,)
    table, _, series = found_in(tmp_path, *made)
    assert table["reason"].tolist()[1] == "missing slices: 1 of 6 lack between the first and the last"
    assert table["reason"].tolist()[2] == "missing slices: 1 of the 6 of the study's other phases"
    assert table["kept"].tolist() == [True, False, False, True]
    assert table.loc[table["index_phase"], "phase"].tolist() == ["post3"]
    assert series["kept"].tolist() == [True, False, False, True]


def test_gantry_tilt_and_uneven_spacing_are_refused_with_their_size(tmp_path: Path) -> None:
    made = dynamic(2)
    made[1].shear = (0.0, 0.6, 0.0)
    images = made[2].images()
    for image in images[4:]:
        image.ImagePositionPatient[0] -= 1
    table, _, _ = found_in(tmp_path, made[0], made[1], images)
    assert table["reason"].tolist()[1].startswith("gantry tilt") and "11.3 degrees" in table["reason"].tolist()[1]
    assert table["reason"].tolist()[2] == "uneven spacing: steps of 3 to 4 mm"


def test_the_same_series_twice_counts_once(tmp_path: Path) -> None:
    made = dynamic(2)
    twin = Series(made[1].values, uid="1.2.3.77", tags=made[1].tags)
    table, _, series = found = found_in(tmp_path, *made, twin)
    assert named(found) == {"pre": "1.2.3.1", "post1": "1.2.3.2", "post2": "1.2.3.3"}
    assert table.loc[~table["kept"], "reason"].tolist() == ["the same series twice"]
    assert series.set_index("series").loc["1.2.3.77", "reason"] == "the same series twice"
    other = Series(made[1].values + np.uint16(1), uid="1.2.3.88", tags=made[1].tags)
    assert "the same series twice" not in set(found_in(tmp_path / "b", *made, other)[0]["reason"])


def test_mixed_orientations_are_refused_and_localisers_told(tmp_path: Path) -> None:
    made = dynamic(2)
    mixed = made[1].images()
    mixed[2].ImageOrientationPatient = list(AXIAL)
    planes = []
    for n, orientation in enumerate((SAGITTAL, AXIAL, CORONAL)):
        tags = {"SOPInstanceUID": [f"1.9.{n}.{k}" for k in range(3)]}
        planes.append(Series(ramp((3, 5, 4)), uid="1.2.3.50", orientation=orientation, tags=tags))
    localiser = [image for series in planes for image in series.images()]
    table, _, series = found_in(tmp_path, made[0], mixed, made[2], localiser)
    by_phase = table.set_index("volume")["reason"]
    assert by_phase[f"{PATIENT}/1/post1"].startswith("mixed orientations in the series; missing slices: 1")
    assert by_phase[f"{PATIENT}/1/other"].startswith("mixed orientations: 1 images")
    assert (table["phase"] == "localiser").sum() == 3
    assert "3 orientations in a series of 9 images" in set(table["decision"])
    assert series["kept"].tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("tags", "phase", "decision"),
    [
        ({"ImageType": "DERIVED\\SECONDARY\\SUBTRACT"}, "subtraction", "image type of a subtraction"),
        ({"SeriesDescription": "SUB_Ph2-Ph1"}, "subtraction", "description of a subtraction"),
        ({"SeriesDescription": "MIP of SUB 3"}, "derived", "description says mip"),
        ({"ImageType": "DERIVED\\PRIMARY\\ADC"}, "derived", "image type ADC"),
        ({"ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "localiser", "image type LOCALIZER"),
        ({"SeriesDescription": "3-plane loc"}, "localiser", "description of a localiser, 6 slices"),
        ({"EchoTime": 102}, "other", "echo time of 102 ms: not T1-weighted"),
        ({"RepetitionTime": 500}, "other", "repetition time of 500 ms: not a fast gradient echo"),
        ({"ScanningSequence": "EP"}, "other", "scanning sequence EP: not a gradient echo"),
        ({"SeriesDescription": "sag STIR"}, "other", "description says stir"),
    ],
)
def test_series_that_are_no_contrast_phase(tmp_path: Path, tags: dict[str, Any], phase: str, decision: str) -> None:
    table, _, _ = found = found_in(tmp_path, *dynamic(1), Series(ramp(start=7), uid="1.2.3.60", tags=tags))
    row = table[table["series"] == "1.2.3.60"].iloc[0]
    assert (row["phase"], row["decision"], row["kept"]) == (phase, decision, False) and row["reason"]
    assert named(found) == {"pre": "1.2.3.1", "post1": "1.2.3.2"}


def test_real_wordings_of_derived_images_stay_phases(tmp_path: Path) -> None:
    """GE's combined phases are DERIVED\\SECONDARY\\PROCESSED; that alone says nothing."""
    tags = {"ImageType": "DERIVED\\SECONDARY\\PROCESSED", "SeriesDescription": "Bind(11251/7/1..50)"}
    assert named(found_in(tmp_path, *dynamic(2, **tags))).keys() == {"pre", "post1", "post2"}


def test_temporal_positions_number_the_phases_when_one_is_lost(tmp_path: Path) -> None:
    made = dynamic(4)
    for k, series in enumerate(made):
        series.tags |= {"TemporalPositionIdentifier": k + 1, "NumberOfTemporalPositions": 5}
    assert list(named(found_in(tmp_path / "a", *made[:2], *made[3:]))) == ["pre", "post1", "post3", "post4"]
    table, _, _ = found_in(tmp_path / "b", *made[1:])
    assert table["phase"].tolist() == ["post1", "post2", "post3", "post4"] and table["seconds"].isna().all()
    assert table["decision"].str.contains("first temporal position is not there").all()


def test_contrast_in_all_tags_leaves_it_to_order_and_words(tmp_path: Path) -> None:
    agent = {"ContrastBolusAgent": "Yes"}
    table = found_in(tmp_path / "a", *dynamic(2, agent=False, **agent))[0]
    assert table["phase"].tolist() == ["pre", "post1", "post2"]
    assert table["decision"][0].startswith("1 of 3 by acquisition times; though the tags of the pre-contrast phase")
    table = found_in(tmp_path / "b", *dynamic(2, agent=False, SeriesDescription="T1 post fat sat", **agent))[0]
    assert table["phase"].tolist() == ["post1", "post2", "post3"]


def test_evidence_that_disagrees_is_named(tmp_path: Path) -> None:
    made = dynamic(2, SeriesDescription="Sag post")
    for series, trigger in zip(made, (300, 200, 100), strict=True):
        series.tags["TriggerTime"] = trigger
    table = found_in(tmp_path, *made)[0]
    pre = table.set_index("phase").loc["pre"]
    assert pre["series"] == "1.2.3.1", "the order that fits the contrast tags counts"
    assert table["phase"].tolist() == ["pre", "post1", "post2"] and table["seconds"].tolist() == [0, 120, 240]
    assert "trigger times say another order" in pre["decision"]
    assert "though its description says post, as all do" in pre["decision"]


@pytest.mark.parametrize(
    ("tags", "phase"),
    [({}, "pre"), ({"ContrastBolusAgent": "Gd"}, "post1"), ({"SeriesDescription": "T1 post"}, "post1"),
     ({"ContrastBolusAgent": "Gd", "SeriesDescription": "pre contrast"}, "pre")],
)  # fmt: skip
def test_a_lone_phase_is_named_by_tags_then_words(tmp_path: Path, tags: dict[str, Any], phase: str) -> None:
    table = found_in(tmp_path, Series(ramp(), tags=tags))[0]
    assert table["phase"].tolist() == [phase] and table["index_phase"].all()


def test_seconds_by_trigger_then_clock_past_midnight_then_resolution(tmp_path: Path) -> None:
    table = found_in(tmp_path / "a", several_in_one({"TriggerTime": (0, 61_500, 123_000)}))[0]
    assert table["seconds"].tolist() == [0, 61.5, 123] and set(table["seconds_source"]) == {"trigger"}
    made = dynamic(2)
    for series, time in zip(made, ("235900", "000030", "000200"), strict=True):
        series.tags["AcquisitionTime"] = time
    table = found_in(tmp_path / "b", *made)[0]
    assert table["seconds"].tolist() == [0, 90, 180] and set(table["seconds_source"]) == {"acquisition"}
    made = dynamic(2, AcquisitionTime="", TemporalResolution=70_000)
    for k, series in enumerate(made):
        series.tags["TemporalPositionIdentifier"] = k + 1
    table = found_in(tmp_path / "c", *made)[0]
    assert table["seconds"].tolist() == [0, 70, 140] and set(table["seconds_source"]) == {"temporal"}


def test_a_pre_contrast_series_and_one_series_of_later_phases(tmp_path: Path) -> None:
    """As GE writes multi-phase series: one acquisition time, trigger times and positions from the series' own start."""
    tags = {"AcquisitionTime": "092000", "TriggerTime": (0, 70_000, 140_000), "ContrastBolusAgent": "Gd",
            "TemporalPositionIdentifier": (1, 2, 3), "NumberOfTemporalPositions": 3}  # fmt: skip
    before = {"AcquisitionTime": "091000", "TriggerTime": 0, "TemporalPositionIdentifier": 1}
    pre = Series(ramp(start=9), uid="1.2.3.30", tags={**before, "SeriesNumber": 99})
    table = found_in(tmp_path, several_in_one(tags), pre)[0]
    assert table["phase"].tolist() == ["pre", "post1", "post2", "post3"]
    assert table["series"].tolist() == ["1.2.3.30", "1.2.3.1", "1.2.3.1", "1.2.3.1"]
    assert table["seconds"].tolist() == [0, 600, 670, 740] and set(table["seconds_source"]) == {"acquisition"}
    assert all(f"{k} of 3 in its series" in table["decision"][k] for k in (1, 2, 3))


def test_studies_are_numbered_by_date_and_dates_stay_inside(tmp_path: Path) -> None:
    early = [Series(ramp(), study="9.9", uid="9.9.1", tags={"StudyDate": "20010101", "SeriesDescription": "Jane Roe"})]
    table, _, series = found_in(tmp_path, *dynamic(1), *early)
    days = series.set_index("series")["days"]
    assert days["9.9.1"] == 0 and days["1.2.3.1"] == 73
    assert table["volume"].tolist() == [f"{PATIENT}/{name}" for name in ("1/pre", "2/pre", "2/post1")]
    text = table.to_csv() + series.to_csv()
    assert not any(secret in text for secret in ("2001", "Jane", "0910", "32400", "33000"))


def test_images_without_position_and_thin_stacks_are_refused(tmp_path: Path) -> None:
    bare = Series(ramp(), uid="1.2.3.40", tags={"ImagePositionPatient": None})
    thin = Series(ramp((2, 5, 4)), uid="1.2.3.41")
    table, _, _ = found_in(tmp_path, *dynamic(1), bare, thin)
    reasons = table.set_index("series")["reason"]
    assert reasons["1.2.3.40"] == "no position or orientation in the tags"
    assert reasons["1.2.3.41"] == "2 slices are not a volume"


def test_another_geometry_is_not_part_of_the_dynamic_series(tmp_path: Path) -> None:
    late = Series(ramp(), uid="1.2.3.70", orientation=AXIAL, tags={"AcquisitionTime": "093000"})
    table, _, _ = found_in(tmp_path, *dynamic(2), late)
    assert table["phase"].tolist() == ["pre", "post1", "post2", "other"]
    assert table["reason"].tolist()[-1] == "another geometry than the study's dynamic series"


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(4)), seed=st.integers(0, 1000))
def test_order_and_names_of_files_and_folders_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], seed: int
) -> None:
    root = tmp_path_factory.mktemp("order")
    made = dynamic()
    expected = found_in(root / "a", *made)
    shuffled = found_in(root / str(seed), *[made[k].images()[:: 1 - 2 * (seed % 2)] for k in order])
    pd.testing.assert_frame_equal(shuffled[0], expected[0])
    pd.testing.assert_frame_equal(shuffled[2], expected[2])


def test_a_local_identifier_has_no_site(tmp_path: Path) -> None:
    table = found_in(tmp_path, Series(ramp(), patient="case 7"))[0]
    assert table["site"].tolist() == [""] and table["volume"].tolist() == ["case 7/1/pre"]


def test_nothing_gives_empty_tables(tmp_path: Path) -> None:
    table, members, series = find_phases(scan(tmp_path, ledger()).instances)
    assert table.empty and list(table) == list(PHASE_COLUMNS) and not members and list(series) == list(SERIES_COLUMNS)


def test_the_real_single_slices_are_seen_as_sagittal_and_refused(mirror: Path) -> None:
    root = mirror / "Sherry960419_dip-breastcancer-radiology-pipeline" / "data"
    names = sorted(path.stem for path in (root / "dicoms").glob("*.dcm"))
    table, _, series = find_phases(scan(root, ledger(*[("dicoms", "", name) for name in names])).instances)
    assert table["patient"].tolist() == names == series["patient"].tolist()
    assert set(table["view"]) == {"sagittal"} and set(table["site"]) == {"AO"} and not table["kept"].any()
    assert set(table["reason"]) == {"1 slices are not a volume"}
