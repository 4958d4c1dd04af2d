"""Fitted folds of a training job, kept in their resume folders until the job has written its outputs.

A job trains several folds and writes all of them at its end. One sealed file a fold (:mod:`radgen_lib.core.sealed`,
facts and training figures inside) lets a job that was killed in a later fold take up the earlier ones as they were. A
file that is damaged, or of other training, is dropped with a logged reason.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from radgen_lib.core.errors import RadgenError
from radgen_lib.core.sealed import read_sealed, write_sealed
from radgen_lib.generators.store import FittedGenerator, FoldFacts, fold_arrays, fold_facts, rebuild_fold

LOG = logging.getLogger("radgen")
NAME = "kept.safetensors"
Row = dict[str, float]
Record = Callable[[Row], None]


@dataclass(frozen=True)
class KeptFold:
    """The place of one fitted fold: its resume folder (None: nothing is kept), its name, what identifies it."""

    folder: Path | None
    fold: str
    digest: str

    def take_or_fit(self, record: Record, fit: Callable[[Record], FittedGenerator]) -> FittedGenerator:
        """The kept fold, else what ``fit(record)`` returns, which is then kept at once.

        ``record`` gets all rows of training figures either way, those of a kept fold in the order they were made.
        """
        if self.folder is None:
            return fit(record)
        path = self.folder / NAME
        found = self._found(path)
        if found is not None:
            fitted, rows = found
            for row in rows:
                record(row)
            LOG.info("fold %s: was fitted before the job stopped, taken from %s", self.fold, path)
            return fitted
        made: list[Row] = []

        def both(row: Row) -> None:
            made.append(dict(row))
            record(row)

        return self._keep(path, fit(both), made)

    def _found(self, path: Path) -> tuple[FittedGenerator, list[Row]] | None:
        if not path.is_file():
            return None
        try:
            return self._read(path)
        except (OSError, ValueError, KeyError, TypeError, RadgenError) as error:
            LOG.warning("%s: ignored (%s); fold %s is trained again", path, error, self.fold)
        try:
            path.unlink()  # the training state of the new fit goes to the same folder
        except OSError as error:
            LOG.warning("%s: was not removed (%s); it may be deleted", path, error)
        return None

    def _read(self, path: Path) -> tuple[FittedGenerator, list[Row]]:
        arrays, known = read_sealed(path)
        if known.get("digest") != self.digest:
            raise ValueError("it is of other images, code, packages, device or settings")
        fitted = rebuild_fold(path, self.fold, FoldFacts.model_validate(known["fold"]), arrays)
        return replace(fitted, kept=path), known["rows"]

    def _keep(self, path: Path, fitted: FittedGenerator, rows: list[Row]) -> FittedGenerator:
        """Write the fold; a disk that does not take it costs a warning, never the training."""
        facts: dict[str, Any] = {
            "digest": self.digest, "fold": fold_facts(fitted, {}).model_dump(mode="json"), "rows": rows,
        }  # fmt: skip
        text = json.dumps(facts, default=_plain)  # a score may be NaN, which Python's JSON reads back
        try:
            write_sealed(path, fold_arrays(self.fold, fitted), text)
        except OSError as error:
            LOG.warning(
                "%s: fitted fold not kept (%s). Training goes on and its result does not change; free space or point "
                "`resume` to a larger disk, or a stop will lose this fold",
                path, error,
            )  # fmt: skip
            return fitted
        return replace(fitted, kept=path)


def remove_kept(fitted: Iterable[FittedGenerator]) -> None:
    """Remove the kept files of folds whose outputs are written, and folders left empty; a refusal is only logged."""
    for path in [one.kept for one in fitted if one.kept is not None]:
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            LOG.warning("%s: kept fold was not removed (%s); it may be deleted", path, error)


def _plain(value: Any) -> Any:
    """The Python number of a NumPy one; other values are refused as JSON refuses them."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"training figure {value!r}: is no number")
