"""Updates of the mean-field approximation, one function a factor; each is the exact maximiser of the bound over it.

q = prod_n q(x_n) prod_d q(w_d) prod_l q(u_l) q(tau) q(alpha) q(lam): rows of x, w and u are Gaussian with full
covariance over the components, the rest Gamma (Bishop 2006, chapter 10; for tensors Zhao, Zhang and Cichocki 2015).
Missing entries are left out exactly. Covariances are kept as roots R with R'R the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.omics.btf.data import Observed
from radgen_lib.omics.btf.groups import Side, covariances, inverse_roots, left_out, outer, side, times, weighted_grams
from radgen_lib.omics.btf.model import Point, Priors


@dataclass
class Beliefs:
    """The approximate posterior of N patients, D genes, L omics and K components.

    Means x [N, K], w [D, K], u [L, K]; roots of their covariances x_root [G, K, K] (by ``group`` [N] of the patient),
    w_root [D, K, K] (variances alone in w_spread [D, K]) and u_root [L, K, K]; shapes and rates of tau [L], alpha [K]
    and lam (one shape, which is 0 where lam is 1; rates [D, K]).
    """

    x: np.ndarray
    x_root: np.ndarray
    group: np.ndarray
    w: np.ndarray
    w_root: np.ndarray
    w_spread: np.ndarray
    u: np.ndarray
    u_root: np.ndarray
    tau_shape: np.ndarray
    tau_rate: np.ndarray
    alpha_shape: np.ndarray
    alpha_rate: np.ndarray
    lam_shape: float
    lam_rate: np.ndarray

    @property
    def tau(self) -> np.ndarray:
        """Expected noise precision of the omics, [L]."""
        return self.tau_shape / self.tau_rate

    @property
    def alpha(self) -> np.ndarray:
        """Expected precision of the components, [K]."""
        return self.alpha_shape / self.alpha_rate

    @property
    def lam(self) -> np.ndarray:
        """Expected relative precision of every loading, [D, K]."""
        return self.lam_shape / self.lam_rate if self.lam_shape else np.ones_like(self.w)

    def x_square(self) -> np.ndarray:
        """Sum over patients of the expected squares of x, [K]."""
        sizes = np.bincount(self.group, minlength=len(self.x_root))
        return np.asarray((self.x**2).sum(axis=0) + sizes @ (self.x_root**2).sum(axis=1))

    def w_squares(self) -> np.ndarray:
        """Expected square of every loading, [D, K]."""
        return np.asarray(self.w**2 + self.w_spread)

    def u_moments(self) -> np.ndarray:
        """Second moment of every row of u, [L, K, K]."""
        return outer(self.u) + covariances(self.u_root)


@dataclass
class Work:
    """What the updates share: the data, its groups, and what a sweep sums from its two products with the data.

    ``squares`` [L] sums of squares and ``counts`` [L] numbers of measured entries; ``sums_w`` [L, K, K] second moments
    of w over the genes of an omic, and ``missed`` what holes leave out of them (``left_out`` of ``groups``, None
    without holes); ``cross`` [L, K] sums over genes of w * (Y_l' X); ``gram`` [L, K, K] sums over measured entries of
    second moments of x times those of w.
    """

    observed: Observed
    priors: Priors
    patients: Side
    genes: Side
    squares: np.ndarray
    counts: np.ndarray
    cross: np.ndarray
    gram: np.ndarray
    sums_w: np.ndarray
    missed: np.ndarray | None = None

    @classmethod
    def of(cls, observed: Observed, k: int, priors: Priors) -> Work:
        """Groups, sums of squares and numbers of entries of a tensor."""
        n_omics = len(observed.blocks)
        squares = np.array([np.einsum("nd,nd->", block, block, dtype=float) for block in observed.blocks])
        counts = np.array([observed.n_observed(omic) for omic in range(n_omics)], dtype=float)
        sides = side(observed, "patients"), side(observed, "genes")
        square = np.zeros((n_omics, k, k))
        return cls(observed, priors, *sides, squares, counts, np.zeros((n_omics, k)), square, square)


def begin(point: Point, work: Work) -> Beliefs:
    """Beliefs centred on one point of the parameters (but lam on 1), with no spread until the first updates."""
    (d, k), n_omics, priors = point.w.shape, len(point.u), work.priors
    counts = work.counts if priors.noise == "per_omic" else np.full(n_omics, work.counts.sum())
    x, w, u = (np.array(value, dtype=float) for value in (point.x, point.w, point.u))
    tau, alpha = priors.a_tau + counts / 2, np.full(k, priors.a_alpha + d / 2)
    lam = 0.0 if priors.nu is None else (priors.nu + 1) / 2
    q = Beliefs(
        x, np.zeros((len(work.patients.kinds), k, k)), work.patients.group, w, np.zeros((d, k, k)), np.zeros((d, k)), u,
        np.zeros((n_omics, k, k)), tau, tau / point.tau, alpha, alpha / point.alpha, lam, np.full((d, k), lam),
    )  # fmt: skip
    _sum_w(q, work)
    return q


def _sum_w(q: Beliefs, work: Work) -> None:
    """Second moments of w over the genes of every omic, and over the holes of patients."""
    columns, place = work.genes.by_omic
    work.sums_w = np.stack([_sum_moments(q.w, q.w_root, measured) for measured in columns])[place]
    if work.patients.has_holes:
        genes = work.patients.touched
        work.missed = left_out(work.patients, outer(q.w[genes]) + covariances(q.w_root[genes]))


def keep(q: Beliefs, work: Work, live: np.ndarray) -> None:
    """Go on with the components ``live`` (indices) alone; the factors are valid again after one sweep."""
    q.x, q.w, q.u, q.lam_rate = (part[:, live] for part in (q.x, q.w, q.u, q.lam_rate))
    q.w_spread = q.w_spread[:, live]
    # Not square any more, but R'R is still the covariance of what is kept.
    q.x_root, q.w_root, q.u_root = (root[:, :, live] for root in (q.x_root, q.w_root, q.u_root))
    q.alpha_shape, q.alpha_rate = q.alpha_shape[live], q.alpha_rate[live]
    _sum_w(q, work)


def go_ahead(q: Beliefs, work: Work, w: np.ndarray, u: np.ndarray, step: float) -> None:
    """Move the means of w and u by ``step`` times their way from ``w`` and ``u``; x follows in the next sweep."""
    q.w, q.u = q.w + step * (q.w - w), q.u + step * (q.u - u)
    _sum_w(q, work)


def _weights(q: Beliefs) -> np.ndarray:
    """E[tau_l] E[u_l u_l'], [L, K, K]."""
    return q.tau[:, None, None] * q.u_moments()


def _sum_moments(mean: np.ndarray, root: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Sum of second moments over measured rows, [K, K]; roots are stacked: one product."""
    mean, root = (mean, root) if measured.all() else (mean[measured], root[measured])
    stacked = root.reshape(-1, mean.shape[1])
    return np.asarray(mean.T @ mean + stacked.T @ stacked)


def _flat(factor: np.ndarray, block: np.ndarray) -> np.ndarray:
    """A factor [rows, K] as [K, rows] in the type of the data: its long side last makes the products twice as fast."""
    return np.ascontiguousarray(factor.T, dtype=block.dtype)


def update_x(q: Beliefs, work: Work) -> None:
    """q(x_n): precision 1 + sum_l E[tau_l] E[u_l u_l'] * sum_d E[w_d w_d'], elementwise; mean from Y_l W."""
    precision = weighted_grams(work.patients, work.sums_w, _weights(q), work.missed) + np.eye(q.x.shape[1])
    q.x_root = inverse_roots(precision)
    pull = np.zeros_like(q.x)
    for block, row in zip(work.observed.blocks, q.tau[:, None] * q.u, strict=True):
        pull += (_flat(q.w, block) @ block.T).T * row
    q.x = times(covariances(q.x_root), q.group, pull)


def update_w(q: Beliefs, work: Work) -> None:
    """q(w_d): as q(x_n) with prior precision E[alpha] E[lam_d]; mean from Y_l' X, of which ``cross`` is kept."""
    spread, members = covariances(q.x_root), work.patients.members().astype(float)
    columns, place = work.patients.by_omic
    sums = np.stack([q.x[measured].T @ q.x[measured] for measured in columns])[place]
    sums += np.einsum("gl,gij->lij", members, spread)
    held = work.genes.touched
    missed = left_out(work.genes, outer(q.x[held]) + spread[q.group[held]]) if work.genes.has_holes else None
    q.w_root = _gene_roots(weighted_grams(work.genes, sums, _weights(q), missed), q, work.genes.group)
    q.w_spread = np.einsum("dij,dij->dj", q.w_root, q.w_root)
    blocks = work.observed.blocks
    products = np.stack([_flat(q.x, block) @ block for block in blocks]).astype(float, copy=False)
    pull = np.einsum("lkd,lk->dk", products, q.tau[:, None] * q.u)
    q.w = np.asarray((pull[:, None, :] @ q.w_root.transpose(0, 2, 1) @ q.w_root)[:, 0])
    work.cross = np.einsum("lkd,dk->lk", products, q.w)
    _sum_w(q, work)
    work.gram = sums * work.sums_w
    if work.missed is not None:
        alone = outer(q.x[work.patients.rows_alone]) + spread[work.patients.alone]
        work.gram -= np.einsum("laij,aij->lij", work.missed, alone)


def _gene_roots(precision: np.ndarray, q: Beliefs, group: np.ndarray) -> np.ndarray:
    """Roots of the covariances of all genes; the genes of a group share one while lam is 1 everywhere."""
    place, shared = np.arange(q.w.shape[1]), bool((q.lam == 1).all())
    precision = precision if shared else precision[group]
    precision[:, place, place] += q.alpha * (1 if shared else q.lam)
    return inverse_roots(precision)[group] if shared else inverse_roots(precision)


def update_u(q: Beliefs, work: Work) -> None:
    """q(u_l): precision 1 + E[tau_l] gram_l, mean from ``cross``; no product with the data."""
    precision = q.tau[:, None, None] * work.gram + np.eye(q.x.shape[1])
    q.u_root = inverse_roots(precision)
    q.u = (covariances(q.u_root) @ (q.tau[:, None] * work.cross)[:, :, None])[:, :, 0]


def residuals(q: Beliefs, work: Work) -> np.ndarray:
    """Expected residual sum of squares of every omic, [L], from the Gram matrices."""
    return np.asarray(work.squares - 2 * (q.u * work.cross).sum(axis=1) + (q.u_moments() * work.gram).sum(axis=(1, 2)))


def update_tau(q: Beliefs, work: Work) -> None:
    """q(tau_l): Gamma(a + n_l / 2, b + residuals_l / 2); with global noise the sums over all omics."""
    left = residuals(q, work)
    q.tau_rate = work.priors.b_tau + (left if work.priors.noise == "per_omic" else np.full_like(left, left.sum())) / 2


def update_alpha(q: Beliefs, work: Work) -> None:
    """q(alpha_k): Gamma(a + D / 2, b + sum_d E[lam] E[w^2] / 2)."""
    q.alpha_rate = work.priors.b_alpha + (q.lam * q.w_squares()).sum(axis=0) / 2


def update_lam(q: Beliefs, work: Work) -> None:
    """q(lam_dk): Gamma((nu + 1) / 2, (nu + E[alpha] E[w^2]) / 2)."""
    if work.priors.nu is not None:
        q.lam_rate = (work.priors.nu + q.alpha * q.w_squares()) / 2


def rescale(q: Beliefs, work: Work) -> None:
    """Move scale between x and w, then between u and w, to where the bound is highest; the fit does not change.

    x_k -> c x_k, w_k -> w_k / c, alpha_k -> c^2 alpha_k changes the bound by (M + 2 a) log c - c^2 (sum E[x^2] / 2 +
    b E[alpha]) + constant (M rows of x), whose maximum is in closed form. Without it the scale creeps over many sweeps.
    """
    c_x = _best_scale(len(q.x), q.x_square(), q.alpha, work.priors)
    c_u = _best_scale(len(q.u), np.einsum("lkk->k", q.u_moments()), q.alpha * c_x**2, work.priors)
    q.x, q.x_root = q.x * c_x, q.x_root * c_x
    q.u, q.u_root = q.u * c_u, q.u_root * c_u
    both = c_x * c_u
    q.w, q.w_root, q.w_spread = q.w / both, q.w_root / both, q.w_spread / both**2
    q.alpha_rate = q.alpha_rate / both**2
    work.sums_w = work.sums_w / np.outer(both, both)
    if work.missed is not None:
        work.missed = work.missed / np.outer(both, both)
    work.cross, work.gram = work.cross / c_u, work.gram / np.outer(c_u, c_u)


def _best_scale(rows: int, square: np.ndarray, alpha: np.ndarray, priors: Priors) -> np.ndarray:
    return np.asarray(np.sqrt((rows + 2 * priors.a_alpha) / (square + 2 * priors.b_alpha * alpha)))
