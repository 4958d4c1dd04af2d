"""Proximal Newton for many penalised Cox fits at once: exact optima of ridge, elastic net and LASSO."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.metrics.cox_likelihood import PartialLikelihood, Subsets

MOST_ITERATIONS = 100
MOST_GUESSES = 15
MOST_SWEEPS = 100
MOST_HALVINGS = 25
TOLERANCE = 1e-9  # of a step, in standard deviations of a covariate times its coefficient
LEFTOVER = 1e-5  # largest scaled coefficient in place of a zero: above the tolerance of ties, below any real one
JITTER = 1e-10  # of the mean curvature: keeps a flat direction solvable and moves no optimum


@dataclass(frozen=True)
class Penalty:
    """Weights of ``sum(lasso |beta|) + sum(ridge beta^2) / 2`` per fit and covariate, [B, p] each."""

    lasso: np.ndarray
    ridge: np.ndarray

    def value(self, beta: np.ndarray) -> np.ndarray:
        """Penalty of beta [B, p]: [B]."""
        return (self.lasso * np.abs(beta) + self.ridge * beta**2 / 2).sum(axis=1)

    def take(self, rows: np.ndarray) -> Penalty:
        """The fits at ``rows``."""
        return Penalty(self.lasso[rows], self.ridge[rows])


def minimise(
    likelihood: PartialLikelihood, subsets: Subsets, penalty: Penalty, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise penalty - log likelihood from zero: beta [B, p], converged [B], iterations [B].

    scale: [B, p] spread of each covariate in each training subset; covariates with scale 0 keep coefficient 0. A fit
    has converged when a full step moves no scaled coefficient by more than 1e-9; fits that have not after 100
    iterations, or whose step no halving improves, keep their last coefficients (nothing is penalised and the deaths are
    separable or covariates repeat each other, say, so that no finite or single optimum exists).
    """
    beta = np.zeros(scale.shape)
    converged = np.zeros(len(beta), dtype=bool)
    iterations = np.zeros(len(beta), dtype=int)
    open_fits = np.arange(len(beta))
    for _ in range(MOST_ITERATIONS):
        part, cost, now = subsets.take(open_fits), penalty.take(open_fits), beta[open_fits]
        step, gain, before = _direction(likelihood, part, cost, now, scale[open_fits])
        taken, accepted = _line_search(likelihood, part, cost, now, step, gain, before)
        beta[open_fits] = now + taken
        iterations[open_fits] += 1
        small = np.abs(step * scale[open_fits]).max(axis=1, initial=0.0) <= TOLERANCE
        converged[open_fits] = small
        # A rejected step is one that no halving improves: nothing further will.
        open_fits = open_fits[~small & accepted]
        if not len(open_fits):
            break
    return beta, converged, iterations


def smoothed_zeros(
    likelihood: PartialLikelihood, subsets: Subsets, penalty: Penalty, scale: np.ndarray, beta: np.ndarray
) -> np.ndarray:
    """Replace coefficients that are exactly zero by what a smoothed absolute value would leave there.

    lifelines minimises with ``log(2 + 2 cosh(a b)) / a`` for ``|b|``, whose slope is tanh(a b / 2): a coefficient at
    zero ends where that slope balances the likelihood's. The leftovers are tiny (here at most 1e-5) but follow the
    gradient of the likelihood, so a fit whose coefficients the LASSO has all removed still ranks patients: lifelines'
    concordance of such a fit is that ranking, not 0.5.
    """
    _, gradient, _ = likelihood.derivatives(subsets, beta)
    zero = (beta == 0) & (penalty.lasso > 0) & (scale > 0)
    slope = np.divide(gradient, penalty.lasso, out=np.zeros_like(beta), where=zero)
    left = np.arctanh(np.clip(slope, -1 + 1e-9, 1 - 1e-9))
    largest = np.abs(left).max(axis=1, keepdims=True, initial=np.finfo(float).tiny)
    return beta + np.divide(LEFTOVER * left / largest, scale, out=np.zeros_like(beta), where=zero)


def _direction(
    likelihood: PartialLikelihood, subsets: Subsets, penalty: Penalty, beta: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton step [B, p], the change of the objective it promises [B] (not above 0), and the objective [B]."""
    value, gradient, curvature = likelihood.derivatives(subsets, beta)
    slope = penalty.ridge * beta - gradient
    diagonal = np.arange(beta.shape[1])
    curvature[:, diagonal, diagonal] += penalty.ridge
    mean = curvature[:, diagonal, diagonal].mean(axis=1, keepdims=True)
    curvature[:, diagonal, diagonal] += JITTER * mean + np.finfo(float).tiny
    frozen = scale <= 0
    if frozen.any():
        slope[frozen] = 0.0
        curvature[frozen] = 0.0
        curvature.transpose(0, 2, 1)[frozen] = 0.0
        curvature[:, diagonal, diagonal] += frozen
    if penalty.lasso.any():
        step = _lasso_step(curvature, slope, beta, penalty.lasso, scale)
    else:
        step = -np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
    lasso_change = (penalty.lasso * (np.abs(beta + step) - np.abs(beta))).sum(axis=1)
    gain = np.minimum((slope * step).sum(axis=1) + lasso_change, 0.0)
    return step, gain, penalty.value(beta) - value


def _lasso_step(
    curvature: np.ndarray, slope: np.ndarray, beta: np.ndarray, lasso: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Step d that minimises slope.d + d'Cd / 2 + sum(lasso |beta + d|) in each fit: [B, p].

    Active sets with their signs are guessed and solved for until they confirm themselves (primal-dual active set,
    which then is the minimum); the rare fits whose sets cycle go to coordinate descent.
    """
    own = np.diagonal(curvature, axis1=1, axis2=2)
    pull = (curvature @ beta[:, :, None])[:, :, 0] - slope
    at = beta.copy()
    signs = np.full(beta.shape, np.nan)
    unsettled = np.arange(len(beta))
    for _ in range(MOST_GUESSES):
        c, now = curvature[unsettled], at[unsettled]
        bend = (c @ now[:, :, None])[:, :, 0] - pull[unsettled]
        aim = now - bend / own[unsettled]
        guess = np.where(np.abs(aim) * own[unsettled] > lasso[unsettled], np.sign(aim), 0.0)
        moved = (guess != signs[unsettled]).any(axis=1)
        unsettled, guess, c = unsettled[moved], guess[moved], c[moved]
        if not len(unsettled):
            return at - beta
        signs[unsettled] = guess
        at[unsettled] = _solve_active(c, pull[unsettled] - lasso[unsettled] * guess, guess != 0)
    rest = (part[unsettled] for part in (curvature, slope, beta, lasso, scale))
    at[unsettled] = beta[unsettled] + _coordinate_descent(*rest)
    return at - beta


def _solve_active(curvature: np.ndarray, right: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Solve each system restricted to its active covariates, the others 0: [B, p]."""
    found = np.zeros(right.shape)
    some = active.any(axis=1)
    kept = active[some].astype(float)
    system = curvature[some] * kept[:, :, None] * kept[:, None, :]
    diagonal = np.arange(right.shape[1])
    system[:, diagonal, diagonal] += 1.0 - kept
    found[some] = np.linalg.solve(system, (right[some] * kept)[:, :, None])[:, :, 0]
    return found


def _coordinate_descent(
    curvature: np.ndarray, slope: np.ndarray, beta: np.ndarray, lasso: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """The step of :func:`_lasso_step`, one covariate of all fits at a time."""
    at, bend = beta.copy(), slope.copy()  # where the coefficients are, and the gradient of the quadratic part there
    for _ in range(MOST_SWEEPS):
        largest = 0.0
        for j in range(beta.shape[1]):
            own = curvature[:, j, j]
            aim = at[:, j] - bend[:, j] / own
            new = np.sign(aim) * np.maximum(np.abs(aim) - lasso[:, j] / own, 0.0)
            change = new - at[:, j]
            at[:, j] = new
            bend += curvature[:, j, :] * change[:, None]
            largest = max(largest, float(np.abs(change * scale[:, j]).max(initial=0.0)))
        if largest <= TOLERANCE / 10:
            break
    return at - beta


def _line_search(
    likelihood: PartialLikelihood,
    subsets: Subsets,
    penalty: Penalty,
    beta: np.ndarray,
    step: np.ndarray,
    gain: np.ndarray,
    before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Halve each step until the objective falls enough (Armijo): steps taken [B, p] and whether any was [B]."""
    taken = np.zeros_like(step)
    accepted = np.zeros(len(step), dtype=bool)
    waiting = np.arange(len(step))
    length = 1.0
    for _ in range(MOST_HALVINGS):
        trial = beta[waiting] + length * step[waiting]
        after = penalty.take(waiting).value(trial) - likelihood.value(subsets.take(waiting), trial)
        rounding = 1e-13 * (1 + np.abs(before[waiting]))
        good = after <= before[waiting] + 1e-4 * length * gain[waiting] + rounding
        taken[waiting[good]] = length * step[waiting[good]]
        accepted[waiting[good]] = True
        waiting = waiting[~good]
        if not len(waiting):
            break
        length /= 2
    return taken, accepted
