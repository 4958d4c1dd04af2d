"""The best scores that any model can reach on a phantom cohort, from the true model and not from the cohort.

Three ceilings are given: for a model that sees the factors without noise (no omics model can do better), for one that
sees the lesion's latent scores without noise (no image model can do better), and for one that sees the measured
expression of the 15 genes of the condition (no model of that condition can do better). The last one knows the loadings
and reads the linear model with normal noise exactly: the factors given the genes are a mixture of normals. It is an
upper bound, since the reader also takes the shifts of the sites as known and sees no scaling of the conditions or
clipping. All are computed on a large seeded sample of the population with the true probabilities, so their error is
below 0.005.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from radgen_lib.core.config.cpdm import GENES
from radgen_lib.core.config.phantom import Phantom
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

SAMPLE = 40_000
_SEED = 0
_STEPS = {"grade3": ("grade", 1), "node_positive": ("n_stage", 0)}
_LEAST_NOISE = 1e-3  # genes without any noise have a singular covariance


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
    """Harrell's C-index of ``score`` [n] for patients with log hazards ``hazard`` [n], from eight draws of pairs."""
    concordant = comparable = 0.0
    for _ in range(8):
        days, event = draw_times(hazard, rng)
        other = rng.permutation(len(score))
        usable = (event == 1) & (days < days[other])
        margin = score[usable] - score[other][usable]
        concordant += (margin > 0).sum() + 0.5 * (margin == 0).sum()
        comparable += usable.sum()
    return float(concordant / comparable)


def attainable(truth: Truth, noise: float | None = None) -> pd.DataFrame:
    """The ceilings: task, metric, value.

    Tasks: the binary labels, ``grade3``, ``node_positive``, ``pam50_<subtype>`` (one against the rest) and ``os``.
    Metrics: auc and cindex, each ``_given_factors``, ``_given_lesion`` and ``_given_genes``; the last with measurement
    noise of SD ``noise`` (``Phantom.noise``; None: its default) and genes of the condition that the cohort has.
    """
    noise = float(Phantom().noise if noise is None else noise)
    places = [truth.genes.index(gene) for gene in GENES if gene in truth.genes]
    slopes = truth.loadings["genes"][places] * truth.loadings["expression"]
    count = truth.factors.shape[1]
    found = (_given_factors(count), _given_lesion(count), _given_genes(slopes.tobytes(), count, noise))
    return pd.concat(found, ignore_index=True)


@cache
def _sample(count: int) -> np.ndarray:
    """Factors [SAMPLE, count] of the population; look, do not change."""
    rng = make_rng(_SEED, "phantom", "attainable", count)
    subtypes = rng.choice(len(SUBTYPES), size=SAMPLE, p=population(count).weights)
    return draw_factors(subtypes, count, rng)


@cache
def _given_factors(count: int) -> pd.DataFrame:
    factors = _sample(count)
    found = {label: expected_auc(label_probability(label, factors)) for label in BINARY_LABELS}
    for task, (label, step) in _STEPS.items():
        found[task] = expected_auc(step_probability(label, step, factors))
    posterior = population(count).posterior(factors)
    found |= {f"pam50_{subtype}": expected_auc(posterior[:, i]) for i, subtype in enumerate(SUBTYPES)}
    hazard = log_hazard(factors)
    found["os"] = expected_cindex(hazard, hazard, make_rng(_SEED, "phantom", "attainable times", count))
    return _frame(found, "factors")


@cache
def _given_lesion(count: int) -> pd.DataFrame:
    slopes = np.array([effect_vector(effects, count) for effects in LESION_EFFECTS.values()])
    noise = np.array([noise_sd(effects, count) for effects in LESION_EFFECTS.values()])
    return _frame(_ceilings(_sample(count), slopes, noise), "lesion")


@cache
def _given_genes(slopes: bytes, count: int, noise: float) -> pd.DataFrame:
    matrix = np.frombuffer(slopes).reshape(-1, count)
    sd = np.full(len(matrix), max(noise, _LEAST_NOISE))
    return _frame(_ceilings(_sample(count), matrix, sd), "genes")


def _frame(found: dict[str, float], what: str) -> pd.DataFrame:
    rows = [(task, f"{'cindex' if task == 'os' else 'auc'}_given_{what}", value) for task, value in found.items()]
    return pd.DataFrame(rows, columns=["task", "metric", "value"])


def _ceilings(factors: np.ndarray, slopes: np.ndarray, noise: np.ndarray) -> dict[str, float]:
    """Ceilings by task for a reader of linear measurements of the factors."""
    rng = make_rng(_SEED, "phantom", "attainable measurements", factors.shape[1])
    seen = Seen(factors, slopes, noise, rng)
    found = {label: expected_auc(seen.probability(label)) for label in BINARY_LABELS}
    for task, (label, step) in _STEPS.items():
        found[task] = seen.ordinal_auc(label, step, factors)
    found |= {f"pam50_{subtype}": expected_auc(seen.weights[:, i]) for i, subtype in enumerate(SUBTYPES)}
    found["os"] = expected_cindex(seen.mean(SURVIVAL_EFFECTS), log_hazard(factors), rng)
    return found


class Seen:
    """Exact posterior of the factors [n, k] given ``slopes`` [m, k] @ factors + normal noise of SD ``noise`` [m].

    Again a mixture of normals: ``weights`` [n, subtypes], ``means`` [n, subtypes, k], one ``covariance`` [k, k].
    """

    def __init__(self, factors: np.ndarray, slopes: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> None:
        count = factors.shape[1]
        people = population(count)
        scores = factors @ slopes.T + noise * rng.standard_normal((len(factors), len(noise)))
        prior = np.diag(people.sds**2)
        spread = slopes @ prior @ slopes.T + np.diag(noise**2)
        gain = np.linalg.solve(spread, slopes @ prior).T
        residual = scores[:, None, :] - people.means @ slopes.T
        white = residual @ np.linalg.inv(np.linalg.cholesky(spread)).T
        distance = np.square(white).sum(axis=2)
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
