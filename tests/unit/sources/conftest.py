"""A web server on this machine whose faults are scripted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from radgen_lib.sources.registry import Source
from tests.unit.sources.web import Handler, LocalServer


@dataclass
class Answer:
    """One answer; body None is the file itself, ``cut`` ends the connection after so many bytes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    ranges: bool = True
    length: bool = True


class Server(LocalServer):
    """Serves one file; ``script`` holds answers for the next requests, afterwards the file is simply served."""

    def __init__(self, content: bytes) -> None:
        self.content, self.script, self.seen = content, [], []
        super().__init__("data/file.bin", _Handler)


class _Handler(Handler):
    owner: Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        owner = self.owner
        asked = self.headers.get("Range")
        owner.seen.append((self.command, asked))
        answer = owner.script.pop(0) if owner.script else Answer()
        content, headers, status = answer.body, dict(answer.headers), answer.status
        if content is None:
            content = owner.content if status == 200 else b""
            if asked and answer.ranges and status == 200:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                status = 206 if start < len(content) else 416
                headers.setdefault("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                content = content[start:] if status == 206 else b""
        if answer.length:
            headers["Content-Length"] = str(len(content))
        self.send(status, headers, content[: answer.cut] if body else b"")


@pytest.fixture(scope="session")
def content() -> bytes:
    """300 kB that no compression shortens and no two blocks of which are equal."""
    return b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(9_400))


@pytest.fixture(scope="module")
def no_proxy() -> Iterator[None]:
    """Requests to servers on this machine go past any proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield


@pytest.fixture
def server(content: bytes, no_proxy: None) -> Iterator[Server]:
    """The server of one file."""
    served = Server(content)
    yield served
    served.close()


@pytest.fixture
def answer() -> type[Answer]:
    """The class of scripted answers."""
    return Answer


@pytest.fixture
def make_source(content: bytes) -> Callable[..., Source]:
    """Make a registry entry of the served content; keywords replace single fields."""

    def make(**changes: object) -> Source:
        entry = {
            "name": "thing", "what": "a thing", "url": "http://127.0.0.1:9/data/file.bin", "filename": "file.bin",
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "licence": "CC0",
            "citation": "Nobody 2020", "mirror_path": "somebody/file.bin",
        }  # fmt: skip
        return Source(**{**entry, **changes})

    return make
