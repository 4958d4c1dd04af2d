"""Stability over seeds on planted factors, and its summary against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors.stability import STABILITY_COLUMNS, seed_rows, stability, stability_rows
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.factor_layout import factor_settings
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import FoldFit, fit_fold

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
    """As the rule hands them on: reading any other key fails."""
    block = Factors(**{"components": 4, "method": "variational", "chains": 1, "draws": 20, "seeds": 2, **changes})
    return Factors.part(factor_settings(block, "factor_stability"))


def whole(tensor: StoredTensor, **changes: object) -> FoldFit:
    """The fit on everyone as the workflow saves it, its patients in no order."""
    order = np.random.default_rng(5).permutation(len(tensor.patients))
    return fit_fold(tensor, "full", [tensor.patients[i] for i in order], settings(**changes), seed=31)


@pytest.fixture(scope="module")
def saved() -> FoldFit:
    return whole(planted())


def test_planted_components_come_back_from_every_seed(saved: FoldFit):
    table = stability(planted(), saved, settings(), 0)
    assert list(table.columns) == list(STABILITY_COLUMNS) and table["n"].eq(40).all()
    assert sorted(table["seed"].unique()) == [0, 1] and table["rank"].eq(2).all()
    assert (table["match"] > 0.95).all() and table.loc[table["seed"] == 0, "match"].to_numpy() == pytest.approx(1.0)
    assert (table.loc[table["seed"] == 1, "match"] < 1).all()
    assert table.equals(stability(planted(), saved, settings(), 0))
    rows = stability_rows(table, 4).set_index(["metric", "task"])
    assert rows.loc[("rank", ""), ["value", "low", "high"]].tolist() == [2, 2, 2]
    assert rows.loc[("rank", ""), "note"] == ""
    assert rows.loc["returned", "value"].tolist() == [1.0, 1.0]


def test_components_are_those_of_the_saved_fit(saved: FoldFit, tmp_path: Path):
    """F01 here is F01 of the genes and associations, even where the saved fit orders its components otherwise."""
    saved.save(tmp_path)
    first = FoldFit.load(tmp_path, "full")
    model = first.model
    for name in ("factors_", "factors_std_"):
        setattr(model, name, getattr(model, name)[:, ::-1].copy())
    model.explained_ = model.explained_[::-1].copy()
    table = stability(planted(), first, settings(), 0)
    for _, part in table.groupby("seed"):
        assert part["explained"].to_numpy() == pytest.approx(model.explained_.mean(axis=1))
        assert part["explained"].is_monotonic_increasing
    assert (table["match"] > 0.95).all()


def test_other_seeds_start_at_random_and_learn_from_the_same_patients(monkeypatch: pytest.MonkeyPatch):
    tensor = planted()
    tensor.values[11] = np.nan
    first, asked = whole(tensor), []

    def watched(tensor, fold, training, given, *, seed, start):
        asked.append((fold, list(training), start, seed))
        return fit_fold(tensor, fold, training, given, seed=seed, start=start)

    monkeypatch.setattr("radgen_lib.analyses.factors.stability.fit_fold", watched)
    table = stability(tensor, first, settings(seeds=3), 0)
    assert [row[:3] for row in asked] == [("full", list(first.model.patients_), "random")] * 2
    assert asked[0][3] != asked[1][3]
    assert tensor.patients[11] not in asked[0][1] and table["n"].eq(39).all()
    assert (table["match"] > 0.9).all()  # rows of the same patients stand side by side


def test_a_fit_of_another_tensor_is_refused(saved: FoldFit):
    tensor = planted()
    other = StoredTensor(tensor.values[:-1], tensor.patients[:-1], tensor.genes, tensor.omics, tensor.scales)
    with pytest.raises(DataError, match=f"{tensor.patients[-1]} is not in the tensor"):
        stability(other, saved, settings(), 0)


def test_a_fit_that_keeps_nothing_has_a_row():
    rng = np.random.default_rng(1)
    noise = StoredTensor(rng.normal(size=(20, 12, 3)).astype(np.float32), *_axes(20, 12), ("other",) * 3)
    table = stability(noise, whole(noise, components=2), settings(components=2), 0)
    assert table["rank"].eq(0).all() and table["component"].eq("").all() and table["match"].isna().all()
    rows = stability_rows(table, 2)
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
    rows = stability_rows(table, 4).set_index(["metric", "task"])
    assert rows.loc[("rank", ""), ["value", "low", "high", "n"]].tolist() == [3, 2, 4, 33]
    told = "1 of 3 seeds: all 4 components of the start were kept, so the rank is the setting and not learned"
    assert rows.loc[("rank", ""), "note"] == told
    assert rows.loc[("returned", "F01"), "value"] == 1 and rows.loc[("returned", "F02"), "value"] == 0.5
    assert rows.loc[("returned", "F02"), "note"] == "1 of 2 other seeds with |r| > 0.9"
    assert rows.loc[("match", "F02"), ["value", "low", "high"]].tolist() == pytest.approx([0.705, 0.5, 0.91])
