"""What the factors of the fit on all patients mean: their genes, gene sets, and what they go along with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from radgen_lib.analyses.factors.associations import BOOTSTRAP, associations
from radgen_lib.analyses.factors.enrichment import PERMUTATIONS, enrichment
from radgen_lib.analyses.factors.genes import TOP_GENES, factor_table, loading_table, top_genes
from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.folds import FoldFit
from radgen_lib.sources.phantom.gene_sets import GENE_SETS_FILE
from radgen_lib.sources.reference.genesets import read_gene_sets


class Meaning(NamedTuple):
    """Tables of genes, of gene sets and of associations."""

    genes: pd.DataFrame
    enrichment: pd.DataFrame
    associations: pd.DataFrame


def read_sets(path: Path, *, phantom: bool, whole: bool = True) -> pd.DataFrame:
    """Gene sets as set and gene: the KEGG file (``whole`` asks for all its sets), or that of a phantom's tables.

    Raises DataError for faults of structure; rows that are left out are counted in the log.
    """
    found = read_gene_sets(path / GENE_SETS_FILE if phantom else path, whole=whole and not phantom)
    if len(found.faults):
        first = found.faults.iloc[0]
        log = logging.getLogger("radgen")
        log.warning("gene sets: %d rows left out, first: %s %s", len(found.faults), first["id"], first["reason"])
    return found.table


def factor_meaning(
    fit: FoldFit,
    patients: pd.DataFrame,
    sets: pd.DataFrame,
    *,
    seed: int,
    top: int = TOP_GENES,
    permutations: int = PERMUTATIONS,
    draws: int = BOOTSTRAP,
) -> Meaning:
    """Genes, gene sets and associations of every component of ``fit``.

    Args:
        fit: model with names of patients, genes and omics, fitted without labels.
        patients: labels (``cohort.factor_labels``); sets: table of set and gene.
        top: genes a component; permutations: of gene sets; draws: bootstrap samples of patients.

    Raises DataError when no patient of the fit is in the table.
    """
    model = fit.model
    factors, spread = factor_table(model)
    if not patients["patient"].isin(factors.index).any():
        raise DataError(f"patients table: none of the {len(factors)} patients of the factors. Build both again")
    name = f"btf_{model.method}"
    return Meaning(
        top_genes(model, top=top),
        enrichment(loading_table(model), sets, seed=seed, model=name, permutations=permutations, top=top),
        associations(factors, spread, patients, seed=seed, model=name, draws=draws),
    )
