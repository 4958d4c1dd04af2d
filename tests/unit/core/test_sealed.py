"""Sealed files: what was written comes back, the same content gives the same bytes, anything else is refused."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from radgen_lib.core.sealed import add_array, read_sealed, write_sealed

FACTS = json.dumps({"kind": "test", "rows": [{"b": 1, "a": math.nan}]})


def arrays() -> dict[str, np.ndarray]:
    return {
        "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "count": np.array(7),
        "none": np.empty((0, 3)),
        "flags": np.array([True, False]),
    }


def test_arrays_and_facts_come_back_as_written(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a", arrays(), FACTS)
    found, facts = read_sealed(tmp_path / "a")
    assert set(found) == set(arrays())
    for name, array in arrays().items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(found[name], array)
    assert list(facts["rows"][0]) == ["b", "a"] and math.isnan(facts["rows"][0]["a"])


def test_tensors_come_back_as_written(tmp_path: Path) -> None:
    import torch

    given = {
        "a": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "step": torch.tensor(3),
    }
    given["a"].requires_grad_()
    write_sealed(tmp_path / "a", given, FACTS, "pt")
    found, _ = read_sealed(tmp_path / "a", "pt")
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """The bytes of fitted factors that were written before must stay what they are."""
    for name in ("one", "two"):
        write_sealed(tmp_path / name, {"a": np.arange(3.0), "b": np.ones((2, 1), np.int32)}, '{"kind": "x"}')
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "90757752f1905247f5b57fcea41bf81f027ffdccbb11cd7df73ab78901f01bb0"


def content(change: str, whole: bytes) -> bytes:
    match change:
        case "values":
            return whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:]
        case "facts":
            return whole.replace(b"test", b"tess")
        case "name":
            return whole.replace(b'"plain"', b'"plane"')
        case "shape":
            return whole.replace(b'"shape":[2,3]', b'"shape":[3,2]')
        case "cut":
            return whole[:-10]
        case "pickle":
            return b"\x80\x04K\x01."
        case _:
            return b""


@pytest.mark.parametrize("change", ["values", "facts", "name", "shape", "cut", "pickle", "empty"])
def test_changed_cut_and_foreign_files_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a"
    write_sealed(path, arrays(), FACTS)
    whole = path.read_bytes()
    path.write_bytes(content(change, whole))
    assert path.read_bytes() != whole
    foreign = change in ("cut", "pickle", "empty")
    reason = "cut short or another kind of file: " if foreign else "changed or damaged"
    with pytest.raises(ValueError, match=reason) as refusal:
        read_sealed(path)
    assert "\n" not in str(refusal.value)


def test_files_without_the_seal_are_another_kind(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    for header in (None, {"radgen": "no JSON"}, {"radgen": '{"facts": "{}"}'}, {"radgen": "[]"}, {"facts": "{}"}):
        save_file({"a": np.zeros(2)}, tmp_path / "a", header)
        with pytest.raises(ValueError, match=r"another kind of file: ."):
            read_sealed(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "absent")


def test_a_disk_that_refuses_is_an_oserror_and_leaves_the_earlier_file(tmp_path: Path, monkeypatch) -> None:
    import safetensors.numpy

    write_sealed(tmp_path / "a", arrays(), FACTS)

    def full(*_: object) -> None:
        raise safetensors.SafetensorError("I/O error: no space")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="a: I/O error: no space"):
        write_sealed(tmp_path / "a", {}, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert set(read_sealed(tmp_path / "a")[0]) == set(arrays())


def test_a_digest_tells_type_shape_and_name_apart() -> None:
    given = [
        ("a", np.zeros((2, 3))),
        ("b", np.zeros((2, 3))),
        ("a", np.zeros((3, 2))),
        ("a", np.zeros((2, 3), np.int64)),
    ]
    found = set()
    for name, array in given:
        summary = hashlib.sha256()
        add_array(summary, name, array)
        found.add(summary.hexdigest())
    assert len(found) == len(given)


def test_arrays_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from radgen_lib.core.sealed import *; "
        f"p = {str(tmp_path / 'a')!r}; write_sealed(p, {{'a': np.ones(2)}}, '{{}}'); read_sealed(p); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
