"""Latent factors of the phantom's patients: a mixture of normals, one component a PAM50 subtype.

The proportions of the subtypes follow TCGA-BRCA (499 LumA, 197 LumB, 171 Basal, 78 Her2, 36 Normal of 981). Within a
subtype factors are independent normals, so everything downstream has an exact population: means, covariances,
posteriors and attainable scores need no simulation of the cohort itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.core.seeds import make_rng

SUBTYPES = ("LumA", "LumB", "Basal", "Her2", "Normal")
PROPORTIONS = np.array([0.50, 0.20, 0.17, 0.08, 0.05])
NAMED_FACTORS = ("luminal", "proliferation", "her2", "immune", "stroma", "vascular")
"""Factors with a meaning; the last one is independent of the subtypes, as are all unnamed ones."""

_WITHIN = 0.75
# Rows: subtypes; columns: named factors. Before standardising; differences between rows in units of about one SD.
_CENTRES = np.array(
    [
        [0.8, -0.9, -0.3, -0.2, 0.4, 0.0],
        [0.6, 0.6, 0.1, -0.3, -0.4, 0.0],
        [-1.8, 1.2, -0.5, 0.8, -0.2, 0.0],
        [-0.7, 0.7, 2.5, 0.3, 0.0, 0.0],
        [0.1, -0.9, -0.2, 0.2, 1.0, 0.0],
    ]
)


@dataclass(frozen=True)
class Population:
    """The exact distribution of ``k`` factors: every factor has mean 0 and SD 1 over the mixture.

    ``weights`` [subtypes], ``means`` [subtypes, k], ``sds`` [k] (within a subtype, the same in all), ``covariance``
    [k, k] of the mixture (its diagonal is 1).
    """

    weights: np.ndarray
    means: np.ndarray
    sds: np.ndarray
    covariance: np.ndarray

    def posterior(self, factors: np.ndarray) -> np.ndarray:
        """Probability of each subtype given ``factors`` [n, k]: [n, subtypes], rows sum to 1."""
        distance = (((factors[:, None, :] - self.means) / self.sds) ** 2).sum(axis=2)
        weight = np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True))) * self.weights
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def factor_names(count: int) -> tuple[str, ...]:
    """Names of ``count`` factors: the named ones, then ``factor_07``, ``factor_08``, ..."""
    return tuple(NAMED_FACTORS[i] if i < len(NAMED_FACTORS) else f"factor_{i + 1:02d}" for i in range(count))


def population(count: int) -> Population:
    """The population of the first ``count`` factors."""
    centres = np.zeros((len(SUBTYPES), count))
    named = min(count, len(NAMED_FACTORS))
    centres[:, :named] = _CENTRES[:, :named]
    centred = centres - PROPORTIONS @ centres
    scale = np.sqrt(PROPORTIONS @ centred**2 + _WITHIN**2)
    means = centred / scale
    sds = _WITHIN / scale
    return Population(PROPORTIONS, means, sds, (means.T * PROPORTIONS) @ means + np.diag(sds**2))


def draw_subtypes(count: int, seed: int, name: str) -> np.ndarray:
    """Index of the subtype of each of ``count`` patients, int64: proportions as exact as whole patients allow."""
    share = PROPORTIONS * count
    whole = np.floor(share).astype(np.int64)
    whole[np.argsort(whole - share, kind="stable")[: count - whole.sum()]] += 1
    return make_rng(seed, "phantom", "subtypes", name).permutation(np.repeat(np.arange(len(SUBTYPES)), whole))


def draw_factors(subtypes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors [n, count] of patients with these subtypes (indices into SUBTYPES)."""
    people = population(count)
    return np.asarray(people.means[subtypes] + people.sds * rng.standard_normal((len(subtypes), count)))


def weighted_sum(factors: np.ndarray, effects: dict[str, float]) -> np.ndarray:
    """Linear predictor [n] of ``effects`` by factor name; a factor that is not among the columns adds nothing."""
    return factors @ effect_vector(effects, factors.shape[1])


def effect_vector(effects: dict[str, float], count: int) -> np.ndarray:
    """``effects`` by factor name as a vector over the first ``count`` factors."""
    return np.array([effects.get(name, 0.0) for name in factor_names(count)])
