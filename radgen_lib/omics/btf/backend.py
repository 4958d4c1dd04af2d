"""The thin array layer under the sampler: the same update code runs on numpy and on torch (CPU or accelerator).

Factors are laid out components first ([K, n], contiguous): products with the data, sums over genes and draws for many
genes at once then read memory in order. ``wide`` arrays (float64) carry the K x K algebra whatever the data's type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

Array = Any  # numpy array or torch tensor
GENES_AT_ONCE = 512  # their factors [K + 1, K, 512] stay in the second-level cache


class Backend(Protocol):
    """What the updates need beside operators that numpy and torch share."""

    def place(self, values: np.ndarray) -> Array:
        """Copy numbers to where the chain runs, in the chain's type; integers and booleans keep theirs."""

    def place_wide(self, values: np.ndarray) -> Array:
        """Copy numbers to where the chain runs, in float64."""

    def host(self, values: Array) -> np.ndarray:
        """Bring an array back as numpy."""

    def wide(self, values: Array) -> Array:
        """The values in float64."""

    def narrow(self, values: Array) -> Array:
        """The values in the chain's type."""

    def normal(self, *shape: int) -> Array:
        """Standard normal numbers in the chain's type."""

    def gamma(self, shape: float | Array, size: tuple[int, ...]) -> Array:
        """Gamma numbers of rate 1; ``shape`` a number (drawn in the chain's type) or a float64 array of ``size``."""

    def join(self, parts: list[Array]) -> Array:
        """Vectors one after another."""

    def inverse_root(self, precision: Array) -> Array:
        """Inverse R [K, K] of the lower Cholesky factor of a precision matrix: covariance = R' R."""

    def draw_each(self, shared: Array, diagonal: Array, linear: Array, noise: Array) -> Array:
        """Draw for every column j of [K, n] from the Gaussian with precision ``shared`` + diag(``diagonal``[:, j]).

        ``linear`` is precision times mean; with standard normal ``noise`` the result is a draw, with zeros the mean.
        """


class NumpyBackend:
    """Backend on the CPU; all random numbers from ``rng``."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float64) -> None:
        self.rng, self.dtype = rng, np.dtype(dtype).type

    def place(self, values: np.ndarray) -> Array:
        """See Backend."""
        return np.array(values, dtype=self.dtype if values.dtype.kind == "f" else None)

    def place_wide(self, values: np.ndarray) -> Array:
        """See Backend."""
        return np.array(values, dtype=np.float64)

    def host(self, values: Array) -> np.ndarray:
        """See Backend."""
        return np.asarray(values)

    def wide(self, values: Array) -> Array:
        """See Backend."""
        return values.astype(np.float64, copy=False)

    def narrow(self, values: Array) -> Array:
        """See Backend."""
        return values.astype(self.dtype, copy=False)

    def normal(self, *shape: int) -> Array:
        """See Backend."""
        return self.rng.standard_normal(shape, dtype=self.dtype)

    def gamma(self, shape: float | Array, size: tuple[int, ...]) -> Array:
        """See Backend."""
        if isinstance(shape, float):
            return self.rng.standard_gamma(shape, size, dtype=self.dtype)
        return self.rng.standard_gamma(shape, size)

    def join(self, parts: list[Array]) -> Array:
        """See Backend."""
        return np.concatenate(parts)

    def inverse_root(self, precision: Array) -> Array:
        """See Backend."""
        return np.linalg.inv(np.linalg.cholesky(precision))

    def draw_each(self, shared: Array, diagonal: Array, linear: Array, noise: Array) -> Array:
        """See Backend; Cholesky factors of a few hundred genes are built together, one column of all at a time."""
        out = np.empty_like(linear)
        for first in range(0, linear.shape[1], GENES_AT_ONCE):
            part = slice(first, first + GENES_AT_ONCE)
            out[:, part] = _draw_block(shared, diagonal[:, part], linear[:, part], noise[:, part])
        return out


def _draw_block(shared: np.ndarray, diagonal: np.ndarray, linear: np.ndarray, noise: np.ndarray) -> np.ndarray:
    size, genes = linear.shape
    # Row ``size`` carries the linear term through the factorisation: it leaves as the forward solution.
    factor = np.empty((size + 1, size, genes))
    for j in range(size):
        column = np.empty((size + 1 - j, genes))
        column[:-1] = shared[j:, j, None]
        column[0] += diagonal[j]
        column[-1] = linear[j]
        if j:
            column -= np.einsum("ipg,pg->ig", factor[j:, :j], factor[j, :j])
        np.sqrt(column[0], out=column[0])
        column[1:] /= column[0]
        factor[j:, j] = column
    out = factor[size] + noise
    for j in reversed(range(size)):
        out[j] -= np.einsum("pg,pg->g", factor[j + 1 : size, j], out[j + 1 :])
        out[j] /= factor[j, j]
    return out


class TorchBackend:
    """Backend on torch; the random numbers of ``device`` depend on ``seed`` and on the kind of device."""

    def __init__(self, seed: int, dtype: Any = np.float64, device: str = "cpu") -> None:
        import torch

        self.torch, self.device = torch, torch.device(device)
        self.dtype = torch.float64 if np.dtype(dtype) == np.float64 else torch.float32
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def place(self, values: np.ndarray) -> torch.Tensor:
        """See Backend."""
        tensor = self.torch.from_numpy(np.array(values))
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)

    def place_wide(self, values: np.ndarray) -> torch.Tensor:
        """See Backend."""
        return self.torch.from_numpy(np.array(values, dtype=np.float64)).to(self.device)

    def host(self, values: torch.Tensor) -> np.ndarray:
        """See Backend."""
        return values.cpu().numpy()

    def wide(self, values: torch.Tensor) -> torch.Tensor:
        """See Backend."""
        return values.to(self.torch.float64)

    def narrow(self, values: torch.Tensor) -> torch.Tensor:
        """See Backend."""
        return values.to(self.dtype)

    def normal(self, *shape: int) -> torch.Tensor:
        """See Backend."""
        return self.torch.randn(shape, generator=self.generator, device=self.device, dtype=self.dtype)

    def gamma(self, shape: float | torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        """See Backend."""
        if isinstance(shape, float):
            shape = self.torch.full(size, shape, device=self.device, dtype=self.dtype)
        # Private, but torch's public Gamma numbers come from the global generator alone.
        return self.torch._standard_gamma(shape.expand(size).contiguous(), generator=self.generator)

    def join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """See Backend."""
        return self.torch.cat(parts)

    def inverse_root(self, precision: torch.Tensor) -> torch.Tensor:
        """See Backend."""
        eye = self.torch.eye(len(precision), dtype=precision.dtype, device=self.device)
        return self.torch.linalg.solve_triangular(self.torch.linalg.cholesky(precision), eye, upper=False)

    def draw_each(
        self, shared: torch.Tensor, diagonal: torch.Tensor, linear: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """See Backend; batched LAPACK or its counterpart on the accelerator."""
        linalg, wide = self.torch.linalg, self.wide
        root = linalg.cholesky(wide(shared) + self.torch.diag_embed(wide(diagonal).T))
        forward = linalg.solve_triangular(root, wide(linear).T[..., None], upper=False)
        back = linalg.solve_triangular(root.mT, forward + wide(noise).T[..., None], upper=True)
        return self.narrow(back[..., 0].T.contiguous())
