"""Whose second omic fits whose first one: finds patients whose samples were exchanged between two omics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import ndtri
from scipy.stats import rankdata

MOST_GENES, USED_GENES, FEWEST_PATIENTS, FOLDS, MOST_COMPONENTS = 3000, 1000, 40, 5, 30
ALPHA, STANDARD_ERRORS = 0.05, 4.0
# Below this AUC own pairs hardly stand out from foreign ones, and no exchange can be told from chance.
ENOUGH = 0.9


class Swaps(NamedTuple):
    """What :func:`find_swaps` found.

    ``scores`` float [n, n]: log likelihood ratio that patient i's first omic (rows) and patient j's second one
    (columns) are of one tumour, against two. ``partner``: position of the patient whose second omic fits better than
    the own one beyond chance, -1 for none. ``separation``: AUC of own against foreign pairs. ``genes``: number of
    genes used. ``judged``: whether the separation is high enough to say anything.
    """

    scores: np.ndarray
    partner: np.ndarray
    separation: float
    genes: int
    judged: bool


def find_swaps(first: np.ndarray, second: np.ndarray) -> Swaps:
    """Compare two omics of the same n patients, each float [n, genes] with NaN for missing.

    Genes whose two omics go together across patients, in either direction, are chosen, and both omics are reduced to
    principal components of normal scores. The components of the second omic are predicted from those of the first
    with the patient left out (five folds); the score is the Gaussian log likelihood ratio of patient j's components
    given patient i's prediction against their distribution over all patients. If all pairs are right,
    exp(score(i, j) - score(i, i)) has expectation 1 for i unlike j, so that by Markov's inequality a difference above
    log(n^2 / 0.05), over all pairs, is rarer than 0.05; likewise log(n^2 / 0.1) for the joint gain of an exchange of
    two patients. With fewer than 40 patients, or when own pairs do not stand out (AUC below 0.9), nothing is flagged
    and ``judged`` is False.
    """
    n = len(first)
    nothing = Swaps(np.zeros((n, n)), np.full(n, -1), float("nan"), 0, False)
    if n < FEWEST_PATIENTS or first.shape[1] < 5:
        return nothing
    columns = np.unique(np.linspace(0, first.shape[1] - 1, MOST_GENES).astype(int))
    a, b = normal_scores(first[:, columns]), normal_scores(second[:, columns])
    together = np.abs((a * b).mean(axis=0))
    used = np.sort(np.argsort(-together, kind="stable")[:USED_GENES])
    # The bound lets no gene of thousands through that goes together by chance.
    used = used[together[used] > STANDARD_ERRORS / np.sqrt(n)]
    if len(used) < 5:
        return nothing
    size = min(MOST_COMPONENTS, n // 8, len(used))
    scores = _log_ratios(_components(a[:, used], size), _components(b[:, used], size))
    separation = _separation(scores)
    judged = separation >= ENOUGH
    return Swaps(scores, _partners(scores) if judged else nothing.partner, separation, len(used), judged)


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Van der Waerden scores of each column over its patients, SD 1; missing cells and constant columns are 0."""
    missing = np.isnan(values)
    there = np.maximum((~missing).sum(axis=0), 1)
    ranks = rankdata(np.where(missing, np.inf, values), axis=0)  # missing cells are last and do not move the others
    scores = np.where(missing, 0.0, ndtri(np.clip(ranks / (there + 1), 1e-9, 1 - 1e-9)))
    scores -= np.where(missing, 0.0, scores.sum(axis=0) / there)
    spread = np.sqrt((scores**2).sum(axis=0) / there)
    return np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 1e-6)


def _components(values: np.ndarray, size: int) -> np.ndarray:
    """The first ``size`` principal components [n, size] as normal scores: no outlier decides."""
    vectors = np.linalg.eigh(values @ values.T)[1][:, ::-1][:, :size]
    return normal_scores(vectors)


def _log_ratios(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = len(a)
    predicted = np.empty_like(b)
    folds = np.arange(n) % FOLDS
    for fold in range(FOLDS):
        inside = folds == fold
        weights = np.linalg.lstsq(a[~inside], b[~inside], rcond=None)[0]
        predicted[inside] = a[inside] @ weights
    # Exchanged patients have huge residuals: clipped, they do not widen the spread that is to reveal them.
    within = np.clip(b - predicted, -2.5, 2.5)
    given = _log_density(b, predicted, within.T @ within / n)
    alone = _log_density(b, np.zeros((1, b.shape[1])), b.T @ b / n)
    return given - alone


def _log_density(values: np.ndarray, centres: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Gaussian log density [centres, values] up to a constant."""
    root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(covariance)))
    whitened = [solve_triangular(root, part.T, lower=True).T for part in (centres, values)]
    return -0.5 * cdist(*whitened, "sqeuclidean") - float(np.log(np.diag(root)).sum())


def _separation(scores: np.ndarray) -> float:
    """Share of foreign pairs of the same row and column that score below a patient's own pair."""
    own = np.diag(scores)
    n = len(own)
    below = (scores < own[:, None]).sum() + (scores < own[None, :]).sum()
    return float(below / (2 * n * (n - 1)))


def _partners(scores: np.ndarray) -> np.ndarray:
    """Whose second omic belongs to each patient's first one, where the evidence is beyond chance; -1 elsewhere.

    An own score counts as no worse than minus the median own score, and no score as better than twice the median: a
    single tumour far from the model is no evidence for an exchange.
    """
    n, own = len(scores), np.diag(scores)
    typical = float(np.median(own))
    gains = np.minimum(scores, 2 * typical) - np.maximum(np.minimum(own, 2 * typical), -typical)[:, None]
    gains[np.arange(n), np.arange(n)] = -np.inf
    joint = gains + gains.T
    best, mate = gains.argmax(axis=1), joint.argmax(axis=1)
    everyone = np.arange(n)
    exchanged = (joint[everyone, mate] > np.log(n * n / (2 * ALPHA))) & (mate[mate] == everyone)
    alone = gains[everyone, best] > np.log(n * n / ALPHA)
    return np.where(exchanged, mate, np.where(alone, best, -1))
