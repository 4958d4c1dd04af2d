"""Fetching one file of the registry: kept if it is there, else from a mirror folder, else from its pinned address."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

from radgen_lib.core.atomic import atomic_path
from radgen_lib.core.errors import DownloadError
from radgen_lib.sources.checksums import fault_of, record_sum, recorded_sum, require
from radgen_lib.sources.registry import Source
from radgen_lib.sources.transfer import Transfer

_LOG = logging.getLogger("radgen")


class FetchResult(NamedTuple):
    """Where a file came from, and its SHA-256."""

    origin: Literal["mirror", "network", "kept"]
    sha256: str


def mirror_folder(configured: str | None) -> Path | None:
    """The mirror of the configuration, else of RADGEN_MIRROR, else None."""
    folder = configured or os.environ.get("RADGEN_MIRROR")
    return Path(folder) if folder else None


def mirror_file(source: Source, mirror: Path | None) -> Path | None:
    """The file of ``source`` in a mirror folder, or None. A mirror that is not a folder raises DownloadError."""
    if mirror is None:
        return None
    if not mirror.is_dir():
        raise DownloadError(f"mirror {mirror}: is not a folder. Correct `mirror:` or RADGEN_MIRROR, or unset it")
    path = mirror / source.mirror_path if source.mirror_path else None
    return path if path is not None and path.is_file() else None


def fetch(
    source: Source,
    target: Path,
    *,
    mirror: Path | None,
    offline: bool,
    retries: int = 5,
    backoff: float = 1.0,
    timeout: float = 60.0,
) -> FetchResult:
    """Bring the file of ``source`` to ``target``, whole and verified, or raise DownloadError with what to do.

    A good file at ``target`` is kept; a wrong one is set aside as ``<name>.bad``. Size and SHA-256 are those of the
    registry; where it knows no sum, the first one found is recorded as ``<name>.sha256`` and holds from then on.
    ``retries`` further attempts follow a failed one, after ``backoff`` x 2, 4, 8 ... seconds (with jitter, or what the
    server asks for); ``timeout`` in seconds holds for a silent connection. An interrupted transfer leaves
    ``<name>.part``, from which the next one goes on.
    """
    try:
        kept = _keep(source, target)
        result = kept or _bring(source, target, mirror, offline, Transfer(retries, backoff, timeout))
        if not source.sum_known and recorded_sum(target) is None:
            record_sum(target, result.sha256)
            _LOG.warning("%s: the registry knows no SHA-256; %s is recorded", source.name, result.sha256)
    except OSError as error:
        raise DownloadError(
            f"{source.name}: {target} cannot be written: {error.strerror or error}. Free space or choose another folder"
        ) from error
    _LOG.info("%s: %s (%s)", source.name, target, result.origin)
    return result


def _keep(source: Source, target: Path) -> FetchResult | None:
    if not target.exists():
        return None
    found, fault = fault_of(source, target, recorded_sum(target))
    if not fault:
        return FetchResult("kept", found)
    bad = target.with_name(f"{target.name}.bad")
    os.replace(target, bad)
    _LOG.warning("%s: %s is not the file of the registry (%s); set aside as %s", source.name, target, fault, bad)
    return None


def _bring(source: Source, target: Path, mirror: Path | None, offline: bool, transfer: Transfer) -> FetchResult:
    found = mirror_file(source, mirror)
    if found is not None:
        with atomic_path(target) as temporary:
            shutil.copyfile(found, temporary)
            return FetchResult("mirror", require(source, temporary, target, str(found)))
    if source.url is None:
        place = f"{source.mirror_path} of a mirror folder" if source.mirror_path else str(target)
        raise DownloadError(
            f"{source.name}: {source.filename} has no public address. {source.ask}, and put it at {place}"
        )
    if offline:
        where = f"{mirror}/{source.mirror_path}" if mirror else "no mirror is set"
        raise DownloadError(
            f"{source.name}: offline and not in a mirror ({where}). Put {source.filename} there, or at {target}, "
            f"or allow the network (offline: false); its address is {source.url}"
        )
    return FetchResult("network", transfer.fetch(source, target))
