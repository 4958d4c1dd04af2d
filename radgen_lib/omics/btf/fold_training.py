"""What one fit learns from: genes chosen, patients kept and values scaled, all by its training patients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.choices import TensorChoices
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.filters import choose_genes
from radgen_lib.omics.btf.scaling import TensorScaler
from radgen_lib.omics.study.decisions import Decisions

_TENSOR = "tensor"
_SHOWN = 5


class Training(NamedTuple):
    """Scaled ``values`` float [patients, genes, omics] of a fit, NaN where missing, their names and the decisions.

    Every patient and every gene has a value. ``choices``: step, table, item, decision, reason, count.
    """

    values: np.ndarray
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    scaler: TensorScaler
    choices: pd.DataFrame


def prepare_training(tensor: StoredTensor, fold: str, training: Sequence[str], max_genes: int | None) -> Training:
    """Choose the genes of a fit and scale them, looking at the ``training`` patients alone.

    Of the genes expressed in a fifth of them, the ``max_genes`` that vary most; a chosen gene that varies in no omic
    is dropped. A patient without any value among the chosen genes (such as one whose only omic has none of them) is
    left out of the fit and named in the log: one odd gene or patient stops nobody. Raises DataError for a patient
    whom the tensor lacks, fewer than two patients, and when no gene or no patient is left.
    """
    rows, log = places(tensor.patients, training, "factor splits: patient"), Decisions()
    chosen = choose_genes(tensor.matrices(), TensorChoices(max_genes=max_genes), set(training), log)
    values = np.asarray(tensor.values[rows])[:, places(tensor.genes, chosen, "gene")]
    genes, values = _varying(chosen, values, fold, log)
    scaler = TensorScaler().fit(values, genes=genes, omics=tensor.omics)
    scaled = apply_scaler(scaler, values)
    there = ~np.isnan(scaled).all(axis=(1, 2))
    names = [tensor.patients[row] for row in rows]
    empty = [name for name, known in zip(names, there, strict=True) if not known]
    if empty:
        reason = "no value in any gene of the fit"
        log.extend("patient", _TENSOR, [(name, "left out of the fit", reason) for name in empty], most=len(empty))
        shown = ", ".join(empty[:_SHOWN])
        logging.getLogger("radgen").warning("fold %s: %d patients have %s: %s", fold, len(empty), reason, shown)
    log.add("patient", _TENSOR, "training patients", "fitted", count=int(there.sum()))
    log.add("gene", _TENSOR, "genes", "fitted", count=len(genes))
    kept = tuple(name for name, known in zip(names, there, strict=True) if known)
    return Training(scaled[there], kept, genes, scaler, log.frame())


def places(names: Sequence[str], wanted: Sequence[str], what: str) -> np.ndarray:
    """Position [n] of every wanted name among ``names``; raises DataError naming the first that is absent."""
    found = pd.Index(names).get_indexer(pd.Index(wanted))
    if (found < 0).any():
        first = wanted[int(np.flatnonzero(found < 0)[0])]
        lost = int((found < 0).sum())
        raise DataError(f"{what} {first} is not in the tensor ({lost} such). Make the splits and the fits again")
    return found


def apply_scaler(scaler: TensorScaler, values: np.ndarray) -> np.ndarray:
    """Scaled values; a gene that did not vary in an omic of the training part counts as not measured there."""
    return np.where(scaler.flat_, np.nan, scaler.transform(values))


def _varying(genes: Sequence[str], values: np.ndarray, fold: str, log: Decisions) -> tuple[tuple[str, ...], np.ndarray]:
    """The genes, and their values [n, genes, omics], that vary between the patients in some omic."""
    if len(values) < 2:
        raise DataError(f"factors of fold {fold}: {len(values)} training patients are too few. Add patients")
    there = ~np.isnan(values)
    highest = np.where(there, values, -np.inf).max(axis=0)
    lowest = np.where(there, values, np.inf).min(axis=0)
    varies = (highest > lowest).any(axis=1)
    reason = "no value that varies between the training patients in any omic"
    log.extend("gene", _TENSOR, [(genes[i], "left out", reason) for i in np.flatnonzero(~varies).tolist()])
    if not varies.any():
        raise DataError(f"factors of fold {fold}: no gene varies between its training patients. Add patients")
    return tuple(gene for gene, keep in zip(genes, varies, strict=True) if keep), values[:, varies]
