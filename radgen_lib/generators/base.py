"""The one interface of every generator: fit on conditions and images, sample images, give and take its state.

A new generator is one module with one subclass of :class:`Generator` and one config block
(``class: package.module:Name``, ``options: {...}``); every metric, table and audit then includes it.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from radgen_lib.core.config.model import Config
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.plan import generator_options

State = dict[str, np.ndarray]
SWITCHES = ("batch_size", "start_noise")
ROUNDING = 2e-5  # how far a pixel (in units of [0, 1]) may differ between a row drawn alone and within a batch


class Options(BaseModel):
    """Base of a generator's options: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


@dataclass(frozen=True)
class TrainingData:
    """Training pairs, one row per image.

    images: float32 [n, H, W] in [0, 1]; conditions: float32 [n, c], already scaled; patients: str [n].
    """

    images: np.ndarray
    conditions: np.ndarray
    patients: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.images)
        if n == 0 or self.images.ndim != 3 or self.conditions.shape[:1] != (n,) or len(self.patients) != n:
            raise ValueError(
                f"images {self.images.shape}, conditions {self.conditions.shape}, patients {len(self.patients)}: "
                "need [n, H, W], [n, c] and [n] with n > 0"
            )


@dataclass(frozen=True)
class FitContext:
    """What a fit may use beside its data; the same seed and data give the same weights.

    ``resume`` is a folder for training state (None: no checkpoints); ``record`` takes one row of training figures
    (``{"step": 10, "loss": 0.5, ...}``).
    """

    seed: int
    device: str = "cpu"
    deterministic: bool = True
    threads: int = 1
    resume: Path | None = None
    tensorboard: Path | None = None
    record: Callable[[dict[str, float]], None] = field(default=lambda row: None)


class Generator(ABC):
    """Images from conditions.

    Subclasses define ``Options`` (a subclass of :class:`Options`) and set ``deterministic`` when the image is a
    function of the condition alone, ``accelerated = False`` when it needs no torch. ``options`` is validated by the
    class itself.
    """

    Options: ClassVar[type[Options]] = Options
    deterministic: ClassVar[bool] = False
    accelerated: ClassVar[bool] = True

    def __init__(self, options: Any, *, image_size: int, n_conditions: int) -> None:
        self.options = options
        self.image_size = image_size
        self.n_conditions = n_conditions

    @abstractmethod
    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Fit on training pairs; nothing outside ``data`` may be looked at."""

    @abstractmethod
    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Return float32 [n, image_size, image_size], one image per row of ``conditions`` [n, c].

        Row i depends on ``conditions[i]`` and ``seeds[i]`` alone, and the same call gives the same bytes. Other rows
        and the batch size may move a pixel by rounding (:data:`ROUNDING`, in float32 on one device): a library sums a
        batch of another size in another order. Values may leave [0, 1] (the published model's do); callers clamp where
        their protocol says so.
        """

    @abstractmethod
    def state(self) -> State:
        """Everything that was fitted, as arrays (saved as safetensors)."""

    @abstractmethod
    def load_state(self, state: State) -> None:
        """Take back what :meth:`state` gave; raises ValueError naming the array that does not fit."""


def generator_class(path: str) -> type[Generator]:
    """Import ``package.module:Name``; raises ConfigError with the reason when that is not a Generator."""
    module_name, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"generator class {path!r}: {error}. Write it as package.module:ClassName") from error
    if not (isinstance(found, type) and issubclass(found, Generator)):
        raise ConfigError(f"generator class {path!r}: is not a radgen_lib.generators.base.Generator")
    return found


def accepted_options(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` without the protocol's training switches (:data:`SWITCHES`) that the class does not take."""
    known = generator_class(path).Options.model_fields
    return {key: value for key, value in options.items() if key in known or key not in SWITCHES}


def checked_options(path: str, options: Mapping[str, Any]) -> Options:
    """The class's own options object; bad ones raise ConfigError with key, value and what is allowed."""
    kind = generator_class(path)
    try:
        return kind.Options(**options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"options of generator {path}: {key} = {first.get('input')!r}: {first['msg']}. "
            f"Allowed keys: {', '.join(kind.Options.model_fields)}"
        ) from error


def check_generators(config: Config) -> None:
    """Import every generator class that a protocol runs and check its options; raises ConfigError before any job."""
    for protocol, block in config.cpdm.protocols.items():
        for name in block.generators:
            path = config.cpdm.generators[name].class_path
            checked_options(path, accepted_options(path, generator_options(config, protocol, name)))


def build_generator(path: str, options: Mapping[str, Any], *, image_size: int, n_conditions: int) -> Generator:
    """Build a generator from its config block; bad options raise ConfigError (:func:`checked_options`)."""
    checked = checked_options(path, options)
    return generator_class(path)(checked, image_size=image_size, n_conditions=n_conditions)


def device_for(path: str, wanted: str) -> str:
    """Device that a generator of class ``path`` runs on, logged; ``wanted`` is auto, cpu or cuda."""
    if not generator_class(path).accelerated:
        return "cpu"
    from radgen_lib.generators.common import pick_device

    return pick_device(wanted)
