"""Zip archives: every way in which one may lie."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.sources.archive import read_zip_members, unpack_zip

Members = list[tuple[str, bytes]]


def make_zip(path: Path, members: Members, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = kind
            info.filename = name  # past the tidying of the constructor
            archive.writestr(info, content)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


READERS: list[Callable[[Path, Path], object]] = [
    lambda archive, folder: unpack_zip(archive, folder / "out", max_files=9, max_bytes=10_000),
    lambda archive, folder: read_zip_members(archive, ".png", max_files=9, max_bytes=10_000),
]


def refused(archive: Path, folder: Path, told: str) -> None:
    """Both readers refuse with one line that names the archive, and leave nothing behind."""
    before = sorted(folder.rglob("*"))
    for reader in READERS:
        with pytest.raises(DataError, match=told) as caught:
            reader(archive, folder)
        assert str(caught.value).startswith(str(archive)) and "\n" not in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_unpack(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("d/", b""), ("d/2.PNG", b"two"), ("d/1.png", b"one"), ("x.txt", b"x")])
    files = unpack_zip(archive, tmp_path / "made" / "out")
    out = tmp_path / "made" / "out"
    assert files == [out / "d/1.png", out / "d/2.PNG", out / "x.txt"]
    assert everything(out) == {"d/1.png": b"one", "d/2.PNG": b"two", "x.txt": b"x"}
    assert [p.name for p in out.parent.iterdir()] == ["out"] and stat.S_IMODE(out.stat().st_mode) == 0o755


def test_only_some_endings(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("d/2.PNG", b"two"), ("d/1.png", b"one"), ("x.txt", b"x")])
    unpack_zip(archive, tmp_path / "out", suffixes=(".txt",))
    assert everything(tmp_path / "out") == {"x.txt": b"x"}
    assert list(read_zip_members(archive, ".png").items()) == [("d/1.png", b"one"), ("d/2.PNG", b"two")]
    assert read_zip_members(archive, ".jpg") == {}


def test_large_member_in_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    archive = make_zip(tmp_path / "a.zip", [("1.png", content)])
    assert read_zip_members(archive, ".png") == {"1.png": content}
    assert unpack_zip(archive, tmp_path / "out")[0].read_bytes() == content


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd.png", "../a.png", "a/../../b.png", "a/..", "..", "./a.png", "a/./b.png", "a//b.png", "C:/a.png",
        "C:a.png", "a\\..\\b.png", "\\\\host\\a.png", "a\x01.png", "a\n.png",
    ],
)  # fmt: skip
def test_paths_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    refused(make_zip(tmp_path / "a.zip", [("ok.png", b"1"), (name, b"2")]), tmp_path, "row .*Do not use this archive")


@given(name=st.text(st.sampled_from("a./\\:"), min_size=1, max_size=8))
def test_what_is_unpacked_stays_inside(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("z")
    archive = make_zip(folder / "a.zip", [(name, b"" if name.endswith("/") else b"1")])
    try:
        files = unpack_zip(archive, folder / "out")
    except DataError:
        assert [path.name for path in folder.iterdir()] == ["a.zip"]
        return
    inside = (folder / "out").resolve()
    assert all(path.resolve().is_relative_to(inside) for path in files)
    assert {path.name for path in folder.iterdir()} == {"a.zip", "out"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(path, tmp_path, "is a link or a special file")


@pytest.mark.parametrize("second", ["a/1.png", "A/1.PNG"])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile warns while the test writes the archive
def test_name_that_stands_twice(tmp_path: Path, second: str) -> None:
    refused(make_zip(tmp_path / "a.zip", [("a/1.png", b"1"), (second, b"2")]), tmp_path, "stands twice")


@pytest.mark.parametrize("names", [("a", "a/1.png"), ("a/b/1.png", "A/B")])
def test_file_that_is_also_a_folder(tmp_path: Path, names: tuple[str, str]) -> None:
    archive = make_zip(tmp_path / "a.zip", [(name, b"1") for name in names])
    refused(archive, tmp_path, "file and a folder at once")


def test_declared_bomb(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a.zip", [("1.png", b"0" * 10_001)]), tmp_path, "declares 10001 bytes")


def test_bomb_that_declares_little(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("1.png", b"0" * 5_000_000)])
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 10)))
    refused(path, tmp_path, r"row 1\.png: cannot be unpacked \(Bad CRC-32")


def test_members_that_share_their_bytes_are_counted_each(tmp_path: Path) -> None:
    """A directory that names one compressed block several times, with sizes that pass each by itself."""
    path = make_zip(tmp_path / "a.zip", [(f"{i}.png", b"0" * 4_000) for i in range(3)])
    raw = path.read_bytes()
    directory = raw.index(b"PK\x01\x02")
    declared = raw[directory:].replace(struct.pack("<L", 4_000), struct.pack("<L", 3_000))
    path.write_bytes(raw[:directory] + declared)
    refused(path, tmp_path, "cannot be unpacked|unpacks to more than")


def test_actual_bytes_are_counted_whatever_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"1")])
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args: io.BytesIO(b"0" * 20_000))
    refused(archive, tmp_path, "unpacks to more than 10000 bytes")


def test_too_many_members(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a.zip", [(f"{i}.png", b"") for i in range(10)]), tmp_path, "10 members, more than 9")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    path = make_zip(tmp_path / "a.zip", [(f"{i}.png", bytes(range(200))) for i in range(5)])
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    refused(path, tmp_path, "is not a whole zip file.*Fetch the archive again")


@pytest.mark.parametrize("content", [b"<html>", b"PK\x03\x04" + b"x" * 100])
def test_no_zip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    refused(path, tmp_path, "is not a whole zip file")


def test_archive_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", tmp_path, "does not exist")


def test_damaged_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("0.png", b"good"), ("1.png", b"abcdefgh" * 100)], zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abcdefgX", 1))
    refused(path, tmp_path, r"row 1\.png: cannot be unpacked")


def test_encrypted_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("1.png", b"secret")])
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    path.write_bytes(bytes(raw))
    refused(path, tmp_path, "is encrypted")


def test_unsupported_compression(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("1.png", b"1")])
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        raw[raw.index(mark) + offset] = 99
    path.write_bytes(bytes(raw))
    refused(path, tmp_path, "cannot be unpacked")


def test_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"1")])
    out = tmp_path / "out"
    out.mkdir()
    assert unpack_zip(archive, out) == [out / "1.png"]
    (out / "1.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="already exists"):
        unpack_zip(archive, out)
    assert everything(out) == {"1.png": b"mine"}
    with pytest.raises(DataError, match="already exists"):
        unpack_zip(archive, archive)


def test_the_real_archive(mirror: Path, tmp_path: Path) -> None:
    archive = mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / "SidePNG128.zip"
    members = read_zip_members(archive, ".png")
    assert list(members) == [f"SidePNG128/{i:03d}.png" for i in range(58)]
    files = unpack_zip(archive, tmp_path / "out", suffixes=(".png",))
    assert [path.read_bytes() for path in files] == list(members.values())


def test_the_real_archive_truncated(mirror: Path, tmp_path: Path) -> None:
    raw = (mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / "SidePNG128.zip").read_bytes()
    half = tmp_path / "half.zip"
    half.write_bytes(raw[: len(raw) // 2])
    refused(half, tmp_path, "is not a whole zip file")
