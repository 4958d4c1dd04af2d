"""The genes of each factor, from a fit whose numbers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.analyses.factors.genes import GENE_COLUMNS, factor_table, loading_table, strongest, top_genes
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation

OMICS = ("expression", "methylation")


def known_model(loadings: np.ndarray) -> BayesianTensorFactorisation:
    """A model with these loadings [genes, components] as posterior means, and other numbers that differ by place."""
    genes, rank = loadings.shape
    model = BayesianTensorFactorisation()
    model.genes_, model.omics_, model.patients_ = tuple(f"GENE{i}" for i in range(genes)), OMICS, ("P1", "P2", "P3")
    model.n_components_ = rank
    model.loadings_, model.loadings_std_ = loadings, np.abs(loadings) / 10 + 0.01
    model.omic_loadings_ = np.arange(2 * rank).reshape(2, rank) + 1.0
    model.omic_loadings_std_ = model.omic_loadings_ / 100
    model.explained_ = np.arange(2 * rank).reshape(rank, 2) / 50
    model.stability_ = np.linspace(0.5, 1.0, rank)
    model.factors_ = np.arange(3 * rank).reshape(3, rank) * 1.0
    model.factors_std_ = np.full((3, rank), 0.25)
    return model


def test_each_component_has_its_strongest_genes_with_sign_and_sd() -> None:
    model = known_model(np.array([[0.1, 5.0], [-3.0, 0.2], [2.0, -4.0], [0.0, 0.3]]))
    table = top_genes(model, top=2)
    assert tuple(table.columns) == GENE_COLUMNS
    once = table[table["omic"] == "expression"].set_index(["component", "rank"])
    assert once["gene"].to_dict() == {
        ("F01", 1): "GENE1", ("F01", 2): "GENE2", ("F02", 1): "GENE0", ("F02", 2): "GENE2",
    }  # fmt: skip
    assert once["mean"].tolist() == [-3.0, 2.0, 5.0, -4.0]
    assert once["sd"].tolist() == pytest.approx([0.31, 0.21, 0.51, 0.41])


def test_each_gene_has_a_row_an_omic_with_the_loadings_of_its_component() -> None:
    model = known_model(np.array([[0.1, 5.0], [-3.0, 0.2], [2.0, -4.0]]))
    table = top_genes(model, top=2)
    assert len(table) == 2 * 2 * len(OMICS)
    by_omic = table.groupby(["component", "omic"])[["omic_loading", "omic_sd", "explained"]].agg(["min", "max"])
    assert (by_omic.xs("min", axis=1, level=1) == by_omic.xs("max", axis=1, level=1)).all(axis=None)
    found = by_omic.xs("min", axis=1, level=1)
    assert found["omic_loading"].to_dict() == {
        ("F01", "expression"): 1.0, ("F01", "methylation"): 3.0,
        ("F02", "expression"): 2.0, ("F02", "methylation"): 4.0,
    }  # fmt: skip
    assert found["explained"].tolist() == [0.0, 0.02, 0.04, 0.06]
    assert found["omic_sd"].tolist() == [0.01, 0.03, 0.02, 0.04]
    assert table.groupby("component")["stability"].agg(["min", "max"]).to_numpy().tolist() == [[0.5, 0.5], [1.0, 1.0]]


def test_a_fit_with_fewer_genes_than_asked_for_gives_them_all() -> None:
    assert len(top_genes(known_model(np.ones((3, 1))), top=20)) == 3 * len(OMICS)


def test_a_fit_without_components_gives_an_empty_table() -> None:
    table = top_genes(known_model(np.ones((3, 0))))
    assert table.empty and tuple(table.columns) == GENE_COLUMNS


def test_tables_of_loadings_and_factors_carry_the_names() -> None:
    model = known_model(np.array([[0.1, 5.0], [-3.0, 0.2]]))
    assert loading_table(model).loc["GENE1", "F01"] == -3.0
    mean, spread = factor_table(model)
    assert mean.loc["P2"].to_dict() == {"F01": 2.0, "F02": 3.0} and (spread == 0.25).all(axis=None)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_no_gene_left_out_is_stronger_than_one_that_is_in(values: list[float], count: int) -> None:
    loadings = pd.Series(values, index=[f"G{i}" for i in range(len(values))])
    chosen = strongest(loadings, count)
    assert len(chosen) == min(count, len(values)) and chosen.is_unique
    rest = loadings.drop(chosen).abs()
    assert rest.empty or rest.max() <= loadings[chosen].abs().min()
    assert (np.diff(loadings[chosen].abs()) <= 0).all()
