"""Whether the fits of the factors converged, in sentences built from the quantities that failed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radgen_lib.omics.btf.diagnostics import MAX_R_HAT, MIN_ESS
from radgen_lib.omics.btf.gathering import WHOLE
from radgen_lib.reporting.factor_figures import omic_label
from radgen_lib.reporting.factor_names import listed
from radgen_lib.reporting.factor_tables import FactorResults, converged, quantity
from radgen_lib.reporting.view import number

OPEN_FIT = (
    "The chains stand at different fits: reconstruction, imputation and prediction are as much in doubt as single "
    "factors, and so few chains do not show how many such fits there are."
)
OPEN_FACTORS = (
    "No limit on log-likelihood, noise or reconstructed entries is broken: the chains differ in how components share "
    "what they explain together. Posterior SDs of single factors are too small; the reconstruction is the surer part."
)
TOO_SHORT = (
    "The chains gave too few effective draws to tell whether they stand at one fit: run longer ones before single "
    "numbers are believed."
)
UNKNOWN = "Posterior SDs and intervals are too small, and another run may find other factors."


def convergence_words(results: FactorResults) -> str:
    """How many fits pass, and what failed in the fit on all patients, whose model is at hand."""
    fits, settings = results.fits, results.settings
    folds = list(dict.fromkeys(fits["fold"]))
    judged = [value for fold in folds if np.isfinite(value := converged(fits, fold, settings.method))]
    if settings.method != "gibbs":
        text = "The fits are variational: an approximation without chains, whose intervals are narrower than sampled."
        if judged:
            text += f" The bound had settled in {sum(judged):.0f} of {len(judged)} fits."
        if sum(judged) < len(judged):
            text += f" factors.max_sweeps ({settings.max_sweeps}) ended the others first: raise it."
        return text
    if not judged:
        return "Convergence could not be judged: the chains are too few or too short."
    known = [value for fold in folds if np.isfinite(value := quantity(fits, fold, "r_hat_max"))]
    text = (
        f"{sum(judged):.0f} of {len(judged)} fits pass both limits, R-hat at most {MAX_R_HAT:g} and at least "
        f"{MIN_ESS:g} effective draws, for every quantity that is watched"
    )
    text += f" (largest R-hat {number(max(known))})." if known else "."
    if unjudged := sum(quantity(fits, fold, "unjudged") > 0 for fold in folds):
        text += f" In {unjudged} some quantity could not be judged (too few or too short chains), which is no pass."
    if sum(judged) < len(judged):
        text += " In the others the chains disagree, or are too short to tell."
    if converged(fits, WHOLE, settings.method) == 0:
        text += f" {failure_words(results)}"
    return text


def failure_words(results: FactorResults) -> str:
    """What failed in the fit on all patients, and what that means for whoever reads its numbers."""
    checks = results.model.diagnostics_
    failed = checks.loc[~checks["ok"].astype(bool) & (checks["reason"] == ""), "quantity"].astype(str)
    if failed.empty:
        return UNKNOWN
    parts = _named(failed, results.omics)
    of_fit = failed.str.match("log_likelihood|tau_|signal_")
    apart = checks.loc[failed.index, "r_hat"] > MAX_R_HAT
    # The worst of many entries passes a limit now and then by chance.
    if (of_fit & apart & (failed != "signal_worst")).any():
        said = OPEN_FIT
    else:
        said = TOO_SHORT if of_fit.any() else OPEN_FACTORS
    return f"In the fit on all patients these fail: {listed(parts)}. {said}"


def _named(failed: pd.Series, omics: list[str]) -> list[str]:
    """Quantities of ``diagnostics.convergence`` in words, the many of one kind counted."""
    names = set(failed)
    parts = ["log-likelihood"] if "log_likelihood" in names else []
    noisy = [omic_label(omic) for place, omic in enumerate(omics) if f"tau_{place}" in names]
    parts += [f"noise of {name}" for name in noisy]
    for kind, word in (("signal", "reconstructed entries"), ("x", "factors of patients")):
        if f"{kind}_q95" in names:
            parts.append(word)
        elif f"{kind}_worst" in names:
            parts.append(f"the worst of the {word}")
        if kind == "signal" and (shares := sum(name.startswith("share_") for name in names)):
            parts.append(f"variance explained by {shares} component{'s' if shares > 1 else ''}")
    return parts
