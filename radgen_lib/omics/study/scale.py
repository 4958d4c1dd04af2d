"""On which scale a matrix of expression is: linear, log2(x + 1), or something that no rule can turn into either."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from radgen_lib.omics.study.decisions import LOG_CEILING, Expression

LOG2, OTHER = "log2(x+1)", "other"
# No unit of a whole transcriptome (RSEM, TPM, counts) stays below 30: so many genes up to 30 are logarithms.
WHOLE_TRANSCRIPTOME = 5000
# Linear expression is right-skewed over genes and patients, its median a small part of the maximum; that of logarithms
# is not. A log-normal panel of 500 values with SD 1 (natural logarithm) has a share of 0.05.
LOG_SHARE = 0.2
_CHOICE = "set `expression: linear` or `log2` where that is wrong"


class Scale(NamedTuple):
    """What the values are, and the reason."""

    kind: Literal["linear", "log2", "other"]
    reason: str


def expression_scale(values: np.ndarray, chosen: Expression = "auto") -> Scale:
    """Scale of expression [patients, genes] (NaN for missing, one number at least).

    A choice of the user is believed. Otherwise: above 30 linear. Up to 30: with values below 0 log-ratios or z-scores
    ("other", which nothing turns into expression), else whole numbers are counts, 5000 genes or more are logarithms,
    and fewer are logarithms when the median of the values above 0 is at least a fifth of the maximum, else linear.
    """
    if chosen != "auto":
        return Scale(chosen, f"as configured (expression: {chosen})")
    highest, lowest = float(np.nanmax(values)), float(np.nanmin(values))
    if highest > LOG_CEILING:
        return Scale("linear", f"the highest value is {highest:.3g}, above {LOG_CEILING:g}")
    extent = f"values from {lowest:.3g} to {highest:.3g}"
    if lowest < 0:
        return Scale("other", f"{extent}: log-ratios or z-scores, not log2(x + 1); {_CHOICE}")
    there = values[~np.isnan(values)]
    if (there == np.rint(there)).all():
        return Scale("linear", f"whole numbers, {extent}: counts; {_CHOICE}")
    if values.shape[1] >= WHOLE_TRANSCRIPTOME:
        return Scale("log2", f"{extent} in {values.shape[1]} genes: logarithms already; {_CHOICE}")
    share = float(np.median(there[there > 0])) / highest
    told = f"{extent}, median {share:.2g} of the maximum"
    if share >= LOG_SHARE:
        return Scale("log2", f"{told}, {LOG_SHARE:g} or more: logarithms already; {_CHOICE}")
    return Scale("linear", f"{told}, less than {LOG_SHARE:g}: linear; {_CHOICE}")
