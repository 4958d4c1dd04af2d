"""What the published factorisation is fitted on: everyone, and the genes that the same filters keep in everyone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.omics.btf.choices import TensorChoices
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.filters import choose_genes
from radgen_lib.omics.btf.fold_training import places
from radgen_lib.omics.study.decisions import Decisions


class Everyone(NamedTuple):
    """``values`` float32 [patients, genes, omics] as they are in the tensor; ``left_out``: without a value in them."""

    values: np.ndarray
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    left_out: tuple[str, ...]

    def facts(self, facts: pd.DataFrame) -> pd.DataFrame:
        """The facts of the fit (fold, omic, quantity, value) with the numbers of genes and of patients left out."""
        more = [("all", "", "genes", float(len(self.genes))), ("all", "", "n_left_out", float(len(self.left_out)))]
        return pd.concat([facts, pd.DataFrame(more, columns=facts.columns)], ignore_index=True)


def published_training(tensor: StoredTensor, max_genes: int | None) -> Everyone:
    """Genes chosen as for the other fits (PROTOCOLS 1.3: the same), but in all patients; nothing is centred or scaled.

    Of the genes expressed in a fifth of the patients the ``max_genes`` that vary most. A patient without any value in
    them is left out: the sampler would draw such factors from the prior. Raises DataError when no gene is left.
    """
    log = Decisions()
    genes = choose_genes(tensor.matrices(), TensorChoices(max_genes=max_genes), set(tensor.patients), log)
    values = np.asarray(tensor.values[:, places(tensor.genes, genes, "gene")])
    there = ~np.isnan(values).all(axis=(1, 2))
    kept = tuple(name for name, known in zip(tensor.patients, there, strict=True) if known)
    left = tuple(name for name, known in zip(tensor.patients, there, strict=True) if not known)
    return Everyone(values[there], kept, genes, left)
