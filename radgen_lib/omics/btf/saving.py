"""Fitted models on disk: one safetensors file, plain facts as JSON in its header, a checksum over both; no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from radgen_lib.core.atomic import atomic_path

HEADER = "radgen"


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]) -> None:
    """Write arrays and JSON facts to ``path``, atomically; the same content gives the same bytes."""
    from safetensors.numpy import save_file

    text = json.dumps(dict(facts), sort_keys=True, allow_nan=False)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # One key only: safetensors writes several in no fixed order.
    header = {HEADER: json.dumps({"facts": text, "sha256": _checksum(whole, text)})}
    with atomic_path(path) as temporary:
        save_file(whole, temporary, header)


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of a file of :func:`save_arrays`; nothing in the file is executed.

    Raises ValueError, one line naming the file, when it is another kind of file, cut short or changed, and
    FileNotFoundError when it is not there.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as handle:
            header = json.loads(handle.metadata()[HEADER])
            arrays = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a dict)
        facts, checksum = header["facts"], header["sha256"]
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a whole saved factorisation ({reason}); save it again") from error
    if checksum != _checksum(arrays, facts):
        raise ValueError(f"{path}: its content does not match its checksum: it was changed or damaged; save it again")
    return arrays, json.loads(facts)


def _checksum(arrays: Mapping[str, np.ndarray], facts: str) -> str:
    summary = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        summary.update(f"{name}{arrays[name].shape}{arrays[name].dtype.str}".encode())
        summary.update(np.ascontiguousarray(arrays[name]).data)
    return summary.hexdigest()
