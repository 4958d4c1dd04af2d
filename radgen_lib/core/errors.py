"""Errors a user can act on: one line naming what, where, and what to do."""

from __future__ import annotations

from pathlib import Path


class RadgenError(Exception):
    """Base of every error that radgen raises on purpose; its text is one line for the user."""


class ConfigError(RadgenError):
    """A configuration key is unknown, of the wrong type, or impossible."""


class DataError(RadgenError):
    """An input file does not hold what it should (structure, not a single row)."""


class DownloadError(RadgenError):
    """A file could not be had, or is not the file that was asked for."""


class LeakageError(RadgenError):
    """A patient stands on both sides of a split that must keep patients apart."""


class StopRequested(RadgenError):
    """The process was asked to stop (SIGTERM); state is saved and the next start goes on."""


def data_error(file: str | Path, problem: str, action: str, *, row: object = None) -> DataError:
    """Build the one-line message every input fault uses: file, row, what is wrong, what to do.

    ``row`` is the line or the identifier of the row in ``file``; leave it out for a fault of the whole file.
    """
    where = f"{file}" if row is None else f"{file}, row {row}"
    return DataError(f"{where}: {problem}. {action}")
