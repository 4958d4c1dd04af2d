"""The best scores that any model can reach on a phantom cohort, from the true model and not from the cohort.

Two ceilings are given: for a model that sees the factors without noise (no omics model can do better), and for one
that sees the lesion's latent scores without noise (no image model can do better). Both are computed on a large seeded
sample of the population with the true probabilities, so their error is below 0.005.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import SUBTYPES, draw_factors, effect_vector, population
from radgen_lib.sources.phantom.labels import (
    BINARY_LABELS,
    ORDINAL_LABELS,
    expected_logistic,
    intercept,
    label_probability,
    step_probability,
)
from radgen_lib.sources.phantom.lesions import LESION_EFFECTS, noise_sd
from radgen_lib.sources.phantom.survival import SURVIVAL_EFFECTS, draw_times, log_hazard
from radgen_lib.sources.phantom.truth import Truth

SAMPLE = 60_000
_SEED = 0


def expected_auc(probability: np.ndarray) -> float:
    """AUC of the true probabilities [n] of a label, expected over the label: each patient counts as both classes.

    The Mann-Whitney statistic with weights p for positives and 1 - p for negatives; ties count one half.
    """
    ordered = np.sort(probability)
    _, first = np.unique(ordered, return_index=True)
    positive = np.add.reduceat(ordered, first)
    negative = np.add.reduceat(1.0 - ordered, first)
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum()))


def expected_cindex(score: np.ndarray, hazard: np.ndarray, rng: np.random.Generator) -> float:
    """Harrell's C-index of ``score`` [n] for patients with log hazards ``hazard`` [n], from two draws of each pair."""
    concordant = comparable = 0.0
    for _ in range(4):
        days, event = draw_times(hazard, rng)
        other = rng.permutation(len(score))
        usable = (event == 1) & (days < days[other])
        margin = score[usable] - score[other][usable]
        concordant += (margin > 0).sum() + 0.5 * (margin == 0).sum()
        comparable += usable.sum()
    return float(concordant / comparable)


def attainable(truth: Truth) -> pd.DataFrame:
    """The ceilings: task, metric, value.

    Tasks: the binary labels, ``grade3``, ``node_positive``, ``pam50_<subtype>`` (one against the rest) and ``os``.
    Metrics: auc and cindex, each ``_given_factors`` and ``_given_lesion``.
    """
    return _ceilings(truth.factors.shape[1]).copy()


@cache
def _ceilings(count: int) -> pd.DataFrame:
    rng = make_rng(_SEED, "phantom", "attainable", count)
    subtypes = rng.choice(len(SUBTYPES), size=SAMPLE, p=population(count).weights)
    factors = draw_factors(subtypes, count, rng)
    seen = _Lesions(factors, rng)
    rows: list[tuple[str, str, float]] = []
    for label in BINARY_LABELS:
        rows.append((label, "auc_given_factors", expected_auc(label_probability(label, factors))))
        rows.append((label, "auc_given_lesion", expected_auc(seen.probability(label))))
    for task, (label, step) in {"grade3": ("grade", 1), "node_positive": ("n_stage", 0)}.items():
        rows.append((task, "auc_given_factors", expected_auc(step_probability(label, step, factors))))
        rows.append((task, "auc_given_lesion", seen.ordinal_auc(label, step, factors)))
    for i, subtype in enumerate(SUBTYPES):
        rows.append((f"pam50_{subtype}", "auc_given_factors", expected_auc(population(count).posterior(factors)[:, i])))
        rows.append((f"pam50_{subtype}", "auc_given_lesion", expected_auc(seen.weights[:, i])))
    hazard = log_hazard(factors)
    rows.append(("os", "cindex_given_factors", expected_cindex(hazard, hazard, rng)))
    rows.append(("os", "cindex_given_lesion", expected_cindex(seen.mean(SURVIVAL_EFFECTS), hazard, rng)))
    return pd.DataFrame(rows, columns=["task", "metric", "value"])


class _Lesions:
    """Exact posterior of the factors given the lesion's latent scores: again a mixture of normals."""

    def __init__(self, factors: np.ndarray, rng: np.random.Generator) -> None:
        count = factors.shape[1]
        people = population(count)
        slopes = np.array([effect_vector(effects, count) for effects in LESION_EFFECTS.values()])
        noise = np.array([noise_sd(effects, count) for effects in LESION_EFFECTS.values()])
        scores = factors @ slopes.T + noise * rng.standard_normal((len(factors), len(noise)))
        prior = np.diag(people.sds**2)
        spread = slopes @ prior @ slopes.T + np.diag(noise**2)
        gain = np.linalg.solve(spread, slopes @ prior).T
        residual = scores[:, None, :] - people.means @ slopes.T
        distance = np.einsum("nsi,ij,nsj->ns", residual, np.linalg.inv(spread), residual)
        weight = people.weights * np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True)))
        self.weights = weight / weight.sum(axis=1, keepdims=True)
        self.means = people.means + residual @ gain.T
        self.covariance = prior - gain @ slopes @ prior
        self.count = count

    def mean(self, effects: dict[str, float]) -> np.ndarray:
        """Posterior mean [n] of a linear predictor."""
        return np.asarray((self.weights * (self.means @ effect_vector(effects, self.count))).sum(axis=1))

    def probability(self, label: str) -> np.ndarray:
        """Probability [n] of a binary label given the scores."""
        slope = effect_vector(BINARY_LABELS[label][1], self.count)
        sd = float(np.sqrt(slope @ self.covariance @ slope))
        each = expected_logistic(self.means @ slope + intercept(label, self.count), sd)
        return np.asarray((self.weights * each).sum(axis=1))

    def ordinal_auc(self, label: str, step: int, factors: np.ndarray) -> float:
        """AUC of the posterior mean of an ordinal label's score for exceeding ``step``."""
        truth = step_probability(label, step, factors)
        order = np.argsort(self.mean(ORDINAL_LABELS[label][1]))
        positive, negative = truth[order], 1.0 - truth[order]
        below = np.cumsum(negative) - negative
        return float((positive * below).sum() / (positive.sum() * negative.sum()))
