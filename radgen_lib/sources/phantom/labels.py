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

LOBULAR_GIVEN_CDH1 = (0.06, 0.70)
"""Probability of lobular histology without and with a mutation of CDH1: then about two in three lobular tumours have
lost it, as Ciriello et al. found (Cell 2015;163:506: 63 %)."""

# AJCC, 7th edition: largest size in mm of T1a, T1b, T1c and T2; above is T3.
_T_STEPS = (5.0, 10.0, 20.0, 50.0)
_T_DETAIL = ("T1A", "T1B", "T1C", "T2", "T3")
_T4_DETAIL, _T4_DETAIL_SHARES = ("T4B", "T4", "T4D"), (0.7, 0.2, 0.1)
_PLAIN_T1_SHARE = 0.14  # of T1 tumours, whose files do not say which part of T1
_N_DETAIL = {
    "N0": (("N0", "N0 (I-)", "N0 (I+)"), (0.64, 0.30, 0.06)),
    "N1": (("N1A", "N1", "N1MI", "N1B"), (0.46, 0.34, 0.11, 0.09)),
    "N2": (("N2A", "N2"), (0.54, 0.46)),
    "N3": (("N3A", "N3", "N3B"), (0.61, 0.35, 0.04)),
}
_T4_SHARE, _M1_SHARE = 0.03, 0.015
# AJCC 7th edition, anatomic stage by T (rows T1..T4) and N (columns N0, N1mi, N1, N2, N3).
_STAGES = np.array(
    [
        ["STAGE IA", "STAGE IB", "STAGE IIA", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIA", "STAGE IIB", "STAGE IIB", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIB", "STAGE IIIA", "STAGE IIIA", "STAGE IIIA", "STAGE IIIC"],
        ["STAGE IIIB", "STAGE IIIB", "STAGE IIIB", "STAGE IIIB", "STAGE IIIC"],
    ],
    dtype=object,
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
    """One row a patient: er, pr, her2, mut_*, lobular (each 1 or 0), grade (1 to 3), n_stage ("N0" to "N3").

    Histology depends on the mutation of CDH1 alone: see LOBULAR_GIVEN_CDH1.
    """
    columns: dict[str, np.ndarray] = {}
    for label in BINARY_LABELS:
        rng = make_rng(seed, "phantom", "label", label)
        columns[label] = (rng.random(len(factors)) < label_probability(label, factors)).astype(np.int64)
    lobular = np.asarray(LOBULAR_GIVEN_CDH1)[columns["mut_CDH1"]]
    columns["lobular"] = (make_rng(seed, "phantom", "label", "lobular").random(len(factors)) < lobular).astype(np.int64)
    levels = {label: _draw_ordinal(label, factors, seed) for label in ORDINAL_LABELS}
    columns["grade"] = levels["grade"] + 1
    columns["n_stage"] = np.char.add("N", levels["n_stage"].astype(str)).astype(object)
    return pd.DataFrame(columns)


def _draw_ordinal(label: str, factors: np.ndarray, seed: int) -> np.ndarray:
    uniform = make_rng(seed, "phantom", "label", label).random(len(factors))
    steps = range(len(ORDINAL_LABELS[label][0]))
    return np.sum([uniform < step_probability(label, step, factors) for step in steps], axis=0)


def draw_stages(diameter_mm: np.ndarray, n_stage: pd.Series, seed: int) -> pd.DataFrame:
    """Columns t_stage ("T1" to "T4"), t_detail, n_detail, m_stage ("M0", "M1") and stage ("STAGE IA" to "STAGE IV").

    T follows the diameter by the 7th edition of AJCC, but three percent are T4 (skin or chest wall, at random whatever
    the size). ``t_detail`` names the part ("T1C"; some T1 do not say it), ``n_detail`` that of ``n_stage`` ("N1MI":
    micrometastases, of which T1 are IB). 1.5 % have distant metastases, at random. The group follows from T, N and M.
    """
    rng = make_rng(seed, "phantom", "stages")
    part = np.searchsorted(_T_STEPS, diameter_mm, side="left")
    count = len(part)
    fourth = rng.random(count) < _T4_SHARE
    metastatic = rng.random(count) < _M1_SHARE
    t = np.where(fourth, 4, np.maximum(part - 1, 1))
    rng = make_rng(seed, "phantom", "details of stages")
    t_detail = np.array(_T_DETAIL, dtype=object)[part]
    t_detail[(t == 1) & (rng.random(count) < _PLAIN_T1_SHARE)] = "T1"
    t_detail = np.where(fourth, rng.choice(np.array(_T4_DETAIL, dtype=object), count, p=_T4_DETAIL_SHARES), t_detail)
    n_detail = n_stage.to_numpy(dtype=object).copy()
    for level, (names, shares) in _N_DETAIL.items():
        drawn = rng.choice(np.array(names, dtype=object), count, p=shares)
        n_detail = np.where(n_stage == level, drawn, n_detail)
    columns = {
        "t_stage": np.char.add("T", t.astype(str)).astype(object), "t_detail": t_detail, "n_detail": n_detail,
        "m_stage": np.where(metastatic, "M1", "M0").astype(object),
        "stage": stage_group(t, n_stage.str[1].astype(int).to_numpy(), n_detail == "N1MI", metastatic),
    }  # fmt: skip
    return pd.DataFrame(columns)


def stage_group(t: np.ndarray, n: np.ndarray, micro: np.ndarray, metastatic: np.ndarray) -> np.ndarray:
    """Anatomic stage (AJCC, 7th edition) [n] of T (1 to 4), N (0 to 3), whether N1 is N1mi alone, and whether M1."""
    column = np.where(n == 0, 0, n + 1)
    return np.where(metastatic, "STAGE IV", _STAGES[t - 1, np.where((n == 1) & micro, 1, column)])
