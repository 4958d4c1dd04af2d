"""Many tests at once: false discovery rates where some tests could not be made."""

from __future__ import annotations

import numpy as np
import pandas as pd


def false_discovery(p: pd.Series) -> pd.Series:
    """Adjusted p-values of Benjamini and Hochberg (1995) over the tests that have one; NaN for the others."""
    from scipy.stats import false_discovery_control

    adjusted = pd.Series(np.nan, index=p.index, dtype=float)
    made = p.notna()
    if made.any():
        adjusted[made] = false_discovery_control(p[made].to_numpy(dtype=float))
    return adjusted
