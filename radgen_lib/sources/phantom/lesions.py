"""Lesions of the phantom: size, shape, margin, rim and kinetics, each a monotone function of stated factors.

Every parameter has a latent score with mean 0 and SD 1 in the population: the stated effects times the factors, and
independent normal noise for the rest of the variance. The parameter is an increasing function of that score.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import expit

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import effect_vector, population

LESION_EFFECTS: dict[str, dict[str, float]] = {
    "diameter_mm": {"proliferation": 0.60},
    "irregularity": {"her2": 0.60},
    "spiculation": {"stroma": 0.65},
    "rim": {"luminal": -0.65},
    "ktrans": {"vascular": 0.70},
    "kep": {"proliferation": 0.45, "vascular": 0.45},
    "vp": {"vascular": 0.60},
    "density": {"stroma": 0.50},
    "bpe": {},
    "x": {},
    "y": {},
    "z": {},
}
"""Slope of a parameter's latent score on each factor (both of SD 1); a factor that is not named has no effect."""

OCCULT_SHARE = 0.03
_LONGEST, _SHORTEST = 60.0, 7.0
_MOST_LEAKAGE_SPACE = 0.9


def _between(low: float, high: float, steep: float = 1.3) -> Callable[[np.ndarray], np.ndarray]:
    return lambda score: low + (high - low) * expit(steep * score)


def _lognormal(median: float, sigma: float, low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda score: np.clip(median * np.exp(sigma * score), low, high)


# Ktrans and kep per minute as published for invasive breast cancer (medians near 0.15 and 0.5 per minute).
_SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "diameter_mm": _lognormal(22.0, 0.45, _SHORTEST, _LONGEST),
    "irregularity": _between(0.05, 0.95),
    "spiculation": _between(0.0, 1.0),
    "rim": _between(0.0, 0.95),
    "ktrans": _lognormal(0.16, 0.50, 0.02, 0.80),
    "kep": _lognormal(0.45, 0.75, 0.06, 2.50),
    "vp": _between(0.005, 0.12),
    "density": _between(0.08, 0.70, 1.0),
    "bpe": _between(0.02, 0.60, 1.0),
    "x": _between(0.25, 0.75),
    "y": _between(0.25, 0.75),
    "z": _between(0.25, 0.75),
}


def noise_sd(effects: dict[str, float], count: int) -> float:
    """SD of the part of a latent score that no factor explains, so that the score has variance 1."""
    slope = effect_vector(effects, count)
    return float(np.sqrt(1.0 - slope @ population(count).covariance @ slope))


def draw_scores(factors: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Latent score [n] of every parameter."""
    count = factors.shape[1]
    return {
        name: factors @ effect_vector(effects, count) + noise_sd(effects, count) * rng.standard_normal(len(factors))
        for name, effects in LESION_EFFECTS.items()
    }


def draw_lesions(patients: pd.DataFrame, factors: np.ndarray, seed: int) -> pd.DataFrame:
    """One lesion a patient: patient, present, the parameters (units in the module's table of shapes), score_*.

    ``present`` is False for the few imaged patients whose tumour does not show on MRI. Background enhancement falls
    after menopause, density with age. kep is raised where it must be for the leakage space ktrans / kep to stay
    below 0.9.
    """
    rng = make_rng(seed, "phantom", "lesions")
    scores = draw_scores(factors, rng)
    age = (patients["age"].to_numpy() - 58.0) / 13.0
    post = (patients["menopause"] == "post").to_numpy()
    shifts = {"density": -0.5 * age, "bpe": np.where(post, -0.5, 0.8)}
    columns = {name: shape(scores[name] + shifts.get(name, 0.0)) for name, shape in _SHAPES.items()}
    columns["kep"] = np.maximum(columns["kep"], columns["ktrans"] / _MOST_LEAKAGE_SPACE)
    frame = pd.DataFrame({"patient": patients["patient"], "present": _present(patients["imaged"].to_numpy(), rng)})
    return frame.assign(**columns, **{f"score_{name}": score for name, score in scores.items()})


def _present(imaged: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    places = np.flatnonzero(imaged)
    hidden = rng.choice(places, size=round(OCCULT_SHARE * len(places)), replace=False)
    present = np.ones(len(imaged), dtype=bool)
    present[hidden] = False
    return present
