"""Downloads against a server with faults, mirrors and half files."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from radgen_lib.core.errors import DownloadError
from radgen_lib.sources import transfer
from radgen_lib.sources.checksums import record_sum, recorded_sum
from radgen_lib.sources.download import FetchResult, fetch, mirror_folder
from radgen_lib.sources.registry import Source, load_registry

Make = Callable[..., Source]


def get(source: Source, target: Path, **changes: Any) -> FetchResult:
    options = {"mirror": None, "offline": False, "retries": 3, "backoff": 0.001, "timeout": 5.0, **changes}
    return fetch(source, target, **options)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "thing" / "file.bin"


def alone(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == [target.name]


def test_network(server: Any, make_source: Make, target: Path, content: bytes) -> None:
    source = make_source(url=server.url)
    assert get(source, target) == ("network", source.sha256)
    assert target.read_bytes() == content and alone(target)
    assert server.seen == [("GET", None)]


def test_good_file_is_kept_without_a_request(server: Any, make_source: Make, target: Path) -> None:
    source = make_source(url=server.url)
    get(source, target)
    before = target.stat().st_mtime_ns
    assert get(source, target, offline=True) == ("kept", source.sha256)
    assert target.stat().st_mtime_ns == before and len(server.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_passing_faults_are_tried_again(server: Any, answer: Any, make_source: Make, target: Path, status: int) -> None:
    server.script = [answer(status), answer(status)]
    assert get(make_source(url=server.url), target).origin == "network"
    assert len(server.seen) == 3


def test_retry_after_is_obeyed_in_place_of_the_backoff(
    server: Any, answer: Any, make_source: Make, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    past, far = formatdate(time.time() - 60, usegmt=True), formatdate(time.time() + 86_400, usegmt=True)
    server.script = [answer(429, {"Retry-After": value}) for value in ("0", "7", past, far, "soon")]
    get(make_source(url=server.url), target, retries=5, backoff=100.0)
    assert waits[:4] == [0.0, 7.0, 0.0, transfer.LONGEST_WAIT]
    assert waits[4] == transfer.LONGEST_WAIT  # an unreadable header: the backoff, at most the longest wait


def test_backoff_doubles_with_jitter(
    server: Any, answer: Any, make_source: Make, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    server.script = [answer(503)] * 6
    get(make_source(url=server.url), target, retries=6, backoff=1.0)
    assert all(0.5 * 2**i <= wait <= 1.5 * 2**i for i, wait in enumerate(waits))
    assert len({wait / 2**i for i, wait in enumerate(waits)}) == 6


def test_last_fault_is_told_with_what_to_do(server: Any, answer: Any, make_source: Make, target: Path) -> None:
    server.script = [answer(503)] * 9
    with pytest.raises(DownloadError, match=r"failed 3 times, last with: HTTP 503 .*mirror folder"):
        get(make_source(url=server.url), target, retries=2)
    assert len(server.seen) == 3 and not target.exists()


@pytest.mark.parametrize("status", [404, 403, 410])
def test_final_answers_are_not_tried_again(
    server: Any, answer: Any, make_source: Make, target: Path, status: int
) -> None:
    server.script = [answer(status)] * 9
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        get(make_source(url=server.url), target)
    assert len(server.seen) == 1


def test_nobody_listens(make_source: Make, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match="failed 2 times, last with: ConnectionError"):
        get(make_source(), target, retries=1)


def test_half_a_body_is_resumed(server: Any, answer: Any, make_source: Make, target: Path, content: bytes) -> None:
    server.script = [answer(cut=150_000)]
    assert get(make_source(url=server.url), target).origin == "network"
    assert target.read_bytes() == content and alone(target)
    start = int(server.seen[1][1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 150_000 and len(server.seen) == 2


def test_next_process_goes_on_where_the_last_one_ended(
    server: Any, answer: Any, make_source: Make, target: Path, content: bytes
) -> None:
    server.script = [answer(cut=150_000)]
    with pytest.raises(DownloadError, match=r"it goes on from file\.bin\.part"):
        get(make_source(url=server.url), target, retries=0)
    kept = target.with_name("file.bin.part").stat().st_size
    assert kept > 0 and not target.exists()
    get(make_source(url=server.url), target, retries=0)
    assert server.seen[-1] == ("GET", f"bytes={kept}-") and target.read_bytes() == content


def test_server_without_ranges_sends_all_again(
    server: Any, answer: Any, make_source: Make, target: Path, content: bytes
) -> None:
    server.script = [answer(cut=150_000), answer(ranges=False)]
    get(make_source(url=server.url), target)
    assert target.read_bytes() == content and len(server.seen) == 2


def test_wrong_range_is_not_pasted_in(
    server: Any, answer: Any, make_source: Make, target: Path, content: bytes
) -> None:
    server.script = [answer(cut=150_000), answer(206, {"Content-Range": "bytes 0-9/300"}, body=b"x" * 10)]
    get(make_source(url=server.url), target)
    assert target.read_bytes() == content and server.seen[-1] == ("GET", None)


@pytest.mark.parametrize("size", [1_000, 299_999, 400_000])
def test_beginning_of_another_file_is_thrown_away(
    server: Any, make_source: Make, target: Path, content: bytes, size: int
) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("file.bin.part").write_bytes(b"?" * size)
    get(make_source(url=server.url), target)
    assert target.read_bytes() == content and alone(target)


def test_whole_part_file_needs_no_request(server: Any, make_source: Make, target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("file.bin.part").write_bytes(content)
    get(make_source(url=server.url), target)
    assert target.read_bytes() == content and server.seen == []


def test_close_delimited_body_that_is_short_is_tried_again(
    server: Any, answer: Any, make_source: Make, target: Path, content: bytes
) -> None:
    server.script = [answer(length=False, cut=100_000)]
    get(make_source(url=server.url), target)
    assert target.read_bytes() == content and len(server.seen) == 2


@pytest.mark.parametrize("body", [b"<html>not found</html>", b"", b"x" * 300_800, b"x" * 2_000_000])
def test_wrong_content_is_kept_aside_and_both_sums_are_named(
    server: Any, answer: Any, make_source: Make, target: Path, body: bytes
) -> None:
    source = make_source(url=server.url)
    server.script = [answer(body=body)]
    with pytest.raises(DownloadError) as caught:
        get(source, target)
    bad = target.with_name("file.bin.bad")
    assert source.sha256 in str(caught.value) and str(bad) in str(caught.value)
    assert hashlib.sha256(bad.read_bytes()).hexdigest() in str(caught.value)
    assert body.startswith(bad.read_bytes()) and not target.exists() and len(server.seen) == 1
    get(source, target)  # the next start is not disturbed by it
    assert target.exists()


def test_wrong_target_is_set_aside_and_fetched_anew(
    server: Any, make_source: Make, target: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    with caplog.at_level(logging.WARNING, "radgen"):
        assert get(make_source(url=server.url), target).origin == "network"
    assert target.read_bytes() == content and target.with_name("file.bin.bad").read_bytes() == b"old"
    assert "set aside" in caplog.text


def test_mirror_comes_first_and_is_copied(make_source: Make, target: Path, tmp_path: Path, content: bytes) -> None:
    original = tmp_path / "mirror" / "somebody" / "file.bin"
    original.parent.mkdir(parents=True)
    original.write_bytes(content)
    original.chmod(0o444)
    source = make_source()
    assert get(source, target, mirror=tmp_path / "mirror", offline=True) == ("mirror", source.sha256)
    assert target.read_bytes() == content and alone(target)
    assert target.stat().st_ino != original.stat().st_ino and os.access(target, os.W_OK)


def test_wrong_file_in_the_mirror(make_source: Make, target: Path, tmp_path: Path, content: bytes) -> None:
    original = tmp_path / "mirror" / "somebody" / "file.bin"
    original.parent.mkdir(parents=True)
    original.write_bytes(content[:-1] + b"?")
    source = make_source()
    with pytest.raises(DownloadError, match=source.sha256) as caught:
        get(source, target, mirror=tmp_path / "mirror")
    found = hashlib.sha256(original.read_bytes()).hexdigest()
    assert found in str(caught.value) and str(original) in str(caught.value)
    assert target.with_name("file.bin.bad").read_bytes() == original.read_bytes() and not target.exists()


def test_file_that_the_mirror_lacks_comes_from_the_network(
    server: Any, make_source: Make, target: Path, tmp_path: Path
) -> None:
    assert get(make_source(url=server.url), target, mirror=tmp_path).origin == "network"


def test_mirror_that_is_no_folder(make_source: Make, target: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="is not a folder"):
        get(make_source(), target, mirror=tmp_path / "nowhere")


@pytest.mark.parametrize("with_mirror", [False, True])
def test_offline_says_where_to_put_the_file(make_source: Make, target: Path, tmp_path: Path, with_mirror: bool) -> None:
    with pytest.raises(DownloadError, match=r"thing: offline .*offline: false.*http://127") as caught:
        get(make_source(), target, mirror=tmp_path if with_mirror else None, offline=True)
    assert "\n" not in str(caught.value)
    assert ("somebody/file.bin" if with_mirror else "no mirror is set") in str(caught.value)


def test_source_without_address(make_source: Make, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"no public address\. Ask us, and put it at somebody/file\.bin"):
        get(make_source(url=None, ask="Ask us"), target)


def test_unknown_sum_is_recorded_and_then_holds(
    server: Any, make_source: Make, target: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_source(url=server.url, sha256="unknown", bytes=None)
    found = hashlib.sha256(content).hexdigest()
    with caplog.at_level(logging.WARNING, "radgen"):
        assert get(source, target) == ("network", found)
    assert "knows no SHA-256" in caplog.text and recorded_sum(target) == found
    target.unlink()
    server.content = b"another release"
    with pytest.raises(DownloadError, match=found):
        get(source, target)


def test_unknown_sum_never_resumes_an_old_beginning(
    server: Any, make_source: Make, target: Path, content: bytes
) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("file.bin.part").write_bytes(content[:1000])
    get(make_source(url=server.url, sha256="unknown", bytes=None), target)
    assert server.seen == [("GET", None)] and target.read_bytes() == content


def test_known_prefix_is_checked(server: Any, make_source: Make, target: Path, content: bytes) -> None:
    prefix = hashlib.sha256(content).hexdigest()[:8]
    good = make_source(url=server.url, sha256="unknown", bytes=None, sha256_prefix=prefix)
    assert get(good, target).sha256.startswith(prefix)
    other = make_source(url=server.url, sha256="unknown", bytes=None, sha256_prefix="00000000")
    with pytest.raises(DownloadError, match="begins with 00000000"):
        get(other, target.with_name("other.bin"))


def test_size_is_checked_beside_an_unknown_sum(server: Any, make_source: Make, target: Path, content: bytes) -> None:
    source = make_source(url=server.url, sha256="unknown", bytes=len(content) + 1)
    with pytest.raises(DownloadError, match=f"size is {len(content)} bytes, expected {len(content) + 1}"):
        get(source, target, retries=1)


def test_empty_record_counts_as_none(tmp_path: Path) -> None:
    record_sum(tmp_path / "a", "f" * 64)
    assert (tmp_path / "a.sha256").read_text() == f"{'f' * 64}  a\n" and recorded_sum(tmp_path / "a") == "f" * 64
    (tmp_path / "a.sha256").write_text("")
    assert recorded_sum(tmp_path / "a") is None


def test_full_disk_is_one_line(server: Any, make_source: Make, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(DownloadError, match=r"cannot be written: No space left on device\. Free space"):
        get(make_source(url=server.url), target)
    assert not target.exists()


def test_full_disk_while_copying_from_the_mirror_leaves_nothing(
    make_source: Make, target: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "file.bin").write_bytes(content)

    def full(source: Path, copy: Path) -> None:
        Path(copy).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DownloadError, match="No space left"):
        get(make_source(), target, mirror=tmp_path)
    assert list(target.parent.iterdir()) == []


def test_requests_ask_for_the_file_uncompressed() -> None:
    assert transfer.HEADERS["Accept-Encoding"] == "identity"


def test_mirror_folder_of_configuration_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RADGEN_MIRROR", raising=False)
    assert mirror_folder(None) is None
    monkeypatch.setenv("RADGEN_MIRROR", "there")
    assert mirror_folder(None) == Path("there") and mirror_folder("here") == Path("here")


def test_every_real_file_comes_from_the_mirror(mirror: Path, tmp_path: Path) -> None:
    known = [source for source in load_registry().values() if source.sum_known]
    for source in known:
        result = get(source, tmp_path / source.name / source.filename, mirror=mirror, offline=True)
        assert result == ("mirror", source.sha256)
