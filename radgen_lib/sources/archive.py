"""Zip archives from elsewhere, read with suspicion: no path outside, no link, no bomb, no half file."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from radgen_lib.core.errors import data_error
from radgen_lib.sources.unpacking import AGAIN, MAX_FILES, UNTRUSTED, name_filter, new_folder, one_line, path_fault

MAX_BYTES = 2 << 30
_BLOCK = 1 << 16
# What zipfile raises for truncated, damaged, encrypted or unsupported archives.
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


def unpack_zip(
    archive: str | Path,
    folder: str | Path,
    *,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    suffixes: tuple[str, ...] | None = None,
) -> list[Path]:
    """Unpack ``archive`` into the new ``folder`` and return the files, sorted.

    ``suffixes`` keeps the members with one of these endings (any case); ``max_files`` and ``max_bytes`` bound what is
    unpacked. All or nothing: the files are unpacked beside ``folder``, which then appears by a rename. Raises
    DataError, one line, for an archive that is truncated, damaged, encrypted or no zip file, for members with an
    absolute path, ``..``, a link or a name that stands twice, for one above the bounds (declared or actual), and for
    a ``folder`` that already holds something.
    """
    archive, folder = Path(archive), Path(folder)
    names: list[PurePosixPath] = []
    with new_folder(folder, archive.name) as work:
        for name, blocks in _contents(archive, max_files, max_bytes, name_filter(suffixes)):
            target = work.joinpath(*name.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "wb") as handle:
                handle.writelines(blocks)
            names.append(name)
    return sorted(folder.joinpath(*name.parts) for name in names)


def read_zip_members(
    archive: str | Path, suffix: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> dict[str, bytes]:
    """Contents of the members whose name ends in ``suffix`` (any case), by name, sorted; the checks of unpack_zip."""
    found = _contents(Path(archive), max_files, max_bytes, name_filter((suffix,)))
    return dict(sorted((str(name), b"".join(blocks)) for name, blocks in found))


def _contents(
    archive: Path, max_files: int, max_bytes: int, keeps: Callable[[str], bool]
) -> Iterator[tuple[PurePosixPath, Iterator[bytes]]]:
    """Yield the path and the blocks of every kept file; the blocks are read before the next file is asked for."""
    try:
        opened = zipfile.ZipFile(archive)
    except FileNotFoundError as error:
        raise data_error(archive, "does not exist", AGAIN) from error
    except _FAULTS as error:
        raise data_error(archive, f"is not a whole zip file ({one_line(error)})", AGAIN) from error
    with opened as source:
        members = _checked(archive, source.infolist(), max_files, max_bytes)
        budget = _Budget(archive, max_bytes)
        for name, member in members.items():
            if keeps(str(name)):
                yield name, budget.blocks(source, member)


class _Budget:
    """Counts what really comes out of the archive, whatever its directory declares."""

    def __init__(self, archive: Path, left: int) -> None:
        self._archive, self._left, self._most = archive, left, left

    def blocks(self, source: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the bytes of a member; raises DataError where it is damaged, or the bound of the archive is passed."""
        try:
            with source.open(member) as handle:
                while block := handle.read(_BLOCK):
                    self._left -= len(block)
                    if self._left < 0:
                        problem = f"unpacks to more than {self._most} bytes"
                        raise data_error(self._archive, problem, UNTRUSTED, row=member.filename)
                    yield block
        except _FAULTS as error:
            problem = f"cannot be unpacked ({one_line(error)})"
            raise data_error(self._archive, problem, AGAIN, row=member.filename) from error


def _checked(
    archive: Path, infos: list[zipfile.ZipInfo], max_files: int, max_bytes: int
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Files of the archive by their path inside it, after every check that the directory alone allows."""
    if len(infos) > max_files:
        raise data_error(archive, f"holds {len(infos)} members, more than {max_files}", UNTRUSTED)
    declared = sum(info.file_size for info in infos)
    if declared > max_bytes:
        raise data_error(archive, f"declares {declared} bytes unpacked, more than {max_bytes}", UNTRUSTED)
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for info in infos:
        problem = _member_fault(info)
        path = PurePosixPath(info.filename)
        # Names that differ by case alone would overwrite each other on some file systems.
        key = str(path).casefold()
        if not problem and key in seen:
            problem = "stands twice"
        if problem:
            raise data_error(archive, problem, UNTRUSTED, row=repr(info.filename))
        seen.add(key)
        if not info.is_dir():
            files[path] = info
    _no_file_is_folder(archive, files)
    return files


def _no_file_is_folder(archive: Path, files: dict[PurePosixPath, zipfile.ZipInfo]) -> None:
    folders = {str(parent).casefold() for path in files for parent in path.parents}
    for path in files:
        if str(path).casefold() in folders:
            raise data_error(archive, "is a file and a folder at once", UNTRUSTED, row=repr(str(path)))


def _member_fault(info: zipfile.ZipInfo) -> str:
    """What speaks against one member, or ""."""
    # The library changes a name on its way (a NUL ends it): as it stands in the archive, and as it will be used.
    if problem := path_fault(info.orig_filename) or path_fault(info.filename):
        return problem
    if {"", "."} & set(info.filename.removesuffix("/").split("/")):
        return "has a path that is not plain"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    return "is encrypted" if info.flag_bits & 0x1 else ""
