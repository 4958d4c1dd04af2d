"""Duke's clinical table and tumour boxes, the real ones and workbooks of their layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import DataError
from radgen_lib.sources.phantom.duke_tables import BOX_COLUMNS, BOXES_FILE, CLINICAL_FILE, write_duke_tables
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.reference.duke import duke_layout, read_duke_boxes, read_duke_clinical
from radgen_lib.sources.registry import load_registry

NAMES = [spec["column"] for spec in duke_layout()]
GOOD = {"patient": "Breast_MRI_001", "er": 1, "pr": 0, "her2": 0, "subtype": 0, "birth_days": -15209, "side": "L"}
BOX = {
    "Patient ID": "Breast_MRI_001", "Start Row": 234, "End Row": 271, "Start Column": 308, "End Column": 341,
    "Start Slice": 89, "End Slice": 112,
}  # fmt: skip


def real(mirror: Path, entry: str) -> Path:
    return mirror / str(load_registry()[entry].mirror_path)


def save(path: Path, title: str, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.worksheets[0].title = title
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def clinical(
    path: Path, *patients: dict[str, object], sheet: str = "Data", names: dict[int, str] | None = None
) -> Path:
    """Workbook with the three header rows of the layout, then patients like GOOD with changes, NC elsewhere."""
    second = [spec["name"] or None for spec in duke_layout()]
    for position, name in (names or {}).items():
        second[position] = name
    rows: list[list[object]] = [["Patient Information"], second, [spec["detail"] or None for spec in duke_layout()]]
    for i, change in enumerate(patients, start=1):
        cells = {**dict.fromkeys(NAMES, "NC"), **GOOD, "patient": f"Breast_MRI_{i:03d}", **change}
        rows.append([cells[name] for name in NAMES])
    return save(path, sheet, rows)


def boxes(path: Path, *changes: dict[str, object], drop: str = "") -> Path:
    rows = [{**BOX, "Patient ID": f"Breast_MRI_{i:03d}", **change} for i, change in enumerate(changes, start=1)]
    header = [name for name in BOX if name != drop]
    return save(path, "Sheet1", [header, *([row[name] for name in header] for row in rows)])


def test_layout_has_98_columns_of_their_own_name() -> None:
    assert len(NAMES) == 98 == len(set(NAMES))
    assert all(spec["name"] or spec["detail"] or spec["column"] == "birads" for spec in duke_layout())


def test_patients_and_missing_values(tmp_path: Path) -> None:
    path = clinical(tmp_path / "c.xlsx", {}, {"er": "NA", "her2": 2, "subtype": 3, "days_to_death": "NP", "side": None})
    table, faults = read_duke_clinical(path, whole=False)
    assert faults.empty and list(table) == NAMES
    assert table["birth_days"].tolist() == [-15209, -15209] and table["side"].tolist() == ["L", None]
    assert table["er"].isna().tolist() == [False, True] and table["her2"].tolist() == [0, 2]
    assert table["days_to_death"].isna().all() and table["mammo_shape"].isna().all()


@pytest.mark.parametrize(
    ("change", "column", "kept", "reason"),
    [
        ({"days_to_death": "#REF!"}, "days_to_death", True, "'#REF!' is not a number"),
        ({"er": 2}, "er", True, "'2' is not in [0, 1]"),
        ({"birth_days": 15209}, "birth_days", True, "'15209' is not in [-43830, 0]"),
        ({"side": "both"}, "side", True, "'both' is none of 'L', 'R'"),
        ({"nottingham": 1.5}, "nottingham", True, "'1.5' is not a whole number"),
        ({"patient": "Jane Doe"}, "patient", False, "'Jane Doe' is no research code of a patient"),
        ({"patient": "Breast_MRI_001"}, "", False, "is there already"),
        ({"subtype": 3}, "", False, "the molecular subtype is not that of the receptors"),
        ({"her2": 1}, "", False, "the molecular subtype is not that of the receptors"),
    ],
)
def test_faults_of_patients(tmp_path: Path, change: dict[str, object], column: str, kept: bool, reason: str) -> None:
    table, faults = read_duke_clinical(clinical(tmp_path / "c.xlsx", {}, change), whole=False)
    assert len(table) == 1 + kept and faults["row"].tolist() == ["5"]
    assert faults[["column", "kept", "reason"]].values.tolist() == [[column, kept, reason]]
    if kept:
        assert pd.isna(table.loc[1, column])


@pytest.mark.parametrize(
    ("er", "pr", "her2", "subtype"), [(1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 1, 1), (0, 0, 1, 2), (0, 0, 0, 3)]
)
def test_subtype_of_receptors(tmp_path: Path, er: int, pr: int, her2: int, subtype: int) -> None:
    changes = [{"er": er, "pr": pr, "her2": her2, "subtype": code} for code in range(4)]
    table, faults = read_duke_clinical(clinical(tmp_path / "c.xlsx", *changes), whole=False)
    assert table["subtype"].tolist() == [subtype] and len(faults) == 3


def test_header_of_another_table(tmp_path: Path) -> None:
    wrong = clinical(tmp_path / "a.xlsx", {}, names={23: "Estrogen"})
    with pytest.raises(DataError, match=r"a\.xlsx, row 2: column X is 'Estrogen', 'ER' is expected\. Fetch"):
        read_duke_clinical(wrong, whole=False)
    wrong = clinical(tmp_path / "b.xlsx", {}, names={32: "Nuclear"})
    with pytest.raises(DataError, match=r"row 3: column AG is 'Nuclear', 'Tumor Grade\(N\) \(Nuclear\)' is expected"):
        read_duke_clinical(wrong, whole=False)


def test_structure_of_the_clinical_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 rows, 922 are expected"):
        read_duke_clinical(clinical(tmp_path / "a.xlsx", {}))
    with pytest.raises(DataError, match="no sheet 'Data'; it has Other"):
        read_duke_clinical(clinical(tmp_path / "b.xlsx", {}, sheet="Other"))
    with pytest.raises(DataError, match="no row below the three header rows"):
        read_duke_clinical(clinical(tmp_path / "c.xlsx"))
    short = save(tmp_path / "d.xlsx", "Data", [["Patient Information"], ["Patient ID"], [None], ["Breast_MRI_001"]])
    with pytest.raises(DataError, match=r"column B is '', 'Days to MRI \(From the Date of Diagnosis\)' is expected"):
        read_duke_clinical(short)


@pytest.mark.parametrize("content", [b"", b"Patient ID,ER\n", b"PK\x03\x04half a workbook"])
def test_files_that_are_no_workbook(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.xlsx"
    path.write_bytes(content)
    for read in (read_duke_clinical, read_duke_boxes):
        with pytest.raises(DataError, match=r"c\.xlsx: cannot be read as a workbook") as told:
            read(path)
        assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        read_duke_boxes(tmp_path / "none.xlsx")


def test_boxes(tmp_path: Path) -> None:
    table, faults = read_duke_boxes(boxes(tmp_path / "b.xlsx", {}, {"Start Slice": 112}), whole=False)
    assert faults.empty and table["start_slice"].tolist() == [89, 112] and table["end_column"].tolist() == [341, 341]


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"End Row": 233}, "", "the box ends before it starts"),
        ({"Start Slice": 113}, "", "the box ends before it starts"),
        ({"Start Column": 0}, "Start Column", "'0' is not in [1, 4096]"),
        ({"End Slice": 90.5}, "End Slice", "'90.5' is not a whole number"),
        ({"End Slice": "last"}, "End Slice", "'last' is not a number"),
        ({"End Slice": None}, "End Slice", "is empty"),
        ({"Patient ID": "Breast_MRI_001"}, "", "is there already"),
    ],
)
def test_faults_of_boxes(tmp_path: Path, change: dict[str, object], column: str, reason: str) -> None:
    table, faults = read_duke_boxes(boxes(tmp_path / "b.xlsx", {}, change), whole=False)
    assert len(table) == 1
    assert faults[["row", "column", "reason"]].values.tolist() == [["3", column, reason]]


def test_structure_of_boxes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 rows, 922 are expected"):
        read_duke_boxes(boxes(tmp_path / "a.xlsx", {}))
    with pytest.raises(DataError, match="no column 'End Row'; it has Patient ID"):
        read_duke_boxes(boxes(tmp_path / "b.xlsx", {}, drop="End Row"))
    with pytest.raises(DataError, match="is empty"):
        read_duke_boxes(save(tmp_path / "c.xlsx", "Sheet1", []))


def test_tables_of_the_phantom_have_the_same_layout(tmp_path: Path) -> None:
    truth = draw_truth(Phantom(patients=30, omics_only=2, genes=60), 4)
    imaged = truth.patients.loc[truth.patients["imaged"], "patient"]
    edges = dict(zip(list(BOX_COLUMNS)[1:], (3, 9, 2, 8, 1, 4), strict=True))
    write_duke_tables(truth, pd.DataFrame({"patient": imaged, **edges}), tmp_path)
    table, faults = read_duke_clinical(tmp_path / CLINICAL_FILE, whole=False)
    assert faults.empty and table["patient"].tolist() == imaged.tolist()
    np.testing.assert_array_equal(table["er"], truth.patients.loc[truth.patients["imaged"], "er"])
    table, faults = read_duke_boxes(tmp_path / BOXES_FILE, whole=False)
    assert faults.empty and (table["end_slice"] == 4).all() and len(table) == len(imaged)


def test_real_clinical_table(mirror: Path) -> None:
    table, faults = read_duke_clinical(real(mirror, "duke_clinical"))
    assert table.shape == (922, 98) and table["patient"].is_unique
    assert table[["er", "pr", "her2"]].sum().tolist() == [686, 598, 163]
    assert table["subtype"].value_counts().to_dict() == {0: 595, 3: 164, 1: 104, 2: 59}
    assert table["days_to_death"].notna().sum() == 62
    # The published workbook holds one broken formula.
    assert faults[["id", "row", "column", "kept", "reason"]].values.tolist() == [
        ["Breast_MRI_643", "646", "days_local_recurrence_free", True, "'#REF!' is not a number"]
    ]


def test_real_boxes_are_those_of_the_clinical_table(mirror: Path) -> None:
    table, faults = read_duke_boxes(real(mirror, "duke_boxes"))
    assert faults.empty and len(table) == 922
    assert table["patient"].tolist() == [f"Breast_MRI_{i:03d}" for i in range(1, 923)]
    assert table.iloc[0, 1:].tolist() == [234, 271, 308, 341, 89, 112]
