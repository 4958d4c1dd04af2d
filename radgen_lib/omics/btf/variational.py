"""Variational inference: the fast path to the posterior of the factorisation.

A mean-field approximation (see ``variational_updates``) is fitted by coordinate ascent; its evidence lower bound never
falls. It needs a hundred sweeps or two where the sampler needs thousands, and each costs the same two products with the
data an omic. Components that overlap move slowly under exact updates, so that each sweep starts a step further along
the way of the last one (as in line search for CP: Rajih, Comon and Harshman 2008). As every mean-field approximation it
understates the spread of loadings and factors that trade off against each other; factors of patients that are projected
(``projection``) are exact given the loadings.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import digamma, gammaln

from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.omics.btf import variational_updates as updates
from radgen_lib.omics.btf.data import Observed
from radgen_lib.omics.btf.gibbs import Start, start
from radgen_lib.omics.btf.groups import log_determinants
from radgen_lib.omics.btf.model import Draws, Priors, effective_rank, shares
from radgen_lib.omics.btf.variational_updates import Beliefs, Work

PATIENCE = 10  # sweeps over which the rise of the bound is judged
FIRST = 10.0  # how much sooner the Gaussian part ends, in units of the tolerance
STEP, LONGER, LONGEST = 0.5, 1.1, 5.0  # first step ahead of a sweep in units of the last move, its growth, its limit
DEAD = 1e-5  # share of an omic's sum of squares below which a component is left out of the sparse part
LOG = logging.getLogger("radgen")
RISES = "the bound still rose at the last sweep"


@dataclass(frozen=True)
class Variational:
    """A fitted approximation: ``beliefs`` (means, roots of covariances, Gamma shapes and rates) and its history.

    Components that came to explain nothing are not in the beliefs, nor in draws from them.

    ``trace`` has a row a sweep: chain, sweep, log_likelihood (expected), tau_<l>, rank and elbo, the evidence lower
    bound in nats. ``converged`` is false where the bound still rose by more than the tolerance at the last sweep.
    """

    beliefs: Beliefs
    trace: pd.DataFrame
    converged: bool
    priors: Priors

    @property
    def bound(self) -> float:
        """The evidence lower bound that was reached, in nats."""
        return float(self.trace["elbo"].iloc[-1])

    def diagnostics(self, columns: Sequence[str]) -> pd.DataFrame:
        """One row, quantity "elbo", in the columns of ``diagnostics.convergence``: whether the bound settled."""
        row = {
            "quantity": "elbo",
            "ok": self.converged,
            "n": len(self.trace),
            "reason": "" if self.converged else RISES,
        }
        return pd.DataFrame([row]).reindex(columns=list(columns))

    def sample(self, n: int, seed: int, *, chain: int = 0) -> Draws:
        """n independent draws from the approximation, in the form of a chain of the sampler."""
        q, rng = self.beliefs, make_rng(seed, "variational draws", chain)
        k = q.x.shape[1]
        x = _gaussian(q.x, q.x_root, q.group, rng, n)
        w = _gaussian(q.w, q.w_root, np.arange(len(q.w)), rng, n)
        u = _gaussian(q.u, q.u_root, np.arange(len(q.u)), rng, n).astype(float)
        tau = rng.gamma(q.tau_shape, 1 / q.tau_rate, (n, len(q.u)))
        if self.priors.noise == "global":
            tau[:] = tau[:, :1]
        alpha = rng.gamma(q.alpha_shape, 1 / q.alpha_rate, (n, k))
        return Draws(x, w, u, tau, alpha, np.full(n, chain), self.trace.assign(chain=chain))


def _gaussian(mean: np.ndarray, roots: np.ndarray, group: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """n sets of Gaussian rows, float32 [n, rows, K]: every row with its mean and the covariance R'R of its group."""
    drawn = np.empty((n, *mean.shape), np.float32)
    order = np.argsort(group, kind="stable")
    for root, rows in zip(roots, np.split(order, np.searchsorted(group[order], np.arange(1, len(roots)))), strict=True):
        noise = rng.standard_normal((n * len(rows), root.shape[0])) @ root
        drawn[:, rows] = mean[rows] + noise.reshape(n, len(rows), -1)
    return drawn


def fit_variational(
    observed: Observed,
    k: int,
    priors: Priors,
    *,
    seed: int,
    starts: int = 1,
    max_sweeps: int = 2000,
    tolerance: float = 2e-4,
    how: Start = "svd",
) -> Variational:
    """Fit the approximation with k components to a tensor, starting where a chain of the sampler would.

    Loadings are held Gaussian (lam = 1) until the bound settles, then components that explain nothing are left out
    and the loadings made sparse: released from the first sweep on, spare components settle on a few genes of noise, in
    optima with a lower bound. Of several ``starts`` (with svd: the others at random points) the Gaussian part with the
    highest bound goes on. The fit ends when the bound rises by less than ``tolerance`` nats per measured entry over
    ten sweeps; after ``max_sweeps`` in all a warning is logged. Raises ValueError for settings that allow no sweep.
    """
    if k < 1 or max_sweeps < 1 or starts < 1 or not tolerance > 0:
        raise ValueError(
            f"{k} components, {starts} starts, {max_sweeps} sweeps, tolerance {tolerance}: each must be above 0"
        )
    sparse = priors.nu is not None
    begun = (  # one after another: the best so far and the next are in memory
        _gaussian_part(
            observed, k, priors, derive_seed(seed, "start", number), "random" if number and how == "svd" else how,
            tolerance * (FIRST if sparse else 1), max_sweeps,
        )
        for number in range(starts)
    )  # fmt: skip
    q, work, rows, converged = max(begun, key=lambda part: part.rows[-1]["elbo"])
    if sparse:
        converged = False
    if sparse and len(rows) < max_sweeps:
        updates.keep(q, work, _live(q, work))
        converged = _climb(q, work, rows, tolerance * float(work.counts.sum()), max_sweeps, sparse=True)
    if not converged:
        LOG.warning("variational factorisation: the bound still rose after %d sweeps; allow more", max_sweeps)
    return Variational(q, pd.DataFrame(rows), converged, priors)


class _Begun(NamedTuple):
    q: Beliefs
    work: Work
    rows: list[dict[str, float]]
    converged: bool


def _gaussian_part(
    observed: Observed, k: int, priors: Priors, seed: int, how: Start, tolerance: float, max_sweeps: int
) -> _Begun:
    """The fit with lam = 1 from one starting point."""
    work = Work.of(observed, k, priors)
    q = updates.begin(start(observed, k, make_rng(seed, "variational start"), how=how), work)
    rows: list[dict[str, float]] = []
    enough = tolerance * float(work.counts.sum())
    return _Begun(q, work, rows, _climb(q, work, rows, enough, max_sweeps, sparse=False))


def _climb(
    q: Beliefs, work: Work, rows: list[dict[str, float]], enough: float, max_sweeps: int, *, sparse: bool
) -> bool:
    """Sweep until the bound rises by less than ``enough`` over ten sweeps (True), or ``max_sweeps`` rows are there.

    A sweep starts ahead of where the last one ended; where the bound then is lower than before, it is made again from
    there, so that the bound never falls.
    """
    first, step = len(rows), STEP
    last: tuple[np.ndarray, np.ndarray] | None = None
    while len(rows) < max_sweeps:
        # The updates make new arrays and change none in place: shallow copies hold the state.
        before, sums = copy(q), copy(work)
        if last is not None:
            updates.go_ahead(q, work, *last, step)
        sweep(q, work, sparse=sparse)
        row = _row(q, work, len(rows))
        if last is not None:
            risen = row["elbo"] >= rows[-1]["elbo"]
            step = min(step * LONGER, LONGEST) if risen else max(step / 2, STEP)
            if not risen:
                vars(q).update(vars(before))
                vars(work).update(vars(sums))
                sweep(q, work, sparse=sparse)
                row = _row(q, work, len(rows))
        last = before.w, before.u
        rows.append(row)
        if len(rows) - first > PATIENCE and rows[-1]["elbo"] - rows[-1 - PATIENCE]["elbo"] < enough:
            return True
    return False


def _shares(q: Beliefs, work: Work) -> np.ndarray:
    return shares(q.x_square(), q.w_squares().sum(axis=0), q.u, work.squares)


def _live(q: Beliefs, work: Work) -> np.ndarray:
    """Components that explain something in some omic; the largest alone where none does."""
    largest = _shares(q, work).max(axis=0)
    return np.flatnonzero(largest >= min(DEAD, largest.max()))


def _row(q: Beliefs, work: Work, number: int) -> dict[str, float]:
    tau = {f"tau_{omic}": float(value) for omic, value in enumerate(q.tau)}
    return {
        "chain": 0,
        "sweep": number,
        "log_likelihood": expected_log_likelihood(q, work),
        **tau,
        "rank": effective_rank(_shares(q, work)),
        "elbo": elbo(q, work),
    }


def sweep(q: Beliefs, work: Work, *, sparse: bool = True) -> None:
    """One round of all updates, in place; two products with the data an omic. ``sparse`` False leaves lam as it is."""
    updates.update_x(q, work)
    updates.update_w(q, work)
    updates.update_u(q, work)
    updates.update_tau(q, work)
    updates.update_alpha(q, work)
    if sparse:
        updates.update_lam(q, work)
    updates.rescale(q, work)


def expected_log_likelihood(q: Beliefs, work: Work) -> float:
    """Expectation of the log density of the measured entries."""
    log_tau = digamma(q.tau_shape) - np.log(q.tau_rate)
    return float(np.sum(work.counts * (log_tau - np.log(2 * np.pi)) - q.tau * updates.residuals(q, work)) / 2)


def elbo(q: Beliefs, work: Work) -> float:
    """Evidence lower bound in nats: expected log-likelihood less the divergence of every factor from its prior."""
    priors = work.priors
    sizes = np.bincount(q.group, minlength=len(q.x_root))
    bound = expected_log_likelihood(q, work)
    bound += (sizes @ log_determinants(q.x_root) - q.x_square().sum() + q.x.size) / 2
    bound += (log_determinants(q.u_root).sum() - np.einsum("lkk->", q.u_moments()) + q.u.size) / 2
    log_alpha = digamma(q.alpha_shape) - np.log(q.alpha_rate)
    bound += (log_determinants(q.w_root).sum() + q.w.size + len(q.w) * log_alpha.sum()) / 2
    bound -= np.einsum("k,dk,dk->", q.alpha, q.lam, q.w_squares()) / 2
    if priors.nu is not None:
        bound += (digamma(q.lam_shape) - np.log(q.lam_rate)).sum() / 2
        bound -= _gamma_divergence(np.full_like(q.lam_rate, q.lam_shape), q.lam_rate, priors.nu / 2, priors.nu / 2)
    own = slice(None) if priors.noise == "per_omic" else slice(1)
    bound -= _gamma_divergence(q.tau_shape[own], q.tau_rate[own], priors.a_tau, priors.b_tau)
    return float(bound - _gamma_divergence(q.alpha_shape, q.alpha_rate, priors.a_alpha, priors.b_alpha))


def _gamma_divergence(shape: np.ndarray, rate: np.ndarray, a: float, b: float) -> float:
    """Kullback-Leibler divergence of Gamma(shape, rate) from Gamma(a, b), summed."""
    terms = (shape - a) * digamma(shape) - gammaln(shape) + gammaln(a)
    return float((terms + a * (np.log(rate) - np.log(b)) + shape * (b - rate) / rate).sum())
