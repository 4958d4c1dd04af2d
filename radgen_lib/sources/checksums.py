"""Whether a file is the one that the registry means."""

from __future__ import annotations

import os
from pathlib import Path

from radgen_lib.core.atomic import write_text
from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import DownloadError
from radgen_lib.sources.registry import UNKNOWN, Source


def sum_file(target: Path) -> Path:
    """Where the sum of ``target`` is recorded at first use, for sources whose sum the registry does not know."""
    return target.with_name(f"{target.name}.sha256")


def recorded_sum(target: Path) -> str | None:
    """The recorded SHA-256 of ``target``, or None when none was recorded."""
    path = sum_file(target)
    words = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return words[0] if words else None


def record_sum(target: Path, sha256: str) -> None:
    """Record ``sha256`` beside ``target``, in the format of ``sha256sum``; later downloads must equal it."""
    write_text(sum_file(target), f"{sha256}  {target.name}\n")


def fault_of(source: Source, path: Path, recorded: str | None = None) -> tuple[str, str]:
    """Return the SHA-256 of ``path`` and what is wrong with it: "" when it is the file that ``source`` means.

    Compared are size and SHA-256 of the registry; where it knows no sum, the digits that the publisher gives and the
    ``recorded`` sum of the first use.
    """
    size, found = path.stat().st_size, file_sha256(path)
    expected = source.sha256 if source.sum_known else recorded
    if expected is not None and found != expected:
        return found, f"SHA-256 is {found}, expected {expected} (size {size} bytes, expected {source.bytes or UNKNOWN})"
    if source.sha256_prefix and not found.startswith(source.sha256_prefix):
        return found, f"SHA-256 is {found}, expected one that begins with {source.sha256_prefix}"
    if source.bytes is not None and size != source.bytes:
        return found, f"size is {size} bytes, expected {source.bytes} (SHA-256 {found})"
    return found, ""


def require(source: Source, path: Path, target: Path, origin: str) -> str:
    """Return the SHA-256 of ``path`` if it may become ``target``.

    Otherwise the file is kept aside as ``<target>.bad`` and DownloadError names both sums.
    """
    found, fault = fault_of(source, path, recorded_sum(target))
    if fault:
        bad = target.with_name(f"{target.name}.bad")
        os.replace(path, bad)
        raise DownloadError(
            f"{source.name}: file from {origin} is not the one in the registry: {fault}. It is kept as {bad}; "
            "look whether the publisher changed it, and never use it in its place"
        )
    return found
