"""Training state on disk: one sealed file per checkpoint (:mod:`radgen_lib.core.sealed`).

A file is whole or absent (written beside, flushed, renamed), the last two are kept, and a file that is damaged or
belongs to other training is left out with a logged reason.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen_lib.core.sealed import add_array, read_sealed, write_sealed

if TYPE_CHECKING:
    import numpy as np
    import torch

LOG = logging.getLogger("radgen")
KEEP = 2


def identity(network: torch.nn.Module, arrays: Iterable[np.ndarray], facts: Mapping[str, object]) -> str:
    """Digest of what makes two trainings the same: first weights of the network, training data, plain facts."""
    summary = hashlib.sha256(json.dumps(dict(facts), sort_keys=True, default=str).encode())
    for name, value in network.state_dict().items():
        add_array(summary, name, value)
    for array in arrays:
        add_array(summary, "", array)
    return summary.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = "optimizer/") -> dict[str, torch.Tensor]:
    """Moments and step counts of an optimiser as named tensors (its settings are in the code, not in the state)."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}{index}/{key}": value for index, entry in state.items() for key, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give an optimiser back what :func:`optimizer_tensors` (without prefix) took from it."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def section(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Tensors whose names start with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Checkpoint:
    """State of a training after ``step`` optimiser steps; ``facts`` are plain JSON values."""

    step: int
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training (named by its ``digest``) in one folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, digest: str) -> None:
        self._folder, self._digest = folder, digest

    @property
    def active(self) -> bool:
        """Whether there is a folder to keep state in."""
        return self._folder is not None

    def _files(self, pattern: str) -> list[Path]:
        return sorted(self._folder.glob(pattern)) if self._folder and self._folder.is_dir() else []

    def _own(self) -> list[Path]:
        return self._files(f"{self._digest[:16]}-*.safetensors")

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and belongs to this training; others are logged and left out."""
        for left in [*self._files(".*.part"), *self._files(".tmp*")]:  # .tmp*: safetensors' own temporary files
            left.unlink()  # of a process that was killed while it wrote; it would only fill the disk
        own = self._own()
        for foreign in set(self._files("*.safetensors")) - set(own):
            LOG.warning("%s: ignored, it belongs to other data, options, network or device", foreign)
        for path in reversed(own):
            try:
                return self._read(path)
            except (OSError, ValueError, KeyError) as error:
                LOG.warning("%s: ignored, damaged (%s); the checkpoint before it is used if there is one", path, error)
        return None

    def _read(self, path: Path) -> Checkpoint:
        tensors, known = read_sealed(path, "pt")
        if known.get("digest") != self._digest:
            raise ValueError("it belongs to other training")
        return Checkpoint(known["step"], tensors, known["facts"])

    def save(self, checkpoint: Checkpoint) -> bool:
        """Write a checkpoint and drop all but the last two; False (and a warning) when the disk does not take it."""
        if self._folder is None:
            return False
        known = {"digest": self._digest, "step": checkpoint.step, "facts": checkpoint.facts}
        path = self._folder / f"{self._digest[:16]}-{checkpoint.step:010d}.safetensors"
        try:
            write_sealed(path, checkpoint.tensors, json.dumps(known, allow_nan=False), "pt")
            for old in self._own()[:-KEEP]:
                old.unlink()
        except OSError as error:
            LOG.warning(
                "%s: checkpoint not written (%s). Training goes on and its result does not change; free space or point "
                "`resume` to a larger disk, or a stop will lose the work since the last checkpoint",
                path, error,
            )  # fmt: skip
            return False
        return True

    def clear(self) -> None:
        """Remove all checkpoints, and the folder when nothing else is in it; a refusal is only logged."""
        try:
            for path in self._files("*.safetensors"):
                path.unlink()
            if self._folder and self._folder.is_dir() and not any(self._folder.iterdir()):
                self._folder.rmdir()
        except OSError as error:
            LOG.warning("%s: finished training state was not removed (%s); it may be deleted", self._folder, error)
