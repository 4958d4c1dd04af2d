"""Labels of the phantom's patients: receptors, driver mutations, grade, T, N and stage, as functions of the factors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import effect_vector, population, weighted_sum
from radgen_lib.sources.phantom.lesions import noise_sd

BINARY_LABELS: dict[str, tuple[float, dict[str, float]]] = {
    "er": (0.77, {"luminal": 3.0}),
    "pr": (0.67, {"luminal": 2.2}),
    "her2": (0.16, {"her2": 2.4}),
    "mut_TP53": (0.34, {"proliferation": 1.5, "luminal": -0.6}),
    "mut_PIK3CA": (0.33, {"luminal": 1.2}),
    "mut_CDH1": (0.13, {"stroma": 1.4}),
}
"""Share of positives in the population, and log odds ratio of each factor per SD."""

ORDINAL_LABELS: dict[str, tuple[tuple[float, ...], dict[str, float]]] = {
    "grade": ((0.22, 0.62), {"proliferation": 0.70}),
    "n_stage": ((0.47, 0.80, 0.92), {"proliferation": 0.40, "immune": -0.25}),
}
"""Shares below each step of the label, and slope of its latent score (SD 1) on each factor."""

_T_STEPS = (20.0, 50.0)  # mm: T1 up to 20, T2 up to 50, T3 above (AJCC, 7th edition)
_T4_SHARE, _M1_SHARE = 0.03, 0.015
# AJCC 7th edition, anatomic stage by T (rows T1..T4) and N (columns N0..N3).
_STAGES = np.array(
    [
        ["STAGE IA", "STAGE IIA", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIA", "STAGE IIB", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIB", "STAGE IIIA", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIIB", "STAGE IIIB", "STAGE IIIB", "STAGE IIIC"],
    ]
)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def component_moments(effects: dict[str, float], count: int) -> tuple[np.ndarray, float]:
    """Mean of the linear predictor in each subtype [subtypes] and its SD within one."""
    people, slope = population(count), effect_vector(effects, count)
    return people.means @ slope, float(np.sqrt(((people.sds * slope) ** 2).sum()))


def expected_logistic(means: np.ndarray, sd: float | np.ndarray) -> np.ndarray:
    """Mean of the logistic function of a normal with ``means`` and ``sd`` (any shape), by 40-point quadrature."""
    points = np.asarray(means)[..., None] + np.asarray(sd)[..., None] * _NODES
    return np.asarray(expit(points) @ (_WEIGHTS / _WEIGHTS.sum()))


@cache
def intercept(label: str, count: int) -> float:
    """Intercept at which the population of ``count`` factors has the stated share of positives of ``label``."""
    share, effects = BINARY_LABELS[label]
    means, sd = component_moments(effects, count)
    weights = population(count).weights

    def surplus(at: float) -> float:
        return float(weights @ expected_logistic(means + at, sd)) - share

    return float(brentq(surplus, -30.0, 30.0))


def label_probability(label: str, factors: np.ndarray) -> np.ndarray:
    """True probability [n] of a positive binary ``label`` given the factors."""
    return np.asarray(expit(intercept(label, factors.shape[1]) + weighted_sum(factors, BINARY_LABELS[label][1])))


def step_probability(label: str, step: int, factors: np.ndarray) -> np.ndarray:
    """True probability [n] that an ordinal ``label`` lies above its ``step`` (0: above the lowest level)."""
    shares, effects = ORDINAL_LABELS[label]
    over = weighted_sum(factors, effects) - norm.ppf(shares[step])
    return np.asarray(norm.cdf(over / noise_sd(effects, factors.shape[1])))


def draw_labels(factors: np.ndarray, seed: int) -> pd.DataFrame:
    """Columns er, pr, her2, mut_* (1 or 0), grade (1 to 3), n_stage ("N0" to "N3"), one row a patient."""
    columns: dict[str, np.ndarray] = {}
    for label in BINARY_LABELS:
        rng = make_rng(seed, "phantom", "label", label)
        columns[label] = (rng.random(len(factors)) < label_probability(label, factors)).astype(np.int64)
    levels = {label: _draw_ordinal(label, factors, seed) for label in ORDINAL_LABELS}
    columns["grade"] = levels["grade"] + 1
    columns["n_stage"] = np.char.add("N", levels["n_stage"].astype(str)).astype(object)
    return pd.DataFrame(columns)


def _draw_ordinal(label: str, factors: np.ndarray, seed: int) -> np.ndarray:
    uniform = make_rng(seed, "phantom", "label", label).random(len(factors))
    steps = range(len(ORDINAL_LABELS[label][0]))
    return np.sum([uniform < step_probability(label, step, factors) for step in steps], axis=0)


def draw_stages(diameter_mm: np.ndarray, n_stage: pd.Series, seed: int) -> pd.DataFrame:
    """Columns t_stage ("T1" to "T4") from the diameter and stage ("STAGE IA" to "STAGE IV") from T, N and M.

    Three percent are T4 (skin or chest wall) and 1.5 % have distant metastases, at random.
    """
    rng = make_rng(seed, "phantom", "stages")
    size = np.searchsorted(_T_STEPS, diameter_mm, side="left")
    size = np.where(rng.random(len(size)) < _T4_SHARE, 3, size)
    stage = _STAGES[size, n_stage.str[1].astype(int).to_numpy()].astype(object)
    stage[rng.random(len(size)) < _M1_SHARE] = "STAGE IV"
    return pd.DataFrame({"t_stage": np.char.add("T", (size + 1).astype(str)).astype(object), "stage": stage})
