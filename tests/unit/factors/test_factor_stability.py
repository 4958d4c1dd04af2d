"""Stability over seeds on planted factors, and its summary against counts by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors.stability import STABILITY_COLUMNS, seed_rows, stability, stability_rows
from radgen_lib.core.config.factors import Factors
from radgen_lib.omics.btf.cohort_tensor import StoredTensor

OMICS = ("expression", "copy_number", "methylation")


def planted(noise: float = 0.3) -> StoredTensor:
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(40, 2)), np.array([[1.0, 0.4], [0.5, 1.0], [0.8, -1.0]])
    # Every gene loads: where none does, scaling a gene to unit variance would blow its noise up.
    w = rng.choice([-1, 1], size=(20, 2)) * rng.uniform(0.6, 1.4, size=(20, 2))
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + noise * rng.normal(size=(40, 20, 3))
    names = tuple(f"PHAN-AA-{i:04d}" for i in range(40))
    return StoredTensor(values.astype(np.float32), names, tuple(f"G{i:02d}" for i in range(20)), OMICS, ("other",) * 3)


def settings(**changes: object) -> Factors:
    return Factors(**{"components": 4, "method": "variational", "chains": 1, "draws": 20, "seeds": 2, **changes})


def test_planted_components_come_back_from_every_seed():
    table = stability(planted(), settings(), 0)
    assert list(table.columns) == list(STABILITY_COLUMNS) and table["n"].eq(40).all()
    assert sorted(table["seed"].unique()) == [0, 1] and table["rank"].eq(2).all()
    assert (table["match"] > 0.95).all() and table.loc[table["seed"] == 0, "match"].to_numpy() == pytest.approx(1.0)
    assert (table.loc[table["seed"] == 1, "match"] < 1).all()
    assert table.equals(stability(planted(), settings(), 0))
    rows = stability_rows(table).set_index(["metric", "task"])
    assert rows.loc[("rank", ""), ["value", "low", "high"]].tolist() == [2, 2, 2]
    assert rows.loc["returned", "value"].tolist() == [1.0, 1.0]


def test_a_fit_that_keeps_nothing_has_a_row():
    rng = np.random.default_rng(1)
    noise = StoredTensor(rng.normal(size=(20, 12, 3)).astype(np.float32), *_axes(20, 12), ("other",) * 3)
    table = stability(noise, settings(components=2), 0)
    assert table["rank"].eq(0).all() and table["component"].eq("").all() and table["match"].isna().all()
    rows = stability_rows(table)
    assert rows.loc[rows["metric"] == "returned", "reason"].tolist() == ["the first fit kept no component"]


def _axes(patients: int, genes: int) -> tuple[tuple[str, ...], ...]:
    return tuple(f"PHAN-AA-{i:04d}" for i in range(patients)), tuple(f"G{i:02d}" for i in range(genes)), OMICS


def test_components_without_a_partner_match_nothing():
    x = np.random.default_rng(0).normal(size=(30, 3))
    table = seed_rows(4, x, -x[:, [2]], np.array([0.5, 0.3, 0.1]))
    assert table["match"].tolist() == pytest.approx([0, 0, 1]) and table["rank"].eq(1).all()
    assert table["component"].tolist() == ["F01", "F02", "F03"] and table["explained"].tolist() == [0.5, 0.3, 0.1]


def test_summary_counts_the_other_seeds_only():
    matches = {"F01": [1.0, 0.99, 0.95], "F02": [1.0, 0.5, 0.91]}
    ranks = [2, 4, 3]
    table = pd.DataFrame(
        [(s, ranks[s], name, found[s], 0.2, 33) for s in range(3) for name, found in matches.items()],
        columns=list(STABILITY_COLUMNS),
    )
    rows = stability_rows(table).set_index(["metric", "task"])
    assert rows.loc[("rank", ""), ["value", "low", "high", "n"]].tolist() == [3, 2, 4, 33]
    assert rows.loc[("returned", "F01"), "value"] == 1 and rows.loc[("returned", "F02"), "value"] == 0.5
    assert rows.loc[("returned", "F02"), "note"] == "1 of 2 other seeds with |r| > 0.9"
    assert rows.loc[("match", "F02"), ["value", "low", "high"]].tolist() == pytest.approx([0.705, 0.5, 0.91])
