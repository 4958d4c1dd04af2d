"""Rows and cells that are not what the schema says: set aside with a reason, or one line for the whole file."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.sources.reference.schema import FAULT_COLUMNS, Check, Column, Schema, patient_code, validate

PATH = Path("table.csv")
SCHEMA = Schema(
    unit="patient",
    columns=(
        Column("ID", "patient", "patient"),
        Column("Share", "share", low=0, high=1),
        Column("Days", "days", "whole", low=0, missing=True, vital=False),
        Column("Side", "side", "words", words={"L": "left", "R": "right"}, missing=True),
        Column("ER", "er", "words", words={"pos": 1.0, "neg": 0.0, "unsure": math.nan}, missing=True),
        Column("Note", "note", "text", missing=True),
    ),
    key=("patient",),
    checks=(Check("a left share is above one half", lambda t: ~((t["side"] == "left") & (t["share"] > 0.5))),),
    rows=2,
    totals={"er": 1},
)
GOOD = {"ID": "TCGA-AA-0001", "Share": "0.25", "Days": "10", "Side": "L", "ER": "pos", "Note": "x"}


def cells(*changes: dict[str, object]) -> pd.DataFrame:
    """Rows like GOOD of patients 1, 2, ... with changes; the index is the line of the file."""
    rows = [{**GOOD, "ID": f"TCGA-AA-{i:04d}", **change} for i, change in enumerate(changes, start=1)]
    return pd.DataFrame(rows, index=range(2, 2 + len(rows)), dtype=object)


def test_good_rows_become_typed_columns() -> None:
    table, faults = validate(cells({}, {"Days": "NA", "ER": "neg", "Side": ""}), SCHEMA, PATH, whole=True)
    assert faults.empty and list(faults) == list(FAULT_COLUMNS) and faults["kept"].dtype == bool
    assert table["patient"].tolist() == ["TCGA-AA-0001", "TCGA-AA-0002"]
    assert table["share"].tolist() == [0.25, 0.25] and table["er"].tolist() == [1.0, 0.0]
    assert table["days"].isna().tolist() == [False, True] and table["side"].tolist() == ["left", None]


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"Share": "much"}, "Share", "'much' is not a number"),
        ({"Share": ""}, "Share", "is empty"),
        ({"Share": None}, "Share", "is empty"),
        ({"Share": math.nan}, "Share", "is empty"),
        ({"Share": "1.5"}, "Share", "'1.5' is not in [0, 1]"),
        ({"Share": "-0.1"}, "Share", "'-0.1' is not in [0, 1]"),
        ({"Share": "inf"}, "Share", "'inf' is not finite"),
        ({"Side": "up"}, "Side", "'up' is none of 'L', 'R'"),
        ({"ER": "positive"}, "ER", "'positive' is none of 'pos', 'neg', 'unsure'"),
        ({"ID": "somebody"}, "ID", "'somebody' is no research code of a patient"),
        ({"ID": "x" * 60}, "ID", "'" + "x" * 40 + "...' is no research code of a patient"),
        ({"Share": "0.75"}, "", "a left share is above one half"),
        ({"ID": "TCGA.AA.0001.01A"}, "", "is there already"),
    ],
)
def test_a_row_with_a_fault_is_dropped_with_its_reason(change: dict[str, object], column: str, reason: str) -> None:
    table, faults = validate(cells({}, change, {}), SCHEMA, PATH, whole=False)
    assert table["patient"].tolist() == ["TCGA-AA-0001", "TCGA-AA-0003"]
    assert len(faults) == 1
    fault = faults.iloc[0]
    assert (fault["column"], fault["reason"], fault["kept"]) == (column, reason, False)
    assert (fault["unit"], fault["source"], fault["row"]) == ("patient", "table.csv", "3")


@pytest.mark.parametrize(("cell", "reason"), [("many", "not a number"), ("1.5", "whole number"), ("-2", "[0, inf]")])
def test_a_cell_that_is_not_vital_is_emptied(cell: str, reason: str) -> None:
    table, faults = validate(cells({}, {"Days": cell}), SCHEMA, PATH, whole=False)
    assert len(table) == 2 and math.isnan(table["days"][1])
    assert faults["kept"].tolist() == [True] and reason in faults["reason"][0]


def test_every_fault_of_a_row_is_told() -> None:
    faults = validate(cells({}, {"Share": "a", "Side": "b", "Days": "c"}), SCHEMA, PATH, whole=False).faults
    assert faults["column"].tolist() == ["Share", "Days", "Side"]
    assert faults["kept"].tolist() == [False, True, False]


def test_a_column_that_lacks_is_named() -> None:
    with pytest.raises(
        DataError, match=r"^table\.csv: no column 'Share', 'ER'; it has ID, Days, Side, Note\. "
    ) as told:
        validate(cells({}).drop(columns=["Share", "ER"]), SCHEMA, PATH, whole=True)
    assert "\n" not in str(told.value)


def test_numbers_of_the_released_file() -> None:
    with pytest.raises(DataError, match="holds 1 rows, 2 are expected"):
        validate(cells({}), SCHEMA, PATH, whole=True)
    with pytest.raises(DataError, match="the sum of er is 2, the source states 1"):
        validate(cells({}, {}), SCHEMA, PATH, whole=True)
    assert len(validate(cells({}, {}), SCHEMA, PATH, whole=False).table) == 2


def test_sums_are_not_asked_for_where_rows_or_cells_were_set_aside() -> None:
    assert len(validate(cells({}, {"Share": "a"}), SCHEMA, PATH, whole=True).table) == 1
    with pytest.raises(DataError, match="the sum of er"):
        validate(cells({}, {"Days": "a"}), SCHEMA, PATH, whole=True)


def test_a_table_without_a_usable_row() -> None:
    with pytest.raises(DataError, match=r"row 2: holds no usable row \(Share: 'a' is not a number\)"):
        validate(cells({"Share": "a"}), SCHEMA, PATH, whole=False)
    with pytest.raises(DataError, match="a header and no rows"):
        validate(cells({}).iloc[:0], SCHEMA, PATH, whole=False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("TCGA-AO-A03M", "TCGA-AO-A03M"), ("TCGA.AO.A03M", "TCGA-AO-A03M"), ("TCGA-AO-A03M-01A-11R", "TCGA-AO-A03M"),
        ("PHAN-S1-0007", "PHAN-S1-0007"), ("Breast_MRI_001", "Breast_MRI_001"), ("Breast_MRI_1", None),
        ("TCGA-AO-A03", None), ("MB-0001", None), ("", None), ("TCGA-AO-A03MX", None),
    ],
)  # fmt: skip
def test_codes_of_patients(text: str, code: str | None) -> None:
    assert patient_code(text) == code


@given(st.lists(st.one_of(st.floats(), st.integers(-5, 5), st.text(max_size=5), st.none()), min_size=1, max_size=20))
def test_whatever_stands_in_a_column_every_row_is_kept_or_told(found: list[object]) -> None:
    table = cells(*({"Share": cell, "Side": "R"} for cell in found), {"Share": "0"})
    kept, faults = validate(table, SCHEMA, PATH, whole=False)
    assert len(kept) + len(faults) == len(table)
    assert kept["share"].between(0, 1).all() and not faults["kept"].any()
