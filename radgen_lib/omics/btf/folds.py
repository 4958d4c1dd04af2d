"""One fit of the factors a fold: learned on its training patients, projected for everyone else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.seeds import derive_seed
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.fold_facts import convergence_facts, joint_share
from radgen_lib.omics.btf.fold_training import apply_scaler, places, prepare_training
from radgen_lib.omics.btf.gathering import FACTOR_COLUMNS, component_names
from radgen_lib.omics.btf.gibbs import Start
from radgen_lib.omics.btf.published import PublishedFit
from radgen_lib.omics.btf.saving import load_arrays, save_arrays
from radgen_lib.omics.btf.scaling import TensorScaler
from radgen_lib.omics.study.decisions import DECISION_COLUMNS

FITS_COLUMNS = ("fold", "omic", "quantity", "value")
TRACE_COLUMNS = ("fold", "chain", "sweep")
CHOICES_COLUMNS = ("fold", *DECISION_COLUMNS)


def _no_choices() -> pd.DataFrame:
    return pd.DataFrame(columns=list(DECISION_COLUMNS))


@dataclass(frozen=True)
class FoldFit:
    """What turns raw omics into factors in one fold: the genes, the scaler and the model, all of training patients.

    ``choices``: how genes and patients of the fit were chosen (step, table, item, decision, reason, count). They are
    a table of their own beside the models: empty after :meth:`load`.
    """

    fold: str
    genes: tuple[str, ...]
    scaler: TensorScaler
    model: BayesianTensorFactorisation
    choices: pd.DataFrame = field(default_factory=_no_choices, compare=False)

    def values(self, tensor: StoredTensor, rows: np.ndarray) -> np.ndarray:
        """Values float [n, genes of the fit, omics] of the patients at ``rows``, on the scales of the tensor.

        Raises DataError naming the first gene of the fit that the tensor lacks.
        """
        columns = places(tensor.genes, self.genes, f"factors of fold {self.fold}: gene")
        return np.asarray(tensor.values[rows])[:, columns]

    def scaled(self, tensor: StoredTensor, rows: np.ndarray) -> np.ndarray:
        """As :meth:`values`, on the scale of the model; a gene that was flat in training counts as not measured."""
        return apply_scaler(self.scaler, self.values(tensor, rows))

    def project(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sd [n, R] of the factors of any patients, from values as :meth:`values` gives them, NaN for missing.

        A patient without any value in the genes of the fit has rows of NaN, and the log names its row. Raises
        ValueError for other genes or omics than those of the fit.
        """
        if not len(values):
            return np.empty((0, self.model.n_components_)), np.empty((0, self.model.n_components_))
        mean, sd = self.model.transform(apply_scaler(self.scaler, values), return_std=True)
        return mean, sd

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


def drop_other_fits(folder: Path, folds: Sequence[str]) -> None:
    """Remove the files of fits that an earlier run left in ``folder`` and that are not of ``folds``."""
    for path in sorted(folder.glob("*.safetensors")):
        if path.name.removesuffix(".safetensors").removesuffix(".scaler") not in folds:
            path.unlink()


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

    Genes and patients: see :func:`~radgen_lib.omics.btf.fold_training.prepare_training`. Chains start apart from one
    another (``start``, see the estimator), so that R-hat can tell where they disagree. Raises DataError for fewer
    training patients than can be factorised.
    """
    given = prepare_training(tensor, fold, training, settings.max_genes)
    model = BayesianTensorFactorisation(
        settings.components, method=settings.method, n_chains=settings.chains, n_burn_in=settings.burn_in,
        n_draws=settings.draws, thin=settings.thin, noise=settings.noise, sparsity=settings.sparsity, device=device,
        start=start, max_sweeps=settings.max_sweeps, tolerance=settings.tolerance,
        seed=derive_seed(seed, "factors", fold),
    )  # fmt: skip
    tables = {
        omic: pd.DataFrame(given.values[:, :, place], index=list(given.patients), columns=list(given.genes))
        for place, omic in enumerate(tensor.omics)
    }
    try:
        model.fit(tables)
    except ValueError as error:
        raise DataError(f"factors of fold {fold}: {error}") from error
    return FoldFit(fold, given.genes, given.scaler, model, given.choices)


def factor_rows(fit: FoldFit, tensor: StoredTensor, splits: pd.DataFrame) -> pd.DataFrame:
    """Factors of every patient of the fold: fold, patient, role, component, mean, sd.

    Training patients have the posterior of the fit, the others their projection. A patient without any value among
    the genes of the fit has one row, component "" and mean and sd NaN, whatever the role: nothing was learned from
    them. Anybody else has no row in a fit that kept no component. Raises DataError for a training patient who has
    values and was not fitted: the splits are not those of the fit.
    """
    parts = []
    for role, rows in splits[splits["fold"] == fit.fold].groupby("role", sort=False):
        names = rows["patient"].tolist()
        at = places(tensor.patients, names, "factor splits: patient")
        known = ~np.isnan(fit.scaled(tensor, at)).all(axis=(1, 2))
        there = [name for name, value in zip(names, known, strict=True) if value]
        mean, sd = _fitted(fit, there) if role == "train" else fit.project(fit.values(tensor, at[known]))
        unknown = [name for name, value in zip(names, known, strict=True) if not value]
        parts.append(_long(fit.fold, str(role), [there, unknown], mean, sd))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(FACTOR_COLUMNS))


def _fitted(fit: FoldFit, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and sd [n, R] of patients of the fit."""
    rows = pd.Index(fit.model.patients_).get_indexer(pd.Index(names))
    if (rows < 0).any():
        first = names[int(np.flatnonzero(rows < 0)[0])]
        raise DataError(f"factors of fold {fit.fold}: {first} trains but was not fitted. Make the fits again")
    return fit.model.factors_[rows], fit.model.factors_std_[rows]


def _long(fold: str, role: str, names: list[list[str]], mean: np.ndarray, sd: np.ndarray) -> pd.DataFrame:
    """Rows of ``names``: the patients of ``mean`` and ``sd`` [n, R], and those without any value."""
    (known, unknown), rank = names, mean.shape[1]
    empty = [np.nan] * len(unknown)
    columns = {
        "fold": fold, "patient": [name for name in known for _ in range(rank)] + unknown, "role": role,
        "component": component_names(rank) * len(known) + [""] * len(unknown),
        "mean": [*mean.ravel(), *empty], "sd": [*sd.ravel(), *empty],
    }  # fmt: skip
    # The types are those of every other fold, whether it kept a component or not.
    kinds = dict.fromkeys(FACTOR_COLUMNS[:4], object) | dict.fromkeys(FACTOR_COLUMNS[4:], float)
    return pd.DataFrame(columns, columns=list(FACTOR_COLUMNS)).astype(kinds)


def fit_facts(fit: FoldFit, roles: pd.Series) -> pd.DataFrame:
    """Rank, size, convergence, noise and variance explained of one fit: fold, omic ("" overall), quantity, value.

    ``n_train`` counts the patients who were fitted and ``n_left_out`` those of the training part who have no value in
    the genes of the fit. Convergence and variance explained: see :mod:`radgen_lib.omics.btf.fold_facts`.
    """
    model = fit.model
    fitted = len(model.factors_)
    rows: list[tuple[str, str, float]] = [
        ("", "rank", float(model.n_components_)),
        ("", "genes", float(len(fit.genes))),
        ("", "n_train", float(fitted)),
        ("", "n_left_out", float((roles == "train").sum() - fitted)),
        ("", "n_test", float((roles == "test").sum())),
        *(("", name, value) for name, value in convergence_facts(model).items()),
    ]
    shares, overall = joint_share(model)
    rows.append(("", "explained", overall))
    for place, omic in enumerate(model.omics_ or ()):
        rows.append((str(omic), "explained", float(shares[place])))
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


def gene_choices(fit: FoldFit) -> pd.DataFrame:
    """How genes and patients of the fit were chosen, its fold in front: columns :data:`CHOICES_COLUMNS`."""
    table = fit.choices.copy()
    table.insert(0, "fold", fit.fold)
    return table


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
            "fold %s: %d patients, %d genes, %d components", fold, len(fit.model.factors_), len(fit.genes),
            fit.model.n_components_,
        )  # fmt: skip
        yield fit
