"""Packed arrays that grow, the store over shards, and keyed pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.cohort.ids import is_patient_id, patient_id
from radgen_lib.core.errors import DataError
from radgen_lib.imaging.mask_tables import mask_frame
from radgen_lib.imaging.pseudonyms import Names, Pseudonyms
from radgen_lib.imaging.store import MASK_TYPE, VOLUME_TYPE, ArrayWriter, VolumeStore

SHAPE = (2, 3, 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.sampled_from(["<f2", "u1", "<f4"]))
def test_a_growing_array_is_what_numpy_would_write(
    tmp_path_factory: pytest.TempPathFactory, count: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    values = (np.arange(count * 24) % 200).reshape(count, *SHAPE).astype(kind)
    writer = ArrayWriter(folder / "a.npy", SHAPE, np.dtype(kind))
    assert [writer.append(value) for value in values] == list(range(count))
    writer.close()
    np.save(folder / "b.npy", values)
    assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes()


def test_many_arrays_need_no_longer_header(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", (1,), MASK_TYPE)
    for k in range(12_345):
        writer.append(np.array([k % 256], dtype=np.uint8))
    writer.close()
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    np.testing.assert_array_equal(found[:, 0], np.arange(12_345) % 256)


def test_other_shapes_and_types_are_refused(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", SHAPE, VOLUME_TYPE)
    with pytest.raises(ValueError, match="need"):
        writer.append(np.zeros((2, 3, 5), dtype=np.float16))
    with pytest.raises(ValueError, match="need"):
        writer.append(np.zeros(SHAPE, dtype=np.float32))
    writer.close()
    assert np.load(tmp_path / "a.npy").shape == (0, *SHAPE)


def write_shard(folder: Path, name: str, volumes: list[str], masks: list[str]) -> None:
    """A shard whose volume k of all holds k + 1 + place; a phase that is not kept stands in between."""
    shard = folder / name
    shard.mkdir(parents=True)
    first = sum(map(ord, name))
    np.save(shard / "volumes.npy", np.stack([np.full(SHAPE, first + k, np.float16) for k in range(len(volumes))])
            if volumes else np.zeros((0, *SHAPE), np.float16))  # fmt: skip
    rows = [{"volume": v, "row": k, "scale": 2.0, "kept": True} for k, v in enumerate(volumes)]
    rows.insert(1 if rows else 0, {"volume": "x/1/other", "row": -1, "scale": np.nan, "kept": False})
    pd.DataFrame(rows).to_parquet(shard / "phases.parquet")
    arrays = np.zeros((len(masks), *SHAPE), np.uint8)
    for k in range(len(masks)):
        arrays[k, 0, 0, k] = 1
    np.save(shard / "masks.npy", arrays)
    blank = {"patient": "p", "study": "s", "source": "SEG", "label": "a", "voxels": 1, "volume_mm3": 1.0, "series": ""}
    mask_frame({**blank, "volume": v, "row": k, "kept": True, "reason": ""} for k, v in enumerate(masks)).to_parquet(
        shard / "masks.parquet"
    )


def test_the_store_is_one_index_over_shards_in_order_of_number(tmp_path: Path) -> None:
    write_shard(tmp_path, "shard-10", ["c/1/pre"], [])
    write_shard(tmp_path, "shard-2", ["a/1/pre", "b/1/pre"], ["b/1/pre", "b/1/pre"])
    write_shard(tmp_path, "shard-1", [], [])
    store = VolumeStore(tmp_path)
    assert len(store) == 3
    assert list(store.index["volume"]) == ["a/1/pre", "b/1/pre", "c/1/pre"]
    assert list(store.index["shard"]) == ["shard-2", "shard-2", "shard-10"]
    second = sum(map(ord, "shard-2")) + 1
    values = store.volume(1)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.full(SHAPE, second))
    union = store.mask_of("b/1/pre")
    assert union is not None
    assert union.dtype == bool
    assert union.sum() == 2
    assert store.mask_of("a/1/pre") is None
    with pytest.raises(KeyError):
        store.volume(3)


def test_volumes_of_the_store_are_copies_and_the_file_stays(tmp_path: Path) -> None:
    write_shard(tmp_path, "shard-0", ["a/1/pre"], [])
    store = VolumeStore(tmp_path)
    before = (tmp_path / "shard-0/volumes.npy").read_bytes()
    store.volume(0)[:] = -1
    assert store.volume(0).min() > 0
    assert (tmp_path / "shard-0/volumes.npy").read_bytes() == before


def test_a_store_without_shards_or_with_torn_ones_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no shard"):
        VolumeStore(tmp_path)
    write_shard(tmp_path, "shard-0", ["a/1/pre", "b/1/pre"], [])
    np.save(tmp_path / "shard-0/volumes.npy", np.zeros((1, *SHAPE), np.float16))
    with pytest.raises(DataError, match=r"holds 1 arrays but phases.parquet keeps 2"):
        VolumeStore(tmp_path)
    (tmp_path / "shard-0/volumes.npy").write_bytes(b"half of a file")
    with pytest.raises(DataError, match="is not a NumPy file"):
        VolumeStore(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_pseudonyms_are_the_keyed_hash_and_stay_the_same(tmp_path: Path) -> None:
    names = Pseudonyms(tmp_path)
    key = (tmp_path / "pseudonyms/key").read_bytes()
    mark = hmac.new(key, b"patient\x1fTCGA-AO-A03M", hashlib.sha256).hexdigest()
    assert names.of("patient", "TCGA-AO-A03M") == f"P-{mark[:12]}"
    assert Pseudonyms(tmp_path).of("patient", "TCGA-AO-A03M") == names.of("patient", "TCGA-AO-A03M")
    assert is_patient_id(names.of("patient", "any name at all"))
    assert patient_id(names.of("patient", "x")) == names.of("patient", "x")
    assert names.of("study", "1.2.3") != names.of("series", "1.2.3")[:1]
    assert len({names.of("series", f"1.2.{k}") for k in range(500)}) == 500
    assert names.of("study", "") == ""
    with pytest.raises(KeyError):
        names.of("hospital", "x")


def test_another_key_gives_other_pseudonyms(tmp_path: Path) -> None:
    one, other = (Pseudonyms(tmp_path / name).of("patient", "a") for name in ("one", "other"))
    assert one != other


def test_key_and_links_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        names = Pseudonyms(tmp_path)
        names.of("patient", "b")
        names.of("patient", "a")
        names.of("study", "1.2")
        names.write_links("shard-3")
    finally:
        os.umask(before)
    folder = tmp_path / "pseudonyms"
    assert mode(folder) == 0o700
    assert mode(folder / "key") == mode(folder / "links-shard-3.parquet") == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["key", "links-shard-3.parquet"]
    links = pd.read_parquet(folder / "links-shard-3.parquet")
    assert {"a", "b", "1.2"} == set(links["identifier"])
    assert set(links["pseudonym"]) == {names.of("patient", "a"), names.of("patient", "b"), names.of("study", "1.2")}


def test_shards_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        marks = list(pool.map(lambda _: Pseudonyms(tmp_path).of("patient", "a"), range(16)))
    assert len(set(marks)) == 1
    assert [path.name for path in (tmp_path / "pseudonyms").iterdir()] == ["key"]


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pseudonyms").mkdir()
    (tmp_path / "pseudonyms/key").write_bytes(b"short")
    with pytest.raises(DataError, match="key has 5 bytes, not 32"):
        Pseudonyms(tmp_path)
    assert (tmp_path / "pseudonyms/key").read_bytes() == b"short"


def test_names_are_given_keyed_or_left(tmp_path: Path) -> None:
    keyed = Pseudonyms(tmp_path)
    plain, given_, both = Names(None, None), Names({"a": "Q-1"}, None), Names({"a": "Q-1"}, keyed)
    assert (plain.patient("TCGA-AO-A03M"), plain.study("1.2"), plain.hidden) == ("TCGA-AO-A03M", "1.2", False)
    assert (given_.patient("a"), given_.series("1.2"), given_.hidden) == ("Q-1", "1.2", True)
    assert both.patient("a") == "Q-1"
    assert both.column("series", ["1.2", "1.3"]) == [keyed.of("series", "1.2"), keyed.of("series", "1.3")]
    with pytest.raises(DataError, match="a patient has no name"):
        given_.patient("b")
    with pytest.raises(DataError, match="no file name should have") as caught:
        plain.patient("Doe^Jane/../x")
    assert "Doe" not in str(caught.value)
