"""Studies of cBioPortal: tarballs fetched, verified and unpacked with suspicion; the REST service read patiently."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from radgen_lib.core.errors import ConfigError, DataError, DownloadError
from radgen_lib.sources.cbioportal import ADDRESS, fetch_study, study_source
from radgen_lib.sources.cbioportal_rest import PortalClient
from radgen_lib.sources.registry import UNKNOWN, Source
from radgen_lib.sources.tar_archive import unpack_tar

Member = tuple[str, bytes] | tarfile.TarInfo


def make_tar(path: Path, members: list[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            content = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            if not isinstance(member, tarfile.TarInfo):
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class TestUnpack:
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_files_as_they_are(self, tmp_path, mode):
        members = [("s/a.txt", b"1"), ("s/case_lists/b.txt", b"2" * 3000), ("s/c.png", b"3"), ("s/._a.txt", b"4")]
        archive = make_tar(tmp_path / "x.tar", [special("s", tarfile.DIRTYPE), *members], mode)
        found = unpack_tar(archive, tmp_path / "out", suffixes=(".txt",))
        assert [str(path.relative_to(tmp_path / "out")) for path in found] == ["s/a.txt", "s/case_lists/b.txt"]
        assert found[1].read_bytes() == b"2" * 3000
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.tar"]

    def test_all_files_and_plain_names(self, tmp_path):
        archive = make_tar(tmp_path / "x.tar", [("./a.txt", b"1"), ("b.PNG", b"2")])
        assert [path.name for path in unpack_tar(archive, tmp_path / "out")] == ["a.txt", "b.PNG"]

    @pytest.mark.parametrize(
        ("members", "words"),
        [
            ([("../a.txt", b"1")], "leaves its folder"),
            ([("s/../../a.txt", b"1")], "leaves its folder"),
            ([("/etc/a.txt", b"1")], "absolute or foreign path"),
            ([("C:/a.txt", b"1")], "absolute or foreign path"),
            ([("s\\a.txt", b"1")], "absolute or foreign path"),
            ([("a\n.txt", b"1")], "control character"),
            ([("a.txt", b"1"), ("A.txt", b"2")], "stands twice"),
            ([special("a.txt", tarfile.SYMTYPE, "/etc/passwd")], "link or a special file"),
            ([("b.txt", b"1"), special("a.txt", tarfile.LNKTYPE, "b.txt")], "link or a special file"),
            ([special("a.txt", tarfile.FIFOTYPE)], "link or a special file"),
        ],
    )
    def test_hostile_members(self, tmp_path, members, words):
        archive = make_tar(tmp_path / "x.tar", [("good.txt", b"0"), *members])
        with pytest.raises(DataError, match=words) as caught:
            unpack_tar(archive, tmp_path / "out")
        assert "\n" not in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]

    def test_bounds(self, tmp_path):
        archive = make_tar(tmp_path / "x.tar", [("a.txt", b"0" * 100), ("b.txt", b"0" * 100)])
        with pytest.raises(DataError, match="more than 199 bytes"):
            unpack_tar(archive, tmp_path / "out", max_bytes=199)
        with pytest.raises(DataError, match="more than 1 members"):
            unpack_tar(archive, tmp_path / "out", max_files=1)
        assert len(unpack_tar(archive, tmp_path / "out", max_bytes=200, max_files=2)) == 2

    @pytest.mark.parametrize("keep", [0, 10, 200, 900])
    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_truncated(self, tmp_path, keep, mode):
        noise = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(200))
        archive = make_tar(tmp_path / "x.tar", [("a.txt", noise)], mode)
        archive.write_bytes(archive.read_bytes()[:keep])
        with pytest.raises(DataError, match="is not a whole tar file"):
            unpack_tar(archive, tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]

    @pytest.mark.parametrize("lost", [1, 8])
    def test_end_of_a_compressed_stream_is_cut_off(self, tmp_path, lost):
        archive = make_tar(tmp_path / "x.tar", [("a.txt", b"1" * 100)])
        archive.write_bytes(archive.read_bytes()[:-lost])
        with pytest.raises(DataError, match="is not a whole tar file"):
            unpack_tar(archive, tmp_path / "out")

    def test_one_wrong_byte_in_a_compressed_stream(self, tmp_path):
        noise = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(200))
        archive = make_tar(tmp_path / "x.tar", [("a.txt", noise)])
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 1
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"x.tar.*is not a whole tar file"):
            unpack_tar(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_no_tar_and_no_file(self, tmp_path):
        (tmp_path / "x.tar").write_text("<html>not found</html>" * 100)
        for name in ("x.tar", "none.tar"):
            with pytest.raises(DataError, match=name):
                unpack_tar(tmp_path / name, tmp_path / "out")

    def test_folder_in_the_way(self, tmp_path):
        archive = make_tar(tmp_path / "x.tar", [("a.txt", b"1")])
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("keep")
        with pytest.raises(DataError, match="already exists"):
            unpack_tar(archive, tmp_path / "out")
        assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


class TestStudy:
    def source(self, content: bytes, **changes: object) -> Source:
        entry: dict[str, object] = {
            "name": "small_study", "what": "a study", "url": "http://127.0.0.1:9/small.tar.gz",
            "filename": "small.tar.gz", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
            "licence": "CC0", "citation": "Nobody 2020", "mirror_path": "somebody/small.tar.gz",
        }  # fmt: skip
        return Source(**{**entry, **changes})

    @pytest.fixture
    def tarball(self, tmp_path) -> bytes:
        files: list[Member] = [("s/meta_study.txt", b"name: s\n"), ("s/data.txt", b"x\n"), ("s/LICENSE", b"y\n")]
        return make_tar(tmp_path / "made.tar.gz", files).read_bytes()

    def test_registry_entry_or_the_portals_address(self, tarball):
        assert study_source("small_study", {"small_study": self.source(tarball)}).licence == "CC0"
        made = study_source("brca_tcga_pub", {})
        assert (made.url, made.sha256, made.filename) == (
            ADDRESS.format(study="brca_tcga_pub"), UNKNOWN, "brca_tcga_pub.tar.gz",
        )  # fmt: skip

    @pytest.mark.parametrize("name", ["", "../x", "a b", "http://x", "-x"])
    def test_no_name_of_a_study(self, name):
        with pytest.raises(ConfigError, match=r"omics\.study"):
            study_source(name, {})

    def test_from_a_mirror_without_network(self, tmp_path, tarball):
        mirror = tmp_path / "mirror" / "somebody"
        mirror.mkdir(parents=True)
        (mirror / "small.tar.gz").write_bytes(tarball)
        registry = {"small_study": self.source(tarball)}
        paths = tmp_path / "downloads", tmp_path / "study"
        for _ in range(2):  # the second time the folder is kept
            found = fetch_study("small_study", *paths, mirror=mirror.parent, offline=True, registry=registry)
            assert found == tmp_path / "study"
        assert sorted(path.name for path in found.rglob("*.*")) == ["data.txt", "meta_study.txt"]

    def test_offline_says_what_to_do(self, tmp_path, tarball):
        with pytest.raises(DownloadError, match="offline and not in a mirror"):
            fetch_study(
                "small_study", tmp_path / "d", tmp_path / "s", mirror=None, offline=True,
                registry={"small_study": self.source(tarball)},
            )  # fmt: skip
        assert not (tmp_path / "s").exists()

    def test_over_http_with_a_wrong_sum(self, tmp_path, tarball, server, answer):
        server.content = tarball
        registry = {"small_study": self.source(tarball, url=server.url, sha256="0" * 64)}
        with pytest.raises(DownloadError, match="not the one in the registry"):
            fetch_study("small_study", tmp_path / "d", tmp_path / "s", mirror=None, offline=False, registry=registry)
        assert not (tmp_path / "s").exists()

    def test_over_http_after_a_busy_server(self, tmp_path, tarball, server, answer):
        server.content = tarball
        server.script = [answer(429, {"Retry-After": "0"}), answer(500), answer(cut=100)]
        registry = {"small_study": self.source(tarball, url=server.url, sha256=UNKNOWN, bytes=None)}
        folder = fetch_study(
            "small_study", tmp_path / "d", tmp_path / "s", mirror=None, offline=False, registry=registry, backoff=0.01
        )
        assert (folder / "s" / "meta_study.txt").read_bytes() == b"name: s\n"
        recorded = (tmp_path / "d" / "small_study" / "small.tar.gz.sha256").read_text().split()[0]
        assert recorded == hashlib.sha256(tarball).hexdigest()


class Portal:
    """A small portal: lists by path; ``script`` holds faults for the next requests: a status, "half", "text"."""

    def __init__(self) -> None:
        self.lists: dict[str, list[object]] = {}
        self.script: list[object] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.total, self.paged = True, True
        handler = type("Handler", (_PortalHandler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/api"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _PortalHandler(BaseHTTPRequestHandler):
    owner: Portal

    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        owner, parts = self.owner, urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        owner.asked.append((parts.path, asked))
        fault = owner.script.pop(0) if owner.script else None
        rows = owner.lists.get(parts.path.removeprefix("/api/"))
        status = fault if isinstance(fault, int) else 200 if rows is not None else 404
        size, number = int(asked.get("pageSize", 10**6)), int(asked.get("pageNumber", 0)) if owner.paged else 0
        page = (rows or [])[number * size : (number + 1) * size]
        body = b"<html>" if fault == "text" else json.dumps(page).encode()
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "0")
        if owner.total and rows is not None:
            self.send_header("total-count", str(len(rows) + (3 if fault == "fewer" else 0)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "half" else body)
        self.close_connection = True


@pytest.fixture
def portal(monkeypatch) -> Iterator[Portal]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    served = Portal()
    served.lists["things"] = [{"id": i} for i in range(25)]
    yield served
    served.close()


@pytest.fixture
def client(portal) -> Callable[..., PortalClient]:
    return lambda **options: PortalClient(portal.url, **{"retries": 3, "backoff": 0.0, "page_size": 10, **options})


class TestRest:
    @pytest.mark.parametrize("total", [True, False])
    @pytest.mark.parametrize(("size", "requests"), [(10, 3), (24, 2), (26, 1), (1000, 1)])
    def test_pages(self, portal, client, total, size, requests):
        portal.total = total
        assert [row["id"] for row in client(page_size=size).rows("things")] == list(range(25))
        assert [asked["pageNumber"] for _, asked in portal.asked] == [str(i) for i in range(requests)]

    @pytest.mark.parametrize(("total", "requests"), [(True, 1), (False, 2)])
    def test_last_page_is_just_full(self, portal, client, total, requests):
        portal.total = total
        assert len(client(page_size=25).rows("things")) == 25
        assert len(portal.asked) == requests

    def test_parameters_and_empty_list(self, portal, client):
        portal.lists["none"] = []
        assert client().rows("none", {"projection": "SUMMARY"}) == []
        assert portal.asked[0][1]["projection"] == "SUMMARY"

    @pytest.mark.parametrize("faults", [[429], [500, 503], ["half"], ["text", "half", 502], [429, 429, 429]])
    def test_faults_that_pass(self, portal, client, faults):
        portal.script = list(faults)
        assert len(client().rows("things")) == 25
        assert len(portal.asked) == 3 + len(faults)

    @pytest.mark.parametrize(
        ("fault", "words"),
        [(429, "HTTP 429"), (500, "HTTP 500"), ("half", "within the body"), ("text", "no JSON")],
    )
    def test_faults_that_stay(self, portal, client, fault, words):
        portal.script = [fault] * 40
        with pytest.raises(DownloadError, match=words) as caught:
            client().rows("things")
        assert "\n" not in str(caught.value)
        assert len(portal.asked) == 4

    def test_unknown_study_is_not_asked_again(self, portal, client):
        with pytest.raises(DownloadError, match=r"HTTP 404.*study's name"):
            client().rows("studies/none")
        assert len(portal.asked) == 1

    def test_no_server(self, client, portal):
        portal.close()
        with pytest.raises(DownloadError, match="no connection"):
            client(retries=1).rows("things")

    def test_fewer_rows_than_announced(self, portal, client):
        portal.script = [None, None, "fewer"]
        with pytest.raises(DownloadError, match="25 of 28 rows"):
            client().rows("things")

    def test_server_that_knows_no_pages(self, portal, client):
        portal.total = portal.paged = False
        with pytest.raises(DownloadError, match="page 1 repeats"):
            client().rows("things")

    def test_no_list(self, portal, client):
        portal.lists["things"] = ["a", "b"]
        with pytest.raises(DownloadError, match="no list of rows"):
            client().rows("things")

    def test_clinical_values_and_sequenced_samples(self, portal, client):
        rows = [("p1", "AGE", "60"), ("p2", "AGE", "50"), ("p1", "OS_STATUS", "0:LIVING")]
        portal.lists["studies/s/clinical-data"] = [
            {"patientId": who, "sampleId": f"{who}-01", "clinicalAttributeId": what, "value": value}
            for who, what, value in rows
        ]
        portal.lists["sample-lists/s_sequenced/sample-ids"] = ["p1-01", "p2-01"]
        assert client().clinical("s") == {"p1": {"AGE": "60", "OS_STATUS": "0:LIVING"}, "p2": {"AGE": "50"}}
        assert set(client().clinical("s", "SAMPLE")) == {"p1-01", "p2-01"}
        assert portal.asked[-1][1]["clinicalDataType"] == "SAMPLE"
        assert client().sequenced("s") == ["p1-01", "p2-01"]
