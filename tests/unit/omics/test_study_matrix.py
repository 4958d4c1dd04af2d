"""Matrices of a study: the streamed reader against pandas, and every fault of a cell, a row and a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.matrix import read_header, read_rows
from radgen_lib.omics.study.text import blocks, comment_rows, key_values, rows

SAMPLES = [f"TCGA-A1-A{i:03d}-01" for i in range(6)]


def matrix_text(values: np.ndarray, names: list[str] | None = None, missing: str = "NA") -> str:
    names = names or [f"GENE{i}" for i in range(len(values))]
    lines = ["\t".join(["Hugo_Symbol", "Entrez_Gene_Id", *SAMPLES[: values.shape[1]]])]
    for number, (name, row) in enumerate(zip(names, values, strict=True)):
        lines.append("\t".join([name, str(number + 1), *(missing if np.isnan(v) else repr(float(v)) for v in row)]))
    return "\n".join(lines) + "\n"


def read_all(
    path: Path, columns: list[int] | None = None, size: int = 1 << 20
) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    log = Decisions()
    header = read_header(path, log)
    chosen = list(range(len(header.samples))) if columns is None else columns
    found = list(read_rows(path, header, chosen, log, size=size))
    symbols = [symbol for part in found for symbol in part.symbols]
    values = np.concatenate([part.values for part in found], axis=1) if found else np.empty((len(chosen), 0))
    return symbols, values, log.frame()


@pytest.fixture
def numbers() -> np.ndarray:
    values = np.random.default_rng(3).normal(size=(40, 6)) * 1000
    values[3, 2] = values[7, 5] = np.nan
    return values


class TestGoodFiles:
    @pytest.mark.parametrize("size", [64, 500, 1 << 20])
    def test_equals_pandas_whatever_the_block_size(self, tmp_path, numbers, size):
        path = tmp_path / "m.txt"
        path.write_text(matrix_text(numbers))
        symbols, values, log = read_all(path, size=size)
        expected = pd.read_csv(path, sep="\t")
        assert symbols == list(expected["Hugo_Symbol"])
        np.testing.assert_array_equal(values.T, expected[SAMPLES].to_numpy(np.float32))
        assert log.empty

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("last", [True, False])
    def test_line_ends_and_last_line(self, tmp_path, numbers, end, last):
        text = matrix_text(numbers).replace("\n", end)
        (tmp_path / "m.txt").write_bytes((text if last else text.removesuffix(end)).encode())
        symbols, values, _ = read_all(tmp_path / "m.txt", size=300)
        assert len(symbols) == 40
        np.testing.assert_array_equal(values.T, numbers.astype(np.float32))

    def test_columns_in_the_order_asked_for(self, tmp_path, numbers):
        (tmp_path / "m.txt").write_text(matrix_text(numbers))
        _, values, _ = read_all(tmp_path / "m.txt", [4, 1])
        np.testing.assert_array_equal(values.T, numbers[:, [4, 1]].astype(np.float32))

    @pytest.mark.parametrize("word", sorted(MISSING_CELLS))
    def test_every_missing_word(self, tmp_path, numbers, word):
        (tmp_path / "m.txt").write_text(matrix_text(numbers, missing=word))
        _, values, log = read_all(tmp_path / "m.txt")
        assert np.isnan(values).sum() == 2
        assert log.empty

    def test_byte_order_mark_and_comments(self, tmp_path, numbers):
        text = "#made by hand\n" + matrix_text(numbers).replace("\nGENE5", "\n# note\nGENE5")
        (tmp_path / "m.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
        symbols, values, _ = read_all(tmp_path / "m.txt")
        assert len(symbols) == 40
        np.testing.assert_allclose(values.T, numbers.astype(np.float32), rtol=1e-6)

    def test_header_without_its_first_name(self, tmp_path):
        (tmp_path / "m.txt").write_text("s1\ts2\nTP53\t1\t2\nERBB2\t3\t4\n")
        symbols, values, log = read_all(tmp_path / "m.txt")
        assert symbols == ["TP53", "ERBB2"]
        assert values.tolist() == [[1, 3], [2, 4]]
        assert log["reason"].tolist() == ["the header lacks its first name"]

    def test_annotation_columns_are_no_samples(self, tmp_path):
        text = "ENTITY_STABLE_ID\tNAME\tDESCRIPTION\tTRANSCRIPT_ID\tREGION\ts1\ncg1\tTP53\tTSS200\tNM_1\tx\t0.5\n"
        (tmp_path / "m.txt").write_text(text)
        header = read_header(tmp_path / "m.txt", Decisions(), ["NAME", "REGION"])
        assert header.samples == ("s1",)
        part = next(read_rows(tmp_path / "m.txt", header, [0], Decisions()))
        assert (part.symbols, part.descriptions, part.values.tolist()) == (["TP53"], ["TSS200"], [[0.5]])


class TestFaults:
    def test_text_in_a_cell_is_one_row(self, tmp_path, numbers):
        text = matrix_text(numbers).splitlines()
        cells = text[11].split("\t")
        cells[4] = "see notes"
        text[11] = "\t".join(cells)
        (tmp_path / "m.txt").write_text("\n".join(text))
        _, values, log = read_all(tmp_path / "m.txt")
        assert np.isnan(values[2, 10])
        assert np.isnan(values).sum() == 3
        assert log["item"].tolist() == [f"line 12 GENE10 {SAMPLES[2]}"]
        assert log["reason"].tolist() == ["the cell holds 'see notes'"]

    @pytest.mark.parametrize("cell", ["1_000", "\u0661\u0662", "0x10", "1,5"])
    def test_what_looks_like_a_number_elsewhere(self, tmp_path, cell):
        (tmp_path / "m.txt").write_text(f"Hugo_Symbol\ts1\ts2\nA\t{cell}\t2\n", encoding="utf-8")
        _, values, log = read_all(tmp_path / "m.txt")
        assert np.isnan(values[0, 0])
        assert values[1, 0] == 2
        assert len(log) == 1

    @pytest.mark.parametrize(
        ("change", "count"), [(lambda line: line + "\t7", 9), (lambda line: line.rpartition("\t")[0], 7)]
    )
    def test_ragged_row_is_left_out(self, tmp_path, numbers, change, count):
        lines = matrix_text(numbers).splitlines()
        lines[5] = change(lines[5])
        (tmp_path / "m.txt").write_text("\n".join(lines) + "\n")
        symbols, _, log = read_all(tmp_path / "m.txt")
        assert "GENE4" not in symbols
        assert len(symbols) == 39
        assert log.iloc[0]["item"] == "line 6 GENE4"
        assert log.iloc[0]["reason"] == f"{count} cells where 8 are expected"

    @pytest.mark.parametrize("word", ["Inf", "-Inf", "inf", "Infinity", "1e999"])
    def test_infinity_is_missing_and_counted(self, tmp_path, word):
        (tmp_path / "m.txt").write_text(f"Hugo_Symbol\ts1\ts2\nA\t{word}\t2\nB\t1\t{word}\n")
        _, values, log = read_all(tmp_path / "m.txt")
        np.testing.assert_array_equal(values, [[np.nan, 1], [2, np.nan]])
        assert log["count"].tolist() == [2]

    def test_many_faults_are_counted_not_listed(self, tmp_path):
        lines = "".join(f"G{i}\tbad\t1\n" for i in range(120))
        (tmp_path / "m.txt").write_text("Hugo_Symbol\ts1\ts2\n" + lines)
        _, values, log = read_all(tmp_path / "m.txt")
        assert len(log) == 51
        assert log["count"].sum() == 120
        assert np.isnan(values[0]).all()

    def test_latin1_names_the_line(self, tmp_path):
        text = "Hugo_Symbol\ts1\nA\t1\nB\xe9\t2\n"
        (tmp_path / "m.txt").write_bytes(text.encode("latin-1"))
        symbols, values, log = read_all(tmp_path / "m.txt")
        assert symbols == ["A", "B\xe9"]
        assert values.tolist() == [[1, 2]]
        assert log["item"].iloc[0] == "line 3"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"#only\n", "is empty"),
            (b"Hugo_Symbol\ts1\n", "holds a header and no rows"),
            (b"Entrez_Gene_Id\ts1\n1\t2\n", "no column of gene symbols"),
            (b"Hugo_Symbol\tEntrez_Gene_Id\nTP53\t7157\n", "no sample columns"),
            ("Hugo_Symbol\ts1\nA\t1\n".encode("utf-16"), "is UTF-16 text"),
            (b"\x1f\x8b\x08\x00rest", "is compressed"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
            (b"Hugo\x00", "holds binary data"),
        ],
    )
    def test_structure_raises_one_line(self, tmp_path, content, words):
        (tmp_path / "m.txt").write_bytes(content)
        with pytest.raises(DataError, match=words) as caught:
            read_all(tmp_path / "m.txt")
        assert "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)

    def test_absent_file(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_all(tmp_path / "none.txt")


cells = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["NA", "", "NaN", "inf", "word", "1e5", "-0", " 3.5"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8), st.integers(8, 200))
def test_any_table_reads_as_cell_by_cell(tmp_path_factory, table, size):
    path = tmp_path_factory.mktemp("m") / "m.txt"
    body = "".join("\t".join([f"G{i}", *row]) + "\n" for i, row in enumerate(table))
    path.write_text("Hugo_Symbol\ta\tb\tc\n" + body)
    symbols, values, _ = read_all(path, size=size)

    def number(cell: str) -> float:
        try:
            return float(np.float32(cell)) if np.isfinite(float(cell)) else np.nan
        except ValueError:
            return np.nan

    assert symbols == [f"G{i}" for i in range(len(table))]
    np.testing.assert_allclose(values.T, [[number(cell) for cell in row] for row in table], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab\tc", max_size=12), max_size=20), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_blocks_are_the_file(tmp_path_factory, lines, size, end):
    path = tmp_path_factory.mktemp("t") / "t.txt"
    content = end.join(lines).encode()
    path.write_bytes(content)
    found = list(blocks(path, size))
    assert b"".join(block.content for block in found) == content
    for block in found:
        before = content[: sum(len(b.content) for b in found[: found.index(block)])]
        assert block.line == before.count(b"\n") + 1
    expected = [(i, line.split("\t")) for i, line in enumerate(lines, 1) if line.strip()]
    assert [(n, cells) for n, cells in rows(path, Decisions(), size=size)] == [
        (n, [cell.strip() for cell in cells]) for n, cells in expected
    ]


def test_endless_line_is_no_table(tmp_path):
    (tmp_path / "m.txt").write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match="too long"):
        list(blocks(tmp_path / "m.txt", 10))


def test_comments_and_keys(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"#Patient Identifier\tAge\r\n#STRING\tNUMBER\r\nPATIENT_ID\tAGE\r\n")
    assert comment_rows(path, Decisions()) == [["Patient Identifier", "Age"], ["STRING", "NUMBER"]]
    path.write_text("Stable_ID:  a:b \ndata_filename:data.txt\nnonsense\nstable_id: second\n")
    assert key_values(path, Decisions()) == {"stable_id": "a:b", "data_filename": "data.txt"}
