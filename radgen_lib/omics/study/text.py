"""Text files of unknown origin as rows: any line end, UTF-8 or else Latin-1, comments left out, lines counted."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.decisions import Decisions

BLOCK = 1 << 23
_AGAIN = "Fetch the study again"


class Block(NamedTuple):
    """Whole lines of a file: ``line`` is the number of the first (1-based)."""

    line: int
    content: bytes


def blocks(path: Path, size: int = BLOCK) -> Iterator[Block]:
    """The bytes of ``path`` in pieces of about ``size`` that end with a line; a leading byte order mark is dropped.

    Raises DataError when the file cannot be read, is compressed or in UTF-16, or is a pointer of Git LFS, and when a
    single line is longer than 64 blocks (not a text table).
    """
    line, rest = 1, b""
    with _opened(path) as handle:
        while read := handle.read(size):
            rest = rest + read if rest else _without_mark(path, read) if line == 1 else read
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield Block(line, rest[:cut])
                line += rest.count(b"\n", 0, cut)
                rest = rest[cut:]
            elif len(rest) > 64 * size:
                raise data_error(path, "a line is too long for a table", _AGAIN, row=line)
    if rest:
        yield Block(line, rest)


def rows(path: Path, log: Decisions, *, size: int = BLOCK) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of a tab-separated file; empty lines and lines that begin with ``#`` are left out."""
    for block in blocks(path, size):
        yield from split_block(path, block, log)


def split_block(path: Path, block: Block, log: Decisions) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of one block; quotation marks around a cell are dropped."""
    for number, text in enumerate(decode(path, block, log).split("\n"), start=block.line):
        text = text.rstrip("\r")
        if text.strip() and not text.startswith("#"):
            yield number, [cell.strip().strip('"') for cell in text.split("\t")]


def decode(path: Path, block: Block, log: Decisions) -> str:
    """Text of a block: UTF-8, or where that is impossible Latin-1, with one row in the log that names the line."""
    try:
        return block.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = block.line + block.content[: error.start].count(b"\n")
        log.add("text", path, f"line {line}", "read as Latin-1", "is not UTF-8 text")
        return block.content.decode("latin-1")


def comment_rows(path: Path, log: Decisions) -> list[list[str]]:
    """The leading rows that begin with ``#`` (display names and types of a clinical file), without that sign."""
    found: list[list[str]] = []
    for block in blocks(path):
        for text in decode(path, block, log).split("\n"):
            if not text.startswith("#"):
                return found
            found.append([cell.strip().strip('"') for cell in text[1:].rstrip("\r").split("\t")])
    return found


def key_values(path: Path, log: Decisions) -> dict[str, str]:
    """The ``key: value`` lines of a meta file or case list; keys in lower case."""
    found: dict[str, str] = {}
    for block in blocks(path):
        for text in decode(path, block, log).split("\n"):
            key, colon, value = text.partition(":")
            if colon:
                found.setdefault(key.strip().lower(), value.strip())
    return found


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise data_error(path.name, f"cannot be read ({error.strerror})", "Check the path") from error


def _without_mark(path: Path, start: bytes) -> bytes:
    for problem, action in _faults(start):
        raise data_error(path.name, problem, action)
    return start.removeprefix(codecs.BOM_UTF8)


def _faults(start: bytes) -> Iterator[tuple[str, str]]:
    """What speaks against the beginning of a file, and what to do."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "is UTF-16 text", "Save it as UTF-8"
    if start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh")):
        yield "is compressed", "Unpack it"
    if start.startswith(b"version https://git-lfs"):
        yield "is a pointer of Git LFS, not the file itself", "Fetch the file"
    if b"\x00" in start[:4096]:
        yield "holds binary data", _AGAIN
