"""Genes and patients of the published fit: the filters of the others, on everyone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.published_training import published_training

OMICS = ("expression", "methylation")


def stored(scale: str = "log2(x+1)") -> StoredTensor:
    """Genes: two expressed, one silent in all but one of 20 patients; the last patient has the silent gene alone."""
    values = np.random.default_rng(0).normal(8, 2, size=(20, 3, 2)).astype(np.float32)
    values[1:, 2, 0] = 0.1
    values[-1, :2] = np.nan
    names = tuple(f"PHAN-AA-{i:04d}" for i in range(20))
    return StoredTensor(values, names, ("G1", "G2", "SILENT"), OMICS, (scale, "m_value"))


def test_a_silent_gene_and_who_has_nothing_else_are_left_out() -> None:
    found = published_training(stored(), None)
    assert found.genes == ("G1", "G2") and found.left_out == ("PHAN-AA-0019",)
    np.testing.assert_array_equal(found.values, stored().values[:19, :2])
    assert len(found.patients) == 19


def test_only_the_most_variable_genes() -> None:
    tensor = stored()
    tensor.values[:, 0] *= 3
    assert published_training(tensor, 1).genes == ("G1",)


def test_where_nobody_can_tell_expression_all_genes_stay() -> None:
    found = published_training(stored("other"), None)
    assert len(found.genes) == 3 and found.left_out == ()


def test_numbers_of_genes_and_left_out_patients_are_facts() -> None:
    facts = pd.DataFrame([("all", "", "rank", 3.0)], columns=["fold", "omic", "quantity", "value"])
    told = published_training(stored(), None).facts(facts).set_index("quantity")["value"]
    assert told.to_dict() == {"rank": 3, "genes": 2, "n_left_out": 1}
