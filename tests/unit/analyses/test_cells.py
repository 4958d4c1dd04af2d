"""Which folds a cell of the prediction table is evaluated in, and when there are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses.arms import Material
from radgen_lib.analyses.cells import CIRCULAR, Cell, Setting, partitions
from radgen_lib.analyses.prediction import prediction_rows
from radgen_lib.analyses.runs import SELECTED_GENES, featured_runs
from radgen_lib.core.config.cpdm import RIGOROUS, Prediction, Protocol


@pytest.fixture(scope="module")
def material(world: Any) -> Material:
    featured = {generator: table for (_, generator), table in featured_runs(world.runs).items()}
    return sets.gather(world.tables, featured, "genes15", "radiomics", RIGOROUS)


def _cell(task: str = "er", on: Any = "synthetic") -> Cell:
    return Cell("genes15", "radiomics", task, "logistic", on)


def _parts(world: Any, material: Material, protocol: Protocol, asked: Prediction, cell: Cell) -> Any:
    setting = Setting("p", protocol, asked, 1)
    return partitions(setting, world.tables, material, cell, world.tables.labels(cell.task))


def test_nested_folds_on_real_are_the_grouped_ones(
    world: Any, material: Material, rigorous: Protocol, asked: Prediction
) -> None:
    parts, reason = _parts(world, material, rigorous, asked, _cell(on="real"))
    assert reason == ""
    assert [p.source_fold for p in parts] == ["r0f0", "r0f1"]
    imaged = set(world.tables.real_features["patient"])
    assert {p for part in parts for p in part.test} == imaged


def test_nested_folds_on_synthetic_are_the_endpoint_ones(
    world: Any, material: Material, rigorous: Protocol, asked: Prediction
) -> None:
    parts, _ = _parts(world, material, rigorous, asked, _cell())
    assert [p.fold for p in parts] == ["e0f0", "e0f1", "e0f2"]
    assert {p.source_fold for p in parts} == {"full"}


def test_random_tests_are_the_same_for_every_classifier_and_differ_between_tasks(
    world: Any, material: Material, published: Protocol, asked: Prediction
) -> None:
    one, _ = _parts(world, material, published, asked, _cell())
    again, _ = _parts(world, material, published, asked, replace(_cell(), classifier="svm"))
    other, _ = _parts(world, material, published, asked, _cell("mut_TP53"))
    assert one == again
    assert [p.test for p in one] != [p.test for p in other]
    assert len(one) == asked.holdout_seeds


def test_reasons_when_no_generator_serves_everybody(
    world: Any, material: Material, rigorous: Protocol, published: Protocol, asked: Prediction
) -> None:
    only = {k: v for k, v in material.samples.items() if k[2].startswith("r0")}
    grouped = Material(material.real, material.condition, only, 0)
    for protocol in (rigorous, published):
        parts, reason = _parts(world, grouped, protocol, asked, _cell())
        assert parts == []
        assert "no generator was trained on all training images" in reason
    assert _parts(world, grouped, rigorous, asked, _cell(on="real"))[1] == ""
    none = Material(material.real, material.condition, {}, 0)
    assert "in the grouped folds" in _parts(world, none, rigorous, asked, _cell(on="real"))[1]


def test_reason_when_the_splits_lack_the_endpoint(
    world: Any, material: Material, rigorous: Protocol, asked: Prediction
) -> None:
    empty = replace(world.tables, endpoint_splits=world.tables.endpoint_splits.iloc[:0])
    setting = Setting("p", rigorous, asked, 1)
    parts, reason = partitions(setting, empty, material, _cell(), world.tables.labels("er"))
    assert parts == []
    assert reason == "no folds for this endpoint in the splits"


def test_note_on_circular_labels_follows_the_switch(rigorous: Protocol, published: Protocol, asked: Prediction) -> None:
    assert _cell("subgroup").keys(Setting("p", rigorous, asked, 1))["note"] == CIRCULAR
    assert _cell("er").keys(Setting("p", rigorous, asked, 1))["note"] == SELECTED_GENES
    factors = replace(_cell("er"), condition="factors17")
    assert factors.keys(Setting("p", rigorous, asked, 1))["note"] == ""
    assert _cell("er").keys(Setting("p", published, asked, 1))["note"] == ""
    assert _cell("subgroup").keys(Setting("p", published, asked, 1))["note"] == ""


def test_one_switch_at_a_time_changes_only_its_part(
    world: Any, material: Material, rigorous: Protocol, asked: Prediction
) -> None:
    """Rigorous with one published switch: fit scope moves scores a little, the tested patients stay."""
    small = asked.model_copy(update={"tasks": ["er"], "bootstrap": 100})
    protocol = rigorous.model_copy(update={"test_on": ["synthetic"]})
    rows = {}
    for scope in ("train", "all"):
        chosen = protocol.model_copy(update={"fit_scope": scope})
        found, _ = prediction_rows(world.tables, world.runs, name="p", protocol=chosen, prediction=small, seed=1)
        rows[scope] = found[(found["arm"] == "synthetic") & (found["metric"] == "auroc") & (found["reason"] == "")]
    assert rows["all"]["value"].iloc[0] != rows["train"]["value"].iloc[0]
    assert rows["all"]["n"].iloc[0] == rows["train"]["n"].iloc[0]


def test_encoder_features_are_used_where_their_weights_are(world: Any, rigorous: Protocol, asked: Prediction) -> None:
    rng = np.random.default_rng(0)
    wide = [f"vgg16:{i}" for i in range(40)]

    def add(table: pd.DataFrame, who: pd.Series) -> pd.DataFrame:
        values = rng.normal(size=(len(table), 40)) + world.latent[who].to_numpy()[:, None]
        return pd.concat([table.reset_index(drop=True), pd.DataFrame(values, columns=wide)], axis=1)

    status = pd.DataFrame({"extractor": ["radiomics", "vgg16"], "status": "ok", "reason": ""})
    runs = [
        replace(run, features=add(run.features, run.index["condition_patient"]), status=status) for run in world.runs
    ]
    real = world.tables.real_features
    tables = replace(world.tables, real_features=add(real, real["patient"]))
    small = asked.model_copy(update={"tasks": ["er"], "bootstrap": 100})
    found, _ = prediction_rows(tables, runs, name="p", protocol=rigorous, prediction=small, seed=1)
    vgg = found[(found["extractor"] == "vgg16") & (found["arm"] == "synthetic") & (found["metric"] == "auroc")]
    assert (vgg.loc[vgg["generator"] == "edm", "value"] > 0.8).all()
    assert not found["reason"].str.contains("weights").any()
