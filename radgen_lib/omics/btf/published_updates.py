"""Updates of the sampler of the R package tensorBF (1.0.2), as they are, shortcuts included.

Their order in a sweep is: loadings and component switches, patients' factors (rescaled), omics' factors (rescaled),
loading precisions, noise. What differs from an exact Gibbs sampler, kept here on purpose: columns of x and u are
divided by their standard deviation in every sweep; missing entries count as observed in all precisions and in the
shape of the noise; during the first half of the burn-in they count as zero for x and u, afterwards they are replaced
by the reconstruction of the sweep before, without noise.

All products with the data are two a sweep and omic, Y w and Y' x: replaced entries enter through the factors they
were computed from, never as a filled tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array
from scipy.special import expit, logit

from radgen_lib.omics.btf.data import Observed

# tensorBF's constants: shape and rate of the loading precisions and their floor, first noise precision.
ARD = 1e-3
FLOOR = 1e-7
FIRST_TAU = 1e3


@dataclass
class Chain:
    """State of the chain: x [N, K], w [D, K], u [L, K], tau, loading precisions [D, K], switches [K].

    ``chance`` that a switch is on; ``products``: Y' x [D, K] of every omic, observed entries only, of the present x.
    """

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray
    tau: float
    precision: np.ndarray
    on: np.ndarray
    products: list[np.ndarray]
    chance: float = 0.5


@dataclass(frozen=True)
class Filled:
    """What replaces missing entries: the factors at the time, and the values at the scattered ones of each omic."""

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray
    holes: tuple[csr_array, ...]


@dataclass
class Tensor:
    """Observed blocks; ``absent`` patients of each omic; scattered missing entries; ``filled`` once they are replaced.

    A gene without an omic counts as scattered entries of the patients who have it.
    """

    observed: Observed
    absent: tuple[np.ndarray, ...]
    holes: tuple[tuple[np.ndarray, np.ndarray], ...]
    squares: float
    filled: Filled | None = None

    @classmethod
    def of(cls, observed: Observed) -> Tensor:
        """Sort the missing entries of a tensor."""
        absent = tuple(np.flatnonzero(~column) for column in observed.patients.T)
        holes = []
        for omic in range(len(observed.blocks)):
            rows, columns = np.nonzero(~observed.mask(omic) & observed.patients[:, [omic]])
            holes.append((rows, columns))
        return cls(observed, absent, tuple(holes), sum(float(np.vdot(block, block)) for block in observed.blocks))

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(map(len, self.absent)) and not any(len(rows) for rows, _ in self.holes)

    def times_x(self, x: np.ndarray) -> list[np.ndarray]:
        """The product Y' x [D, K] of every omic, observed entries only."""
        return [block.T @ x for block in self.observed.blocks]

    def with_filled(self, products: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
        """The products of :meth:`times_x` with what the replaced entries add, once they are replaced."""
        if self.filled is None:
            return products
        f = self.filled
        parts = zip(products, self.absent, f.u, f.holes, strict=True)
        return [product + (f.w * u) @ (f.x[rows].T @ x[rows]) + holes.T @ x for product, rows, u, holes in parts]

    def times_w(self, w: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Sum over omics of Y (w o u) [N, K], with the replaced entries."""
        total = np.zeros((self.observed.shape[0], w.shape[1]))
        for omic, block in enumerate(self.observed.blocks):
            loadings = w * u[omic]
            total += block @ loadings
            if self.filled is not None:
                f, rows = self.filled, self.absent[omic]
                total[rows] += f.x[rows] @ ((f.w * f.u[omic]).T @ loadings)
                total += f.holes[omic] @ loadings
        return total

    def at_holes(self, chain: Chain, omic: int) -> np.ndarray:
        """Reconstruction at the scattered missing entries of an omic."""
        rows, columns = self.holes[omic]
        values: np.ndarray = np.einsum("hk,hk->h", chain.x[rows] * chain.u[omic], chain.w[columns])
        return values

    def fill(self, chain: Chain) -> None:
        """Replace the missing entries by the reconstruction."""
        shape = self.observed.shape[:2]
        holes = [csr_array((self.at_holes(chain, omic), at), shape=shape) for omic, at in enumerate(self.holes)]
        self.filled = Filled(chain.x, chain.w, chain.u, tuple(holes))


def first_chain(tensor: Tensor, n_components: int, rng: np.random.Generator) -> Chain:
    """The first state: x and u standard normal, w drawn given them with noise precision FIRST_TAU."""
    n, d, omics = tensor.observed.shape
    x, u = rng.standard_normal((n, n_components)), rng.standard_normal((omics, n_components))
    products = tensor.times_x(x)
    sums = np.sum([a * row for a, row in zip(products, u, strict=True)], axis=0)
    precision = np.eye(n_components) + FIRST_TAU * (x.T @ x) * (u.T @ u)
    w = _gaussian(precision, FIRST_TAU * sums, rng)
    first = np.full((d, n_components), n_components + 1.0)
    return Chain(x, w, u, FIRST_TAU, first, np.ones(n_components, dtype=bool), products)


def update_loadings(chain: Chain, tensor: Tensor, rng: np.random.Generator, *, switching: bool) -> None:
    """Draw the columns of w one after another, each switched on or off first if ``switching``.

    Until missing entries are replaced, their residuals count as zero.
    """
    w = np.ascontiguousarray(chain.w.T)
    gram, diagonal = _gram_of_loadings(chain, tensor)
    products = tensor.with_filled(chain.products, chain.x)
    sums = np.sum([p.T * row[:, None] for p, row in zip(products, chain.u, strict=True)], axis=0)
    masked = tensor.filled is None and any(len(rows) for rows, _ in tensor.holes)
    left_out = [tensor.at_holes(chain, omic) for omic in range(len(tensor.holes))] if masked else []
    for k in range(len(w)):
        lam = chain.tau * diagonal[k] + chain.precision[:, k]
        rest = sums[k] - gram[k] @ w + gram[k, k] * w[k]
        if masked:
            rest += _hole_terms(chain, tensor, left_out, w[k], k)
        mean = chain.tau * rest / lam
        if switching:
            evidence = 0.5 * (np.log(chain.precision[:, k] / lam).sum() + (mean * mean * lam).sum())
            chain.on[k] = rng.random() < expit(evidence + logit(chain.chance))
        new = mean + rng.standard_normal(len(mean)) / np.sqrt(lam) if chain.on[k] else np.zeros_like(mean)
        if masked:
            _move_holes(chain, tensor, left_out, new - w[k], k)
        w[k] = new
    chain.w = np.ascontiguousarray(w.T)
    chain.chance = (1.0 + chain.on.sum()) / (len(w) + 2.0)


def _gram_of_loadings(chain: Chain, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Products of the columns x o u [K, K] over the entries whose residuals count, and squared lengths over all."""
    x, u = chain.x, chain.u
    whole = x.T @ x
    gram = whole * (u.T @ u)
    diagonal = np.diagonal(gram).copy()
    if tensor.filled is None:
        for rows, row in zip(tensor.absent, u, strict=True):
            gram -= (x[rows].T @ x[rows]) * np.outer(row, row)
    return gram, diagonal


def _hole_terms(chain: Chain, tensor: Tensor, left_out: list[np.ndarray], w: np.ndarray, k: int) -> np.ndarray:
    """What the scattered entries must get back, since the Gram matrix counts them: their fit without component k."""
    total = np.zeros(len(w))
    for (rows, columns), row, values in zip(tensor.holes, chain.u, left_out, strict=True):
        own = chain.x[rows, k] * row[k]
        total += np.bincount(columns, (values - own * w[columns]) * own, minlength=len(w))
    return total


def _move_holes(chain: Chain, tensor: Tensor, left_out: list[np.ndarray], step: np.ndarray, k: int) -> None:
    for (rows, columns), row, values in zip(tensor.holes, chain.u, left_out, strict=True):
        values += chain.x[rows, k] * row[k] * step[columns]


def update_patients(chain: Chain, tensor: Tensor, rng: np.random.Generator) -> None:
    """Draw x, divide its columns by their standard deviation, multiply those of w, and renew the products."""
    precision = np.eye(len(chain.on)) + chain.tau * (chain.w.T @ chain.w) * (chain.u.T @ chain.u)
    x = _gaussian(precision, chain.tau * tensor.times_w(chain.w, chain.u), rng)
    scale = x.std(axis=0, ddof=1)
    chain.x, chain.w = x / scale, chain.w * scale
    chain.products = tensor.times_x(chain.x)


def update_omics(chain: Chain, tensor: Tensor, rng: np.random.Generator) -> None:
    """Draw u, divide its columns by their standard deviation (by themselves if there is one omic), multiply w's."""
    precision = np.eye(len(chain.on)) + chain.tau * (chain.w.T @ chain.w) * (chain.x.T @ chain.x)
    products = tensor.with_filled(chain.products, chain.x)
    sums = np.stack([np.einsum("dk,dk->k", chain.w, product) for product in products])
    u = _gaussian(precision, chain.tau * sums, rng)
    scale = u.std(axis=0, ddof=1) if len(u) > 1 else u[0]
    chain.u, chain.w = u / scale, chain.w * scale


def update_precisions(chain: Chain, rng: np.random.Generator) -> None:
    """Draw the precision of every loading; those of a switched-off component from their prior."""
    used = chain.w != 0
    draws = rng.standard_gamma(np.where(used, ARD + 0.5, ARD))
    chain.precision = draws / (ARD + 0.5 * chain.w**2) + FLOOR


def update_noise(chain: Chain, tensor: Tensor, prior: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw tau, with ``prior`` Gamma(shape, rate), and return the log-likelihood that tensorBF reports.

    Missing entries count as observed, with residual zero.
    """
    entries = math.prod(tensor.observed.shape)
    squares = residual(chain, tensor)
    chain.tau = float(rng.gamma(prior[0] + entries / 2, 1.0 / (prior[1] + squares / 2)))
    return float(entries / 2 * (np.log(chain.tau) - np.log(2 * np.pi)) - chain.tau * squares / 2)


def residual(chain: Chain, tensor: Tensor) -> float:
    """Sum of squared residuals of the observed entries, through Gram matrices."""
    whole, inner = chain.x.T @ chain.x, chain.w.T @ chain.w
    total = tensor.squares
    for omic, (rows, row) in enumerate(zip(tensor.absent, chain.u, strict=True)):
        present = whole - chain.x[rows].T @ chain.x[rows]
        total += float(row @ (present * inner) @ row) - 2.0 * float(
            np.einsum("dk,dk->k", chain.products[omic], chain.w) @ row
        )
        if len(tensor.holes[omic][0]):
            total -= float(np.sum(tensor.at_holes(chain, omic) ** 2))
    return max(total, 0.0)


def _gaussian(precision: np.ndarray, weighted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows drawn from N(precision^-1 weighted, precision^-1); ``weighted`` [rows, K]."""
    factor = cho_factor(precision, lower=True)
    noise = solve_triangular(factor[0], rng.standard_normal(weighted.shape).T, lower=True, trans="T")
    draws: np.ndarray = (cho_solve(factor, weighted.T) + noise).T
    return np.ascontiguousarray(draws)
