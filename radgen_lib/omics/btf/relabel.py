"""Order and signs that bring components of several draws together.

A component is the rank-one term x o w o u of its three columns: the similarity of two components is the cosine of their
terms, which is the product of the three cosines and does not change when two columns change their sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

# Rounds of aligning to the mean of the last round; two or three are enough, the rest guards against cycles.
_ROUNDS = 10
# Below this length a column counts as switched off.
TINY = 1e-30


class Parts(NamedTuple):
    """Columns of x, w and u, each [S, rows, K]."""

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray


class Labels(NamedTuple):
    """Which component goes to which place, ``order`` [S, K], and the signs [S, K] that x and u take there."""

    order: np.ndarray
    x_sign: np.ndarray
    u_sign: np.ndarray


def largest(column: np.ndarray) -> np.ndarray:
    """Entry [K] of the largest absolute value in each column of [rows, K], with its sign."""
    return np.take_along_axis(column, np.abs(column).argmax(axis=0)[None], axis=0)[0]


def third_moment(w: np.ndarray) -> np.ndarray:
    """Sum of cubes [K] of each column: its sign tells a few large loadings from their mirror image."""
    wide = w.astype(float)
    return np.asarray((wide * wide * wide).sum(axis=0))  # power() is slower


def sign_of(a: np.ndarray) -> np.ndarray:
    """-1 or 1; zero counts as positive, so that a switched-off column keeps its values."""
    return np.where(a < 0, -1.0, 1.0)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines [..., J, K] of the columns of a [..., rows, J] with those of b [rows, K]; 0 for a column of zeros."""
    lengths = np.linalg.norm(a, axis=-2)[..., :, None] * np.linalg.norm(b, axis=-2)
    product = np.swapaxes(a, -1, -2) @ b
    return np.divide(product, lengths, out=np.zeros_like(product), where=lengths > TINY)


def _paired(terms: Parts, reference: Parts) -> Labels:
    """Labels that bring every draw closest to the reference, whose parts are [rows, K]."""
    x, w, u = (cosines(part, ref.astype(part.dtype)) for part, ref in zip(terms, reference, strict=True))
    # Turning two of the three signs leaves this product as it is, so that it needs no absolute value.
    order = np.stack([linear_sum_assignment(c.T, maximize=True)[1] for c in (x * w * u).astype(float)])
    places = np.arange(order.shape[1])
    signs = [sign_of(c[np.arange(len(order))[:, None], order, places]) for c in (x, u)]
    return Labels(order, *signs)


def _mean(terms: Parts, labels: Labels) -> Parts:
    """Mean over draws of the relabelled columns, summed draw by draw: no second copy of the draws is held."""
    signs = (labels.x_sign, labels.x_sign * labels.u_sign, labels.u_sign)
    return Parts(*(_running_mean(p, labels.order, sign) for p, sign in zip(terms, signs, strict=True)))


def _running_mean(part: np.ndarray, order: np.ndarray, sign: np.ndarray) -> np.ndarray:
    total = np.zeros(part.shape[1:])
    for one, o, s in zip(part, order, sign, strict=True):
        total += one[:, o] * s
    return total / len(part)


def settle(terms: Parts, *, start: int) -> tuple[Labels, Parts]:
    """Labels of the draws against their own mean, beginning with draw ``start``, and that mean (parts [rows, K])."""
    labels = _paired(terms, Parts(*(part[start] for part in terms)))
    for _ in range(_ROUNDS):
        mean = _mean(terms, labels)
        again = _paired(terms, mean)
        if all(np.array_equal(a, b) for a, b in zip(again, labels, strict=True)):
            break
        labels = again
    return labels, _mean(terms, labels)


def canonical(mean: Parts) -> Labels:
    """Signs by the rule of :func:`normalise`, for the mean of all draws."""
    u_sign = sign_of(largest(mean.u))
    x_sign = sign_of(third_moment(mean.w)) * u_sign
    return Labels(np.arange(len(u_sign))[None], x_sign[None], u_sign[None])
