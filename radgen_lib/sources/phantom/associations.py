"""What is true and what is not: effects of factors on everything observed, and planted nulls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import logit

from radgen_lib.sources.phantom.factors import effect_vector, factor_names, population
from radgen_lib.sources.phantom.labels import BINARY_LABELS, LOBULAR_GIVEN_CDH1, ORDINAL_LABELS
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
    are 0: there a test has nothing to find, whatever it adjusts for. Lobular histology depends on the mutation of CDH1
    alone: it has one more row, with ``mut_CDH1`` as its factor (``marginal``: correlation of the two, for the stated
    shares), and with the factors the marginal correlations of that mutation.
    """
    covariance, names = population(count).covariance, factor_names(count)
    rows = []
    for parameter, kind, scale, effects, through in _stated():
        slope, path = effect_vector(effects, count), effect_vector(through or effects, count)
        along = covariance @ path
        spread = 1.0 if kind == "lesion" else np.sqrt(max(path @ along, 0.0)) or 1.0
        for factor, effect, marginal in zip(names, slope, along / spread, strict=True):
            null = effect == 0 and abs(marginal) < 1e-12
            rows.append((parameter, kind, factor, effect, scale, 0.0 if null else marginal, null))
    rows.append(("lobular", "label", "mut_CDH1", *_lobular_effect(), False))
    return pd.DataFrame(rows, columns=list(ASSOCIATION_COLUMNS))


def _lobular_effect() -> tuple[float, str, float]:
    """Log odds ratio of lobular histology for the mutation of CDH1, its scale, and the correlation of the two."""
    without, given = LOBULAR_GIVEN_CDH1
    share = BINARY_LABELS["mut_CDH1"][0]
    lobular = without + (given - without) * share
    correlation = (given - without) * np.sqrt(share * (1 - share) / (lobular * (1 - lobular)))
    return float(logit(given) - logit(without)), "log odds ratio", float(correlation)


def _stated() -> Iterator[tuple[str, str, str, dict[str, float], dict[str, float]]]:
    """Parameter, kind, scale, direct effects, and the effects of what it depends on instead, if it does."""
    for name, effects in LESION_EFFECTS.items():
        yield name, "lesion", "SD of the latent score", effects, {}
    for name, (_, effects) in BINARY_LABELS.items():
        yield name, "label", "log odds ratio", effects, {}
    for name, (_, effects) in ORDINAL_LABELS.items():
        yield name, "label", "SD of the latent score", effects, {}
    yield "lobular", "label", "log odds ratio", {}, BINARY_LABELS["mut_CDH1"][1]
    yield "t_stage", "label", "SD of the latent diameter", LESION_EFFECTS["diameter_mm"], {}
    yield "os", "survival", "log hazard ratio", SURVIVAL_EFFECTS, {}
    for name in _INDEPENDENT:
        yield name, "covariate", "none", {}, {}


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
