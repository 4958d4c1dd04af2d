"""Overall survival of the phantom: Weibull proportional hazards on the factors, with administrative censoring."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import weighted_sum

SURVIVAL_EFFECTS: dict[str, float] = {"proliferation": 0.9, "immune": -0.6}
"""Log hazard ratio of each factor per SD."""

SHAPE = 1.3
SCALE_DAYS = 5500.0
_FOLLOW_UP_DAYS = (200.0, 4500.0)


def log_hazard(factors: np.ndarray) -> np.ndarray:
    """True log relative hazard [n]."""
    return weighted_sum(factors, SURVIVAL_EFFECTS)


def draw_times(hazard: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Days to death or censoring (> 0) and whether it is a death (1, 0), for log relative hazards ``hazard`` [n]."""
    death = SCALE_DAYS * (rng.exponential(size=len(hazard)) / np.exp(hazard)) ** (1 / SHAPE)
    censored = rng.uniform(*_FOLLOW_UP_DAYS, size=len(hazard))
    return np.minimum(death, censored), (death <= censored).astype(np.int64)


def draw_survival(factors: np.ndarray, seed: int) -> pd.DataFrame:
    """Columns os_days (whole days, at least 1) and os_event (1 death, 0 censored), one row a patient."""
    days, event = draw_times(log_hazard(factors), make_rng(seed, "phantom", "survival"))
    return pd.DataFrame({"os_days": np.maximum(np.ceil(days), 1.0), "os_event": event})
