"""The index that comes with the package, and the real downloader against an S3 server on this machine."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.imaging.ingest import ingest_shard
from radgen_lib.sources import idc
from radgen_lib.sources.idc_index_query import collection_name, index_series, index_version
from radgen_lib.sources.ledger import LISTING_COLUMNS, listing_frame
from radgen_lib.sources.phantom.write import write_phantom
from radgen_lib.sources.series_lists import read_papers, reasons_against

BUCKET = "idc-open-data"
FILES = {f"i{number}.dcm": hashlib.sha256(bytes([number])).digest() * (number + 1) for number in range(3)}
SIZE = sum(map(len, FILES.values()))


class Bucket:
    """moto's S3 behind a scripted gate: ``script`` holds what happens to the next requests for an object."""

    def __init__(self, client: Any, url: str) -> None:
        self.client, self.url, self.script, self.seen = client, url, [], []

    def put(self, prefix: str, files: dict[str, bytes] = FILES) -> None:
        for name, body in files.items():
            self.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=body, ACL="public-read")


@pytest.fixture(scope="module")
def served() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch:
        names = ("NO_PROXY", "no_proxy"), ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        for name in names[0]:
            patch.setenv(name, "127.0.0.1")
        for name in names[1]:
            patch.setenv(name, "testing")
        boto3 = pytest.importorskip("boto3")
        server_app = pytest.importorskip("moto.server")
        from threading import Thread

        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        application = server_app.DomainDispatcherApplication(server_app.create_backend_app)
        bucket = Bucket(None, "")

        def gate(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            path = environ["PATH_INFO"]
            if environ["REQUEST_METHOD"] == "GET" and path.endswith(".dcm"):
                bucket.seen.append(path)
                if bucket.script:
                    status, headers, body = bucket.script.pop(0)
                    start(status, headers)
                    return [body]
            return application(environ, start)

        http = make_server("127.0.0.1", 0, gate, threaded=True)
        Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        bucket.url = f"http://127.0.0.1:{http.server_port}"
        bucket.client = boto3.client("s3", endpoint_url=bucket.url, region_name="us-east-1")
        bucket.client.create_bucket(Bucket=BUCKET)
        yield bucket
        http.shutdown()
        http.server_close()


@pytest.fixture
def bucket(served: Bucket) -> Bucket:
    served.script, served.seen = [], []
    return served


def rows(*names: str, **changes: Any) -> pd.DataFrame:
    return listing_frame(
        {"patient": "TCGA-AO-A03M", "study": "1.2", "series": f"1.2.{i}", "modality": "MR", "n_files": 3,
         "bytes": SIZE, "url": f"s3://{BUCKET}/{name}/*", **changes}
        for i, name in enumerate(names)
    )  # fmt: skip


def fetch(bucket: Bucket, table: pd.DataFrame, root: Path, **changes: Any) -> pd.DataFrame:
    imaging = Imaging(source="idc", collection="tcga_brca", endpoint=bucket.url)
    return idc.fetch_series(table, root, imaging, **{"jobs": 2, "offline": False, "backoff": 0.0, **changes})


@pytest.mark.parametrize(
    ("collection", "patients", "series"), [("tcga_brca", 137, 1858), ("Duke-Breast-Cancer-MRI", 922, 5034)]
)
def test_real_index(collection: str, patients: int, series: int) -> None:
    table = idc.list_series(Imaging(source="idc", collection=collection))
    assert list(table.columns) == list(LISTING_COLUMNS)
    assert table["patient"].nunique() == patients and len(table) == series == table["series"].nunique()
    assert (table["n_files"] > 0).all() and (table["bytes"] > 0).all() and set(table["modality"]) == {"MR"}
    assert table["url"].str.fullmatch(r"s3://idc-open-data(-cr)?/[0-9a-f-]{36}/\*").all()
    # Every patient keeps a dynamic series under the default choice.
    kept = table[reasons_against(table, "dynamic") == ""]
    assert kept["patient"].nunique() == patients


def test_all_series_of_the_papers_are_in_the_index(mirror: Path) -> None:
    papers = read_papers(mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / "BTF_features.csv")
    table = index_series("tcga_brca").set_index("series")
    assert len(papers) == 187 and papers["patient"].nunique() == 61 and papers["series"].isin(table.index).all()
    assert (table.loc[papers["series"], "patient"].to_numpy() == papers["patient"].to_numpy()).all()
    assert table.loc[papers["series"], "bytes"].sum() == 6_716_724_380


def test_index_is_handed_out_as_a_copy() -> None:
    index_series("tcga_brca")["patient"] = "spoiled"
    assert index_series("tcga_brca")["patient"].str.startswith("TCGA-").all()
    assert index_version().split(".")[0].isdigit() and collection_name(" TCGA-BRCA") == "tcga_brca"


def test_unknown_collections_are_told_with_their_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"tcga_brac.*not in the index.*tcga_brca"):
        index_series("tcga_brac")
    with pytest.raises(ConfigError, match="needs a collection"):
        idc.list_series(Imaging(source="idc"))


def test_collection_without_the_modality() -> None:
    with pytest.raises(ConfigError, match="has no XX series"):
        index_series("tcga_brca", "XX")


def test_real_downloader_fetches_from_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("aaa")
    bucket.put("bbb")
    ledger = fetch(bucket, rows("aaa", "bbb"), tmp_path)
    assert list(ledger["status"]) == ["ok", "ok"] and list(ledger["bytes"]) == [SIZE, SIZE]
    folder = tmp_path / ledger["folder"][0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert len(set(ledger["sha256"])) == 1 and set(ledger["origin"]) == {"idc"}
    before = len(bucket.seen)
    pd.testing.assert_frame_equal(fetch(bucket, rows("aaa", "bbb"), tmp_path), ledger)
    assert len(bucket.seen) == before


def test_lost_objects_and_buckets_are_rows(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("half", dict(list(FILES.items())[:2]))
    bucket.put("whole")
    bucket.client.put_object(Bucket=BUCKET, Key="private/i0.dcm", Body=b"x")
    table = rows("whole", "nothing", "half", "private")
    table.loc[3, ["n_files", "bytes"]] = [1, 1]
    table = pd.concat([table, rows("x", url="s3://no-such-bucket/x/*", series="1.2.9")])
    ledger = fetch(bucket, table, tmp_path)
    assert list(ledger["status"]) == ["ok", "missing", "incomplete", "failed", "missing"]
    assert ledger["reason"][1] == "no object found"
    assert ledger["reason"][2] == "the bucket is not what the index says: 2 files, 3 expected"
    assert "403" in ledger["reason"][3] and "404" in ledger["reason"][4]
    assert not ledger["reason"].str.contains(f"request id|{tmp_path}").any()
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Too Many Requests", "503 Slow Down"])
def test_passing_faults_of_the_server_are_overcome(bucket: Bucket, tmp_path: Path, status: str) -> None:
    bucket.put("faulty")
    bucket.script = [(status, [("Retry-After", "0")], b"")] * 2
    ledger = fetch(bucket, rows("faulty"), tmp_path)
    assert list(ledger["status"]) == ["ok"] and len(bucket.seen) >= 5


def test_half_a_body_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("cut")
    bucket.script = [("200 OK", [("Content-Length", "64"), ("Content-Type", "x/y")], b"short")]
    ledger = fetch(bucket, rows("cut"), tmp_path)
    assert list(ledger["status"]) == ["ok"]
    folder = tmp_path / ledger["folder"][0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_server_that_stays_down_is_a_row(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idc, "_OBJECT_RETRIES", 0)
    bucket.put("down")
    bucket.put("fine")
    bucket.script = [("500 Internal Server Error", [], b"")] * 6
    ledger = fetch(bucket, rows("down", "fine"), tmp_path, retries=1, jobs=1)
    assert list(ledger["status"]) == ["failed", "ok"]
    assert "500" in ledger["reason"][0] and ledger["reason"][0].endswith("(2 attempts)")


def test_changed_content_of_the_right_size_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("swapped", {"i0.dcm": b"a" * 32})
    table = rows("swapped", n_files=1, bytes=32)
    answer = ("200 OK", [("Content-Length", "32"), ("ETag", '"0"')], b"b" * 32)
    bucket.script = [answer] * 2
    ledger = fetch(bucket, table, tmp_path, retries=1)
    assert ledger["reason"][0] == "an object differs from its checksum in the bucket (2 attempts)"
    assert list(fetch(bucket, table, tmp_path)["status"]) == ["ok"]


def test_etags_of_several_parts_are_no_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"abc")
    idc._verify(path, 3, "900150983cd24fb0d6963f7d28e17f72-2")
    idc._verify(path, 3, "900150983cd24fb0d6963f7d28e17f72")
    with pytest.raises(idc.SeriesFault, match="checksum"):
        idc._verify(path, 3, "900150983cd24fb0d6963f7d28e17f73")
    with pytest.raises(idc.SeriesFault, match="did not arrive whole"):
        idc._verify(path, 4, "")


@pytest.mark.parametrize("key", ["list/deeper/i.dcm", "list/readme.txt"])
def test_foreign_objects_in_a_series_are_refused(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.put("list", {"i0.dcm": b"x"})
    bucket.client.put_object(Bucket=BUCKET, Key=key, Body=b"x", ACL="public-read")
    ledger = fetch(bucket, rows("list", n_files=2, bytes=2), tmp_path)
    assert ledger["reason"][0] == "the bucket lists an object that is no DICOM file of the series"
    bucket.client.delete_object(Bucket=BUCKET, Key=key)


def test_offline_asks_nobody(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("quiet")
    ledger = fetch(bucket, rows("quiet"), tmp_path, offline=True)
    assert list(ledger["status"]) == ["missing"] and ledger["reason"][0].startswith("offline") and not bucket.seen


def test_no_room_is_told_before_the_first_byte(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("roomy")
    fetch(bucket, rows("roomy"), tmp_path)
    bucket.seen = []
    monkeypatch.setattr(idc.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1_000_000_000}))
    with pytest.raises(DownloadError, match=r"5\.0 GB to fetch and 1\.0 GB free"):
        fetch(bucket, rows("nothing", bytes=5_000_000_000, series="1.2.7"), tmp_path)
    assert list(fetch(bucket, rows("roomy", bytes=SIZE), tmp_path)["status"]) == ["ok"] and not bucket.seen


def test_running_downloader_is_ended() -> None:
    with socket.socket() as silent:  # it takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        flag = StopFlag()
        threading.Timer(0.3, flag.request).start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert idc._s5cmd([], ["ls", f"s3://{BUCKET}/*"], url, flag) == []


def test_downloader_is_ended_on_request(bucket: Bucket, tmp_path: Path) -> None:
    flag = StopFlag()
    flag.request()
    assert idc._s5cmd([], ["ls", f"s3://{BUCKET}/*"], bucket.url, flag) == []


@pytest.mark.parametrize(
    ("line", "status", "passing", "reason"),
    [
        ('{"error":"NoSuchKey: gone status code: 404, request id: AB, host id:"}', "missing", False,
         "NoSuchKey: gone status code: 404"),
        ('{"error":"InternalError: We failed status code: 500, request id: Z, host id: Y"}', "failed", True,
         "InternalError: We failed status code: 500"),
        ("not json /home/somebody/data/x.dcm: bad", "failed", True, "not json a file: bad"),
        ("", "failed", True, "s5cmd ended without a word"),
    ],
)  # fmt: skip
def test_errors_of_the_downloader(line: str, status: str, passing: bool, reason: str) -> None:
    fault = idc._fault(line)
    assert (fault.status, fault.passing, str(fault)) == (status, passing, reason)


def test_full_disk_is_no_fault_of_a_series() -> None:
    with pytest.raises(DownloadError, match="disk is full"):
        idc._fault('{"error":"write /x/y: no space left on device"}')


def test_program_is_the_one_of_the_package() -> None:
    assert os.access(idc._program(), os.X_OK)
    with open(idc._program(), "rb") as handle:
        assert handle.read(2) != b"#!"  # a script would leave its child behind when it is ended


def test_phantom_in_the_bucket_is_fetched_and_read(bucket: Bucket, tmp_path: Path) -> None:
    """The bucket stands in for the public one: what the real downloader brings is read into volumes."""
    spec = Phantom(patients=4, omics_only=0, shape=[8, 32, 32], axial_share=0.0)
    written = write_phantom(spec, 7, tmp_path / "phantom")
    first = written[written["patient"] == written["patient"].iloc[0]].reset_index(drop=True)
    for number, folder in enumerate(first["folder"]):
        files = sorted((tmp_path / "phantom" / folder).glob("*.dcm"))
        bucket.put(f"phantom-{number}", {file.name: file.read_bytes() for file in files})
    listing = listing_frame(
        {**row, "modality": "MR", "url": f"s3://{BUCKET}/phantom-{number}/*"}
        for number, row in enumerate(first[["patient", "study", "series", "n_files", "bytes"]].to_dict("records"))
    )
    ledger = fetch(bucket, listing, tmp_path / "data")
    assert (ledger["status"] == "ok").all() and ledger["bytes"].tolist() == first["bytes"].tolist()
    assert ledger["sha256"].tolist() == first["sha256"].tolist()
    imaging = Imaging(source="idc", collection="tcga_brca", volume=[8, 32, 32])
    counts = ingest_shard(ledger, tmp_path / "data", tmp_path / "out", imaging=imaging, names=None, jobs=1)
    phases = pd.read_parquet(tmp_path / "out" / "phases.parquet")
    assert counts["volumes"] == phases["kept"].sum() >= 4
    assert {"pre", "post1"} <= set(phases.loc[phases["kept"], "phase"])
