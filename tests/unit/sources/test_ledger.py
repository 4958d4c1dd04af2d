"""The ledger and the store of series: resumable, whole or absent, every loss a row."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.errors import DownloadError, StopRequested, data_error
from radgen_lib.sources import series_store
from radgen_lib.sources.ledger import (
    LEDGER_COLUMNS,
    check_store,
    folder_sha256,
    ledger_frame,
    listing_frame,
    series_folder,
    shard_of,
    shortfall,
    stored_series,
    with_unstated,
)
from radgen_lib.sources.series_store import SeriesFault, fill_store

BODY = b"0123456789"


def listing(count: int = 4, **changes: Any) -> pd.DataFrame:
    names = [{"patient": f"P{i}", "study": "1.2", "series": f"1.2.{i}"} for i in range(count)]
    return listing_frame({"n_files": 2, "bytes": 20, **name, **changes} for name in names)


class Fetch:
    """Writes two files of ten bytes; ``faults`` raises for a series, as often as there are faults."""

    def __init__(self, faults: dict[str, list[BaseException]] | None = None, files: int = 2) -> None:
        self.faults, self.files, self.calls = faults or {}, files, Counter[str]()

    def __call__(self, row: Any, folder: Path, stop: Any) -> None:
        self.calls[row["series"]] += 1
        (folder / "0.dcm").write_bytes(BODY)
        if self.faults.get(row["series"]):
            raise self.faults[row["series"]].pop(0)
        for number in range(1, self.files):
            (folder / f"{number}.dcm").write_bytes(BODY)


def fill(rows: pd.DataFrame, root: Path, fetch: Any, **changes: Any) -> pd.DataFrame:
    return fill_store(rows, root, fetch, **{"origin": "idc", "jobs": 2, "offline": False, "backoff": 0.0, **changes})


def files_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@given(st.text(), st.integers(1, 50))
def test_every_patient_is_in_exactly_one_shard(patient: str, shards: int) -> None:
    assert 0 <= shard_of(patient, shards) < shards and shard_of(patient, 1) == 0


def test_shards_of_known_patients_do_not_move() -> None:
    assert [shard_of(name, 8) for name in ("TCGA-AO-A03M", "Breast_MRI_001", "PHAN-S1-0007")] == [0, 6, 0]
    sizes = Counter(shard_of(f"Breast_MRI_{i:03d}", 4) for i in range(922))
    assert min(sizes.values()) > 180


def test_ledger_is_sorted_and_typed_whatever_came_first() -> None:
    rows = [dict.fromkeys(LEDGER_COLUMNS, "") | {"patient": name, "n_files": 1, "bytes": 2, "expected_files": -1,
            "expected_bytes": -1} for name in ("b", "a")]  # fmt: skip
    table = ledger_frame(rows)
    assert list(table["patient"]) == ["a", "b"] and table["bytes"].dtype == "int64"
    pd.testing.assert_frame_equal(table, ledger_frame(rows[::-1]))
    assert list(ledger_frame([]).columns) == list(LEDGER_COLUMNS)


@given(st.text(min_size=1))
def test_folder_of_a_series_never_leaves_the_store(patient: str) -> None:
    parts = series_folder(patient, "1.2", "1.2.3").split("/")
    assert len(parts) == 4 and parts[0] == "dicom" and parts[1] not in ("", ".", "..")
    assert "\x00" not in parts[1] and "\\" not in parts[1]


def test_folder_names() -> None:
    assert series_folder("TCGA-AO-A03M", "1.2", "1.3") == "dicom/TCGA-AO-A03M/1.2/1.3"
    assert series_folder("../a b", "1.2", "1.3") != series_folder("../a c", "1.2", "1.3")


@pytest.mark.parametrize(
    ("found", "expected", "reason"),
    [((2, 20), (2, 20), ""), ((2, 20), (-1, -1), ""), ((1, 20), (2, 20), "1 files, 2 expected"),
     ((2, 19), (2, 20), "19 bytes in 2 files, 20 expected"), ((0, 0), (-1, -1), "no file")],
)  # fmt: skip
def test_shortfall(found: tuple[int, int], expected: tuple[int, int], reason: str) -> None:
    assert shortfall(*found, *expected) == reason


def test_series_arrive_whole_and_are_not_fetched_again(tmp_path: Path) -> None:
    fetch = Fetch()
    first = fill(listing(), tmp_path, fetch)
    assert (
        list(first["status"]) == ["ok"] * 4 and list(first["n_files"]) == [2] * 4 and list(first["bytes"]) == [20] * 4
    )
    assert (tmp_path / first["folder"][0] / "1.dcm").read_bytes() == BODY
    assert first["sha256"][0] == folder_sha256(tmp_path / first["folder"][0])
    again = fill(listing(), tmp_path, fetch, jobs=1)
    assert set(fetch.calls.values()) == {1}
    pd.testing.assert_frame_equal(first, again)
    offline = fill(listing(), tmp_path, Fetch({"1.2.1": [AssertionError()]}), offline=True)
    pd.testing.assert_frame_equal(first, offline)


def test_a_lost_file_is_noticed_and_fetched_again(tmp_path: Path) -> None:
    ledger = fill(listing(), tmp_path, Fetch())
    (tmp_path / ledger["folder"][1] / "0.dcm").unlink()
    (tmp_path / ledger["folder"][2] / "0.dcm").write_bytes(b"x")
    for path in (tmp_path / ledger["folder"][3]).iterdir():
        path.unlink()
    checked = check_store(ledger, tmp_path)
    assert list(checked["status"]) == ["ok", "incomplete", "incomplete", "missing"]
    assert checked["reason"][1] == "the store lost it: 1 files, 2 expected" and checked["sha256"][1] == ""
    assert "11 bytes" in checked["reason"][2]
    offline = fill(listing(), tmp_path, Fetch(), offline=True)
    assert list(offline["status"]) == ["ok", "incomplete", "incomplete", "missing"]
    assert offline["reason"][1] == "offline, and the store holds 1 files, 2 expected"
    pd.testing.assert_frame_equal(fill(listing(), tmp_path, Fetch()), ledger)
    pd.testing.assert_frame_equal(check_store(ledger, tmp_path), ledger)


def test_offline_without_a_store(tmp_path: Path) -> None:
    fetch = Fetch()
    ledger = fill(listing(), tmp_path, fetch, offline=True)
    assert set(ledger["status"]) == {"missing"} and all(ledger["reason"].str.startswith("offline"))
    assert not fetch.calls and not files_below(tmp_path)


def test_faults_are_rows_and_the_others_go_on(tmp_path: Path) -> None:
    zip_fault = data_error(tmp_path / "dicom" / "P3" / "x" / "a.zip", "is half", "Again")
    faults: dict[str, list[BaseException]] = {
        "1.2.0": [SeriesFault("missing", "NoSuchKey")], "1.2.1": [SeriesFault("failed", "HTTP 500", passing=True)] * 9,
        "1.2.2": [SeriesFault("failed", "HTTP 500", passing=True)] * 2, "1.2.3": [zip_fault],
    }  # fmt: skip
    fetch = Fetch(faults)
    ledger = fill(listing(5), tmp_path, fetch)
    assert list(ledger["status"]) == ["missing", "failed", "ok", "failed", "ok"]
    assert list(ledger["reason"]) == ["NoSuchKey", "HTTP 500 (4 attempts)", "", "a.zip: is half. Again", ""]
    assert [fetch.calls[f"1.2.{i}"] for i in range(5)] == [1, 4, 3, 1, 1]
    assert len(files_below(tmp_path)) == 4 and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(("files", "status"), [(1, "incomplete"), (3, "incomplete")])
def test_wrong_counts_do_not_reach_the_store(tmp_path: Path, files: int, status: str) -> None:
    ledger = fill(listing(1), tmp_path, Fetch(files=files), retries=1)
    assert ledger.loc[0, ["status", "n_files", "expected_files"]].to_list() == [status, files, 2]
    assert ledger["reason"][0] == f"{files} files, 2 expected (2 attempts)" and not files_below(tmp_path)


def test_series_listed_twice_is_fetched_once(tmp_path: Path) -> None:
    fetch = Fetch()
    ledger = fill(pd.concat([listing(2), listing(2)]), tmp_path, fetch)
    assert len(ledger) == 2 and set(fetch.calls.values()) == {1}
    lost = listing_frame([{"status": "failed", "reason": reason} for reason in "ab"])
    assert list(fill(lost, tmp_path, fetch)["reason"]) == ["a", "b"]


def test_rows_that_are_lost_already_are_not_fetched(tmp_path: Path) -> None:
    fetch = Fetch()
    ledger = fill(listing(1, status="missing", reason="not listed"), tmp_path, fetch)
    assert (ledger["status"][0], ledger["reason"][0]) == ("missing", "not listed") and not fetch.calls


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    stale = tmp_path / "dicom" / "P0" / "1.2" / ".1.2.0.abc.part"
    stale.mkdir(parents=True)
    (stale / "half.dcm").write_bytes(b"?")
    fill(listing(1), tmp_path, Fetch())
    assert files_below(tmp_path) == ["dicom/P0/1.2/1.2.0/0.dcm", "dicom/P0/1.2/1.2.0/1.dcm"]


def test_full_disk_stops_with_one_line(tmp_path: Path) -> None:
    fetch = Fetch({"1.2.0": [OSError(errno.ENOSPC, "No space left on device")]})
    with pytest.raises(DownloadError, match="the disk is full"):
        fill(listing(), tmp_path, fetch, jobs=1)


def test_unwritable_series_is_a_row_without_a_path(tmp_path: Path) -> None:
    fetch = Fetch({"1.2.0": [OSError(errno.EACCES, "Permission denied", str(tmp_path))]})
    ledger = fill(listing(2), tmp_path, fetch)
    assert list(ledger["status"]) == ["failed", "ok"]
    assert ledger["reason"][0] == "cannot be written: Permission denied"


def test_programming_errors_are_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fill(listing(), tmp_path, Fetch({"1.2.1": [ZeroDivisionError()]}))


def test_sigterm_stops_and_the_next_start_goes_on(tmp_path: Path) -> None:
    begun = threading.Event()

    class Slow(Fetch):
        def __call__(self, row: Any, folder: Path, stop: Any) -> None:
            super().__call__(row, folder, stop)
            if row["series"] != "1.2.0":
                begun.set()
                while not stop:
                    time.sleep(0.005)

    threading.Thread(target=lambda: (begun.wait(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
    with pytest.raises(StopRequested, match="stopped after 1 of 4 series"):
        fill(listing(), tmp_path, Slow(), jobs=1)
    assert len(files_below(tmp_path)) == 2 and not list(tmp_path.rglob("*.part"))
    fetch = Fetch()
    assert set(fill(listing(), tmp_path, fetch)["status"]) == {"ok"} and fetch.calls["1.2.0"] == 0


def test_waits_grow_up_to_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(series_store._Worker, "_wait", lambda self, seconds: waits.append(seconds))
    fill(listing(1), tmp_path, Fetch({"1.2.0": [SeriesFault("failed", "x", passing=True)] * 9}), backoff=9.0, retries=4)
    assert waits == [9.0, 18.0, 36.0, series_store.LONGEST_WAIT]


def test_what_could_not_be_compared_is_told_of_whole_series_alone(tmp_path: Path) -> None:
    stated = [(2, 20), (2, -1), (-1, 20), (-1, -1)]
    rows = pd.concat([listing(4)[i : i + 1].assign(n_files=n, bytes=b) for i, (n, b) in enumerate(stated)])
    ledger = fill(rows, tmp_path, Fetch())
    assert set(ledger["reason"]) == {""}
    assert list(with_unstated(ledger)["reason"]) == [
        "", "whole by number of files; the source states no size",
        "whole by size; the source states no number of files",
        "not compared; the source states neither number nor size",
    ]  # fmt: skip
    lost = fill(rows, tmp_path / "elsewhere", Fetch(), offline=True)
    pd.testing.assert_frame_equal(with_unstated(lost), lost)


def test_stored_series(tmp_path: Path) -> None:
    fill(listing(2), tmp_path, Fetch())
    (tmp_path / "dicom" / "P0" / "1.2" / ".1.9.x.part").mkdir()
    assert stored_series(tmp_path)[["patient", "study", "series"]].to_numpy().tolist() == [
        ["P0", "1.2", "1.2.0"], ["P1", "1.2", "1.2.1"],
    ]  # fmt: skip
    assert stored_series(tmp_path / "none").empty
