"""Cox partial likelihood of many fits at once: the same patients and covariates, other training subsets and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPAN = 500.0  # largest spread of linear predictors: beyond it risk sets underflow, and no penalised optimum lies there


@dataclass(frozen=True)
class Subsets:
    """Training subsets of B fits and what follows from them.

    train: float 0/1 [B, n]; active: float 0/1 [B, T], whether a death of the cohort belongs to the subset; fraction:
    [B, T], Efron's share of the tied deaths that has left the risk set (0 without ties and under Breslow).
    """

    train: np.ndarray
    active: np.ndarray
    fraction: np.ndarray

    def take(self, rows: np.ndarray) -> Subsets:
        """The fits at ``rows``."""
        return Subsets(self.train[rows], self.active[rows], self.fraction[rows])


class PartialLikelihood:
    """Log partial likelihood with its derivatives; one term a death, after Efron (1977) or Breslow (1974).

    x: float [n, p]; time: [n]; event: bool [n]; ties: "efron" or "breslow". T counts deaths.
    """

    def __init__(self, x: np.ndarray, time: np.ndarray, event: np.ndarray, ties: str) -> None:
        if ties not in ("efron", "breslow"):
            raise ValueError(f"ties {ties!r}: allowed are efron, breslow")
        times = np.sort(time[event])
        self.x = x
        self._event = event.astype(float)
        self._at_risk = (time[None, :] >= times[:, None]).astype(float)
        self._tied = (event[None, :] & (time[None, :] == times[:, None])).astype(float)
        self._position = np.arange(len(times)) - np.searchsorted(times, times)
        self._split = ties == "efron" and bool((self._position > 0).any())
        self._outer = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)

    def subsets(self, train: np.ndarray) -> Subsets:
        """Prepare B training subsets, bool [B, n]."""
        train = train.astype(float)
        deaths = train @ self._tied.T
        active = (self._position < deaths).astype(float)
        fraction = active * self._position / np.maximum(deaths, 1) if self._split else np.zeros_like(active)
        return Subsets(train, active, fraction)

    def _weights(self, subsets: Subsets, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Relative risks [B, n], their sums over the risk set of each death [B, T], log likelihood [B]."""
        eta = beta @ self.x.T
        eta = eta - np.where(subsets.train > 0, eta, -np.inf).max(axis=1, keepdims=True)
        weights = subsets.train * np.exp(np.minimum(eta, 0.0))
        total = weights @ self._at_risk.T
        if self._split:
            total -= subsets.fraction * (weights @ self._tied.T)
        total = np.where(subsets.active > 0, total, 1.0)
        lowest = (subsets.train * np.minimum(eta, 0.0)).min(axis=1)
        with np.errstate(divide="ignore"):
            value = (subsets.train * self._event * np.minimum(eta, 0.0)).sum(axis=1) - np.log(total).sum(axis=1)
        return weights, total, np.where(lowest < -SPAN, -np.inf, value)

    def value(self, subsets: Subsets, beta: np.ndarray) -> np.ndarray:
        """Log partial likelihood of beta [B, p]: [B]; minus infinity where the predictors spread by over 500."""
        return self._weights(subsets, beta)[2]

    def derivatives(self, subsets: Subsets, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log likelihood [B], its gradient [B, p] and the negative of its Hessian [B, p, p]."""
        weights, total, value = self._weights(subsets, beta)
        share = subsets.active / np.maximum(total, np.finfo(float).tiny)
        expected = share @ self._at_risk
        means = (weights[:, None, :] * self._at_risk) @ self.x
        if self._split:
            expected -= (share * subsets.fraction) @ self._tied
            means -= subsets.fraction[:, :, None] * ((weights[:, None, :] * self._tied) @ self.x)
        expected *= weights
        means *= share[:, :, None]
        gradient = (subsets.train * self._event - expected) @ self.x
        p = self.x.shape[1]
        second = (expected @ self._outer).reshape(-1, p, p) - means.transpose(0, 2, 1) @ means
        return value, gradient, second
