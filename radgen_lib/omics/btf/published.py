"""The factorisation as it was published: model, settings and sampler of the R package tensorBF 1.0.2.

Khan and Ammad-ud-din, bioRxiv 097048. One noise precision for all omics with a prior that says how much of the variance
is noise, element-wise automatic relevance determination on the loadings, a switch on every component that starts after
200 sweeps, columns rescaled in every sweep, no centring, and the last draw as the result. For comparison; what we
recommend is in ``gibbs``.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radgen_lib.core.errors import StopRequested
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import make_rng
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.omics.btf.data import Observed, observe
from radgen_lib.omics.btf.memory import check_memory
from radgen_lib.omics.btf.model import Draws, reconstruct
from radgen_lib.omics.btf.published_updates import (
    Chain,
    Tensor,
    first_chain,
    update_loadings,
    update_noise,
    update_omics,
    update_patients,
    update_precisions,
)

PUBLISHED_COMPONENTS = 17
# Components may be switched off after this many sweeps.
SWITCH_AFTER = 200
_LOG = logging.getLogger("radgen")


@dataclass(frozen=True)
class PublishedFit:
    """The last draw of the components that were on, the one with the largest product of standard deviations first.

    x [N, R], w [D, R], u [L, R], tau: noise precision; ``kept`` [R]: their numbers among the components at the start;
    ``trace``: chain, sweep, log_likelihood, tau, rank of every sweep. ``draws``: stored draws of all components in the
    sampler's order, zero in w where switched off (the model has no precision of a component: alpha is NaN).
    """

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray
    tau: float
    kept: np.ndarray
    trace: pd.DataFrame
    draws: Draws

    def reconstruction(self) -> np.ndarray:
        """Mean over the stored draws of the noise-free tensor [N, D, L], in the units of the data."""
        mean = np.zeros((len(self.x), len(self.w), len(self.u)))
        for x, w, u in zip(self.draws.x, self.draws.w, self.draws.u, strict=True):
            mean += reconstruct(x, w, u)
        return mean / len(self.draws)


def default_components(shape: tuple[int, ...]) -> int:
    """tensorBF's number of components at the start: a fifth of the sum of the two smallest dimensions."""
    return math.ceil(0.2 * sum(sorted(shape)[:2]))


def noise_prior(observed: Observed, proportion: float, confidence: float) -> tuple[float, float]:
    """Shape and rate of the Gamma prior under which noise makes ``proportion`` of the variance of all observed entries.

    ``confidence`` is its weight in numbers of data sets. Raises ValueError outside tensorBF's ranges, (0, 1] and
    (0, 100].
    """
    if not (0.001 <= proportion <= 1 and 0.001 <= confidence <= 100):
        raise ValueError(f"noise proportion {proportion} and confidence {confidence}: from 0.001 to 1 and to 100")
    counts = [observed.n_observed(omic) for omic in range(len(observed.blocks))]
    mean = sum(block.sum(dtype=float) for block in observed.blocks) / sum(counts)
    squares = sum(np.square(block, dtype=float).sum() for block in observed.blocks)
    variance = (squares - sum(counts) * mean**2) / (sum(counts) - 1)
    shape = confidence * math.prod(observed.shape) / 2
    return shape, shape * proportion * float(variance)


def fit_published(
    values: np.ndarray,
    K: int | None = PUBLISHED_COMPONENTS,
    *,
    burn_in: int = 5000,
    draws: int = 50,
    thin: int = 10,
    seed: int,
    noise: tuple[float, float] | None = (0.5, 0.5),
    threads: int = 1,
    progress: Progress | None = None,
) -> PublishedFit:
    """Run tensorBF's sampler on a tensor [N, D, L] with NaN for missing, as it is: nothing is centred or scaled.

    ``K`` components at the start (None: :func:`default_components`), ``burn_in`` sweeps, then ``draws`` stored ones,
    ``thin`` sweeps apart. ``noise``: proportion and confidence of :func:`noise_prior`; None for Gamma(1, 1). The chain
    depends on ``seed`` and on ``threads`` of the matrix products, which fixes the order of their sums. Raises
    ValueError for a tensor of another kind (see ``observe``) or too large for memory, StopRequested on SIGTERM and
    SIGINT.
    """
    from threadpoolctl import threadpool_limits

    count = default_components(values.shape) if K is None else K
    if count < 1 or burn_in < 0 or draws < 1 or thin < 1 or len(values) < 2:
        raise ValueError("K, draws and thin must be at least 1, burn_in at least 0, and patients at least 2")
    if values.ndim == 3:
        check_memory(values.shape, count, "float64", draws, "published")
    observed = observe(values)
    prior = noise_prior(observed, *noise) if noise else (1.0, 1.0)
    rng = make_rng(seed, "tensorBF")
    tensor = Tensor.of(observed)
    stored: list[Chain] = []
    trace: list[tuple[float, float, int]] = []
    with threadpool_limits(threads, user_api="blas"), stop_on_signal() as stop:
        chain = first_chain(tensor, count, rng)
        for number in range(1, burn_in + draws * thin + 1):
            if stop:
                raise StopRequested(f"sampling stopped at sweep {number}; nothing of this chain is kept")
            replacing = number >= max(1, round(burn_in / 2))
            trace.append(_sweep(chain, tensor, prior, rng, number=number, replacing=replacing))
            if number > burn_in and (number - burn_in) % thin == 0:
                stored.append(replace(chain))
            if progress is not None:
                progress.advance()
    return _fit(chain, stored, trace)


def _sweep(
    chain: Chain, tensor: Tensor, prior: tuple[float, float], rng: np.random.Generator, *, number: int, replacing: bool
) -> tuple[float, float, int]:
    """One sweep; log-likelihood, noise precision and number of components after it."""
    if number > 1:
        update_loadings(chain, tensor, rng, switching=number > SWITCH_AFTER)
    update_patients(chain, tensor, rng)
    update_omics(chain, tensor, rng)
    update_precisions(chain, rng)
    if replacing and not tensor.complete:
        tensor.fill(chain)
    log_likelihood = update_noise(chain, tensor, prior, rng)
    return log_likelihood, chain.tau, int(chain.on.sum())


def _fit(chain: Chain, stored: list[Chain], trace: list[tuple[float, float, int]]) -> PublishedFit:
    on = np.flatnonzero(chain.on)
    if len(on) in (0, len(chain.on)):
        _LOG.warning(
            "tensorBF's model switched off %s of its %d components", "none" if len(on) else "all", len(chain.on)
        )
    spread = chain.x.std(axis=0) * chain.w.std(axis=0)
    if len(chain.u) > 1:
        spread = spread * chain.u.std(axis=0)
    kept = on[np.argsort(-spread[on], kind="stable")]
    table = pd.DataFrame(trace, columns=["log_likelihood", "tau", "rank"])
    table.insert(0, "sweep", np.arange(len(table)))
    table.insert(0, "chain", 0)
    draws = Draws(
        x=np.stack([s.x for s in stored]).astype(np.float32),
        w=np.stack([s.w for s in stored]).astype(np.float32),
        u=np.stack([s.u for s in stored]),
        tau=np.array([[s.tau] * len(chain.u) for s in stored]),
        alpha=np.full((len(stored), len(chain.on)), np.nan),
        chain=np.zeros(len(stored), dtype=int),
        trace=table,
    )
    return PublishedFit(chain.x[:, kept], chain.w[:, kept], chain.u[:, kept], chain.tau, kept, table, draws)
