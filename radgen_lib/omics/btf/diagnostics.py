"""Have the chains converged: rank-normalised split R-hat and effective sample sizes.

Definitions of Vehtari, Gelman, Simpson, Carpenter and Buerkner, Bayesian Analysis 2021;16:667-718, with Geyer's initial
monotone sequence for the autocorrelation time. Series are arrays [chains, draws, quantities].
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri
from scipy.stats import rankdata

from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.btf.align import explained, summarise
from radgen_lib.omics.btf.model import Draws

COLUMNS = ("quantity", "r_hat", "ess_bulk", "ess_tail", "ok", "n", "reason")
# Vehtari et al. ask for 1.01 with four chains of 1000 draws; short chains pass it by luck only.
MAX_R_HAT = 1.05
# Draws worth as many independent ones, for a mean and its Monte Carlo error.
MIN_ESS = 50.0
# Halves of fewer draws have no autocorrelation to speak of.
_FEWEST = 8
# Blom's offset of normal scores.
_OFFSET = 3 / 8


def r_hat(series: np.ndarray) -> np.ndarray:
    """Return R-hat [quantities]: the larger of the rank-normalised one and that of the folded draws.

    ``series`` [chains, draws, quantities]; each chain is split in two. Near 1 for chains that agree in location and
    spread; NaN for a quantity that does not vary.
    """
    halves = _split(series)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    values = np.maximum(_potential(_normal_scores(halves)), _potential(_normal_scores(folded)))
    return np.where(_constant(series), np.nan, values)


def ess_bulk(series: np.ndarray) -> np.ndarray:
    """Return the effective sample size [quantities] of the centre of the distribution; NaN without variation."""
    return np.where(_constant(series), np.nan, _effective(_normal_scores(_split(series))))


def ess_tail(series: np.ndarray) -> np.ndarray:
    """Return the smaller effective sample size [quantities] of the 5 % and the 95 % quantile; NaN without variation."""
    low, high = np.quantile(series, [0.05, 0.95], axis=(0, 1))
    sizes = [_effective(_split((series <= limit).astype(float))) for limit in (low, high)]
    return np.where(_constant(series), np.nan, np.minimum(*sizes))


def convergence(
    draws: Draws, *, entries: int = 200, seed: int = 0, max_r_hat: float = MAX_R_HAT, min_ess: float = MIN_ESS
) -> pd.DataFrame:
    """Judge stored draws by one row a quantity: r_hat, ess_bulk, ess_tail, ok, n (draws), reason.

    Quantities: log_likelihood (last sweeps of the trace, as many as draws), tau_<omic>, signal_worst and signal_q95
    over ``entries`` reconstructed entries drawn with ``seed``, share_<component> of the total variance, x_worst and
    x_q95 over patients and components after alignment. q95 is the value that 95 % of the quantities keep (95 %
    quantile of R-hat, 5 % quantile of the sample sizes): the worst of thousands lies beyond any limit now and then.
    ``ok``: r_hat <= max_r_hat and both sample sizes >= min_ess. What cannot be computed has NaN, a reason, and is not
    ok. Chains of unequal length are cut to the last draws they all have.
    """
    posterior = summarise(draws)
    kept = posterior.draws
    rows = [_single("log_likelihood", _log_likelihood(draws), "the trace holds no log-likelihood of the last sweeps")]
    rows += [_single(f"tau_{i}", by_chain(column, draws.chain)) for i, column in enumerate(draws.tau.T)]
    rows += _many("signal", by_chain(_entries(draws, entries, seed), draws.chain))
    share = explained(kept).mean(axis=2)
    rows += [_single(f"share_{k}", by_chain(column, draws.chain)) for k, column in enumerate(share.T)]
    rows += _many("x", by_chain(kept.x.reshape(len(kept.x), -1).astype(float), draws.chain))
    table = pd.DataFrame(rows)
    good = (table["r_hat"] <= max_r_hat) & (table[["ess_bulk", "ess_tail"]].min(axis=1, skipna=False) >= min_ess)
    return table.assign(ok=good)[list(COLUMNS)]


def by_chain(values: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Values [S] or [S, quantities] of draws as [chains, draws, quantities], cut to the last draws all chains have."""
    parts = [values[chain == c] for c in np.unique(chain)]
    length = min(map(len, parts))
    stacked = np.stack([part[len(part) - length :] for part in parts])
    return stacked.reshape(len(parts), length, -1)


def _log_likelihood(draws: Draws) -> np.ndarray | None:
    """The last sweeps of each chain, as many as it has draws: none of them is burn-in, whatever the thinning was."""
    if "log_likelihood" not in draws.trace.columns:
        return None
    chains, counts = np.unique(draws.chain, return_counts=True)
    trace = draws.trace.sort_values("sweep", kind="stable")
    parts = [trace.loc[trace["chain"] == c, "log_likelihood"].to_numpy() for c in chains]
    length = min(counts.min(), *(len(part) for part in parts))
    values = np.stack([part[len(part) - length :] for part in parts])[:, :, None]
    return values if np.isfinite(values).all() and length else None


def _entries(draws: Draws, count: int, seed: int) -> np.ndarray:
    """Reconstruction [S, count] of entries drawn without preference."""
    rng = make_rng(seed, "convergence entries")
    patient, gene, omic = (rng.integers(part.shape[1], size=count) for part in (draws.x, draws.w, draws.u))
    columns = (draws.x[:, patient], draws.w[:, gene], draws.u[:, omic])
    return np.einsum("snk,snk,snk->sn", *columns, dtype=float)


def _measures(series: np.ndarray) -> np.ndarray:
    """R-hat, bulk and tail effective sample size [3, quantities]."""
    return np.stack([r_hat(series), ess_bulk(series), ess_tail(series)])


def _row(quantity: str, series: np.ndarray, values: np.ndarray, reason: str) -> dict[str, object]:
    names = ("r_hat", "ess_bulk", "ess_tail")
    return {"quantity": quantity, "n": series.shape[0] * series.shape[1], "reason": reason} | dict(
        zip(names, map(float, values), strict=True)
    )


def _refusal(series: np.ndarray) -> str:
    if series.shape[1] < _FEWEST:
        return f"{series.shape[1]} draws a chain, at least {_FEWEST} are needed"
    return "nothing to judge" if not series.shape[2] else ""


def _single(quantity: str, series: np.ndarray | None, absent: str = "") -> dict[str, object]:
    if series is None:
        return _row(quantity, np.empty((0, 0, 0)), np.full(3, np.nan), absent)
    reason = _refusal(series)
    values = np.full(3, np.nan) if reason else _measures(series)[:, 0]
    return _row(quantity, series, values, reason or ("does not vary" if np.isnan(values).any() else ""))


def _many(quantity: str, series: np.ndarray) -> list[dict[str, object]]:
    reason = _refusal(series)
    if not reason:
        series = series[:, :, ~_constant(series)]
        reason = "does not vary" if not series.shape[2] else ""
    if reason:
        return [_row(f"{quantity}_{kind}", series, np.full(3, np.nan), reason) for kind in ("worst", "q95")]
    values = _measures(series)
    worst = np.array([values[0].max(), values[1].min(), values[2].min()])
    most = np.array([np.quantile(v, q) for v, q in zip(values, (0.95, 0.05, 0.05), strict=True)])
    return [_row(f"{quantity}_worst", series, worst, ""), _row(f"{quantity}_q95", series, most, "")]


def _constant(series: np.ndarray) -> np.ndarray:
    constant: np.ndarray = series.max(axis=(0, 1)) == series.min(axis=(0, 1))
    return constant


def _split(series: np.ndarray) -> np.ndarray:
    """First and second half of every chain as chains; the middle draw of an odd number is left out."""
    half = series.shape[1] // 2
    return np.concatenate([series[:, :half], series[:, series.shape[1] - half :]])


def _normal_scores(series: np.ndarray) -> np.ndarray:
    """Ranks over all chains, as quantiles of the normal distribution."""
    flat = series.reshape(-1, series.shape[2])
    scores = ndtri((rankdata(flat, axis=0) - _OFFSET) / (len(flat) + 1 - 2 * _OFFSET))
    return scores.reshape(series.shape)


def _potential(series: np.ndarray) -> np.ndarray:
    """Gelman and Rubin's potential scale reduction."""
    draws = series.shape[1]
    between = draws * series.mean(axis=1).var(axis=0, ddof=1)
    within = series.var(axis=1, ddof=1).mean(axis=0)
    ratio = np.divide(between, within, out=np.full_like(within, np.nan), where=within > 0)
    return np.sqrt((ratio + draws - 1) / draws)


def _autocovariance(series: np.ndarray) -> np.ndarray:
    draws = series.shape[1]
    size = next_fast_len(2 * draws, real=True)
    spectrum = rfft(series - series.mean(axis=1, keepdims=True), size, axis=1)
    return irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :draws] / draws


def _effective(series: np.ndarray) -> np.ndarray:
    """Effective sample size [quantities] of the mean of split chains [C, M, quantities]; C M where nothing varies."""
    chains, draws, _ = series.shape
    covariance = _autocovariance(series).mean(axis=0)
    within = covariance[0] * draws / (draws - 1)
    total = within * (draws - 1) / draws
    if chains > 1:
        total = total + series.mean(axis=1).var(axis=0, ddof=1)
    varies = total > 0
    rho = 1.0 - np.divide(within - covariance, total, out=np.zeros_like(covariance), where=varies)
    rho[0] = 1.0
    time = np.maximum(_time(rho), 1 / np.log10(chains * draws))
    return chains * draws / np.where(varies, time, 1.0)


def _time(rho: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation time of correlations [lags, quantities] by Geyer's initial monotone sequence.

    Sums of an even and the following odd lag are positive and fall for a reversible chain: they count until the first
    that is not positive, none above its predecessor. The even lag after them counts where it is positive.
    """
    draws = len(rho)
    # The last pair that is looked at starts at the first even lag from draws - 4 on.
    pairs = max((draws - 3) // 2, 0) + 1
    sums = rho[0 : 2 * pairs : 2] + rho[1 : 2 * pairs : 2]
    stop = np.where((sums <= 0).any(axis=0), (sums <= 0).argmax(axis=0), pairs - 1)
    falling = np.minimum.accumulate(sums, axis=0)
    counted = np.where(np.arange(pairs)[:, None] < stop, falling, 0.0).sum(axis=0)
    columns = np.arange(rho.shape[1])
    after = rho[2 * stop, columns]
    after = np.where((after > 0) | (sums[stop, columns] >= 0), after, 0.0)
    return -1.0 + 2.0 * counted + after
