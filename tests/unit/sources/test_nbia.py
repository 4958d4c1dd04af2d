"""NBIA's REST service, played by a server on this machine that falters as real ones do."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources import http_retry, nbia
from tests.unit.sources.web import Answer, LocalServer

FILES = {"1-1.dcm": b"one" * 50, "1-2.dcm": b"two" * 50, "LICENSE": b"CC BY 3.0"}


def zipped(files: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return body.getvalue()


class Nbia(LocalServer):
    """``script[end point]`` holds the next answers; afterwards ``bodies`` are served."""

    def __init__(self) -> None:
        self.script: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, dict[str, list[str]]]] = []
        listed = [
            {"PatientID": f"TCGA-AO-000{i}", "StudyInstanceUID": f"1.{i}", "SeriesInstanceUID": f"1.{i}.1",
             "Modality": "MR", "SeriesDescription": "SAG 3D (POST-CONTRAST)", "Manufacturer": "GE MEDICAL SYSTEMS",
             "ImageCount": 2} for i in range(3)
        ]  # fmt: skip
        collections = json.dumps([{"Collection": "TCGA-BRCA"}, {"Collection": "Duke-Breast-Cancer-MRI"}])
        self.bodies = {
            "getCollectionValues": collections.encode(), "getSeries": json.dumps(listed).encode(),
            "getImage": zipped(FILES),
        }  # fmt: skip
        super().__init__("nbia-api/services/v1")

    def answer(self, path: str) -> Answer:
        parts = urlsplit(path)
        name, query = parts.path.rsplit("/", 1)[-1], parse_qs(parts.query)
        self.seen.append((name, query))
        script = self.script.get(name) or self.script.get(query.get("SeriesInstanceUID", [""])[0])
        return script.pop(0) if script else (200, {}, self.bodies[name])

    def count(self, name: str) -> int:
        return sum(seen == name for seen, _ in self.seen)


@pytest.fixture
def server(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nbia]:
    real = http_retry.web_session

    def quick(retries: int = 2, backoff: float = 0.0, connections: int = 4) -> Any:
        return real(retries, backoff, connections)

    monkeypatch.setattr(nbia, "web_session", quick)
    served = Nbia()
    yield served
    served.close()


def imaging(server: Nbia, collection: str | None = "tcga_brca") -> Imaging:
    return Imaging(source="nbia", collection=collection, endpoint=server.url)


def fetch(server: Nbia, root: Path, **changes: Any) -> pd.DataFrame:
    listed = nbia.list_series(imaging(server))
    options = {"jobs": 2, "offline": False, "backoff": 0.0, "retries": 2, **changes}
    return nbia.fetch_series(listed, root, imaging(server), **options)


def test_series_are_listed_by_either_spelling_of_the_collection(server: Nbia) -> None:
    table = nbia.list_series(imaging(server))
    assert list(table["patient"]) == ["TCGA-AO-0000", "TCGA-AO-0001", "TCGA-AO-0002"]
    assert list(table["n_files"]) == [2, 2, 2] and set(table["bytes"]) == {-1}
    assert server.seen[-1] == ("getSeries", {"Collection": ["TCGA-BRCA"], "Modality": ["MR"], "format": ["json"]})
    pd.testing.assert_frame_equal(nbia.list_series(imaging(server, "TCGA-BRCA")), table)


def test_sizes_gate_where_the_service_states_them(server: Nbia, tmp_path: Path) -> None:
    size = sum(len(body) for name, body in FILES.items() if name.endswith(".dcm"))
    listed = json.loads(server.bodies["getSeries"])
    for row, stated in zip(listed, (size, str(size + 8), None), strict=True):
        row["FileSize"] = stated
    server.bodies["getSeries"] = json.dumps(listed).encode()
    assert list(nbia.list_series(imaging(server))["bytes"]) == [size, size + 8, -1]
    ledger = fetch(server, tmp_path)
    assert list(ledger["status"]) == ["ok", "incomplete", "ok"]
    assert list(ledger["reason"]) == [
        "", f"{size} bytes in 2 files, {size + 8} expected (3 attempts)",
        "whole by number of files; the source states no size",
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "expected"), [(None, -1), (0, -1), ("2", 2)])
def test_counts_that_are_not_stated_are_told(server: Nbia, tmp_path: Path, count: Any, expected: int) -> None:
    listed = json.loads(server.bodies["getSeries"])[:1]
    listed[0]["ImageCount"] = count
    server.bodies["getSeries"] = json.dumps(listed).encode()
    ledger = fetch(server, tmp_path)
    assert ledger[["status", "expected_files"]].to_numpy().tolist() == [["ok", expected]]
    assert ledger["reason"][0].startswith("whole by number" if expected == 2 else "not compared; the source states nei")


def test_impossible_collections(server: Nbia) -> None:
    with pytest.raises(ConfigError, match="not one of NBIA's 2 collections"):
        nbia.list_series(imaging(server, "nobody"))
    with pytest.raises(ConfigError, match="needs a collection"):
        nbia.list_series(imaging(server, None))


def test_series_arrive_unpacked_and_are_kept(server: Nbia, tmp_path: Path) -> None:
    ledger = fetch(server, tmp_path)
    assert list(ledger["status"]) == ["ok"] * 3 and list(ledger["n_files"]) == [2] * 3
    folder = tmp_path / ledger["folder"][0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "000001.dcm": FILES["1-1.dcm"], "000002.dcm": FILES["1-2.dcm"],
    }  # fmt: skip
    pd.testing.assert_frame_equal(fetch(server, tmp_path), ledger)
    assert server.count("getImage") == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_answers_are_asked_again(server: Nbia, tmp_path: Path, status: int) -> None:
    fault: Answer = (status, {"Retry-After": "0"}, b"")
    server.script = {"getSeries": [fault], "getCollectionValues": [fault], "1.1.1": [fault] * 2}
    assert list(fetch(server, tmp_path)["status"]) == ["ok"] * 3
    assert server.count("getSeries") == 2 and server.count("getImage") == 5


def test_retry_after_is_obeyed(server: Nbia, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    server.script = {"getSeries": [(429, {"Retry-After": "7"}, b""), (503, {"Retry-After": "86400"}, b"")]}
    nbia.list_series(imaging(server))
    assert waits == [7, http_retry.LONGEST_WAIT]


def test_half_a_body_is_asked_again(server: Nbia, tmp_path: Path) -> None:
    listed, body = server.bodies["getSeries"], server.bodies["getImage"]
    server.script = {
        "getSeries": [(200, {"Content-Length": str(len(listed))}, listed[:40])],
        "1.1.1": [(200, {"Content-Length": str(len(body))}, body[:90])],
        "1.2.1": [(200, {}, body[:90])],
    }
    assert list(fetch(server, tmp_path)["status"]) == ["ok"] * 3
    assert server.count("getSeries") == 2 and server.count("getImage") == 5


def test_faults_that_stay_are_rows(server: Nbia, tmp_path: Path) -> None:
    server.script = {
        "1.0.1": [(500, {}, b"")] * 99, "1.1.1": [(404, {}, b"")] * 99,
        "1.2.1": [(200, {"Content-Length": "900"}, b"PK")] * 99,
    }  # fmt: skip
    ledger = fetch(server, tmp_path)
    assert list(ledger["status"]) == ["failed", "missing", "failed"]
    assert list(ledger["reason"]) == [
        "HTTP 500 (3 attempts)", "HTTP 404", "the connection ended within the body (3 attempts)",
    ]  # fmt: skip
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../escaped.dcm", "/tmp/escaped.dcm", "a/../../escaped.dcm"])
def test_archive_with_a_path_outside_is_refused_once(server: Nbia, tmp_path: Path, name: str) -> None:
    server.script = {"1.1.1": [(200, {}, zipped({name: b"x", "1-2.dcm": b"y"}))]}
    ledger = fetch(server, tmp_path / "data")
    assert list(ledger["status"]) == ["ok", "failed", "ok"] and server.count("getImage") == 3
    assert ledger["reason"][1].startswith("archive, row ") and str(tmp_path) not in ledger["reason"][1]
    assert not list(tmp_path.rglob("escaped.dcm")) and not Path("/tmp/escaped.dcm").exists()


def test_missing_images_make_the_series_incomplete(server: Nbia, tmp_path: Path) -> None:
    server.script = {"1.1.1": [(200, {}, zipped({"1-1.dcm": b"x"}))] * 3}
    ledger = fetch(server, tmp_path)
    assert list(ledger["status"]) == ["ok", "incomplete", "ok"]
    assert ledger["reason"][1] == "1 files, 2 expected (3 attempts)"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [((200, {}, b"<html>"), "no JSON"), ((200, {}, b'{"a": 1}'), "no list"), ((200, {}, b"[1]"), "no list"),
     ((403, {}, b""), "HTTP 403"), ((200, {}, b'[{"Modality": "MR"}]'), "a series without PatientID"),
     ((200, {}, b'[{"PatientID": "P", "StudyInstanceUID": "1", "SeriesInstanceUID": "1.2", "ImageCount": "two"}]'),
      "ImageCount of a series is no number")],
)  # fmt: skip
def test_answers_of_another_form(server: Nbia, answer: Answer, problem: str) -> None:
    server.script = {"getSeries": [answer]}
    with pytest.raises(DownloadError, match=problem):
        nbia.list_series(imaging(server))


def test_empty_answer_is_an_empty_list(server: Nbia) -> None:
    server.script = {"getSeries": [(200, {}, b"")]}
    assert nbia.list_series(imaging(server)).empty


def test_nobody_listens(server: Nbia, unused: Callable[[], int]) -> None:
    nobody = Imaging(source="nbia", collection="tcga_brca", endpoint=f"http://127.0.0.1:{unused()}")
    with pytest.raises(DownloadError, match="no connection"):
        nbia.list_series(nobody)


def test_answers_that_always_end_early(server: Nbia) -> None:
    server.script = {"getSeries": [(200, {"Content-Length": "99"}, b"[")] * 9}
    with pytest.raises(DownloadError, match="ended early 3 times"):
        nbia.list_series(imaging(server))


def test_transfer_ends_when_asked(server: Nbia, tmp_path: Path) -> None:
    flag = StopFlag()
    flag.request()
    http_retry.get_file(nbia.web_session(), f"{server.url}/getImage", {}, tmp_path / "a.zip", flag)
    assert (tmp_path / "a.zip").read_bytes() == b""


@pytest.fixture
def unused() -> Callable[[], int]:
    """A port on which nothing listens."""
    import socket

    def port() -> int:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return int(taken.getsockname()[1])

    return port
