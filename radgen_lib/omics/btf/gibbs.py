"""Gibbs sampling of the factorisation: starting points, one chain, several chains."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from radgen_lib.core.errors import StopRequested
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import derive_seed
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.omics.btf.backend import Backend, NumpyBackend, TorchBackend
from radgen_lib.omics.btf.data import Observed
from radgen_lib.omics.btf.model import Draws, Point, Priors
from radgen_lib.omics.btf.updates import Fit, sweep
from radgen_lib.omics.btf.working import Working, host_point, place_point

Start = Literal["svd", "rotated", "random"]
POWER_STEPS = 3  # of the randomised singular value decomposition


def start(observed: Observed, n_components: int, rng: np.random.Generator, how: Start = "svd") -> Point:
    """First point of a chain, in float64.

    ``svd``: leading patient vectors of the omics side by side, each weighted by its spread, and for each vector the
    best genes x omics matrix of rank one; components beyond the rank of the data start as noise. ``rotated``: the same
    after a random rotation of the patient vectors, so that chains start far apart and still find the same factors.
    ``random``: draws of x and u from their prior, w small; some of these chains stay with fewer factors.
    """
    n, d, omics = observed.shape
    spread = np.array([_spread(observed, omic) for omic in range(omics)])
    if how in ("svd", "rotated"):
        x, w, u = _svd_factors(observed, n_components, spread, rng, rotate=how == "rotated")
    elif how == "random":
        x, u = rng.standard_normal((n, n_components)), rng.standard_normal((omics, n_components))
        w = rng.standard_normal((d, n_components)) * (spread.mean() / n_components**0.5)
    else:
        raise ValueError(f"a chain starts from svd, rotated or random, not {how!r}")
    alpha = d / np.maximum((w**2).sum(axis=0), 1e-6 * d)
    return Point(x, w, u, 1.0 / spread**2, alpha, np.ones((d, n_components)))


def _spread(observed: Observed, omic: int) -> float:
    """Root mean square of the measured entries; 1 where there is nothing."""
    block = observed.blocks[omic]
    value = (float(np.vdot(block, block)) / max(observed.n_observed(omic), 1)) ** 0.5
    return value if value > 0 else 1.0


def _svd_factors(
    observed: Observed, n_components: int, spread: np.ndarray, rng: np.random.Generator, *, rotate: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors from a randomised singular value decomposition (Halko, Martinsson and Tropp 2011)."""
    n, d, omics = observed.shape
    kept = min(n_components, n, d * omics)
    blocks = observed.blocks
    x = np.linalg.qr(rng.standard_normal((n, min(kept + 10, n))))[0]
    for _ in range(POWER_STEPS):
        parts = (block @ (block.T @ x) / s**2 for block, s in zip(blocks, spread, strict=True))
        x = np.linalg.qr(sum(parts))[0]
    projected = np.concatenate([(x.T @ block) / s for block, s in zip(blocks, spread, strict=True)], axis=1)
    left = np.linalg.svd(projected @ projected.T)[0]
    x = (x @ left)[:, :kept] * n**0.5
    if rotate:
        x = x @ np.linalg.qr(rng.standard_normal((kept, kept)))[0]
    sides = np.stack([(x.T @ block) / n for block in blocks], axis=2)  # [kept, D, L]
    genes, sizes, omic_side = np.linalg.svd(sides / spread, full_matrices=False)
    u = omic_side[:, 0].T * spread[:, None]
    length = np.maximum((u**2).mean(axis=0) ** 0.5, 1e-12)
    w = (genes[:, :, 0] * sizes[:, :1] * length[:, None]).T
    more = n_components - kept
    scale = 1e-2 * max(float((w**2).mean()) ** 0.5, 1e-6)
    return (
        np.hstack([x, rng.standard_normal((n, more))]),
        np.hstack([w, rng.standard_normal((d, more)) * scale]),
        np.hstack([u / length, rng.standard_normal((omics, more))]),
    )


def make_backend(seed: int, dtype: Any, device: str) -> Backend:
    """Backend of a device: ``cpu`` is numpy, ``torch`` torch on the CPU, anything else a device of torch."""
    if device == "cpu":
        return NumpyBackend(np.random.default_rng(seed), dtype)
    return TorchBackend(seed, dtype, "cpu" if device == "torch" else device)


def run_chain(
    observed: Observed,
    n_components: int,
    priors: Priors,
    *,
    burn_in: int,
    draws: int,
    thin: int = 1,
    seed: int,
    chain: int = 0,
    how: Start = "svd",
    device: str = "cpu",
    threads: int = 1,
    progress: Progress | None = None,
) -> Draws:
    """Run one chain: ``burn_in`` sweeps, then ``draws`` stored ones, ``thin`` sweeps apart.

    The numbers are of the type of ``observed``. The chain depends on ``seed``, ``chain``, the kind of device and
    ``threads`` of the matrix products (which fixes the order of their sums), on nothing else. SIGTERM and SIGINT end
    it between two sweeps with StopRequested; nothing of it is kept. Raises ValueError for counts that make no chain
    and for an omic without any value.
    """
    from threadpoolctl import threadpool_limits

    _check(observed, burn_in, draws, thin, n_components)
    chain_seed = derive_seed(seed, "btf", "chain", chain)
    with threadpool_limits(threads), stop_on_signal() as stop:
        backend = make_backend(chain_seed, observed.blocks[0].dtype, device)
        first = start(observed, n_components, np.random.default_rng(derive_seed(chain_seed, "start")), how)
        point, data = place_point(first, backend), Working(observed, backend)
        kept: list[Point] = []
        fits: list[tuple[Fit, np.ndarray]] = []
        for number in range(burn_in + draws * thin):
            if stop:
                raise StopRequested(f"sampling stopped at sweep {number}; nothing of this chain is kept")
            fits.append((sweep(point, data, priors), backend.host(point.tau)))
            if number >= burn_in and (number - burn_in + 1) % thin == 0:
                kept.append(_stored(host_point(point, backend)))
            if progress is not None:
                progress.advance()
    return _collect(kept, fits, chain)


def _check(observed: Observed, burn_in: int, draws: int, thin: int, n_components: int) -> None:
    if burn_in < 0 or draws < 1 or thin < 1 or n_components < 1:
        raise ValueError("burn_in must not be negative; draws, thin and n_components must be at least 1")
    for omic in range(observed.shape[2]):
        if not observed.n_observed(omic):
            raise ValueError(f"omic {omic} has no measured value: leave it out")


def _stored(point: Point) -> Point:
    """The point as it is stored: x and w in single precision."""
    point.x, point.w = point.x.astype(np.float32), point.w.astype(np.float32)
    return point


def _collect(kept: list[Point], fits: list[tuple[Fit, np.ndarray]], chain: int) -> Draws:
    arrays = {name: np.stack([getattr(point, name) for point in kept]) for name in ("x", "w", "u", "tau", "alpha")}
    tau = np.array([value for _, value in fits])
    trace = pd.DataFrame(
        {
            "chain": chain,
            "sweep": np.arange(len(fits)),
            "log_likelihood": [fit.log_likelihood for fit, _ in fits],
            **{f"tau_{omic}": tau[:, omic] for omic in range(tau.shape[1])},
            "rank": [fit.rank for fit, _ in fits],
        }
    )
    return Draws(**arrays, chain=np.full(len(kept), chain), trace=trace)


def run_chains(
    observed: Observed, n_components: int, priors: Priors, *, chains: int, jobs: int = 1, **options: Any
) -> Draws:
    """Run ``chains`` chains, ``jobs`` at a time in processes of their own; the draws do not depend on ``jobs``.

    ``options`` are those of :func:`run_chain` (burn_in, draws, thin, seed, how, device, threads; a ``progress`` only
    with one job). SIGTERM ends a call with several jobs at once, as it does any process.
    """
    if chains < 1:
        raise ValueError("at least one chain is needed")
    if jobs == 1 or chains == 1:
        parts = [run_chain(observed, n_components, priors, chain=chain, **options) for chain in range(chains)]
    else:
        from joblib import Parallel, delayed

        options.pop("progress", None)
        work = (delayed(run_chain)(observed, n_components, priors, chain=chain, **options) for chain in range(chains))
        parts = Parallel(n_jobs=min(jobs, chains))(work)
    return Draws.concatenate(parts)
