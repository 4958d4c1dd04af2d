"""Reading text tables: cells stay text, faults of structure are one line with file and row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.cohort.tables import near_names, number, read_table
from radgen_lib.core.errors import DataError


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_cells_stay_text_and_the_index_is_the_line(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '\ufeff"","a"\r\n"TCGA.1",007\r\n\r\nx, NA \r\n'), required=["ID", "a"])
    assert list(table.columns) == ["ID", "a"]
    assert table["a"].tolist() == ["007", "NA"]
    assert table.index.tolist() == [2, 4]


def test_file_without_header_and_without_last_line_end(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '"a","b"\n"c","d"'), names=["first", "second"])
    assert table.to_dict("list") == {"first": ["a", "c"], "second": ["b", "d"]}


def test_tab_separated_with_comments_and_loose_quotes(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '#it\'s "free\t text\nID\tv\nx\t5"\n'), separator="\t", comment="#")
    assert table["v"].tolist() == ['5"']
    assert table.index.tolist() == [3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"ID,a\n", "header and no rows"),
        (b"ID,a,a\nx,1,2\n", "'a' more than once"),
        (b"ID,a\nx,1\ny\n", "row 3: 1 cells where 2"),
        (b"ID,a\nx,1\n<<<<<<< HEAD\n", "row 3: 1 cells"),
        (b"ID,b\nx,1\n", "no column 'a'; it has ID, b"),
        (b"ID,a\nx,1\n\xe9,2\n", "row 3: is not UTF-8"),
        (b'ID,a\nx,"1\n', "is not a table"),
        (b"#only\n#comments\n", "only comment lines"),
    ],
)
def test_faults_of_structure(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path, required=["ID", "a"], comment="#")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_number_takes_finite_values_only(value: float) -> None:
    assert number(repr(value)) == (value if math.isfinite(value) else None)


@pytest.mark.parametrize("text", ["", "NA", "high", "1,5", "--1"])
def test_number_refuses_text(text: str) -> None:
    assert number(text) is None


def test_near_names() -> None:
    assert near_names("cd6", ["CD6", "CYBA", "TP53"]) == "near matches: CD6"
    assert near_names("zzzz", ["B", "A"]) == "known: A, B"
