"""The CP model of the phantom's omics: which genes and which matrices each factor moves."""

from __future__ import annotations

import numpy as np

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import factor_names, population
from radgen_lib.sources.phantom.symbols import gene_groups

OMICS = ("expression", "copy_number", "methylation")
_SECOND_SHARE = 0.25
_NULL_SHARE = 0.4
# Rows: omics; columns: named factors. Methylation silences what expression raises.
_OMIC_WEIGHTS = np.array(
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.3, 0.9, 1.5, -0.2, 0.2, 0.5],
        [-1.0, 0.4, -0.5, 0.7, -0.9, -0.4],
    ]
)


def draw_loadings(genes: tuple[str, ...], count: int, seed: int) -> dict[str, np.ndarray]:
    """Loadings of the model ``entry[p, g, m] = sum_r factor[p, r] * genes[g, r] * omic_m[r]``.

    Keys: ``genes`` [genes, count] and, for each omic by its name, its weights [count], scaled so that the signal of
    genes with a loading has SD 1 on average. Genes of a biological group load on their factor (basal genes on the
    luminal one, negatively); of the other genes two in five load on nothing and are planted nulls.
    """
    matrix = _gene_loadings(genes, count, make_rng(seed, "phantom", "loadings"))
    weights = make_rng(seed, "phantom", "omic weights").normal(0.0, 1.0, (len(OMICS), count))
    named = min(count, _OMIC_WEIGHTS.shape[1])
    weights[:, :named] = _OMIC_WEIGHTS[:, :named]
    covariance = population(count).covariance
    loaded = np.any(matrix != 0, axis=1)
    for row in weights:
        scaled = matrix[loaded] * row
        row /= np.sqrt(np.einsum("gr,rs,gs->g", scaled, covariance, scaled).mean())
    return {"genes": matrix} | dict(zip(OMICS, weights, strict=True))


def _gene_loadings(genes: tuple[str, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    names = factor_names(count)
    matrix = np.zeros((len(genes), count))
    for loading, group in zip(matrix, gene_groups(genes), strict=True):
        strong, second, null = rng.uniform(0.7, 1.2), rng.random() < _SECOND_SHARE, rng.random() < _NULL_SHARE
        places, extra, sign = rng.permutation(count), rng.normal(0.0, 0.4), rng.choice([-1.0, 1.0])
        if group == "basal":
            loading[names.index("luminal")] = -strong
        elif group in names:
            loading[names.index(group)] = strong
        elif not null:
            loading[places[0]] = sign * strong
        else:
            continue
        if second:
            loading[places[-1]] += extra
    return matrix


def signal_moments(loadings: dict[str, np.ndarray], omic: str) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of each gene's noise-free entry with every factor [genes, count], and its SD [genes]."""
    scaled = loadings["genes"] * loadings[omic]
    with_factors = scaled @ population(scaled.shape[1]).covariance
    return with_factors, np.sqrt((with_factors * scaled).sum(axis=1))
