"""Fitted models on disk: plain facts and arrays in one sealed file (:mod:`radgen_lib.core.sealed`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radgen_lib.core.sealed import read_sealed, write_sealed


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> None:
    """Write arrays and JSON facts to ``path``, atomically; the same content gives the same bytes, NaN is refused."""
    write_sealed(path, arrays, json.dumps(dict(facts), sort_keys=True, allow_nan=False))


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of a file of :func:`save_arrays`.

    Raises ValueError, one line naming the file, when it is another kind of file, cut short or changed, and
    FileNotFoundError when it is not there.
    """
    try:
        return read_sealed(path)
    except ValueError as error:
        raise ValueError(f"{path}: not a whole saved factorisation ({error}); save it again") from error
