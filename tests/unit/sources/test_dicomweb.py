"""DICOMweb: against a real Orthanc server, and against one that falters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
import requests
from pydicom.uid import RLELossless

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.sources import dicomweb
from radgen_lib.sources.ledger import listing_frame
from tests.unit.sources.orthanc import orthanc, orthanc_missing
from tests.unit.sources.small_dicom import make_instance, uid, write_series
from tests.unit.sources.web import Answer, LocalServer


@pytest.fixture(scope="module")
def pacs(no_proxy: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that holds two patients, an MR, a compressed MR, a SEG and a CT series."""
    reason = orthanc_missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("orthanc")
    paths = write_series(folder / "a", "P-1", (1, 1), 3)
    paths += write_series(folder / "c", "P-1", (1, 3), 1, Modality="SEG", SeriesDescription="tumour")
    paths += write_series(folder / "d", "P-2", (2, 1), 2, Modality="CT")
    for number in (1, 2):
        instance = make_instance("P-2", (2, 2), number)
        instance.compress(RLELossless)
        paths.append(folder / f"j{number}.dcm")
        instance.save_as(paths[-1], enforce_file_format=True)
    with orthanc(folder) as url:
        for path in paths:
            requests.post(f"{url}/instances", data=path.read_bytes(), timeout=20).raise_for_status()
        yield f"{url}/dicom-web"


def at(location: str | None, **changes: Any) -> Imaging:
    return Imaging(source="dicomweb", location=location, **changes)


def test_search_finds_mr_and_masks_with_their_counts(pacs: str) -> None:
    table = dicomweb.list_series(at(pacs))
    assert table[["patient", "series", "modality", "n_files"]].to_numpy().tolist() == [
        ["P-1", uid(1, 1), "MR", 3], ["P-1", uid(1, 3), "SEG", 1], ["P-2", uid(2, 2), "MR", 2],
    ]  # fmt: skip
    assert list(table["study"]) == [uid(1), uid(1), uid(2)] and not table["status"].any()
    assert set(table["manufacturer"]) == {"GE MEDICAL SYSTEMS"} and table["description"][1] == "tumour"
    one = dicomweb.list_series(at(pacs, patients=["P-2"]))
    assert list(one["series"]) == [uid(2, 2)] and dicomweb.list_series(at(pacs, patients=["nobody"])).empty


def test_series_come_as_they_are_stored(pacs: str, tmp_path: Path) -> None:
    table = dicomweb.list_series(at(pacs))
    ledger = dicomweb.fetch_series(table, tmp_path, at(pacs), jobs=2, offline=False)
    assert list(ledger["status"]) == ["ok"] * 3 and list(ledger["n_files"]) == [3, 1, 2]
    assert set(ledger["reason"]) == {"whole by number of files; the source states no size"}
    got = sorted((tmp_path / ledger["folder"][0]).glob("*.dcm"))
    read = {int(found.InstanceNumber): found for found in map(pydicom.dcmread, got)}
    for number in (1, 2, 3):
        want = make_instance("P-1", (1, 1), number)
        assert read[number].PixelData == want.PixelData and read[number].SOPInstanceUID == want.SOPInstanceUID
    compressed = pydicom.dcmread(next((tmp_path / ledger["folder"][2]).glob("*.dcm")))
    assert compressed.file_meta.TransferSyntaxUID == RLELossless
    number = int(compressed.InstanceNumber)
    assert compressed.pixel_array.tobytes() == make_instance("P-2", (2, 2), number).PixelData
    again = dicomweb.fetch_series(table, tmp_path, at(pacs), jobs=1, offline=True)
    pd.testing.assert_frame_equal(again, ledger)


def test_series_that_the_server_lost_is_a_row(pacs: str, tmp_path: Path) -> None:
    table = dicomweb.list_series(at(pacs))
    table.loc[0, "series"] = uid(9, 9)
    ledger = dicomweb.fetch_series(table, tmp_path, at(pacs), jobs=1, offline=False, retries=1, backoff=0.0)
    assert sorted(ledger["status"]) == ["missing", "ok", "ok"]
    assert ledger.loc[ledger["series"] == uid(9, 9), "reason"].item() in ("HTTP 404", "no file (2 attempts)")


def test_identifiers_reach_no_log(pacs: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        table = dicomweb.list_series(at(pacs, patients=["P-1"]))
        dicomweb.fetch_series(table, tmp_path, at(pacs), jobs=2, offline=False)
    assert "series from dicomweb: 2 whole" in caplog.text
    assert "P-1" not in caplog.text and uid(1) not in caplog.text


class Faulty(LocalServer):
    """Gives its scripted answers, the last of them again and again."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.seen: list[str] = []
        super().__init__("dicom-web")

    def answer(self, path: str) -> Answer:
        self.seen.append(path)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@pytest.fixture
def faulty(no_proxy: None) -> Iterator[Faulty]:
    served = Faulty()
    yield served
    served.close()


def search_answer(**without: str) -> bytes:
    values = {"00100020": "P-1", "0020000D": "1.2", "0020000E": "1.2.3", "00080060": "MR", "00201209": 2}
    vrs = {"00100020": "LO", "0020000D": "UI", "0020000E": "UI", "00080060": "CS", "00201209": "IS"}
    kept = {tag: {"vr": vrs[tag], "Value": [value]} for tag, value in values.items() if tag not in without}
    return json.dumps([kept]).encode()


def dicom_answer(count: int, tmp_path: Path) -> Answer:
    parts = [path.read_bytes() for path in write_series(tmp_path / "made", "P-1", (1, 1), count)]
    head = b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + part + b"\r\n" for part in parts) + b"--XX--"
    return 200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=XX'}, body


def row() -> pd.DataFrame:
    name = {"patient": "P-1", "study": uid(1), "series": uid(1, 1), "modality": "MR", "n_files": 2}
    return listing_frame([name])


def fetch(faulty: Faulty, root: Path, **changes: Any) -> pd.DataFrame:
    options = {"jobs": 1, "offline": False, "retries": 2, "backoff": 0.0, **changes}
    return dicomweb.fetch_series(row(), root, at(faulty.url), **options)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_search_is_tried_again(faulty: Faulty, status: int) -> None:
    json_type = {"Content-Type": "application/dicom+json"}
    fault = (status, {"Retry-After": "0"}, b"")
    faulty.script = [fault, fault, (200, json_type, search_answer()), (200, json_type, b"[]")]
    table = dicomweb.list_series(at(faulty.url), retries=3, backoff=0.0)
    assert table.loc[0, ["patient", "series", "n_files"]].to_list() == ["P-1", "1.2.3", 2]
    assert "Modality=MR" in faulty.seen[0] or "00080060=MR" in faulty.seen[0]


def test_series_without_identifiers_is_a_row(faulty: Faulty, tmp_path: Path) -> None:
    json_type = {"Content-Type": "application/dicom+json"}
    faulty.script = [(200, json_type, search_answer(**{"00100020": ""})), (200, json_type, b"[]")]
    table = dicomweb.list_series(at(faulty.url), backoff=0.0)
    assert list(table["status"]) == ["failed"]
    ledger = dicomweb.fetch_series(table, tmp_path, at(faulty.url), jobs=1, offline=False)
    assert list(ledger["reason"]) == ["the server lists it without identifiers"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [((500, {}, b""), "HTTP 500"), ((404, {}, b""), "HTTP 404"),
     ((200, {"Content-Type": "application/dicom+json"}, b"<html>"), "no DICOM JSON")],
)  # fmt: skip
def test_search_that_fails_is_one_line(faulty: Faulty, answer: Any, problem: str) -> None:
    faulty.script = [answer]
    with pytest.raises(DownloadError, match=problem):
        dicomweb.list_series(at(faulty.url), retries=1, backoff=0.0)


def test_addresses_that_are_none() -> None:
    with pytest.raises(ConfigError, match="needs the server's address"):
        dicomweb.list_series(at(None))
    with pytest.raises(ConfigError, match="is no address"):
        dicomweb.list_series(at("nowhere"))


def test_retrieval_is_tried_again(faulty: Faulty, tmp_path: Path) -> None:
    whole = dicom_answer(2, tmp_path)
    cut = (200, {**whole[1], "Content-Length": str(len(whole[2]))}, whole[2][:700])
    faulty.script = [(503, {"Retry-After": "0"}, b""), cut, dicom_answer(1, tmp_path), whole]
    ledger = fetch(faulty, tmp_path)
    assert list(ledger["status"]) == ["ok"] and len(faulty.seen) == 4
    assert len(list((tmp_path / ledger["folder"][0]).glob("*.dcm"))) == 2


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [((500, {}, b""), "failed", "HTTP 500 (3 attempts)"), ((404, {}, b""), "missing", "HTTP 404"),
     ((200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=XX'}, b"--XX\r\nContent-Type: "
       b"application/dicom\r\n\r\nrubbish\r\n--XX--"), "failed", "the answer is no whole DICOM")],
)  # fmt: skip
def test_retrieval_that_fails_is_a_row(faulty: Faulty, tmp_path: Path, answer: Any, status: str, reason: str) -> None:
    faulty.script = [answer]
    ledger = fetch(faulty, tmp_path)
    assert list(ledger["status"]) == [status] and ledger["reason"][0].startswith(reason)
    assert not [path for path in tmp_path.rglob("*.dcm") if "made" not in path.parts]


def test_offline_asks_nobody(faulty: Faulty, tmp_path: Path) -> None:
    assert list(fetch(faulty, tmp_path, offline=True)["status"]) == ["missing"] and not faulty.seen
