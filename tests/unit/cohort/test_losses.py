"""The gates that stop a run where too much was lost, and the table of what was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.cohort.losses import check_fetched, check_patients, check_share, check_tables, losses
from radgen_lib.cohort.selection import COPY, NO_CONTRAST_PHASE, OTHER_GEOMETRY, SELECTION_COLUMNS
from radgen_lib.core.errors import DataError
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import AXIAL, Series, ledger, ramp, write

REFUSED = "all 6 images refused: no pixel data"
Row = tuple[str, bool, str]


def table(*rows: Row) -> pd.DataFrame:
    """Phases of one study: name, kept, reason."""
    return pd.DataFrame(list(rows), columns=["phase", "kept", "reason"]).assign(patient="A", study_number=1)


def test_too_little_fetched_stops_the_run(tmp_path: Path) -> None:
    fetched = pd.DataFrame({"status": ["ok", "ok", "missing"], "reason": ["", "", "offline"]})
    check_fetched(fetched, 0.4, tmp_path)
    check_fetched(fetched[:0], 0.0, tmp_path)
    with pytest.raises(DataError, match=r"1 of 3 series \(33%\).*0\.2; most frequent reason: offline"):
        check_fetched(fetched, 0.2, tmp_path)


def test_refused_and_unreadable_series_count_as_lost_phases(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("pre", True, ""), ("post1", False, REFUSED), ("unreadable", False, "not a DICOM file (6 files)"),
        ("subtraction", False, f"subtraction: {NO_CONTRAST_PHASE}; {REFUSED}"),
        ("localiser", False, f"localiser: {NO_CONTRAST_PHASE}"),
    ]  # fmt: skip
    check_share(table(*rows), 0.67, tmp_path)
    with pytest.raises(DataError, match=r"2 of 3 phases \(67%\) cannot be used"):
        check_share(table(*rows), 0.66, tmp_path)
    # Where subtractions and localisers are images too, a refused one is a lost image.
    more = table(*rows[:-1], *[("subtraction", True, "")] * 3)
    check_share(more, 0.43, tmp_path)
    with pytest.raises(DataError, match=r"3 of 7 phases \(43%\)"):
        check_share(more, 0.42, tmp_path)


def test_phases_that_nobody_could_name_are_lost(tmp_path: Path) -> None:
    nameless = table(*[("other", False, "no tag tells when the phase was acquired")] * 50)
    with pytest.raises(DataError, match=r"50 of 50 phases \(100%\).*no tag tells when the phase was acquired"):
        check_share(nameless, 0.99, tmp_path)


def found_in(root: Path, *made: Series) -> pd.DataFrame:
    """The phases that are found in series of one study."""
    for number, series in enumerate(made):
        write(root, series.images(), f"f{number}", seed=number)
    rows = [(f"f{number}", "", series.uid) for number, series in enumerate(made)]
    return find_phases(scan(root, ledger(*rows)).instances)[0]


def dynamic(number: int, **other: object) -> Series:
    """One series of a dynamic set: the first is pre-contrast."""
    tags = {"AcquisitionTime": f"09{10 + 2 * number:02d}00"} | ({"ContrastBolusAgent": "Magnevist"} if number else {})
    tags |= other.pop("tags", {})  # type: ignore[arg-type]
    return Series(ramp(start=1000 * number), uid=f"1.2.3.{number + 1}", tags=tags, **other)  # type: ignore[arg-type]


def test_what_is_left_out_as_planned_is_no_loss(tmp_path: Path) -> None:
    copy = dynamic(1)
    copy.uid = "1.2.3.70"
    made = [dynamic(0), dynamic(1), copy]
    made += [dynamic(2, tags={"SeriesDescription": "subtraction"}), dynamic(3, tags={"SeriesDescription": "MIP"})]
    made += [dynamic(4, tags={"SeriesDescription": "localizer"})]
    found = found_in(tmp_path, *made)
    reasons = found.loc[~found["kept"], "reason"]
    assert COPY in set(reasons) and reasons.str.endswith(NO_CONTRAST_PHASE).sum() == 3 and len(reasons) == 4
    check_share(found, 0.0, tmp_path)


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (Series(ramp(start=2000)[:2], uid="1.2.3.3"), "2 slices are not a volume"),
        (dynamic(2, skip=(1,)), "missing slices"),
    ],
)
def test_every_dynamic_part_that_is_not_kept_is_lost(tmp_path: Path, lost: Series, reason: str) -> None:
    found = found_in(tmp_path, dynamic(0), dynamic(1), lost)
    assert found["kept"].sum() == 2
    check_share(found, 0.34, tmp_path)
    with pytest.raises(DataError, match=rf"1 of 3 phases \(33%\).*{reason}"):
        check_share(found, 0.33, tmp_path)


def test_another_plane_is_no_loss_where_the_study_has_its_dynamic_series(tmp_path: Path) -> None:
    found = found_in(tmp_path, dynamic(0), dynamic(1), dynamic(2, orientation=AXIAL))
    assert found.loc[~found["kept"], "reason"].tolist() == [OTHER_GEOMETRY]
    check_share(found, 0.0, tmp_path)


def test_another_plane_is_a_loss_where_no_post_contrast_phase_was_named(tmp_path: Path) -> None:
    found = found_in(tmp_path, dynamic(0), dynamic(1), dynamic(2, orientation=AXIAL))
    found.loc[found["phase"].str.startswith("post"), ["kept", "reason"]] = [False, "missing slices: 1"]
    with pytest.raises(DataError, match=r"2 of 3 phases \(67%\)"):
        check_share(found, 0.6, tmp_path)


def test_more_phases_than_are_used_are_lost(tmp_path: Path) -> None:
    found = found_in(tmp_path, *(dynamic(number) for number in range(10)))
    with pytest.raises(DataError, match=r"1 of 10 phases \(10%\)"):
        check_share(found, 0.09, tmp_path)


def test_patients_with_series_but_no_volume_are_lost(tmp_path: Path) -> None:
    rows = [
        ("phases", "phase", "A", "store", "A/1/post1", True, ""),
        ("series", "series", "B", "store", "1.2", False, "no gradient echo"),
        ("phases", "phase", "B", "store", "B/1/other", False, "uneven spacing"),
        ("masks", "mask", "B", "store", "1.3", False, "another grid"),
        ("patients", "patient", "A", "store", "", True, ""),
        ("patients", "patient", "B", "store", "", False, "no usable phase"),
        ("patients", "patient", "C", "store", "", False, "no usable phase"),
    ]
    selection = pd.DataFrame(rows, columns=list(SELECTION_COLUMNS))
    check_patients(selection, 0.67, tmp_path)
    check_patients(selection[:0], 0.0, tmp_path)
    words = r"2 of 3 patients \(67%\) have series but no volume.*most frequent reason: (uneven spacing|no usable phase)"
    with pytest.raises(DataError, match=words):
        check_patients(selection, 0.66, tmp_path)
    with pytest.raises(DataError, match=r"1 of 2 patients.*uneven spacing"):
        check_patients(selection[:-1], 0.4, tmp_path)


LOST = pd.DataFrame(
    [("one.txt", "rows", "", 8), ("one.txt", "rows", "cut", 1), ("one.txt", "rows", "ragged", 1),
     ("two.txt", "rows", "", 1), ("two.txt", "rows", "ragged", 2), ("two.txt", "rows", "", 1),
     ("two.txt", "samples", "", 5)],
    columns=["table", "unit", "reason", "count"],
)  # fmt: skip


def test_the_table_that_lost_most_is_named() -> None:
    check_tables(LOST, 0.5)
    check_tables(LOST[:0], 0.0)
    with pytest.raises(DataError, match=r"^two\.txt: 2 of 4 rows \(50%\).*max_excluded_share = 0\.1; .*reason: ragged"):
        check_tables(LOST, 0.1)


def test_losses_are_counted_by_reason() -> None:
    fetched = pd.DataFrame(
        {"status": ["ok", "missing", "failed", "missing"], "reason": ["", "offline", "cut", "offline"]}
    )
    phases = table(("pre", True, ""), ("post1", False, "2 slices are missing"))
    found = losses(fetched, phases, LOST)
    units = ["series", "series", "phase", "rows of one.txt", "rows of one.txt", "rows of two.txt"]
    assert found["unit"].tolist() == units
    assert found["reason"].tolist() == ["offline", "cut", "2 slices are missing", "cut", "ragged", "ragged"]
    assert found["count"].tolist() == [2, 1, 1, 1, 1, 2]
    np.testing.assert_allclose(found["share"], [0.5, 0.25, 0.5, 0.1, 0.1, 0.5])
    assert losses(fetched[:1], phases[:1]).empty
