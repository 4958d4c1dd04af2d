"""One fit of the factors a fold: learned on its training patients, projected for everyone else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.seeds import derive_seed
from radgen_lib.omics.btf.choices import TensorChoices
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.filters import choose_genes
from radgen_lib.omics.btf.gathering import FACTOR_COLUMNS
from radgen_lib.omics.btf.gibbs import Start
from radgen_lib.omics.btf.published import PublishedFit
from radgen_lib.omics.btf.saving import load_arrays, save_arrays
from radgen_lib.omics.btf.scaling import TensorScaler
from radgen_lib.omics.study.decisions import Decisions

FITS_COLUMNS = ("fold", "omic", "quantity", "value")
TRACE_COLUMNS = ("fold", "chain", "sweep")


@dataclass(frozen=True)
class FoldFit:
    """What turns raw omics into factors in one fold: the genes, the scaler and the model, all of training patients."""

    fold: str
    genes: tuple[str, ...]
    scaler: TensorScaler
    model: BayesianTensorFactorisation

    def scaled(self, tensor: StoredTensor, rows: np.ndarray) -> np.ndarray:
        """Scaled values float [n, genes of the fit, omics] of the patients at ``rows``."""
        places = pd.Index(tensor.genes).get_indexer(pd.Index(self.genes))
        return _scale(self.scaler, np.asarray(tensor.values[rows])[:, places])

    def save(self, folder: Path) -> None:
        """Write ``<fold>.safetensors`` and ``<fold>.scaler.safetensors`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / f"{self.fold}.safetensors")
        facts = {"genes": list(self.genes), **self.scaler.get_params()}
        save_arrays(folder / f"{self.fold}.scaler.safetensors", self.scaler.state(), facts)

    @classmethod
    def load(cls, folder: Path, fold: str) -> FoldFit:
        """Read what :meth:`save` wrote; raises ValueError for a file that is no such model or was changed."""
        arrays, facts = load_arrays(folder / f"{fold}.scaler.safetensors")
        scaler = TensorScaler.from_state(arrays, centre=facts["centre"], scale=facts["scale"])
        model = BayesianTensorFactorisation.load(folder / f"{fold}.safetensors")
        return cls(fold, tuple(facts["genes"]), scaler, model)


def fit_fold(
    tensor: StoredTensor,
    fold: str,
    training: list[str],
    settings: Factors,
    *,
    seed: int,
    device: str = "cpu",
    start: Start = "rotated",
) -> FoldFit:
    """Choose genes, scale and factorise, looking at the ``training`` patients alone.

    Genes: of those expressed in a fifth of the training patients, the ``settings.max_genes`` that vary most. Chains
    start apart from one another (``start``, see the estimator), so that R-hat can tell where they disagree. Raises
    DataError for fewer training patients than can be factorised.
    """
    rows = _rows(tensor, training)
    choices = TensorChoices(max_genes=settings.max_genes)
    genes = choose_genes(tensor.matrices(), choices, set(training), Decisions())
    places = pd.Index(tensor.genes).get_indexer(pd.Index(genes))
    values = np.asarray(tensor.values[rows])[:, places]
    scaler = TensorScaler().fit(values, genes=genes, omics=tensor.omics)
    model = BayesianTensorFactorisation(
        settings.components, method=settings.method, n_chains=settings.chains, n_burn_in=settings.burn_in,
        n_draws=settings.draws, thin=settings.thin, noise=settings.noise, sparsity=settings.sparsity, device=device,
        start=start,
        seed=derive_seed(seed, "factors", fold),
    )  # fmt: skip
    names = [tensor.patients[i] for i in rows]
    scaled = _scale(scaler, values)
    tables = [pd.DataFrame(scaled[:, :, i], index=names, columns=list(genes)) for i in range(len(tensor.omics))]
    try:
        model.fit(dict(zip(tensor.omics, tables, strict=True)))
    except ValueError as error:
        raise DataError(f"factors of fold {fold}: {error}") from error
    return FoldFit(fold, genes, scaler, model)


def _scale(scaler: TensorScaler, values: np.ndarray) -> np.ndarray:
    """Scaled values; a gene that did not vary in an omic of the training part counts as not measured there."""
    return np.where(scaler.flat_, np.nan, scaler.transform(values))


def _rows(tensor: StoredTensor, patients: list[str]) -> np.ndarray:
    rows = pd.Index(tensor.patients).get_indexer(pd.Index(patients))
    if (rows < 0).any():
        lost = [name for name, row in zip(patients, rows, strict=True) if row < 0]
        raise DataError(f"factor splits: {lost[0]} is not in the tensor. Make the splits again")
    return rows


def factor_rows(fit: FoldFit, tensor: StoredTensor, splits: pd.DataFrame) -> pd.DataFrame:
    """Factors of every patient of the fold: fold, patient, role, component, mean, sd.

    Training patients have the posterior of the fit, the others their projection. A patient who cannot be projected
    has one row without a number. A fit that kept no component has no row.
    """
    parts = []
    for role, rows in splits[splits["fold"] == fit.fold].groupby("role", sort=False):
        names = rows["patient"].tolist()
        if role == "train":
            known = pd.Index(fit.model.patients_).get_indexer(pd.Index(names))
            mean, sd = fit.model.factors_[known], fit.model.factors_std_[known]
        else:
            mean, sd = fit.model.transform(fit.scaled(tensor, _rows(tensor, names)), return_std=True)
        parts.append(_long(fit.fold, str(role), names, mean, sd))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(FACTOR_COLUMNS))


def component_names(count: int) -> list[str]:
    """F01, F02, ... largest share of the variance first."""
    return [f"F{k + 1:02d}" for k in range(count)]


def _long(fold: str, role: str, names: list[str], mean: np.ndarray, sd: np.ndarray) -> pd.DataFrame:
    count, rank = mean.shape
    components = component_names(rank)
    return pd.DataFrame(
        {
            "fold": fold, "patient": np.repeat(names, rank), "role": role, "component": components * count,
            "mean": mean.ravel(), "sd": sd.ravel(),
        },
        columns=list(FACTOR_COLUMNS),
    )  # fmt: skip


def fit_facts(fit: FoldFit, roles: pd.Series) -> pd.DataFrame:
    """Rank, size, convergence, noise and variance explained of one fit: fold, omic ("" overall), quantity, value."""
    model = fit.model
    checks = model.diagnostics_
    stability = model.stability_[np.isfinite(model.stability_)]
    rows: list[tuple[str, str, float]] = [
        ("", "rank", float(model.n_components_)),
        ("", "genes", float(len(fit.genes))),
        ("", "n_train", float((roles == "train").sum())),
        ("", "n_test", float((roles == "test").sum())),
        ("", "r_hat_max", float(checks["r_hat"].max())),
        ("", "ess_min", float(checks["ess_bulk"].min())),
        ("", "stability_min", float(stability.min()) if len(stability) else np.nan),
    ]
    for place, omic in enumerate(model.omics_ or ()):
        rows.append((str(omic), "explained", float(model.explained_[:, place].sum())))
        rows.append((str(omic), "noise_sd", float(model.noise_precision_[place] ** -0.5)))
    return pd.DataFrame([(fit.fold, *row) for row in rows], columns=list(FITS_COLUMNS))


def published_tables(fit: PublishedFit, patients: Sequence[str], omics: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Factors (patient, component, value: the last draw, on the sampler's scale) and facts of the published fit."""
    count, rank = fit.x.shape
    names = np.repeat(list(patients), rank)
    table = pd.DataFrame({"patient": names, "component": component_names(rank) * count, "value": fit.x.ravel()})
    facts = [("rank", float(rank)), ("n_train", float(count)), ("noise_sd", float(fit.tau) ** -0.5)]
    facts.append(("omics", float(omics)))
    return table, pd.DataFrame([("all", "", *fact) for fact in facts], columns=list(FITS_COLUMNS))


def traces(fit: FoldFit) -> pd.DataFrame:
    """The trace of the fit with its fold in front."""
    table = fit.model.trace_.copy()
    table.insert(0, "fold", fit.fold)
    return table


def fit_folds(
    tensor: StoredTensor, splits: pd.DataFrame, folds: list[str], settings: Factors, *, seed: int, device: str = "cpu"
) -> Iterator[FoldFit]:
    """Fits of ``folds``, one after another (each may be written before the next is made)."""
    for fold in folds:
        rows = splits[(splits["fold"] == fold) & (splits["role"] == "train")]
        if rows.empty:
            raise DataError(f"factor splits: no fold {fold!r}. Make the splits again")
        fit = fit_fold(tensor, fold, rows["patient"].tolist(), settings, seed=seed, device=device)
        logging.getLogger("radgen").info(
            "fold %s: %d patients, %d genes, %d components", fold, len(rows), len(fit.genes), fit.model.n_components_
        )
        yield fit
