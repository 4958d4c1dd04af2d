"""The table of `radgen sources`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radgen_lib.core.errors import DownloadError
from radgen_lib.sources.checksums import record_sum
from radgen_lib.sources.registry import Source, load_registry
from radgen_lib.sources.status import COLUMNS, check_address, locate, source_status

Make = Callable[..., Source]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def row(source: Source, folder: Path, **changes: Any) -> dict[str, Any]:
    options = {"downloads": folder / "data", "mirror": None, "check_network": False, **changes}
    table = source_status({source.name: source}, **options)
    assert tuple(table.columns) == COLUMNS and len(table) == 1
    return table.iloc[0].to_dict()


def test_nothing_is_there(make_source: Make, tmp_path: Path) -> None:
    found = row(make_source(), tmp_path)
    assert (found["where"], found["verified"], found["reachable"]) == ("none", "", "not checked")
    assert (found["sum"], found["licence"], found["bytes"]) == ("registry", "CC0", 300_800)
    assert not (tmp_path / "data").exists()


def test_downloads_come_before_weights_and_mirror(make_source: Make, tmp_path: Path, content: bytes) -> None:
    source, mirror, weights = make_source(), tmp_path / "mirror", tmp_path / "weights"
    places = {"downloads": tmp_path / "data", "mirror": mirror, "weights": weights}
    put(mirror / "somebody" / "file.bin", content)
    assert row(source, tmp_path, mirror=mirror)["where"] == "mirror"
    put(weights / "file.bin", content)
    assert locate(source, **places) == ("weights", weights / "file.bin")
    put(tmp_path / "data" / "thing" / "file.bin", content)
    found = row(source, tmp_path, mirror=mirror, weights=weights)
    assert (found["where"], found["verified"]) == ("downloads", "yes")


def test_wrong_file_is_told_and_left_alone(make_source: Make, tmp_path: Path) -> None:
    path = put(tmp_path / "data" / "thing" / "file.bin", b"wrong")
    found = row(make_source(), tmp_path)
    assert found["verified"].startswith("no: SHA-256 is ") and make_source().sha256 in found["verified"]
    assert path.read_bytes() == b"wrong"


def test_kinds_of_sums(make_source: Make, tmp_path: Path) -> None:
    unknown = make_source(sha256="unknown", bytes=None)
    assert row(unknown, tmp_path)["sum"] == "unknown"
    assert row(make_source(sha256="unknown", sha256_prefix="abcd"), tmp_path)["sum"] == "prefix"
    target = put(tmp_path / "data" / "thing" / "file.bin", b"some")
    record_sum(target, "0" * 64)
    found = row(unknown, tmp_path)
    assert found["sum"] == "recorded" and found["verified"].startswith("no: ")


def test_reachable(server: Any, answer: Any, make_source: Make, tmp_path: Path) -> None:
    assert row(make_source(url=server.url), tmp_path, check_network=True)["reachable"] == "yes"
    assert server.seen == [("HEAD", None)]
    server.script = [answer(404)]
    assert check_address(make_source(url=server.url)) == "no: HTTP 404"
    assert check_address(make_source(url=server.url, bytes=5)) == "no: 300800 bytes there, 5 expected"
    assert check_address(make_source(url=None, ask="Ask us")) == "no address"
    server.close()
    assert check_address(make_source(url=server.url)) == "no: ConnectionError"


def test_mirror_that_is_no_folder(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="is not a folder"):
        row(make_source(), tmp_path, mirror=tmp_path / "nowhere")


def test_shipped_registry_with_the_real_mirror(mirror: Path, tmp_path: Path) -> None:
    table = source_status(load_registry(), downloads=tmp_path, mirror=mirror, check_network=False).set_index("name")
    here = table[table["where"] == "mirror"]
    assert len(here) >= 40 and set(here["verified"]) == {"yes"}
    assert table.loc["vgg16", "sum"] == "prefix" and table["bytes"].isna().sum() == 5
