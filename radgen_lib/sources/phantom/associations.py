"""What is true and what is not: effects of factors on everything observed, and planted nulls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from radgen_lib.sources.phantom.factors import effect_vector, factor_names, population
from radgen_lib.sources.phantom.labels import BINARY_LABELS, ORDINAL_LABELS
from radgen_lib.sources.phantom.lesions import LESION_EFFECTS
from radgen_lib.sources.phantom.loadings import signal_moments
from radgen_lib.sources.phantom.survival import SURVIVAL_EFFECTS

ASSOCIATION_COLUMNS = ("parameter", "kind", "factor", "effect", "scale", "marginal", "null")
_INDEPENDENT = ("age", "race", "menopause", "laterality", "site")


def association_table(count: int) -> pd.DataFrame:
    """Every parameter against every factor, one row each.

    ``effect`` is the direct one (in the units that ``scale`` names, 0: none). ``marginal`` is the population
    correlation of the parameter's linear predictor (for lesions: its latent score, noise included) with the factor,
    which is not 0 for a factor that merely moves with the causal one through the subtypes. ``null`` is True where both
    are 0: there a test has nothing to find, whatever it adjusts for.
    """
    covariance, names = population(count).covariance, factor_names(count)
    rows = []
    for parameter, kind, scale, effects in _stated():
        slope = effect_vector(effects, count)
        along = covariance @ slope
        spread = 1.0 if kind == "lesion" else np.sqrt(max(slope @ along, 0.0)) or 1.0
        for factor, effect, marginal in zip(names, slope, along / spread, strict=True):
            null = effect == 0 and abs(marginal) < 1e-12
            rows.append((parameter, kind, factor, effect, scale, 0.0 if null else marginal, null))
    return pd.DataFrame(rows, columns=list(ASSOCIATION_COLUMNS))


def _stated() -> Iterator[tuple[str, str, str, dict[str, float]]]:
    for name, effects in LESION_EFFECTS.items():
        yield name, "lesion", "SD of the latent score", effects
    for name, (_, effects) in BINARY_LABELS.items():
        yield name, "label", "log odds ratio", effects
    for name, (_, effects) in ORDINAL_LABELS.items():
        yield name, "label", "SD of the latent score", effects
    yield "t_stage", "label", "SD of the latent diameter", LESION_EFFECTS["diameter_mm"]
    yield "os", "survival", "log hazard ratio", SURVIVAL_EFFECTS
    for name in _INDEPENDENT:
        yield name, "covariate", "none", {}


def gene_associations(loadings: dict[str, np.ndarray], genes: tuple[str, ...], omic: str) -> pd.DataFrame:
    """Every lesion parameter against every gene of ``omic``: parameter, gene, correlation, null.

    ``correlation`` is that of the parameter's latent score with the gene's noise-free entry, in the population; noise
    of strength s divides it by sqrt(1 + s^2 / signal variance). ``null`` is True where it is exactly 0.
    """
    with_factors, sd = signal_moments(loadings, omic)
    sd = np.where(sd > 0, sd, 1.0)
    parts = []
    for parameter, effects in LESION_EFFECTS.items():
        correlation = with_factors @ effect_vector(effects, with_factors.shape[1]) / sd
        null = np.abs(correlation) < 1e-12
        correlation[null] = 0.0
        parts.append(pd.DataFrame({"parameter": parameter, "gene": genes, "correlation": correlation, "null": null}))
    return pd.concat(parts, ignore_index=True)
