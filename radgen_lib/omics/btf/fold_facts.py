"""Numbers about one fit: what its components explain together, and whether its chains agree."""

from __future__ import annotations

import numpy as np

from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation


def joint_share(model: BayesianTensorFactorisation) -> tuple[np.ndarray, float]:
    """Share of each omic's variance [omics] that the kept components explain together, and of all omics at once.

    Mean square of the sum of the components over all patients and genes, u' (X'X o W'W) u / (N D), over that of the
    whole signal plus the noise variance 1 / tau; mean over draws. Components that are correlated overlap or cancel,
    so that their single shares (``explained_``) do not add up to it.
    """
    draws, signal, total = model.draws_, [], []
    for draw, (x, w, u) in enumerate(zip(draws.x, draws.w, draws.u, strict=True)):
        x, w, u = (part.astype(float) for part in (x, w, u))
        gram = (x.T @ x / len(x)) * (w.T @ w / len(w))
        kept = model.frame_.order[draw]
        own = u[:, kept]
        signal.append(np.einsum("lj,jk,lk->l", own, gram[np.ix_(kept, kept)], own))
        total.append(np.einsum("lj,jk,lk->l", u, gram, u) + 1.0 / draws.tau[draw])
    parts, whole = np.array(signal), np.array(total)
    return (parts / whole).mean(axis=0), float((parts.sum(axis=1) / whole.sum(axis=1)).mean())


def convergence_facts(model: BayesianTensorFactorisation) -> dict[str, float]:
    """converged, unjudged, r_hat_max, ess_min and stability_min of a fit, from its ``diagnostics_``.

    ``converged``: 1 where every quantity passed, else 0. ``r_hat_max`` and ``ess_min`` (bulk) are NaN where a quantity
    has none, rather than the worst of the others; ``unjudged`` counts such quantities. A variational fit has no chains
    to compare: its bound alone is judged, both are NaN and nothing counts as unjudged.
    """
    checks = model.diagnostics_
    lacking = checks[["r_hat", "ess_bulk"]].isna().any(axis=1).sum() if model.method == "gibbs" else 0
    stability = model.stability_[np.isfinite(model.stability_)]
    return {
        "converged": float(checks["ok"].all()),
        "unjudged": float(lacking),
        "r_hat_max": float(checks["r_hat"].max(skipna=False)),
        "ess_min": float(checks["ess_bulk"].min(skipna=False)),
        "stability_min": float(stability.min()) if len(stability) else np.nan,
    }
