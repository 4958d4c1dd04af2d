"""Tar archives from elsewhere, read with suspicion: no path outside, no link, no bomb, no half file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from radgen_lib.core.errors import DataError, data_error
from radgen_lib.sources.unpacking import AGAIN, MAX_FILES, UNTRUSTED, name_filter, new_folder, one_line, path_fault

MAX_BYTES = 16 << 30
_BLOCK = 1 << 20
# What tarfile raises for truncated, damaged or unsupported archives.
_FAULTS = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError)


def unpack_tar(
    archive: Path,
    folder: Path,
    *,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    suffixes: tuple[str, ...] | None = None,
) -> list[Path]:
    """Unpack ``archive`` (.tar, also compressed) into the new ``folder`` and return the files, sorted.

    ``suffixes`` keeps members with one of these endings (any case); files that a Macintosh adds (``._name``) are left
    out. All or nothing: the files are unpacked beside ``folder``, which then appears by a rename. Raises DataError,
    one line, for an archive that is absent, truncated, damaged or no tar file, for members with an absolute path,
    ``..``, a link, a device or a name that stands twice, for one above the bounds, and for a ``folder`` that already
    holds something.
    """
    with new_folder(folder, archive.name) as work:
        names = _unpack(archive, work, max_files, max_bytes, name_filter(suffixes))
    return sorted(folder.joinpath(*name.parts) for name in names)


def _unpack(
    archive: Path, work: Path, max_files: int, max_bytes: int, keeps: Callable[[str], bool]
) -> list[PurePosixPath]:
    names: list[PurePosixPath] = []
    seen: set[str] = set()
    left = max_bytes
    try:
        # "r|" reads the stream once, from front to back.
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as source:
            for number, member in enumerate(source, start=1):
                path = _checked(archive, member, seen, number, max_files)
                # Sizes are those of the headers, and tarfile reads no more than they say.
                left -= member.size
                if left < 0:
                    raise data_error(archive.name, f"unpacks to more than {max_bytes} bytes", UNTRUSTED)
                content = source.extractfile(member) if member.isreg() and keeps(path.name) else None
                if content is not None and not path.name.startswith("._"):
                    _write(content, work.joinpath(*path.parts), member.size)
                    names.append(path)
            # The sum of a compressed stream stands at its end; without it the end was cut off.
            while stream.read(_BLOCK):
                left -= _BLOCK
                if left < -max_bytes:
                    raise data_error(archive.name, f"unpacks to more than {max_bytes} bytes", UNTRUSTED)
    except DataError:
        raise
    except _FAULTS as error:
        raise data_error(archive.name, f"is not a whole tar file ({one_line(error)})", AGAIN) from error
    return names


def _opened(archive: Path) -> IO[bytes]:
    """The plain tar stream of an archive, whatever its compression."""
    with open(archive, "rb") as handle:
        start = handle.read(6)
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if start.startswith(magic):
            return cast(IO[bytes], opener(archive, "rb"))
    return open(archive, "rb")


def _checked(archive: Path, member: tarfile.TarInfo, seen: set[str], number: int, max_files: int) -> PurePosixPath:
    """Path of a member inside the archive, after every check."""
    if number > max_files:
        raise data_error(archive.name, f"holds more than {max_files} members", UNTRUSTED)
    name = member.name.removeprefix("./")
    path = PurePosixPath(name)
    problem = path_fault(name) if member.isreg() or member.isdir() else "is a link or a special file"
    key = str(path).casefold()
    # Names that differ by case alone would overwrite each other on some file systems.
    if not problem and member.isreg() and key in seen:
        problem = "stands twice"
    if problem:
        raise data_error(archive.name, problem, UNTRUSTED, row=repr(member.name))
    seen.add(key)
    return path


def _write(content: IO[bytes], target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as handle:
        shutil.copyfileobj(content, handle, _BLOCK)
        if handle.tell() != size:
            raise EOFError(f"{target.name} ends after {handle.tell()} of {size} bytes")
