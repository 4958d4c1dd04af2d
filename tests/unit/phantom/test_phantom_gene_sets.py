"""The phantom's gene sets: what its factors move, as much that nothing moves, in the layout of the KEGG file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.gene_sets import GENE_SETS_FILE, STRONG, gene_sets, write_gene_sets
from radgen_lib.sources.phantom.truth import Truth, draw_truth
from radgen_lib.sources.reference.genesets import read_gene_sets

SPEC = Phantom(patients=4, omics_only=20, genes=120, factors=8)
SEED = 3


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(SPEC, SEED)


def test_planted_sets_are_the_genes_that_a_factor_moves(truth: Truth) -> None:
    sets = gene_sets(truth, SEED)
    loadings = pd.DataFrame(truth.loadings["genes"], index=list(truth.genes))
    assert sets["PHANTOM_LUMINAL_UP"] == loadings.index[loadings[0] >= STRONG].tolist()
    assert sets["PHANTOM_LUMINAL_DOWN"] == loadings.index[loadings[0] <= -STRONG].tolist()
    assert sets["PHANTOM_FACTOR_08_DOWN"] == loadings.index[loadings[7] <= -STRONG].tolist()
    planted = {gene for name, genes in sets.items() if name.startswith("PHANTOM") for gene in genes}
    assert planted == set(loadings.index[(loadings.abs() >= STRONG).any(axis=1)])


def test_each_planted_set_has_a_random_one_of_its_size(truth: Truth) -> None:
    sets = gene_sets(truth, SEED)
    planted = [name.removeprefix("PHANTOM_") for name in sets if name.startswith("PHANTOM_")]
    assert len(sets) == 2 * len(planted)
    for name in planted:
        random = sets[f"RANDOM_{name}"]
        assert len(random) == len(set(random)) == len(sets[f"PHANTOM_{name}"]) and set(random) <= set(truth.genes)
    alike = [set(sets[f"RANDOM_{name}"]) == set(sets[f"PHANTOM_{name}"]) for name in planted]
    assert np.mean(alike) < 0.2
    assert gene_sets(truth, SEED) == sets != gene_sets(truth, SEED + 1)


def test_the_file_is_read_as_that_of_kegg_is(truth: Truth, tmp_path: Path) -> None:
    write_gene_sets(truth, tmp_path / GENE_SETS_FILE, seed=SEED)
    found = read_gene_sets(tmp_path / GENE_SETS_FILE, whole=False)
    assert found.faults.empty
    read = {name: part.tolist() for name, part in found.table.groupby("set", sort=False)["gene"]}
    assert read == gene_sets(truth, SEED)
    lines = (tmp_path / GENE_SETS_FILE).read_text(encoding="utf-8").splitlines()
    assert {line.count("\t") for line in lines} == {len(read) - 1} and "NA" in lines[-1].split("\t")
