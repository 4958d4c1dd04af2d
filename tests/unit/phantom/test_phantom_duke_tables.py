"""Duke-style tables of the phantom against the layout of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from openpyxl.packaging import core

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.duke_tables import (
    BOX_COLUMNS,
    BOXES_FILE,
    CLINICAL_FILE,
    clinical_rows,
    duke_columns,
    write_duke_tables,
)
from radgen_lib.sources.phantom.truth import Truth, draw_truth


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(Phantom(patients=60, omics_only=5, genes=60), 4)


@pytest.fixture(scope="module")
def boxes(truth: Truth) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    starts = rng.integers(1, 30, (60, 3))
    ends = starts + rng.integers(1, 20, (60, 3))
    columns = np.stack([starts, ends], axis=2).reshape(60, 6)
    frame = pd.DataFrame(columns, columns=list(BOX_COLUMNS)[1:])
    frame.insert(0, "patient", truth.patients["patient"][:60])
    return frame


@pytest.fixture(scope="module")
def folder(truth: Truth, boxes: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("duke")
    write_duke_tables(truth, boxes, target)
    return target


def _header(path: Path) -> list[tuple[object, ...]]:
    sheet = openpyxl.load_workbook(path)["Data"]
    return [row[:98] for row in sheet.iter_rows(min_row=1, max_row=3, values_only=True)]


def test_first_two_header_rows_are_those_of_the_real_table(folder: Path, mirror: Path) -> None:
    real = _header(mirror / "CarlosZHaring_Recur_Surv" / CLINICAL_FILE)
    own = _header(folder / CLINICAL_FILE)
    assert own[:2] == real[:2]
    for i, name in enumerate(real[1]):
        if name is None and real[2][i] is not None:
            squeezed = "".join(str(real[2][i]).split())
            assert squeezed.startswith("".join(str(own[2][i]).split())), i


def test_box_table_is_laid_out_as_the_real_one(folder: Path, mirror: Path, boxes: pd.DataFrame) -> None:
    real = pd.read_excel(mirror / "tzhouam_Network_dessection" / "Model" / "box" / BOXES_FILE, nrows=3)
    own = pd.read_excel(folder / BOXES_FILE)
    assert list(own.columns) == list(real.columns)
    assert (own.dtypes == real.dtypes).all()
    np.testing.assert_array_equal(own.iloc[:, 1:], boxes.iloc[:, 1:])


def test_three_header_rows_and_merged_groups(folder: Path) -> None:
    sheet = openpyxl.load_workbook(folder / CLINICAL_FILE)["Data"]
    assert (sheet.max_row, sheet.max_column) == (63, 98)
    assert sheet["B1"].value == "MRI Technical Information"
    merged = {str(area) for area in sheet.merged_cells.ranges}
    assert {"B1:S1", "T1:W1", "X1:AV1"} <= merged
    assert sheet["A2"].value == "Patient ID"
    assert sheet["A4"].value == "PHAN-" + str(sheet["A4"].value)[5:]


def test_values_by_name_are_the_truth(folder: Path, truth: Truth) -> None:
    read = pd.read_excel(folder / CLINICAL_FILE, header=1, keep_default_na=False).iloc[1:]
    imaged = truth.patients[truth.patients["imaged"]]
    assert list(read["Patient ID"]) == list(imaged["patient"])
    for column, label in (("ER", "er"), ("PR", "pr"), ("HER2", "her2"), ("Nottingham grade", "grade")):
        assert [int(value) for value in read[column]] == list(imaged[label])
    assert list(read["Tumor Location"]) == list(imaged["laterality"])
    death = read["Days to death (from the date of diagnosis) "]
    assert ((death != "NP").to_numpy() == (imaged["os_event"] == 1).to_numpy()).all()
    lived = imaged["os_event"].to_numpy() == 1
    assert [int(value) for value in death[lived]] == list(imaged["os_days"][lived].astype(int))
    assert set(read["Breast Density"]) == {"NC"}


def test_molecular_subtypes_follow_the_receptors(truth: Truth) -> None:
    rows = clinical_rows(truth)
    for er, pr, her2, subtype in zip(rows["ER"], rows["PR"], rows["HER2"], rows["Mol Subtype"], strict=True):
        expected = {(True, False): 0, (True, True): 1, (False, True): 2, (False, False): 3}[bool(er or pr), bool(her2)]
        assert subtype == expected


def test_codes_of_age_menopause_and_scanner(truth: Truth) -> None:
    rows, imaged = clinical_rows(truth), truth.patients[truth.patients["imaged"]].reset_index(drop=True)
    np.testing.assert_allclose(rows["Date of Birth (Days)"] / -365.25, imaged["age"], atol=0.01)
    assert (rows["Menopause (at diagnosis)"] == imaged["menopause"].map({"pre": 0, "post": 1, "peri": 2})).all()
    assert ((rows["Manufacturer"] == 2) == (imaged["manufacturer"] == "SIEMENS")).all()
    assert ((rows["Field Strength (Tesla)"] == 3) == (imaged["field_strength"] == 3.0)).all()
    assert rows["Race and Ethnicity"].isin([1, 2, 3]).all()


def test_the_parts_of_the_grade_stand_in_their_columns(folder: Path, truth: Truth) -> None:
    sheet = openpyxl.load_workbook(folder / CLINICAL_FILE)["Data"]
    third = [cell.value for cell in sheet[3]]
    places = [i for i, text in enumerate(third) if str(text).startswith("Tumor Grade(")]
    assert places == [31, 32, 33]
    nuclear = [row[32] for row in sheet.iter_rows(min_row=4, values_only=True)]
    assert nuclear == list(truth.patients["grade"][:60])


def test_98_columns_in_groups() -> None:
    layout = duke_columns()
    assert len(layout) == 98
    assert layout["group"].iloc[0] == "Patient Information"
    assert (layout["name"] == "Flip Angle \n").sum() == 1


def test_missing_box_columns_are_named(truth: Truth, boxes: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lack the columns End Slice$"):
        write_duke_tables(truth, boxes.drop(columns="end_slice"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_of_the_file_are_taken_too(truth: Truth, boxes: pd.DataFrame, folder: Path, tmp_path: Path) -> None:
    write_duke_tables(truth, boxes.rename(columns=BOX_COLUMNS), tmp_path)
    assert (tmp_path / BOXES_FILE).read_bytes() == (folder / BOXES_FILE).read_bytes()


def test_bytes_do_not_depend_on_the_clock(
    truth: Truth, boxes: pd.DataFrame, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = core.DocumentProperties.__init__

    def later(self: object, *args: object, **keys: object) -> None:
        created(self, *args, **keys)
        self.created = self.modified = pd.Timestamp("2031-05-06T07:08:09").to_pydatetime()  # type: ignore[attr-defined]

    monkeypatch.setattr(core.DocumentProperties, "__init__", later)
    monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
    write_duke_tables(truth, boxes, tmp_path)
    for name in (CLINICAL_FILE, BOXES_FILE):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
        assert b"2031" not in (tmp_path / name).read_bytes()
