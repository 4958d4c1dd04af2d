"""Which of the phases found in a study become volumes."""

from __future__ import annotations

import pandas as pd

NO_CONTRAST_PHASE = "not a contrast phase"


def keep_all(phases: pd.DataFrame) -> pd.DataFrame:
    """The phase table with subtractions, localisers and other series kept too, where nothing else is wrong with them.

    The published sets mix them with contrast phases (143 of the papers' 187 series are subtractions by description).
    """
    only = ~phases["kept"].astype(bool) & phases["reason"].str.endswith(NO_CONTRAST_PHASE)
    return phases.assign(kept=phases["kept"].astype(bool) | only, reason=phases["reason"].mask(only, ""))
