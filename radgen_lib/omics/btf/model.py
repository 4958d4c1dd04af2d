"""The model of the factorisation: its priors, one point of its parameter space, and stored posterior draws.

y[n, d, l] = sum_k x[n, k] w[d, k] u[l, k] + e with e ~ N(0, 1 / tau[l]): canonical polyadic factors x of patients, w
of genes and u of omics. x and u are standard normal, w[d, k] ~ N(0, 1 / (alpha[k] lam[d, k])): alpha switches spare
components off (automatic relevance determination), lam ~ Gamma(nu / 2, nu / 2) makes the loadings sparse (Student t
with nu degrees of freedom). Gamma distributions are in shape and rate throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import gammaln

from radgen_lib.omics.btf.data import Observed


@dataclass(frozen=True)
class Priors:
    """Shapes and rates of the Gamma priors.

    With ``b_alpha`` 1e-6 spare loadings can shrink to about a thousandth, far below what data scaled to unit variance
    can show; 1e-3 would hold them at a share of it that counts. ``nu`` None gives Gaussian loadings (lam = 1).
    ``noise``: every omic its own precision, or one for all.
    """

    a_alpha: float = 1e-3
    b_alpha: float = 1e-6
    nu: float | None = 1.0
    a_tau: float = 1e-3
    b_tau: float = 1e-3
    noise: Literal["per_omic", "global"] = "per_omic"

    def __post_init__(self) -> None:
        """Refuse what is no Gamma distribution."""
        for name in ("a_alpha", "b_alpha", "a_tau", "b_tau", "nu"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        if self.noise not in ("per_omic", "global"):
            raise ValueError(f"noise must be per_omic or global, not {self.noise!r}")


@dataclass
class Point:
    """One state of a chain; arrays of numpy, or tensors of torch while a chain runs on an accelerator.

    x [N, K], w [D, K], u [L, K], tau [L] (equal entries with global noise), alpha [K], lam [D, K].
    """

    x: Any
    w: Any
    u: Any
    tau: Any
    alpha: Any
    lam: Any


@dataclass(frozen=True)
class Draws:
    """Stored draws, chains one after another; axis 0 is the draw.

    x [S, N, K] and w [S, D, K] float32, u [S, L, K], tau [S, L], alpha [S, K] float64, chain [S] integers. ``trace``
    has a row for every sweep, burn-in included: chain, sweep, log_likelihood, tau_<l>, rank (see ``rank_above_noise``).
    """

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray
    tau: np.ndarray
    alpha: np.ndarray
    chain: np.ndarray
    trace: pd.DataFrame

    def __len__(self) -> int:
        """Number of draws, S."""
        return len(self.chain)

    @classmethod
    def concatenate(cls, parts: Sequence[Draws]) -> Draws:
        """The draws of several chains as one object, in the order given."""
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("x", "w", "u", "tau", "alpha", "chain")
        }
        return cls(**arrays, trace=pd.concat([part.trace for part in parts], ignore_index=True))


def shares(x2: np.ndarray, w2: np.ndarray, u: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Sum of squares of every component over that of the data, [L, K].

    x2 and w2 [K] are squared lengths of the columns of x and w, u is [L, K], ``total`` [L] the sum of squares of each
    omic.
    """
    share: np.ndarray = x2 * w2 * u**2 / np.maximum(total, np.finfo(float).tiny)[:, None]
    return share


def effective_rank(share: np.ndarray, min_share: float = 1e-3) -> int:
    """Number of components whose share reaches ``min_share`` in some omic."""
    return int((share.max(axis=0) >= min_share).sum())


def rank_above_noise(x2: np.ndarray, w2: np.ndarray, u: np.ndarray, tau: np.ndarray, shape: Sequence[int]) -> int:
    """Number of components that are larger than the largest one noise alone would show, as in ``Draws.trace``.

    The sum of squares of a component in units of the noise is compared with the squared spectral norm of a tensor of
    standard normal numbers, at most about (sqrt(N) + sqrt(D) + sqrt(L))^2. Arguments as for ``shares``, and tau [L].
    """
    edge = np.sqrt(np.asarray(shape, dtype=float)).sum() ** 2
    return int((x2 * w2 * (tau @ u**2) > edge).sum())


def reconstruct(x: np.ndarray, w: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The noise-free tensor [N, D, L] of factors [N, K], [D, K], [L, K]."""
    return np.stack([(x * row) @ w.T for row in u], axis=2)


def log_joint(point: Point, observed: Observed, priors: Priors) -> float:
    """Log density of data and parameters together, entry by entry: the yardstick every update is tested with.

    Normalising constants of the data and of all priors are included. With global noise tau counts once.
    """
    total = _log_normal(point.x, 1.0) + _log_normal(point.u, 1.0)
    total += _log_normal(point.w, point.alpha * point.lam)
    total += _log_gamma(point.alpha, priors.a_alpha, priors.b_alpha)
    tau = point.tau if priors.noise == "per_omic" else point.tau[:1]
    total += _log_gamma(tau, priors.a_tau, priors.b_tau)
    if priors.nu is not None:
        total += _log_gamma(point.lam, priors.nu / 2, priors.nu / 2)
    fitted = reconstruct(point.x, point.w, point.u)
    for omic, block in enumerate(observed.blocks):
        residual = (block - fitted[:, :, omic])[observed.mask(omic)]
        total += _log_normal(residual, point.tau[omic])
    return total


def _log_normal(values: np.ndarray, precision: np.ndarray | float) -> float:
    terms = 0.5 * (np.log(np.broadcast_to(precision, values.shape)) - np.log(2 * np.pi) - precision * values**2)
    return float(terms.sum())


def _log_gamma(values: np.ndarray, shape: float, rate: float) -> float:
    terms = shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(values) - rate * values
    return float(terms.sum())
