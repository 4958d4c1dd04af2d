"""Methods the factorisation is compared with, behind one interface: CP-ALS, MOFA, and PCA of all omics or of one.

Every one of them is a linear Gaussian model y[d, l] = mean[d, l] + loadings[d, l] x + e once it is fitted, so that all
are projected and reconstructed by the same code, on the same entries, with a missing omic left out and not
replaced: PCA in its probabilistic form (Tipping & Bishop, J R Stat Soc B 1999;61:611), CP with one residual
variance, MOFA with its variational posterior (Argelaguet et al., Genome Biol 2020;21:111).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from radgen_lib.core.seeds import derive_seed
from radgen_lib.omics.btf.mofa import fit_mofa
from radgen_lib.sources.reference.multiomics import OMICS

# Without a ridge components of opposite sign grow without bound (degeneracy) and imputation fails; 1 is the precision
# of standard normal factors where scaled entries have unit noise.
CP_SWEEPS, CP_TOLERANCE = 300, 1e-7
CP_RIDGES, CP_TRIAL_SWEEPS, CP_HIDDEN = (0.1, 1.0, 10.0), 40, 0.1
SINGLE = "single_"


@dataclass(frozen=True)
class Baseline:
    """A fitted comparison method of K components on tensors [n, D, L] on the scale of its training tensor.

    ``mean`` [D, L] (NaN: the method says nothing of the entry), ``loadings`` [D, L, K], ``noise`` [D, L] variance (NaN:
    the entry tells nothing of a patient), ``spread`` [D, L, K] variance of the loadings (zero for point estimates),
    ``factors`` [N, K] of the training patients. A patient's factors are standard normal before anything is measured.
    """

    name: str
    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray
    spread: np.ndarray
    factors: np.ndarray

    def project(self, new: np.ndarray) -> np.ndarray:
        """Posterior mean of the factors [n, K] of patients ``new`` [n, D, L], NaN for missing, from what was measured.

        A row of NaN for a patient of whom nothing was measured that the method uses. Raises ValueError for other genes
        or omics than in training.
        """
        out = np.full((len(new), self.loadings.shape[2]), np.nan)
        for rows, used, weighted, precision in self._groups(new):
            if used.any():
                precision = precision + np.diag((self.spread[used] / self.noise[used][:, None]).sum(axis=0))
                out[rows] = np.linalg.solve(precision, weighted.T @ (new[rows][:, used] - self.mean[used]).T).T
        return out

    def reconstruct(self, new: np.ndarray) -> np.ndarray:
        """Noise-free tensor [n, D, L] of the projected patients: what is missing in ``new`` is imputed.

        NaN where the method says nothing: other omics than that of a single-omic method, and genes without training
        values.
        """
        return self.mean + np.einsum("nk,dlk->ndl", self.project(new), self.loadings)

    def _groups(self, new: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Patients with the same measured entries: rows, entries used [D, L], loadings / noise, precision [K, K]."""
        if new.ndim != 3 or new.shape[1:] != self.mean.shape:
            known = " x ".join(map(str, self.mean.shape))
            raise ValueError(f"tensor of shape {new.shape}: {self.name} was fitted on [patients x {known}]")
        there = ~np.isnan(new) & ~np.isnan(self.noise)
        groups: dict[bytes, list[int]] = {}
        for row, mask in enumerate(there):
            groups.setdefault(np.packbits(mask).tobytes(), []).append(row)
        for members in groups.values():
            used = there[members[0]]
            loadings = self.loadings[used]
            weighted = loadings / self.noise[used][:, None]
            yield np.array(members), used, weighted, np.eye(loadings.shape[1]) + weighted.T @ loadings


def fit_baseline(name: str, train: np.ndarray, k: int, seed: int, *, omics: Sequence[str] = OMICS) -> Baseline:
    """Fit ``cp_als``, ``mofa``, ``pca`` or ``single_<omic>`` with ``k`` components to scaled training patients.

    ``train`` is float [N, D, L], centred and scaled, NaN for missing; ``omics`` names its last axis. The same seed
    gives the same result. Raises ValueError for an unknown name, a patient without any value, or when ``k`` is not
    below the number of patients and of genes x omics.
    """
    train = np.asarray(train, dtype=np.float64)
    _check(name, train, k, omics)
    own = derive_seed(seed, "baseline", name)
    if name == "cp_als":
        return _fit_cp(train, k, own)
    if name == "mofa":
        return Baseline(name, *fit_mofa(train, k, own, omics))
    return _fit_pca(name, train, k, own, omics)


def _check(name: str, train: np.ndarray, k: int, omics: Sequence[str]) -> None:
    allowed = ["cp_als", "mofa", "pca", *(f"{SINGLE}{omic}" for omic in omics)]
    if name not in allowed:
        raise ValueError(f"comparison method {name!r}: allowed are {', '.join(allowed)}")
    if train.ndim != 3 or train.shape[2] != len(omics):
        raise ValueError(f"tensor of shape {train.shape}: need [patients, genes, {len(omics)} omics]")
    if np.isinf(train).any():
        raise ValueError("the training tensor holds infinite values: set them missing (NaN) first")
    used = train[:, :, list(omics).index(name.removeprefix(SINGLE))] if name.startswith(SINGLE) else train
    used = used.reshape(len(train), -1)
    nothing = np.isnan(used).all(axis=1)
    if nothing.any() and not name.startswith(SINGLE):
        raise ValueError(f"{int(nothing.sum())} training patients have no value (first: {int(nothing.argmax())})")
    patients, entries = int((~nothing).sum()), int((~np.isnan(used).all(axis=0)).sum())
    if not 1 <= k < min(patients, entries):
        raise ValueError(f"{k} components need more than {k} patients and genes; {name} has {patients} and {entries}")


def _fit_cp(train: np.ndarray, k: int, seed: int) -> Baseline:
    """Alternating least squares with the ridge that predicts best in a fifth of the training patients."""
    return _als(train, k, seed, _cp_ridge(train, k, seed), CP_SWEEPS)


def _cp_ridge(train: np.ndarray, k: int, seed: int) -> float:
    """Ridge, of :data:`CP_RIDGES`, whose short fit to four fifths of the patients best predicts hidden entries."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    tried, fitted = order[: len(train) // 5], order[len(train) // 5 :]
    if len(tried) < 2 or k >= len(fitted):
        return CP_RIDGES[1]
    shown = train[tried].copy()
    hidden = ~np.isnan(shown) & (rng.random(shown.shape) < CP_HIDDEN)
    shown[hidden] = np.nan
    errors = []
    for ridge in CP_RIDGES:
        guess = _als(train[fitted], k, seed, ridge, CP_TRIAL_SWEEPS).reconstruct(shown)
        errors.append(float(np.nanmean((guess[hidden] - train[tried][hidden]) ** 2)))
    return CP_RIDGES[int(np.argmin(errors))]


def _als(train: np.ndarray, k: int, seed: int, ridge: float, sweeps: int) -> Baseline:
    """Alternating least squares of tensorly; missing entries are filled from the fit in every sweep."""
    from tensorly.decomposition import parafac

    mask = ~np.isnan(train)
    filled = np.where(mask, train, 0.0)
    with warnings.catch_warnings():
        # More components than omics are usual; tensorly then draws the rest of that start at random.
        warnings.filterwarnings("ignore", message="Trying to compute SVD with n_eigenvecs")
        _, (x, w, u) = parafac(
            filled, k, mask=mask.astype(float), init="svd", random_state=seed,
            n_iter_max=sweeps, tol=CP_TOLERANCE, l2_reg=ridge,
        )  # fmt: skip
    size = np.maximum(np.sqrt((x**2).mean(axis=0)), np.finfo(float).tiny)
    order = np.argsort(-(size * np.linalg.norm(w, axis=0) * np.linalg.norm(u, axis=0)), kind="stable")
    # The largest loading of a component is positive.
    raw = np.einsum("dk,lk->dlk", w, u)[:, :, order]
    sign = np.sign(np.take_along_axis(raw.reshape(-1, k), np.abs(raw.reshape(-1, k)).argmax(axis=0)[None], axis=0))[0]
    sign = np.where(sign == 0, 1.0, sign)
    factors, loadings = x[:, order] / size[order] * sign, raw * size[order] * sign
    residual = np.where(mask, train - np.einsum("nk,dlk->ndl", factors, loadings), np.nan)
    shape = loadings.shape[:2]
    # One variance for all omics, as least squares weighs all entries alike.
    noise = max(float(np.nanmean(residual**2)), _floor(train))
    unknown = ~mask.any(axis=0)
    return Baseline(
        "cp_als", np.zeros(shape), loadings, np.where(unknown, np.nan, noise),
        np.zeros(loadings.shape), factors,
    )  # fmt: skip


def _fit_pca(name: str, train: np.ndarray, k: int, seed: int, omics: Sequence[str]) -> Baseline:
    """PCA of the concatenated omics, or of one, with missing entries at the mean of their column."""
    shape = train.shape[1:]
    known = ~np.isnan(train).all(axis=0)
    if name.startswith(SINGLE):
        known &= np.array(omics) == name.removeprefix(SINGLE)
    table = train[:, known]
    rows = ~np.isnan(table).all(axis=1)
    means = np.nanmean(table, axis=0)
    fitted = PCA(k, svd_solver="full", random_state=seed)
    fitted.fit(np.where(np.isnan(table[rows]), means, table[rows]))
    variance = max(float(fitted.noise_variance_), _floor(train))
    weights = fitted.components_.T * np.sqrt(np.maximum(fitted.explained_variance_ - variance, 0.0))
    mean, noise, loadings = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros((*shape, k))
    mean[known], noise[known], loadings[known] = fitted.mean_, variance, weights
    model = Baseline(name, mean, loadings, noise, np.zeros(loadings.shape), np.empty((0, k)))
    return Baseline(name, mean, loadings, noise, model.spread, model.project(train))


def _floor(train: np.ndarray) -> float:
    """A noise variance below which a fit is exact; also keeps noise-free data from a division by zero."""
    return 1e-8 * max(float(np.nanvar(train)), np.finfo(float).tiny)
