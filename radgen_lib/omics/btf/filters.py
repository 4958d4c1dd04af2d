"""Which genes of several omics become the second axis of the tensor; filters learn from training patients alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy.stats import rankdata

from radgen_lib.core.errors import data_error
from radgen_lib.omics.btf.choices import EXPRESSION, LOGGED, TensorChoices
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.tensor_table import OmicMatrix, tensor_axes

_BATCH = 2048
_TENSOR = "tensor"


def choose_genes(
    matrices: Sequence[OmicMatrix], choices: TensorChoices, training: Collection[str], log: Decisions
) -> tuple[str, ...]:
    """Names of the genes, sorted; ``training`` names the patients in whom filters look at values.

    Raises DataError when no gene is left, with the step that took the last one.
    """
    genes = tensor_axes(matrices, choices.genes)[1]
    log.add("gene", _TENSOR, choices.genes, "kept", _sizes(matrices), count=len(genes))
    if choices.gene_list:
        genes = _listed(genes, choices.gene_list, log)
    genes = _expressed(matrices, genes, choices, training, log)
    return _most_variable(matrices, genes, choices, training, log)


def spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation (n - 1) of each column of [patients, genes], NaN for missing; 0 with fewer than two values."""
    found = np.zeros(values.shape[1])
    for start in range(0, values.shape[1], _BATCH):
        part = values[:, start : start + _BATCH].astype(np.float64)
        there = ~np.isnan(part)
        count = there.sum(axis=0)
        mean = np.where(there, part, 0.0).sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(there, part - mean, 0.0) ** 2).sum(axis=0)
        found[start : start + _BATCH] = np.sqrt(squares / np.maximum(count - 1, 1))
    return found


def _listed(genes: Sequence[str], wanted: Sequence[str], log: Decisions) -> tuple[str, ...]:
    have, asked = set(genes), sorted(set(wanted))
    faults = [(gene, "left out", "no omics matrix has the gene of the list") for gene in asked if gene not in have]
    log.extend("gene", "gene list", faults)
    kept = tuple(gene for gene in asked if gene in have)
    if not kept:
        raise data_error("gene list", f"none of its {len(asked)} genes is in the omics", "Correct the gene list")
    log.add("gene", "gene list", "genes of the list", "kept", count=len(kept))
    return kept


def _expressed(
    matrices: Sequence[OmicMatrix], genes: tuple[str, ...], choices: TensorChoices, training: Collection[str],
    log: Decisions,
) -> tuple[str, ...]:  # fmt: skip
    """Genes expressed in enough training patients; a gene that expression lacks (union) is not judged."""
    matrix = next((matrix for matrix in matrices if matrix.omic == EXPRESSION), None)
    if matrix is None or not choices.min_expressed:
        return genes
    if matrix.scale != LOGGED:
        reason = f"{matrix.scale or 'an unknown scale'}: no value tells whether a gene is expressed"
        log.add("gene", EXPRESSION, "expressed", "not judged", reason, count=len(genes))
        return genes
    values = training_values(matrix, training)
    share = (values > choices.expressed_above).sum(axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1)
    silent = {gene for gene, part in zip(matrix.genes, share, strict=True) if part < choices.min_expressed}
    kept = tuple(gene for gene in genes if gene not in silent)
    reason = f"expressed in less than {choices.min_expressed:g} of {len(values)} patients"
    log.add("gene", EXPRESSION, "not expressed", "left out", reason, count=len(genes) - len(kept))
    if not kept:
        raise data_error(EXPRESSION, f"all {len(genes)} genes are {reason}", "Lower min_expressed")
    return kept


def _most_variable(
    matrices: Sequence[OmicMatrix], genes: tuple[str, ...], choices: TensorChoices, training: Collection[str],
    log: Decisions,
) -> tuple[str, ...]:  # fmt: skip
    if choices.max_genes is None or len(genes) <= choices.max_genes:
        return genes
    used = [matrix for matrix in matrices if matrix.omic == choices.variable_in]
    if not used and choices.variable_in != "all":
        log.add("gene", choices.variable_in, "variable_in", "all omics instead", "there is no such omic")
    ranks = np.mean([_spread_ranks(matrix, genes, training) for matrix in used or matrices], axis=0)
    # Stable: of equally variable genes the first names are kept.
    order = np.argsort(-ranks, kind="stable")[: choices.max_genes]
    reason = f"not among the {choices.max_genes} most variable"
    log.add("gene", choices.variable_in, "less variable", "left out", reason, count=len(genes) - len(order))
    return tuple(genes[i] for i in np.sort(order))


def _spread_ranks(matrix: OmicMatrix, genes: Sequence[str], training: Collection[str]) -> np.ndarray:
    of = dict(zip(matrix.genes, spread(training_values(matrix, training)), strict=True))
    return rankdata([of.get(gene, 0.0) for gene in genes])


def training_values(matrix: OmicMatrix, training: Collection[str]) -> np.ndarray:
    """Rows of a matrix that belong to training patients; raises DataError when there is none."""
    rows = [place for place, patient in enumerate(matrix.patients) if patient in training]
    if not rows:
        raise data_error(matrix.omic, "holds no training patient", "Choose other training patients, or leave it out")
    return matrix.values if len(rows) == len(matrix.patients) else matrix.values[rows]


def _sizes(matrices: Sequence[OmicMatrix]) -> str:
    return ", ".join(f"{matrix.omic} {len(matrix.patients)} x {len(matrix.genes)}" for matrix in matrices)
