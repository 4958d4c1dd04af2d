"""Cards: what made a result, from which inputs, with which code, packages and machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import radgen_lib
from radgen_lib.core.atomic import write_json
from radgen_lib.core.digest import LIBRARY, file_sha256

PACKAGES = (
    "numpy", "pandas", "scipy", "scikit-learn", "torch", "monai", "lightning-fabric", "xgboost-cpu",
    "lifelines", "scikit-survival", "pyradiomics", "SimpleITK", "snakemake",
)  # fmt: skip


def package_versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Installed version of each package, or ``"absent"``."""
    versions: dict[str, str] = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def code_version() -> str:
    """Release plus the commit of the checkout (``+dirty`` with uncommitted changes), where git knows it."""
    command = ["git", "-C", str(LIBRARY.parent), "describe", "--always", "--dirty=+dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return radgen_lib.__version__
    return f"{radgen_lib.__version__} ({found})"


def hardware() -> dict[str, object]:
    """Processor, cores, and the accelerator when torch is already loaded (never imports torch by itself)."""
    import sys

    described: dict[str, object] = {"machine": platform.machine(), "cores": os.cpu_count(), "accelerator": "none"}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        described["accelerator"] = torch.cuda.get_device_name()
    return described


def without_places(value: Any) -> Any:
    """A plain value in which each absolute path is only its last part: a card leaves the machine it was made on."""
    if isinstance(value, Mapping):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def _name_of(file: Path, names: list[str]) -> str:
    """A relative path as it is; of an absolute one its name, with its folder's where two files have that name."""
    if not file.is_absolute():
        return str(file)
    return file.name if names.count(file.name) == 1 else f"{file.parent.name}/{file.name}"


class Card:
    """Collects the provenance of one job and writes it as JSON beside the job's outputs.

    The card is the only output that holds a duration, so tables stay byte-identical between runs.
    """

    def __init__(self, name: str, *, config: Mapping[str, object], seed: int | None, code: str) -> None:
        self._started = time.monotonic()
        self.fields: dict[str, object] = {
            "name": name, "config": without_places(dict(config)), "seed": seed, "code_digest": code,
            "code_version": code_version(),
        }  # fmt: skip

    def inputs(self, paths: Iterable[str | Path]) -> None:
        """Record the SHA-256 of every input file."""
        files = list(dict.fromkeys(Path(path) for path in paths if Path(path).is_file()))
        names = [file.name for file in files]
        self.fields["inputs"] = {_name_of(file, names): file_sha256(file) for file in files}

    def add(self, **facts: object) -> None:
        """Record further plain facts (counts, training patients, decisions)."""
        self.fields.update(facts)

    def write(self, target: str | Path) -> None:
        """Write the card with packages, hardware and the seconds since it was made."""
        ending = {
            "packages": package_versions(),
            "python": platform.python_version(),
            "hardware": hardware(),
            "duration_s": round(time.monotonic() - self._started, 3),
        }
        write_json(target, {**self.fields, **ending})
