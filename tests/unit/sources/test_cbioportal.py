"""Studies of cBioPortal: tarballs unpacked with suspicion; the REST service read patiently, its answers one table."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from radgen_lib.core.errors import ConfigError, DataError, DownloadError
from radgen_lib.sources.cbioportal import REST_COLUMNS, fetch_attributes
from radgen_lib.sources.cbioportal_rest import PortalClient
from radgen_lib.sources.tar_archive import unpack_tar
from tests.unit.sources.portal import Portal

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

    def test_levels_and_values_of_attributes(self, portal, client):
        portal.study("s", patient={"AGE": {"p1": "60", "p2": ""}}, sample={"ER_STATUS": {"p1-01": "Positive"}})
        assert client().attributes("s") == {"AGE": "PATIENT", "ER_STATUS": "SAMPLE"}
        assert client().values("s", "AGE", "PATIENT") == [("p1", "", "60"), ("p2", "", "")]
        assert client().values("s", "ER_STATUS", "SAMPLE") == [("p1", "p1-01", "Positive")]
        assert portal.asked[-1][1]["clinicalDataType"] == "SAMPLE"
        assert portal.asked[-1][1]["attributeId"] == "ER_STATUS"

    @pytest.mark.parametrize("lost", ["patientId", "sampleId", "value"])
    def test_a_row_that_lacks_something_is_refused(self, portal, client, lost):
        portal.study("s", sample={"ER_STATUS": {"p1-01": "Positive"}})
        del portal.data["s", "SAMPLE"][0][lost]
        with pytest.raises(DownloadError, match="a row without patient, sample or value"):
            client().values("s", "ER_STATUS", "SAMPLE")


ASKED = [("s", "AGE"), ("s", "ER_STATUS"), ("t", "MENOPAUSE_STATUS")]


@pytest.fixture
def filled(portal) -> Portal:
    portal.study(
        "s",
        patient={"AGE": {f"p{i:02d}": str(40 + i) for i in range(23)}},
        sample={"ER_STATUS": {"p00-01": "Positive"}},
    )
    portal.study("t", patient={"MENOPAUSE_STATUS": {"p01": "Post\t(prior\nbilateral)"}, "AGE": {"p01": "1"}})
    return portal


class TestFetch:
    def test_a_row_a_value_whatever_the_order(self, tmp_path, filled, client):
        target = tmp_path / "data" / "rest.tsv"
        told = fetch_attributes(ASKED, target, client=client(), offline=False)
        assert told == {
            "s/AGE": {"level": "patient", "values": 23},
            "s/ER_STATUS": {"level": "sample", "values": 1},
            "t/MENOPAUSE_STATUS": {"level": "patient", "values": 1},
        }
        lines = target.read_text().splitlines()
        assert lines[0].split("\t") == list(REST_COLUMNS) and len(lines) == 26
        assert "p00\tp00-01\ts\tER_STATUS\tPositive" in lines
        assert "p01\t\tt\tMENOPAUSE_STATUS\tPost (prior bilateral)" in lines
        assert "p01\t\tt\tAGE\t1" not in lines
        before = target.read_bytes()
        for rows in filled.data.values():
            rows.reverse()
        fetch_attributes(ASKED[::-1], target, client=client(page_size=7), offline=False)
        assert target.read_bytes() == before

    def test_a_service_without_the_filter_and_a_busy_one(self, tmp_path, filled, client):
        filled.filters = False
        filled.script = [429, None, "half", 500]
        target = tmp_path / "rest.tsv"
        told = fetch_attributes(ASKED[2:], target, client=client(), offline=False)
        assert told == {"t/MENOPAUSE_STATUS": {"level": "patient", "values": 1}}
        assert len(target.read_text().splitlines()) == 2

    def test_an_attribute_that_is_not_there(self, tmp_path, filled, client):
        with pytest.raises(ConfigError, match=r"study s has no attribute 'ER_STATU'; near ones are ER_STATUS"):
            fetch_attributes([("s", "AGE"), ("s", "ER_STATU")], tmp_path / "x.tsv", client=client(), offline=False)
        with pytest.raises(ConfigError, match=r"'ZZZ'; it has 2 others"):
            fetch_attributes([("s", "ZZZ")], tmp_path / "x.tsv", client=client(), offline=False)
        with pytest.raises(DownloadError, match=r"HTTP 404.*study's name"):
            fetch_attributes([("unknown", "AGE")], tmp_path / "x.tsv", client=client(), offline=False)
        assert not list(tmp_path.iterdir())

    def test_half_an_answer_leaves_nothing(self, tmp_path, filled, client):
        target = tmp_path / "rest.tsv"
        target.write_text("an earlier one")
        filled.script = [None, None, *["half"] * 40]
        with pytest.raises(DownloadError, match="within the body"):
            fetch_attributes(ASKED, target, client=client(), offline=False)
        assert target.read_text() == "an earlier one" and [path.name for path in tmp_path.iterdir()] == ["rest.tsv"]

    def test_offline_says_what_to_do(self, tmp_path, portal, client):
        with pytest.raises(
            DownloadError, match=r"offline.*s/AGE, s/ER_STATUS.*`offline: false` once.*rest\.tsv"
        ) as caught:
            fetch_attributes(ASKED, tmp_path / "rest.tsv", client=client(), offline=True)
        assert "\n" not in str(caught.value) and not portal.asked
