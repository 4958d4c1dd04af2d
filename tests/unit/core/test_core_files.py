"""Atomic files, seeds, digests, rows, cards."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.atomic import atomic_path, write_array, write_csv, write_json, write_parquet
from radgen_lib.core.digest import (
    code_digest,
    file_sha256,
    keep_sources,
    read_source,
    recall_sources,
    value_digest,
)
from radgen_lib.core.errors import data_error
from radgen_lib.core.provenance import Card
from radgen_lib.core.rows import KEYS, result_frame, result_row
from radgen_lib.core.seeds import derive_seed, make_rng


def test_a_failed_write_leaves_the_earlier_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_path(target) as path:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "disk full")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_tables_and_arrays_come_back_as_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [0.1, math.nan], "c": ["x", ""]})
    write_parquet(tmp_path / "t.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_bytes() == b"a,b,c\n1,0.1,x\n2,,\n"
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    write_array(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), array)


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": math.nan})
    assert not list(tmp_path.iterdir())


@given(st.integers(0, 2**31 - 1), st.lists(st.text(max_size=5), max_size=3))
def test_seeds_are_stable_and_in_range(root: int, names: list[str]) -> None:
    seed = derive_seed(root, *names)
    assert 0 <= seed < 2**31
    assert seed == derive_seed(root, *names)
    assert make_rng(root, *names).integers(1 << 30) == make_rng(root, *names).integers(1 << 30)


def test_seeds_of_other_names_differ() -> None:
    assert len({derive_seed(1, "fold", i) for i in range(1000)}) == 1000
    assert derive_seed(1, "ab", "c") != derive_seed(1, "a", "bc")


def test_seed_never_changes_between_releases() -> None:
    assert derive_seed(20230803, "cpdm", "split") == 852996773


def test_digest_ignores_comments_docstrings_and_formatting(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a.py", "b.py", "c.py"))
    first.write_text('def f(x):\n    """Doc."""\n    return x + 1\n')
    second.write_text('# note\ndef f( x ):\n    """Other doc."""\n\n    return (x + 1)  # here\n')
    third.write_text('def f(x):\n    """Doc."""\n    return x + 2\n')
    assert read_source(first) == read_source(second)
    assert read_source(first).digest != read_source(third).digest


def test_imports_are_found_at_the_top_and_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    top = "import numpy, radgen_lib.core.seeds\nfrom pandas import NA\n"
    file.write_text(top + "def f():\n    from radgen_lib.omics import conditions\n")
    found = {"radgen_lib.core.seeds", "radgen_lib.omics", "radgen_lib.omics.conditions"}
    assert read_source(file).imports == found


def test_code_digest_follows_imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "radgen_lib"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "room" / "__init__.py").write_text("")
    (package / "room" / "top.py").write_text("def f():\n    from radgen_lib.room import below\n    return below.X\n")
    (package / "room" / "below.py").write_text("X = 1\n")
    (package / "room" / "other.py").write_text("Y = 1\n")
    monkeypatch.setattr("radgen_lib.core.digest.LIBRARY", package)
    import radgen_lib.core.digest as digest

    def forget() -> None:
        for cached in (digest.read_source, digest._module_file, digest.code_digest):
            cached.cache_clear()

    def fresh() -> str:
        forget()
        return code_digest("radgen_lib.room.top")

    before = fresh()
    (package / "room" / "other.py").write_text("Y = 2\n")
    assert fresh() == before
    (package / "room" / "below.py").write_text("X = 2\n")
    assert fresh() != before
    with pytest.raises(FileNotFoundError, match="no such module"):
        code_digest("radgen_lib.room.gone")
    forget()


def test_value_digest_does_not_depend_on_key_order() -> None:
    assert value_digest({"a": 1, "b": [2]}) == value_digest({"b": [2], "a": 1})
    assert value_digest({"a": 1}) != value_digest({"a": 2})


def test_data_error_is_one_line_with_file_row_problem_action() -> None:
    text = str(data_error("x.csv", "two columns named A", "Rename one", row=7))
    assert text == "x.csv, row 7: two columns named A. Rename one"


def test_rows_need_a_number_or_a_reason() -> None:
    row = result_row(item="B.TA", metric="mse", value=0.5, n=3, generator="mean")
    assert row["generator"] == "mean"
    with pytest.raises(ValueError, match="needs a reason"):
        result_row(item="B.TA", metric="mse")
    with pytest.raises(TypeError, match="unknown columns"):
        result_row(item="B.TA", metric="mse", value=1.0, colour="red")
    with pytest.raises(ValueError, match="twice"):
        result_frame([row, row])
    assert list(result_frame([row]).columns[: len(KEYS)]) == list(KEYS)


def test_card_records_inputs_versions_and_facts(tmp_path: Path) -> None:
    data = tmp_path / "in.txt"
    data.write_text("x")
    card = Card("rule", config={"k": 1}, seed=3, code="abc")
    card.inputs([data, tmp_path / "absent"])
    card.add(patients=5)
    card.write(tmp_path / "card.json")
    found = json.loads((tmp_path / "card.json").read_text())
    assert found["inputs"] == {"in.txt": file_sha256(data)}
    assert found["patients"] == 5
    assert found["seed"] == 3
    assert found["packages"]["numpy"] == np.__version__
    assert found["duration_s"] >= 0


def test_what_was_read_of_the_code_is_kept_by_its_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from radgen_lib.core import digest

    module, kept = tmp_path / "module.py", tmp_path / "kept" / "code.json"
    module.write_text("import radgen_lib.core.seeds\nx = 1\n")
    monkeypatch.setattr(digest, "_FOUND", {})
    monkeypatch.setattr(digest, "_RECALLED", set())
    recall_sources(kept)  # is not there yet
    found = read_source(module)
    keep_sources(kept)
    read_source.cache_clear()
    monkeypatch.setattr(digest, "_FOUND", {})
    recall_sources(kept)
    monkeypatch.setattr(digest.ast, "parse", lambda content: pytest.fail("parsed again"))
    assert read_source(module) == found
    before = kept.stat().st_mtime_ns
    keep_sources(kept)
    assert kept.stat().st_mtime_ns == before, "nothing new, nothing written"
    monkeypatch.undo()
    read_source.cache_clear()
    module.write_text("x = 2\n")
    assert read_source(module).digest != found.digest
    for broken in ("", "[1, 2]", '{"a": 3}'):
        kept.write_text(broken)
        recall_sources(kept)
    read_source.cache_clear()


def test_cards_name_no_place_of_the_machine(tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("a\n")
    card = Card("rule", config={"imaging": {"location": str(tmp_path), "list": ["/a/b", "c/d"]}}, seed=1, code="x")
    card.inputs([table])
    card.write(tmp_path / "card.json")
    text = (tmp_path / "card.json").read_text()
    assert str(tmp_path) not in text and "/a/b" not in text
    assert '"c/d"' in text and '"in.csv"' in text
