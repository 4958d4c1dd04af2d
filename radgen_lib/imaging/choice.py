"""Which of the phases found in a study become volumes."""

from __future__ import annotations

import pandas as pd

from radgen_lib.cohort.selection import NO_CONTRAST_PHASE, OTHER_GEOMETRY

# Why a stack of a dynamic series has no name as a phase, though nothing is wrong with its images.
NO_TIME, NO_AGENT = "no tag tells when the phase was acquired", "another phase without contrast agent"
TOO_EARLY, TOO_MANY = "another phase before contrast agent", "more post-contrast phases than have names"
CONFLICT = "the evidence conflicts"
UNNAMED = (OTHER_GEOMETRY, NO_TIME, NO_AGENT, TOO_EARLY, TOO_MANY, CONFLICT)


def keep_all(phases: pd.DataFrame) -> pd.DataFrame:
    """The phase table with subtractions, localisers and other series kept too, where nothing else is wrong with them.

    Stacks of another geometry and phases without a name are among them. The published sets mix them with contrast
    phases (143 of the papers' 187 series are subtractions by description).
    """
    reasons = phases["reason"]
    # What is wrong with the images comes after a semicolon.
    unnamed = (phases["phase"] == "other") & reasons.str.startswith(UNNAMED) & ~reasons.str.contains(";", regex=False)
    only = ~phases["kept"].astype(bool) & (reasons.str.endswith(NO_CONTRAST_PHASE) | unnamed)
    return phases.assign(kept=phases["kept"].astype(bool) | only, reason=reasons.mask(only, ""))
