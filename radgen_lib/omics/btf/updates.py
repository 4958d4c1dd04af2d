"""Gibbs updates of the factorisation, one function an update, each with the terms of its conditional apart.

Conditionals are those of the model in ``model.py``. Two products of a sweep touch the data, one of each an omic:
``w' Y'`` (in ``patient_terms``) and ``x' Y`` (in ``patient_moments``); all else goes through K x K Gram matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from radgen_lib.omics.btf.backend import Array, Backend
from radgen_lib.omics.btf.model import Point, Priors, rank_above_noise
from radgen_lib.omics.btf.working import Working, fitted_at


class Terms(NamedTuple):
    """Gaussian conditionals of the columns of a factor: precision [K, K] a group, precision times mean [K, n]."""

    precisions: list[Array]
    linear: Array


class Moments(NamedTuple):
    """What several updates read between two draws of x: x' Y [K, D] and the Gram matrix of x, one of each an omic."""

    products: list[Array]
    grams: list[Array]


class Fit(NamedTuple):
    """What a sweep reports: log-likelihood of the measured entries, and the rank above noise."""

    log_likelihood: float
    rank: int


def sweep(point: Point, data: Working, priors: Priors) -> Fit:
    """Draw every parameter once, in place; random numbers come from the backend of ``data``.

    Holes are drawn too: ``data`` and ``point`` together are the state of the chain.
    """
    update_x(point, data)
    moments = patient_moments(point, data)
    update_w(point, data, priors, moments)
    gram_w = grams(point.w.T, data.gene_masks, data.backend)
    update_u(point, data, moments, gram_w)
    fit = update_noise(point, data, priors, moments, gram_w)
    update_sparsity(point, data, priors)
    update_relevance(point, data, priors)
    update_scales(point, data, priors)
    return fit


def grams(factor: Array, masks: list[Array | None], backend: Backend) -> list[Array]:
    """Gram matrix [K, K] in float64 of a factor [K, n] over the members of every omic."""
    full, found = None, []
    for mask in masks:
        if mask is None:
            full = backend.wide(factor @ factor.T) if full is None else full
            found.append(full)
        else:
            members = factor * mask
            found.append(backend.wide(members @ members.T))
    return found


def patient_moments(point: Point, data: Working) -> Moments:
    """The second product with the data, and the Gram matrices of x."""
    x = point.x.T
    return Moments([x @ block for block in data.blocks], grams(x, data.patient_masks, data.backend))


def _precision(point: Point, gram: list[Array], omics: list[int], base: Array) -> Array:
    """Base plus the precision that the measurements of these omics give."""
    for omic in omics:
        row = point.u[omic]
        base = base + (point.tau[omic] * row)[:, None] * row * gram[omic]
    return base


def _linear(point: Point, products: list[Array], backend: Backend) -> Array:
    """Sum over omics of tau u times a product [K, n]."""
    weights = backend.narrow(point.tau[:, None] * point.u)
    total = weights[0][:, None] * products[0]
    for row, product in zip(weights[1:], products[1:], strict=True):
        total += row[:, None] * product
    return total


def draw_shared(root: Array, linear: Array, noise: Array) -> Array:
    """Draw all columns of ``linear`` [K, n] with one precision of inverse root ``root``; the mean with zero noise."""
    return root.T @ (root @ linear + noise)


def patient_terms(point: Point, data: Working) -> Terms:
    """Conditional of x: a precision for every group of patients with the same omics."""
    w = point.w.T
    gram = grams(w, data.gene_masks, data.backend)
    precisions = [_precision(point, gram, omics, data.eye(len(w))) for omics, _ in data.patient_groups]
    return Terms(precisions, _linear(point, [w @ block.T for block in data.blocks], data.backend))


def update_x(point: Point, data: Working) -> None:
    """Draw the factors of all patients, K at once for each."""
    ops, (precisions, linear) = data.backend, patient_terms(point, data)
    noise = ops.normal(*linear.shape)
    for precision, (_, members) in zip(precisions, data.patient_groups, strict=True):
        root = ops.narrow(ops.inverse_root(precision))
        if members is None:
            linear = draw_shared(root, linear, noise)
        else:
            linear[:, members] = draw_shared(root, linear[:, members], noise[:, members])
    point.x = linear.T


def gene_terms(point: Point, data: Working, moments: Moments) -> Terms:
    """Conditional of w without its prior: a precision for every group of genes with the same omics."""
    zero = 0.0 * moments.grams[0]
    precisions = [_precision(point, moments.grams, omics, zero) for omics, _ in data.gene_groups]
    return Terms(precisions, _linear(point, moments.products, data.backend))


def update_w(point: Point, data: Working, priors: Priors, moments: Moments) -> None:
    """Draw the loadings of all genes, K at once for each; sparse priors give every gene a precision of its own.

    Component after component would cost a quarter less a sweep, but its slowest quantity has a third of the effective
    sample size.
    """
    ops, (precisions, linear) = data.backend, gene_terms(point, data, moments)
    noise = ops.normal(*linear.shape)
    for precision, (_, members) in zip(precisions, data.gene_groups, strict=True):
        part = slice(None) if members is None else members
        if priors.nu is None:
            root = ops.narrow(ops.inverse_root(precision + data.eye(len(precision)) * point.alpha))
            linear[:, part] = draw_shared(root, linear[:, part], noise[:, part])
        else:
            own = point.alpha[:, None] * point.lam.T[:, part]
            linear[:, part] = ops.draw_each(precision, own, linear[:, part], noise[:, part])
    point.w = linear.T


def omic_terms(point: Point, data: Working, omic: int, moments: Moments, gram_w: list[Array]) -> Terms:
    """Conditional of one row of u, as a single column [K, 1] in float64."""
    w, tau = point.w.T, point.tau[omic]
    precision = data.eye(len(w)) + tau * moments.grams[omic] * gram_w[omic]
    linear = tau * data.backend.wide((moments.products[omic] * w).sum(1))
    return Terms([precision], linear[:, None])


def update_u(point: Point, data: Working, moments: Moments, gram_w: list[Array]) -> None:
    """Draw the factors of all omics, K at once for each."""
    ops = data.backend
    noise = ops.wide(ops.normal(point.u.shape[1], data.shape[2]))
    for omic in range(data.shape[2]):
        (precision,), linear = omic_terms(point, data, omic, moments, gram_w)
        point.u[omic] = draw_shared(ops.inverse_root(precision), linear, noise[:, omic : omic + 1])[:, 0]


def residual_squares(
    point: Point, data: Working, moments: Moments, gram_w: list[Array], fitted: list[Array | None]
) -> np.ndarray:
    """Residual sum of squares [L] of the measured entries, from products and Gram matrices alone.

    ``fitted`` are the noise-free values at the holes, whose share is taken off again.
    """
    ops, w, found = data.backend, point.w.T, []
    for omic, (product, gram_x) in enumerate(zip(moments.products, moments.grams, strict=True)):
        row = point.u[omic]
        cross = (row * ops.wide((product * w).sum(1))).sum()
        value = row @ (gram_x * gram_w[omic]) @ row - 2.0 * cross
        at_holes, drawn = fitted[omic], data.drawn[omic]
        if at_holes is not None and drawn is not None:  # y^2 - (y - f)^2, of the values y that stand in the block
            value = value + ops.wide((at_holes * (2.0 * drawn - at_holes)).sum())
        found.append(value.reshape(1))
    # A sum of squares is not negative; rounding may make it so where nothing is left to explain.
    return np.maximum(data.squares + ops.host(ops.join(found)), 0.0)


def update_noise(point: Point, data: Working, priors: Priors, moments: Moments, gram_w: list[Array]) -> Fit:
    """Draw tau given the measured entries alone, then the holes given tau: a joint draw of both.

    Returns the fit at the new tau.
    """
    ops = data.backend
    fitted = [None if h is None else fitted_at(point, omic, h, ops) for omic, h in enumerate(data.holes)]
    squares = residual_squares(point, data, moments, gram_w, fitted)
    counts = data.n_observed
    if priors.noise == "global":
        counts, squares_of_noise = counts.sum(keepdims=True), squares.sum(keepdims=True)
    else:
        squares_of_noise = squares
    gamma = ops.gamma(ops.place_wide(priors.a_tau + counts / 2), counts.shape)
    drawn = gamma / ops.place_wide(priors.b_tau + squares_of_noise / 2)
    point.tau = drawn + ops.place_wide(np.zeros(data.shape[2]))  # one value for every omic, also with global noise
    for omic, values in enumerate(fitted):
        if values is not None:
            data.fill(omic, values + ops.normal(len(values)) * float(point.tau[omic]) ** -0.5)
    return _fit(point, data, squares)


def _fit(point: Point, data: Working, squares: np.ndarray) -> Fit:
    ops = data.backend
    tau, u = ops.host(point.tau), ops.host(point.u)
    terms = data.n_observed * np.log(tau / (2 * np.pi)) - tau * squares
    x2, w2 = ops.host((point.x**2).sum(0)), ops.host((point.w**2).sum(0))
    return Fit(float(terms.sum()) / 2, rank_above_noise(x2, w2, u, tau, data.shape))


def update_sparsity(point: Point, data: Working, priors: Priors) -> None:
    """Draw lam of every loading."""
    if priors.nu is None:
        return
    w, ops = point.w.T, data.backend
    rate = (priors.nu + ops.narrow(point.alpha)[:, None] * w * w) / 2
    point.lam = (ops.gamma((priors.nu + 1) / 2, tuple(w.shape)) / rate).T


def update_relevance(point: Point, data: Working, priors: Priors) -> None:
    """Draw alpha of every component."""
    w, ops = point.w.T, data.backend
    rate = priors.b_alpha + ops.wide((point.lam.T * w * w).sum(1)) / 2
    shape = ops.place_wide(np.full(len(w), priors.a_alpha + w.shape[1] / 2))
    point.alpha = ops.gamma(shape, tuple(shape.shape)) / rate


def update_scales(point: Point, data: Working, priors: Priors) -> None:
    """Move the scale of every component from u, then from x, to w.

    Generalised Gibbs (Liu and Sabatti 2000) on the group (x, w, alpha) -> (sqrt(s) x, w / sqrt(s), s alpha), which
    changes neither the fit nor alpha w^2. With alpha moved along, s is Gamma(n / 2 + a_alpha, |x|^2 / 2 + b_alpha
    alpha) for a factor of n entries, and the scale forgets its past in one step, where alpha held fixed would tie it
    to the D loadings.
    """
    ops = data.backend
    for name, entries in (("u", data.shape[2]), ("x", data.shape[0])):
        factor = getattr(point, name)
        rate = ops.wide((factor * factor).sum(0)) / 2 + priors.b_alpha * point.alpha
        shape = ops.place_wide(np.full(len(rate), entries / 2 + priors.a_alpha))
        scale = ops.gamma(shape, tuple(rate.shape)) / rate
        root = scale**0.5
        setattr(point, name, factor * (root if name == "u" else ops.narrow(root)))
        point.w = point.w / ops.narrow(root)
        point.alpha = point.alpha * scale
