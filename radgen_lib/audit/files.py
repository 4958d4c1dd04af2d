"""The audits of one protocol, from the files of a results folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.read import read_runs
from radgen_lib.audit.runs import AuditRun, join_parts

Paths = Mapping[str, Any]
FILES = ("samples", "index", "features", "status")


def protocol_runs(names: Sequence[Sequence[str]], paths: Paths, kinds: Collection[str]) -> Iterator[AuditRun]:
    """One joined run per (condition, generator), in order, with samples of ``kinds`` only.

    ``names`` are ``[condition, generator, chunk]``; ``paths`` holds, in the same order, the lists ``samples``,
    ``index``, ``features`` and ``status``. One generator's images are in memory at a time.
    """
    # Snakemake's input object looks names up by key but answers `name in input` for paths: hand on a plain dict.
    lists = {key: [paths[key]] if isinstance(paths[key], str) else list(paths[key]) for key in FILES}
    parts: dict[tuple[str, str], dict[str, tuple[pd.DataFrame, np.ndarray, pd.DataFrame]]] = {}
    for (condition, generator, chunk), run in zip(names, read_runs(names, lists), strict=True):
        parts.setdefault((condition, generator), {})[chunk] = (run.index, run.samples, run.features)
    for (condition, generator), chunks in parts.items():
        yield join_parts(condition, generator, chunks, kinds)
