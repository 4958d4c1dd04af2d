"""Factors of new patients given the posterior draws of loadings and noise: exact, holes and missing omics included.

Given one draw of w, u and tau, the factors of a patient are Gaussian: precision 1 + sum_l tau_l (u_l u_l') * (W'W over
the genes measured in the patient), elementwise product; the posterior is the equal mixture of these over draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from radgen_lib.omics.btf.data import Observed, observe
from radgen_lib.omics.btf.groups import (
    covariances,
    inverse_roots,
    left_out,
    log_determinants,
    outer,
    side,
    times,
    weighted_grams,
)
from radgen_lib.omics.btf.model import Draws

NO_OMIC = "no omic was measured"


class Frame(NamedTuple):
    """Where output components come from: ``order`` [S, R] of a draw's component, ``factor`` [S, R] its sign and scale.

    The prior of the factors (standard normal) holds in the scale in which they were drawn, so that a projection is
    made there and brought into the scale, order and signs of aligned draws afterwards.
    """

    order: np.ndarray
    factor: np.ndarray

    def factors(self, draw: int, x: np.ndarray) -> np.ndarray:
        """Factors [n, K] of one draw in output components, [n, R]."""
        return np.asarray(x[:, self.order[draw]] * self.factor[draw])


class Projection(NamedTuple):
    """Posterior mean and standard deviation of factors, [n, R]; rows with a ``reason`` [n] (else "") are NaN."""

    mean: np.ndarray
    sd: np.ndarray
    reason: np.ndarray


@dataclass(frozen=True)
class Conditional:
    """Gaussian factors of n patients given one draw: mean [n, K], roots R [G, K, K] (covariance R'R) by ``group`` [n].

    ``pull`` [n, K] is precision times mean.
    """

    mean: np.ndarray
    roots: np.ndarray
    group: np.ndarray
    pull: np.ndarray


def frame_of(raw: Draws, aligned: Draws) -> Frame:
    """How the components of ``aligned`` draws come from those of the ``raw`` ones, read off their columns of x.

    Raises ValueError when a column of ``aligned`` is no multiple of a column of ``raw``.
    """
    index, factor = [], []
    for before, after in zip(raw.x, aligned.x, strict=True):
        before, after = before.astype(float), after.astype(float)
        square = np.maximum((before**2).sum(axis=0), np.finfo(float).tiny)
        slope = (before.T @ after) / square[:, None]
        place = (slope**2 * square[:, None]).argmax(axis=0)
        scale = slope[place, np.arange(after.shape[1])]
        if not np.allclose(before[:, place] * scale, after, rtol=1e-4, atol=1e-4 * np.abs(after).max(initial=0)):
            raise ValueError("the aligned draws do not come from these draws")
        index.append(place)
        factor.append(scale)
    return Frame(np.stack(index), np.stack(factor))


def as_observed(values: np.ndarray | Observed, draws: Draws) -> Observed:
    """The tensor as :class:`Observed`; raises ValueError when it has other genes or omics than the draws."""
    observed = values if isinstance(values, Observed) else observe(values)
    known = draws.w.shape[1], draws.u.shape[1]
    if observed.shape[1:] != known:
        genes, omics = observed.shape[1:]
        raise ValueError(f"{genes} genes x {omics} omics, but the factors were fitted on {known[0]} x {known[1]}")
    return observed


def conditionals(draws: Draws, observed: Observed) -> Iterator[Conditional]:
    """The factors of the patients of a tensor given every draw, one after another."""
    people = side(observed, "patients")
    everywhere = [bool(genes.all()) for genes in observed.genes.T]
    eye = np.eye(draws.w.shape[2])
    for w, u, tau in zip(draws.w, draws.u, draws.tau, strict=True):
        w = w.astype(float)
        whole = w.T @ w
        pairs = zip(everywhere, observed.genes.T, strict=True)
        sums = np.stack([whole if every else w[genes].T @ w[genes] for every, genes in pairs])
        missed = left_out(people, outer(w[people.touched])) if people.has_holes else None
        roots = inverse_roots(eye + weighted_grams(people, sums, tau[:, None, None] * outer(u), missed))
        pull, flat = np.zeros((len(observed.patients), len(eye))), np.ascontiguousarray(w.T)
        for block, row in zip(observed.blocks, tau[:, None] * u, strict=True):
            pull += (flat @ block.T).T * row  # the long side last: twice as fast
        yield Conditional(times(covariances(roots), people.group, pull), roots, people.group, pull)


def project(draws: Draws, values: np.ndarray | Observed, frame: Frame | None = None) -> Projection:
    """Mean and SD of the factors of new patients, values float [n, D, L] with NaN for missing (or observed).

    ``draws`` must be as sampled; ``frame`` (:func:`frame_of`) brings the result into aligned components. A patient with
    no omic at all has a row of NaN and a reason. Raises ValueError for other genes or omics than those of the draws.
    """
    observed = as_observed(values, draws)
    total = square = np.zeros(0)
    for number, given in enumerate(conditionals(draws, observed)):
        mean, variance = given.mean, (given.roots**2).sum(axis=1)[given.group]
        if frame is not None:
            mean = frame.factors(number, mean)
            variance = variance[:, frame.order[number]] * frame.factor[number] ** 2
        if not number:
            first, total, square = mean, np.zeros_like(mean), np.zeros_like(mean)
        gap = mean - first  # sums about the first draw, which loses no digits when the spread is small
        total += gap
        square += gap**2 + variance
    mean = total / len(draws)
    sd = np.sqrt(np.maximum(square / len(draws) - mean**2, 0))
    known = np.asarray(observed.patients.any(axis=1))
    mean, sd = np.where(known[:, None], first + mean, np.nan), np.where(known[:, None], sd, np.nan)
    return Projection(mean, sd, np.where(known, "", NO_OMIC))


def log_score(draws: Draws, values: np.ndarray | Observed) -> np.ndarray:
    """Log predictive density of every patient's measured entries together, factors integrated out, [n] in nats.

    Per draw the Gaussian density with covariance A A' + diag(1 / tau), rows of A w * u_l, through K x K matrices
    (Woodbury); then the log of the mean over draws. NaN for a patient with no omic.
    """
    observed = as_observed(values, draws)
    counts, squares = entry_counts(observed), _row_squares(observed)
    densities = []
    for tau, given in zip(draws.tau, conditionals(draws, observed), strict=True):
        fit = np.einsum("nk,nk->n", given.pull, given.mean) + log_determinants(given.roots)[given.group]
        densities.append((counts @ np.log(tau / (2 * np.pi)) - squares @ tau + fit) / 2)
    score = _log_mean_exp(np.stack(densities))
    return np.where(counts.sum(axis=1) > 0, score, np.nan)


def entry_counts(observed: Observed) -> np.ndarray:
    """Number of measured entries of every patient in every omic, [n, L]."""
    counts = observed.patients * observed.genes.sum(axis=0)
    for omic, (rows, _) in enumerate(observed.holes):
        counts[:, omic] -= np.bincount(rows, minlength=len(counts))
    return np.asarray(counts, dtype=float)


def _row_squares(observed: Observed) -> np.ndarray:
    return np.stack([np.einsum("nd,nd->n", block, block, dtype=float) for block in observed.blocks], axis=1)


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    return np.asarray(logsumexp(values, axis=0) - np.log(len(values)))
