"""Keyed pseudonyms for identifiers of files that are not public."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from radgen_lib.core.atomic import atomic_path
from radgen_lib.core.errors import data_error

FOLDER = "pseudonyms"  # beside the raw data, never below the results
_KEY_BYTES = 32
_FORMS = {"patient": ("P-", 12), "study": ("E-", 16), "series": ("S-", 16)}
_SAFE = re.compile(r"[A-Za-z0-9._-]+")


class Pseudonyms:
    """HMAC-SHA256 of identifiers under a secret key: the same identifier gets the same pseudonym in every shard.

    The key lies in ``root/pseudonyms/key`` (mode 0600) and is drawn once; who has it can compute the pseudonym of a
    guessed identifier, so it never leaves the data folder. Raises DataError for a key file of another length.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._key = _read_or_draw(self._folder / "key")
        self._given: dict[tuple[str, str], str] = {}

    def of(self, kind: str, identifier: str) -> str:
        """Pseudonym of one identifier.

        ``P-`` and 12 hexadecimal digits for a ``patient``, ``E-`` and 16 for a ``study``, ``S-`` and 16 for a
        ``series``. The empty identifier stays empty. Raises KeyError for another kind.
        """
        prefix, digits = _FORMS[kind]
        if not identifier:
            return ""
        mark = hmac.new(self._key, f"{kind}\x1f{identifier}".encode(), hashlib.sha256).hexdigest()
        self._given[(kind, identifier)] = prefix + mark[:digits]
        return prefix + mark[:digits]

    def write_links(self, name: str) -> None:
        """Write who is who to ``root/pseudonyms/links-<name>.parquet`` (mode 0600): kind, pseudonym, identifier.

        Raises DataError when two identifiers share a pseudonym.
        """
        rows = sorted((kind, given, known) for (kind, known), given in self._given.items())
        table = pd.DataFrame(rows, columns=["kind", "pseudonym", "identifier"])
        target = self._folder / f"links-{name}.parquet"
        if table.duplicated(["kind", "pseudonym"]).any():
            raise data_error(target, "two identifiers have the same pseudonym", "Delete the key and ingest again")
        with atomic_path(target) as path:
            path.touch(mode=0o600)
            table.to_parquet(path, index=False)


def _read_or_draw(path: Path) -> bytes:
    """The key of ``path``; drawn and stored first when there is none. Two processes at once end with one key."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(secrets.token_bytes(_KEY_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(fresh, path)  # unlike a rename, this leaves a key that another process stored meanwhile
        except FileExistsError:
            return _read_or_draw(path)
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise data_error(path, f"key has {len(key)} bytes, not {_KEY_BYTES}", "Restore it: links depend on it")
    return key


class Names:
    """What each identifier is called in everything that leaves ingestion.

    ``given``: patient -> name, for callers that name patients themselves (a patient without a name is a DataError);
    ``pseudonyms``: for patients without a given name, and for studies and series. Without either, identifiers stay.
    Raises DataError for a name that cannot be part of a file name.
    """

    def __init__(self, given: dict[str, str] | None, pseudonyms: Pseudonyms | None) -> None:
        self._given, self._pseudonyms = given, pseudonyms

    @property
    def hidden(self) -> bool:
        """Whether patients are called something else than in the files."""
        return self._given is not None or self._pseudonyms is not None

    def patient(self, identifier: str) -> str:
        """Name of a patient; "" stays ""."""
        if self._given is not None and identifier:
            if identifier not in self._given:
                raise data_error("names", "a patient has no name", "Give a name to every patient of the ledger")
            return _checked(self._given[identifier])
        if self._pseudonyms is not None:
            return self._pseudonyms.of("patient", identifier)
        return _checked(identifier) if identifier else ""

    def study(self, identifier: str) -> str:
        """Name of a study."""
        return identifier if self._pseudonyms is None else self._pseudonyms.of("study", identifier)

    def series(self, identifier: str) -> str:
        """Name of a series."""
        return identifier if self._pseudonyms is None else self._pseudonyms.of("series", identifier)

    def column(self, kind: str, values: Iterable[object]) -> list[str]:
        """Names of a column of identifiers of one ``kind``."""
        name = {"patient": self.patient, "study": self.study, "series": self.series}[kind]
        return [name(str(value)) for value in values]


def _checked(name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise data_error(
            "ledger", "a patient's identifier has letters that no file name should have", "Set pseudonyms: true"
        )
    return name
