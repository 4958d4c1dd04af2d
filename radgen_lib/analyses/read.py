"""Reading what the analyses need from the files of a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from radgen_lib.analyses.arms import Tables
from radgen_lib.analyses.runs import Run

Paths = Mapping[str, object]
CONDITIONS = ("genes15", "factors17", "factors")


def _one(paths: Paths, name: str) -> str:
    return str(paths[name])


def _many(paths: Paths, name: str) -> list[str]:
    found = paths[name]
    return [found] if isinstance(found, str) else [str(path) for path in cast(Sequence[object], found)]


def read_runs(names: Sequence[Sequence[str]], paths: Paths, prefix: str = "") -> list[Run]:
    """Samples of every training job; images stay memory-mapped.

    ``names`` are ``[condition, generator, chunk]``; ``paths`` holds, in the same order, the lists ``samples``,
    ``index``, ``features`` and ``status`` (the latter two may be absent: then the run has no features).
    """
    # A workflow's input object looks names up by key but answers `in` for paths: take a plain dict.
    paths = dict(paths.items())
    samples, index = _many(paths, f"{prefix}samples"), _many(paths, f"{prefix}index")
    has_features = "features" in paths and not prefix
    runs = []
    for i, (condition, generator, _) in enumerate(names):
        features = pd.read_parquet(_many(paths, "features")[i]) if has_features else pd.DataFrame({"row": []})
        status = (
            pd.read_csv(_many(paths, "status")[i], keep_default_na=False)
            if has_features
            else pd.DataFrame(columns=["extractor", "status", "reason"])
        )
        images = np.load(samples[i], mmap_mode="r")
        runs.append(Run(condition, generator, images, pd.read_parquet(index[i]), features, status))
    return runs


def read_tables(paths: Paths) -> Tables:
    """The cohort's tables that predictions read; ``factors`` is there where a protocol conditions on it."""
    given = {name: _many(paths, name) for name in CONDITIONS if name in dict(paths.items())}
    return Tables(
        patients=pd.read_parquet(_one(paths, "patients")),
        real_features=pd.read_parquet(_one(paths, "real")),
        conditions={name: pd.read_parquet(files[0]) for name, files in given.items() if files},
        splits=pd.read_parquet(_one(paths, "splits")),
        endpoint_splits=pd.read_parquet(_one(paths, "endpoints")),
    )


def read_images(paths: Paths) -> np.ndarray:
    """Real images uint8 [n, H, W], memory-mapped."""
    return np.load(_one(paths, "images"), mmap_mode="r")
