"""The genes that carry each factor, and the omics they act through."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.gathering import component_names

TOP_GENES = 20
GENE_COLUMNS = ("component", "rank", "gene", "mean", "sd", "omic", "omic_loading", "omic_sd", "explained", "stability")


def loading_table(model: BayesianTensorFactorisation) -> pd.DataFrame:
    """Posterior mean loadings of a fit with names: genes x components (F01, ...)."""
    return pd.DataFrame(
        model.loadings_, index=pd.Index(model.genes_, name="gene"), columns=component_names(model.n_components_)
    )


def factor_table(model: BayesianTensorFactorisation) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posterior mean and posterior SD of the factors of a fit with names: patients x components each."""
    names = {"index": pd.Index(model.patients_, name="patient"), "columns": component_names(model.n_components_)}
    return pd.DataFrame(model.factors_, **names), pd.DataFrame(model.factors_std_, **names)


def strongest(loadings: pd.Series, count: int) -> pd.Index:
    """Genes of the ``count`` largest absolute loadings, strongest first; equal ones in the order of the genes."""
    order = np.argsort(-loadings.abs().to_numpy(), kind="stable")
    return loadings.index[order[:count]]


def top_genes(model: BayesianTensorFactorisation, *, top: int = TOP_GENES) -> pd.DataFrame:
    """The ``top`` genes of each component, one row an omic: columns :data:`GENE_COLUMNS`.

    ``rank`` counts from 1, by the absolute posterior mean of the gene's loading; ``mean`` and ``sd`` are of that
    loading, on the scale of the tensor (the factors have unit root mean square over patients, the omic loadings over
    omics). ``omic_loading`` and ``omic_sd`` say how the component acts in the omic: a gene moves by ``mean`` times
    ``omic_loading`` an SD of the factor; ``explained`` is the share of the omic's variance due to the component, and
    the omic with the largest share drives it. ``stability`` is |correlation| of the component's mean factors in one
    chain with those in the other chains, lowest over chains; NaN with one chain and for an approximation.
    The sign of a component is arbitrary, that of the product is not. No rows when the fit kept no component.
    """
    loadings, omics = loading_table(model), list(model.omics_ or ())
    spread = pd.DataFrame(model.loadings_std_, index=loadings.index, columns=loadings.columns)
    parts = []
    for place, component in enumerate(loadings.columns):
        genes = strongest(loadings[component], top)
        rows = pd.DataFrame(
            {
                "component": component, "rank": np.arange(1, len(genes) + 1), "gene": genes,
                "mean": loadings.loc[genes, component].to_numpy(), "sd": spread.loc[genes, component].to_numpy(),
            }
        )  # fmt: skip
        by_omic = pd.DataFrame(
            {
                "omic": omics, "omic_loading": model.omic_loadings_[:, place],
                "omic_sd": model.omic_loadings_std_[:, place], "explained": model.explained_[place],
                "stability": model.stability_[place],
            }
        )  # fmt: skip
        parts.append(rows.merge(by_omic, how="cross"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(GENE_COLUMNS))
