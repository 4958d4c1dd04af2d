"""What all torch generators share: state as arrays, seeded noise per row, device, fixed numerics, resizing."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from radgen_lib.core.errors import RadgenError
from radgen_lib.generators.base import Generator, State

if TYPE_CHECKING:
    import torch

Module = TypeVar("Module", bound="torch.nn.Module")


def to_state(module: torch.nn.Module, prefix: str = "") -> State:
    """Copy parameters and buffers of ``module`` to arrays named ``prefix`` + their torch names."""
    return {f"{prefix}{name}": value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def load_module(module: torch.nn.Module, state: State, prefix: str = "") -> None:
    """Load the arrays of ``state`` whose names start with ``prefix`` into ``module``.

    Raises ValueError naming the first array that is missing, is not known, or has another shape.
    """
    import torch

    target = module.state_dict()
    given = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    for name in sorted(target.keys() ^ given.keys()):
        fault = "is missing" if name in target else "is not part of this network"
        raise ValueError(f"state: array {prefix}{name} {fault}")
    for name, value in given.items():
        if tuple(value.shape) != tuple(target[name].shape):
            raise ValueError(
                f"state: array {prefix}{name} has shape {tuple(value.shape)}; this network needs "
                f"{tuple(target[name].shape)}"
            )
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in given.items()})


def build_seeded(seed: int, make: Callable[[], Module]) -> Module:
    """Call ``make`` with torch's random state seeded, so that first weights depend on ``seed`` alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


class NetworkGenerator(Generator, Generic[Module]):
    """A generator whose whole state is one network: None until it was fitted or loaded."""

    network: Module | None = None

    @abstractmethod
    def build(self, seed: int) -> Module:
        """A network of these options with first weights by ``seed``."""

    def fitted_network(self) -> Module:
        """The network; RuntimeError before ``fit`` or ``load_state``."""
        if self.network is None:
            raise RuntimeError("the generator is not fitted: call fit or load_state first")
        return self.network

    def state(self) -> State:
        """Weights and buffers under ``network.``."""
        return to_state(self.fitted_network(), "network.")

    def load_state(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        network = self.build(0)
        load_module(network, state, "network.")
        self.network = network.eval()


def pick_device(wanted: str = "auto") -> str:
    """Return ``"cuda"`` or ``"cpu"`` for ``"auto"``, ``"cpu"`` or ``"cuda"``; RadgenError when cuda is not there."""
    if wanted == "cpu":
        return "cpu"
    if wanted not in ("auto", "cuda"):
        raise ValueError(f"device {wanted!r}: allowed are auto, cpu, cuda")
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise RadgenError(
            "device: cuda was asked for and torch sees no accelerator. Install an accelerator build of torch on a "
            "machine that has one, or set device: auto"
        )
    return "cpu"


class RowNoise:
    """Standard normal noise with one generator per row, so that a row's noise depends on its own seed alone.

    Numbers are drawn on the CPU and then moved: a seed gives the same noise on every device.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: str = "cpu") -> None:
        import torch

        self._shape, self._device = shape, device
        self._generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def draw(self) -> torch.Tensor:
        """Next float32 [n, *shape]."""
        import torch

        rows = [torch.randn(self._shape, generator=generator) for generator in self._generators]
        return torch.stack(rows).to(self._device)


def noise_like(seeds: Sequence[int], shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal float32 [len(seeds), *shape]; row i depends on ``seeds[i]`` alone."""
    return RowNoise(seeds, shape).draw()


def draw_normal(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise of the shape and on the device of ``like``, drawn on the device of ``generator``."""
    import torch

    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear float32 [n, size, size] of ``images`` [n, h, w]; low-pass filtered first where it shrinks."""
    import torch

    source = torch.from_numpy(np.array(images, dtype=np.float32))
    if tuple(source.shape[1:]) == (size, size):
        return source.numpy()
    shrinks = size < max(source.shape[1:])
    resized = torch.nn.functional.interpolate(source[:, None], (size, size), mode="bilinear", antialias=shrinks)
    return resized[:, 0].numpy()


@contextmanager
def fixed_numerics(*, threads: int, deterministic: bool, device: str = "cpu") -> Iterator[None]:
    """Run with this many torch threads, and with torch's deterministic algorithms where asked.

    Global random state (of the CPU, and of the accelerator that is used) and all settings are put back on leaving.
    """
    import torch

    earlier_threads, earlier_mode = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    debug: Any = importlib.import_module("torch.utils.deterministic")
    earlier_fill = debug.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses deterministic mode without it
    try:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        debug.fill_uninitialized_memory = False  # only a debugging aid, and slow
        with torch.random.fork_rng(devices=[] if device == "cpu" else [torch.cuda.current_device()]):
            yield
    finally:
        torch.set_num_threads(earlier_threads)
        torch.use_deterministic_algorithms(earlier_mode)
        debug.fill_uninitialized_memory = earlier_fill
