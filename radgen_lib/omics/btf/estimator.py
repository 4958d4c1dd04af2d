"""Bayesian tensor factorisation with the interface of scikit-learn."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radgen_lib.omics.btf.align import Posterior, summarise
from radgen_lib.omics.btf.data import Observed, observe
from radgen_lib.omics.btf.diagnostics import COLUMNS, convergence
from radgen_lib.omics.btf.gibbs import Start, run_chains
from radgen_lib.omics.btf.imputation import Imputed, impute
from radgen_lib.omics.btf.inputs import Named, TensorLike, check_training, read_new, read_training
from radgen_lib.omics.btf.memory import check_memory
from radgen_lib.omics.btf.model import Draws, Priors, reconstruct
from radgen_lib.omics.btf.projection import Frame, entry_counts, frame_of, log_score, project
from radgen_lib.omics.btf.saving import load_arrays, save_arrays
from radgen_lib.omics.btf.variational import fit_variational

LOG = logging.getLogger("radgen")
KIND = "Bayesian tensor factorisation"
_MODES = ("factors", "loadings", "omic_loadings")
FITTED = (*(f"{name}_{end}" for name in _MODES for end in ("", "std_")), "noise_precision_", "explained_", "stability_")
DRAWN = ("x", "w", "u", "tau", "alpha", "chain")


class BayesianTensorFactorisation(TransformerMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]
    """Sparse Bayesian CP factorisation of patients x genes x omics; ``model.py`` states the model and its priors.

    Parameters: ``n_components`` to start with (spare ones switch off); ``method`` "gibbs" (sampler) or "variational"
    (fast approximation); ``n_chains`` chains, of ``n_burn_in`` sweeps and then ``n_draws`` stored draws ``thin`` sweeps
    apart (variational: starting points, of which the one that begins best gives all draws, ``max_sweeps`` and
    ``tolerance`` as in ``fit_variational``); ``start`` "rotated" (chains start apart, which R-hat needs), "random"
    (further apart) or "svd" (all at one point, variational: the first, the others at random ones); ``noise`` "per_omic"
    or "global" precision; ``sparsity`` the degrees of freedom of the loadings' Student t prior, None for Gaussian ones;
    ``min_share`` of an omic's variance that a component must explain to be kept; ``device`` "cpu" or a device of torch,
    ``dtype`` "float64" or "float32", ``n_jobs`` chains at a time, ``seed`` of all randomness.

    A tensor is an array [patients, genes, omics] with NaN for missing values, or one table of patients x genes an omic
    (dictionary or list): union of the patients, common genes. Centre and scale it first (``scaling.TensorScaler``).

    After ``fit`` with N patients, D genes, L omics and R = ``n_components_`` kept components, largest share first:
    ``factors_`` and ``factors_std_`` [N, R], ``loadings_`` and ``loadings_std_`` [D, R], ``omic_loadings_`` and
    ``omic_loadings_std_`` [L, R], ``noise_precision_`` [L], ``explained_`` [R, L] share of an omic's variance,
    ``stability_`` [R] between chains (NaN with one), ``diagnostics_`` and ``trace_`` tables, ``draws_`` as sampled,
    ``patients_``, ``genes_``, ``omics_`` names (None for arrays).
    """

    def __init__(
        self,
        n_components: int = 20,
        *,
        method: Literal["gibbs", "variational"] = "gibbs",
        n_chains: int = 2,
        n_burn_in: int = 500,
        n_draws: int = 100,
        thin: int = 2,
        noise: Literal["per_omic", "global"] = "per_omic",
        sparsity: float | None = 1.0,
        min_share: float = 1e-3,
        start: Start = "rotated",
        device: str = "cpu",
        dtype: str = "float64",
        n_jobs: int = 1,
        seed: int = 0,
        max_sweeps: int = 2000,
        tolerance: float = 2e-4,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.n_chains = n_chains
        self.n_burn_in = n_burn_in
        self.n_draws = n_draws
        self.thin = thin
        self.noise = noise
        self.sparsity = sparsity
        self.min_share = min_share
        self.start = start
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.seed = seed
        self.max_sweeps = max_sweeps
        self.tolerance = tolerance

    def fit(self, tensor: TensorLike, y: object = None) -> BayesianTensorFactorisation:
        """Fit to the patients of a tensor; ``y`` is ignored.

        Raises ValueError, one line, for parameters out of range and for every fault of ``inputs.check_training``,
        infinite values and a tensor too large for memory included.
        """
        priors = self._priors()
        size = self.n_components, self.dtype, self.n_chains * self.n_draws, self.method
        named = read_training(tensor, lambda shape: check_memory(shape, *size))
        observed = observe(named.values, dtype=np.dtype(self.dtype))
        check_training(named, observed, self.n_components)
        draws = self._sample(observed, priors)
        posterior = summarise(draws, min_share=self.min_share)
        self._keep(draws, posterior, frame_of(draws, posterior.draws))
        self.patients_, self.genes_, self.omics_ = named[1:]
        if not self.n_components_:
            LOG.warning("%s: no component explains %g of an omic's variance", KIND, self.min_share)
        return self

    def transform(self, tensor: TensorLike, return_std: bool = False) -> Any:
        """Factors [n, R] of the patients of a tensor given its values and the loadings, with SD if asked for.

        Exact for any missing omic or entry; tables give tables. A patient with no omic has a row of NaN, and the log
        names it. Raises ValueError for other genes or omics than those of the fit.
        """
        named, observed = self._read(tensor)
        found = project(self.draws_, observed, self.frame_)
        for place in map(int, np.flatnonzero(found.reason != "")):
            LOG.warning("%s: patient %s is not projected: %s", KIND, named.patient(place), found.reason[place])
        mean, sd = (self._factor_table(named, part) for part in (found.mean, found.sd))
        return (mean, sd) if return_std else mean

    def inverse_transform(self, factors: np.ndarray | pd.DataFrame) -> Any:
        """Noise-free tensor [n, D, L] of factors [n, R]; a table gives one table an omic when the fit had names."""
        check_is_fitted(self)
        x = np.asarray(factors, dtype=float)
        if x.ndim != 2 or x.shape[1] != self.n_components_:
            raise ValueError(f"factors of shape {x.shape}: [patients, {self.n_components_}] are needed")
        values = reconstruct(x, self.loadings_, self.omic_loadings_)
        return self._tables(values, factors.index) if isinstance(factors, pd.DataFrame) else values

    def impute(self, tensor: TensorLike, level: float = 0.95) -> Imputed:
        """Predictive mean and interval of every entry given the patient's measured ones (``imputation.impute``)."""
        named, observed = self._read(tensor)
        found = impute(self.draws_, observed, level=level)
        if named.patients is None:
            return found
        return Imputed(*(self._tables(part, named.patients) for part in found))

    def score(self, tensor: TensorLike, y: object = None) -> float:
        """Log predictive density of the measured entries of new patients, in nats an entry; ``y`` is ignored."""
        _, observed = self._read(tensor)
        return float(np.nansum(log_score(self.draws_, observed)) / entry_counts(observed).sum())

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the factors, factor_1 to factor_R."""
        check_is_fitted(self)
        return np.array([f"factor_{place + 1}" for place in range(self.n_components_)], dtype=object)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one safetensors file (no pickle), atomically."""
        check_is_fitted(self)
        arrays = {name: getattr(self, name) for name in FITTED}
        arrays |= {f"draws/{name}": getattr(self.draws_, name) for name in DRAWN}
        arrays |= {"frame/order": self.frame_.order, "frame/factor": self.frame_.factor}
        names = {axis: getattr(self, axis) for axis in ("patients_", "genes_", "omics_")}
        tables = {name: _plain(table) for name, table in (("diagnostics_", self.diagnostics_), ("trace_", self.trace_))}
        facts = {"kind": KIND, "parameters": self.get_params(), "names": names, "tables": tables}
        save_arrays(path, arrays, facts)

    @classmethod
    def load(cls, path: str | Path) -> BayesianTensorFactorisation:
        """Read a model written by :meth:`save`; raises ValueError for a file that is no such model or was changed."""
        arrays, facts = load_arrays(path)
        if facts.get("kind") != KIND:
            raise ValueError(f"{path}: it holds no {KIND}")
        model = cls(**facts["parameters"])
        for name in FITTED:
            setattr(model, name, arrays[name])
        model.n_components_ = len(model.explained_)
        model.frame_ = Frame(arrays["frame/order"], arrays["frame/factor"])
        model.diagnostics_, model.trace_ = (_table(facts["tables"][name]) for name in ("diagnostics_", "trace_"))
        model.draws_ = Draws(**{name: arrays[f"draws/{name}"] for name in DRAWN}, trace=model.trace_)
        for axis, names in facts["names"].items():
            setattr(model, axis, None if names is None else tuple(names))
        return model

    def _priors(self) -> Priors:
        """Priors of the parameters; raises ValueError for what no fit can be made with."""
        for name in ("n_components", "n_chains", "n_draws", "thin", "n_jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        words = {"method": ("gibbs", "variational"), "dtype": ("float64", "float32"), "start": get_args(Start)}
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be {' or '.join(allowed)}, not {getattr(self, name)!r}")
        if not 0 <= self.min_share < 1:
            raise ValueError(f"min_share must lie in [0, 1), not {self.min_share}")
        if self.method == "variational" and self.device != "cpu":
            raise ValueError(f"the variational method runs on cpu, not on {self.device}")
        return Priors(nu=self.sparsity, noise=self.noise)

    def _sample(self, observed: Observed, priors: Priors) -> Draws:
        if self.method == "gibbs":
            draws = run_chains(
                observed, self.n_components, priors, chains=self.n_chains, jobs=self.n_jobs, burn_in=self.n_burn_in,
                draws=self.n_draws, thin=self.thin, seed=self.seed, device=self.device, how=self.start,
            )  # fmt: skip
            self.diagnostics_ = convergence(draws)
            return draws
        fit = fit_variational(
            observed, self.n_components, priors, seed=self.seed, starts=self.n_chains, max_sweeps=self.max_sweeps,
            tolerance=self.tolerance, how=self.start,
        )  # fmt: skip
        self.diagnostics_ = fit.diagnostics(COLUMNS)
        return fit.sample(self.n_chains * self.n_draws, self.seed)

    def _keep(self, draws: Draws, posterior: Posterior, frame: Frame) -> None:
        self.draws_, self.frame_, self.trace_, self.n_components_ = draws, frame, draws.trace, posterior.rank
        self.factors_, self.factors_std_ = posterior.x_mean, posterior.x_sd
        self.loadings_, self.loadings_std_ = posterior.w_mean, posterior.w_sd
        self.omic_loadings_, self.omic_loadings_std_ = posterior.u_mean, posterior.u_sd
        self.noise_precision_, self.explained_ = posterior.tau_mean, posterior.share
        self.stability_ = posterior.stability

    def _read(self, tensor: TensorLike) -> tuple[Named, Observed]:
        check_is_fitted(self)
        named = read_new(tensor, self.genes_, self.omics_)
        return named, observe(named.values)

    def _factor_table(self, named: Named, values: np.ndarray) -> np.ndarray | pd.DataFrame:
        if named.patients is None:
            return values
        return pd.DataFrame(values, index=pd.Index(named.patients), columns=self.get_feature_names_out())

    def _tables(self, values: np.ndarray, patients: Any) -> Any:
        """Values [n, D, L] as one table an omic; as they are when the fit had no names."""
        if self.genes_ is None or self.omics_ is None:
            return values
        index, columns = pd.Index(patients), pd.Index(self.genes_)
        return {omic: pd.DataFrame(values[:, :, place], index, columns) for place, omic in enumerate(self.omics_)}


def _plain(table: pd.DataFrame) -> list[tuple[str, str, list[object]]]:
    """Name, type and values of every column, NaN as None: what JSON takes."""
    return [
        (str(name), str(column.dtype), [None if pd.isna(value) else value for value in column.tolist()])
        for name, column in table.items()
    ]


def _table(columns: list[tuple[str, str, list[object]]]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype=kind) for name, kind, values in columns})
