"""Arrays and JSON facts in one safetensors file, sealed by a SHA-256 over both; nothing is pickled or executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from radgen_lib.core.atomic import atomic_path

HEADER = "radgen"
MODULES = {"np": "safetensors.numpy", "pt": "safetensors.torch"}
Framework = Literal["np", "pt"]


def write_sealed(path: str | Path, arrays: Mapping[str, Any], facts: str, framework: Framework = "np") -> None:
    """Write arrays (NumPy) or tensors (PyTorch, of any device), atomically; the same content gives the same bytes.

    ``facts`` is JSON text: its writer knows whether NaN is allowed and the order of keys counts. Raises OSError where
    the disk does not take the file.
    """
    from safetensors import SafetensorError

    whole = {name: _whole(array) for name, array in arrays.items()}
    # One key only: safetensors writes several in no fixed order.
    header = {HEADER: json.dumps({"facts": facts, "sha256": _checksum(whole, facts)})}
    try:
        with atomic_path(path) as temporary:
            import_module(MODULES[framework]).save_file(whole, temporary, header)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def read_sealed(path: str | Path, framework: Framework = "np") -> tuple[dict[str, Any], Any]:
    """Arrays and parsed facts of a file of :func:`write_sealed`.

    Raises ValueError, one line that gives the reason and leaves it to the caller to name the file and what to do, for
    another kind of file and one that is cut short or changed; FileNotFoundError when it is not there.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as handle:
            header = json.loads(handle.metadata()[HEADER])
            arrays = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a dict)
        facts, checksum = header["facts"], header["sha256"]
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"cut short or another kind of file: {reason}") from error
    if checksum != _checksum(arrays, facts):
        raise ValueError("its content does not match its checksum: it was changed or damaged")
    return arrays, json.loads(facts)


def add_array(summary: Any, name: str, array: Any) -> None:
    """Add an array or tensor to a running digest: name, shape, type and values."""
    array = _whole(array)
    if isinstance(array, np.ndarray):
        kind, content = array.dtype.str, array
    else:
        kind, content = array.dtype, array.reshape(-1).view(import_module("torch").uint8).numpy()
    summary.update(f"{name}{tuple(array.shape)}{kind}".encode())
    summary.update(content.data)


def _whole(array: Any) -> Any:
    """The array in C order, a tensor in main memory too."""
    return np.asarray(array, order="C") if isinstance(array, np.ndarray) else array.detach().cpu().contiguous()


def _checksum(arrays: Mapping[str, Any], facts: str) -> str:
    summary = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        add_array(summary, name, arrays[name])
    return summary.hexdigest()
