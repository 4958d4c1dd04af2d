"""What the readers of archives share: names that are refused, and a folder that is whole or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from radgen_lib.core.errors import data_error

MAX_FILES = 10_000
AGAIN = "Fetch the archive again"
UNTRUSTED = "Do not use this archive"


@contextmanager
def new_folder(folder: Path, archive: str) -> Iterator[Path]:
    """Yield a folder beside ``folder`` that takes its place when the block succeeds, and is removed otherwise.

    Raises DataError, which names the ``archive``, for a ``folder`` that already holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise data_error(folder, "already exists", f"Remove it, or unpack {archive} elsewhere")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        yield work
        work.chmod(0o755)  # mkdtemp makes it private
        os.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def name_filter(suffixes: tuple[str, ...] | None) -> Callable[[str], bool]:
    """Whether a name has one of these endings, in any case; None keeps every name."""
    endings = None if suffixes is None else tuple(ending.lower() for ending in suffixes)
    return lambda name: endings is None or name.lower().endswith(endings)


def path_fault(name: str) -> str:
    """What speaks against the path that an archive gives a member, or ""."""
    if name.startswith("/") or "\\" in name or ":" in name.partition("/")[0]:
        return "has an absolute or foreign path"
    if ".." in name.split("/"):
        return "has a path that leaves its folder"
    return "has a control character in its name" if any(ord(letter) < 32 for letter in name) else ""


def one_line(error: BaseException) -> str:
    """What an error of a foreign library says, without line ends; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
