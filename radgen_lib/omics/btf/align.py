"""Making draws comparable: scale, order and sign of the components, and what the posterior says of them.

The likelihood does not change when components change places, when the scale moves between x, w and u, or when two of
the three change their sign; a mean over draws is meaningful only after all of that is undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from radgen_lib.omics.btf.model import Draws
from radgen_lib.omics.btf.relabel import TINY, Labels, Parts, canonical, cosines, largest, settle, sign_of, third_moment


@dataclass(frozen=True)
class Posterior:
    """The R components that explain something, the one with the largest share first.

    Means and standard deviations over draws of the patients' factors ``x`` [N, R], the genes' loadings ``w`` [D, R]
    and the omics' loadings ``u`` [L, R]; ``tau_mean`` [L]; ``share`` [R, L] of an omic's variance (signal and noise)
    that a component explains; ``rank`` = R; ``stability`` [R] in [0, 1], NaN with one chain; ``draws``: the aligned
    draws of these components. Every column of x and u has root mean square 1 in every draw; w carries the scale.
    """

    x_mean: np.ndarray
    x_sd: np.ndarray
    w_mean: np.ndarray
    w_sd: np.ndarray
    u_mean: np.ndarray
    u_sd: np.ndarray
    tau_mean: np.ndarray
    share: np.ndarray
    rank: int
    stability: np.ndarray
    draws: Draws


def normalise(draws: Draws) -> Draws:
    """Give every column of x (over patients) and of u (over omics) root mean square 1; w takes the scale, alpha too.

    The largest entry of a column of u becomes positive, and so does the third moment of the column of w (x turns with
    it). A column of nothing but zeros stays.
    """
    x_scale, u_scale = _root_mean_square(draws.x), _root_mean_square(draws.u)
    scale = x_scale * u_scale
    u_sign = np.stack([sign_of(largest(column)) for column in draws.u])
    x_sign = np.stack([sign_of(third_moment(w)) for w in draws.w]) * u_sign
    return replace(
        draws,
        x=_scaled(draws.x, x_sign / x_scale),
        w=_scaled(draws.w, x_sign * u_sign * scale),
        u=_scaled(draws.u, u_sign / u_scale),
        alpha=(draws.alpha / scale**2).astype(draws.alpha.dtype),
    )


def align(draws: Draws) -> Draws:
    """Normalise the draws and give their components one order and one sign.

    Draws of a chain are paired with the chain's mean component by component (largest sum of the cosines between the
    rank-one terms x o w o u; Hungarian method), and the mean is taken anew until nothing moves. Then the means of
    the chains are paired, so that a chain takes one order and one set of signs as a whole: pairing each draw with
    another chain's component would make that component appear out of noise.
    """
    draws = normalise(draws)
    terms = Parts(draws.x, draws.w, draws.u)
    chains = np.unique(draws.chain)
    rows = [np.flatnonzero(draws.chain == chain) for chain in chains]
    # The last draw of a chain is the farthest from its start.
    within = [settle(Parts(*(part[r] for part in terms)), start=-1) for r in rows]
    means = Parts(*(np.stack(parts) for parts in zip(*(mean for _, mean in within), strict=True)))
    between, overall = settle(means, start=0)
    last = canonical(overall)
    labels = Labels(*(np.empty((len(draws.chain), draws.x.shape[2]), dtype=kind) for kind in (np.intp, float, float)))
    for c, (r, (inner, _)) in enumerate(zip(rows, within, strict=True)):
        place = between.order[c]
        labels.order[r] = inner.order[:, place]
        labels.x_sign[r] = inner.x_sign[:, place] * between.x_sign[c] * last.x_sign[0]
        labels.u_sign[r] = inner.u_sign[:, place] * between.u_sign[c] * last.u_sign[0]
    return _relabelled(draws, labels)


def summarise(draws: Draws, *, min_share: float = 1e-3, min_strength: float = 1.0) -> Posterior:
    """Align the draws and describe the components that count.

    A component counts if, on average over draws, it explains at least ``min_share`` of some omic's variance and
    :func:`strength` is at least ``min_strength``: spare components follow the largest directions of the noise, which
    in a small tensor explain more than any fixed share.

    Stability of a component: |correlation| of its mean x in one chain with that in the other chains, lowest over chains
    (against a mean that holds the chain itself, a component of one chain out of two would reach 0.7).
    """
    aligned = align(draws)
    share = explained(aligned).mean(axis=0)
    counts = (share.max(axis=1, initial=0.0) >= min_share) & (strength(aligned).mean(axis=0) >= min_strength)
    order = np.argsort(-share.sum(axis=1), kind="stable")
    keep = order[counts[order]]
    kept = replace(
        aligned, x=aligned.x[:, :, keep], w=aligned.w[:, :, keep], u=aligned.u[:, :, keep], alpha=aligned.alpha[:, keep]
    )
    return Posterior(
        *_moments(kept.x),
        *_moments(kept.w),
        *_moments(kept.u),
        tau_mean=kept.tau.mean(axis=0, dtype=float),
        share=share[keep],
        rank=len(keep),
        stability=_stability(kept),
        draws=kept,
    )


def explained(draws: Draws) -> np.ndarray:
    """Share [S, K, L] of an omic's variance that each component alone explains in each draw.

    Mean square of the component over all patients and genes, divided by the mean square of the whole signal plus the
    noise variance 1 / tau. Components that are correlated share what they explain, so the sum may differ from the
    explained variance of all together.
    """
    shares = np.empty((len(draws.x), draws.x.shape[2], draws.u.shape[1]))
    for s, (x, w, u) in enumerate(zip(draws.x, draws.w, draws.u, strict=True)):
        x, w, u = x.astype(float), w.astype(float), u.astype(float)
        gram = (x.T @ x / len(x)) * (w.T @ w / len(w))
        total = np.einsum("lj,jk,lk->l", u, gram, u) + 1.0 / draws.tau[s]
        shares[s] = np.diagonal(gram)[:, None] * u.T**2 / total
    return shares


def strength(draws: Draws) -> np.ndarray:
    """Sum of squares [S, K] of a component over that of the largest rank-one term in nothing but noise.

    In units of the noise, sum_l tau_l |x|^2 |w|^2 u_l^2 against (sqrt N + sqrt D + sqrt L)^2, a bound of the expected
    spectral norm of a tensor of standard normal entries (Tomioka and Suzuki 2014, up to their constant). What is
    weaker cannot be told from noise, whatever share of the variance it has.
    """
    n, d, omics = draws.x.shape[1], draws.w.shape[1], draws.u.shape[1]
    x, w = (np.stack([np.square(part, dtype=float).sum(axis=0) for part in a]) for a in (draws.x, draws.w))
    energy = x * w * np.einsum("sl,slk->sk", draws.tau, draws.u**2)
    return energy / (n**0.5 + d**0.5 + omics**0.5) ** 2


def match(found: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Return |correlation| [R] of every planted column [N, R] with its partner among the found [N, K].

    Partners are the one-to-one pairing with the largest sum. A planted column that is left without a partner (K < R),
    or whose partner is constant, has 0. Raises ValueError when the two are not of the same patients.
    """
    if len(found) != len(planted):
        raise ValueError(f"{len(found)} patients were found and {len(planted)} planted: they must be the same")
    similarity = np.abs(cosines(_centred(planted), _centred(found)))
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    factor = np.zeros(planted.shape[1])
    factor[rows] = similarity[rows, columns]
    return factor


def _centred(a: np.ndarray) -> np.ndarray:
    a = np.asarray(a, dtype=float)
    return a - a.mean(axis=0)


def _root_mean_square(a: np.ndarray) -> np.ndarray:
    """Root mean square [S, K] of the columns of a [S, rows, K]; 1 for a column of zeros."""
    scale = np.stack([np.sqrt(np.mean(np.square(part, dtype=float), axis=0)) for part in a])
    return np.where(scale > TINY, scale, 1.0)


def _scaled(a: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Columns of a [S, rows, K] times factor [S, K], in the number type of a."""
    return a * factor[:, None, :].astype(a.dtype)


def _relabelled(draws: Draws, labels: Labels) -> Draws:
    order, x_sign, u_sign = labels

    def placed(a: np.ndarray, sign: np.ndarray) -> np.ndarray:
        return _scaled(np.take_along_axis(a, order[:, None, :], axis=2), sign)

    return replace(
        draws,
        x=placed(draws.x, x_sign),
        w=placed(draws.w, x_sign * u_sign),
        u=placed(draws.u, u_sign),
        alpha=np.take_along_axis(draws.alpha, order, axis=1),
    )


def _moments(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over draws, draw by draw in double precision; one draw has no deviation (NaN)."""
    mean = _total(a) / len(a)
    if len(a) < 2:
        return mean, np.full_like(mean, np.nan)
    return mean, np.sqrt(_total((part - mean) ** 2 for part in a) / (len(a) - 1))


def _total(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.asarray(sum(part.astype(float) for part in parts))


def _stability(draws: Draws) -> np.ndarray:
    means = np.stack([draws.x[draws.chain == chain].mean(axis=0, dtype=float) for chain in np.unique(draws.chain)])
    if len(means) < 2:
        return np.full(draws.x.shape[2], np.nan)
    others = (means.sum(axis=0) - means) / (len(means) - 1)
    pairs = zip(means, others, strict=True)
    return np.min([np.abs(np.diagonal(cosines(_centred(a), _centred(b)))) for a, b in pairs], axis=0)
