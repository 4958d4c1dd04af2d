"""Who is in the training and the test set of each arm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses.arms import Arm, Material, Partition
from radgen_lib.analyses.classifiers import Fit
from radgen_lib.analyses.runs import (
    Run,
    design_of,
    extractor_columns,
    featured_runs,
    known_extractors,
    missing_extractors,
    repeat_of,
)
from radgen_lib.core.config.cpdm import AS_PUBLISHED, RIGOROUS, Protocol
from radgen_lib.core.errors import DataError
from radgen_lib.generators.base import FitContext
from radgen_lib.generators.baselines import NearestPatient
from radgen_lib.generators.store import FittedGenerator
from radgen_lib.generators.training import Recipe, train_fold, training_images
from radgen_lib.omics.conditions import Preparation


@pytest.fixture(scope="module")
def material(world: Any) -> Material:
    return _gathered(world, RIGOROUS)


def _gathered(world: Any, protocol: Protocol) -> Material:
    featured = {generator: table for (_, generator), table in featured_runs(world.runs).items()}
    return sets.gather(world.tables, featured, "genes15", "radiomics", protocol)


def _fit(found: Fit | str) -> Fit:
    assert isinstance(found, Fit), found
    return found


def _grouped(world: Any) -> tuple[Partition, pd.Series]:
    labels = world.tables.labels("er")
    return sets.grouped_partitions(world.tables.splits, labels)[0], labels


def _imaged(world: Any) -> set[str]:
    return set(world.tables.real_features["patient"])


@pytest.mark.parametrize(
    ("arm", "outside", "inside"),
    [
        (Arm("real"), False, True),
        (Arm("synthetic", "edm", "synthetic"), True, False),
        (Arm("both", "edm", "synthetic"), True, True),
        (Arm("condition"), True, True),
        (Arm("shuffled", "edm", "shuffled"), True, False),
        (Arm("noise", "noise", "synthetic"), True, False),
    ],
)
def test_training_patients_of_each_arm_tested_on_real(
    world: Any, material: Material, arm: Arm, outside: bool, inside: bool
) -> None:
    part, labels = _grouped(world)
    fit = _fit(sets.make_fit(arm, material, part, labels, "edm", "real"))
    imaged = _imaged(world)
    assert bool(set(fit.train_patients) - imaged) is outside
    assert set(fit.train_patients) & imaged == (set(part.train) if inside else set())
    assert set(fit.test_patients) == set(part.test)
    assert not set(fit.test_patients) & set(fit.train_patients)
    assert (fit.test_y == labels.loc[fit.test_patients]).all()


def test_tested_features_are_the_mean_over_the_patients_real_images(world: Any, material: Material) -> None:
    part, labels = _grouped(world)
    fit = _fit(sets.make_fit(Arm("synthetic", "edm", "synthetic"), material, part, labels, "edm", "real"))
    patient = part.test[0]
    mine = world.tables.real_features[world.tables.real_features["patient"] == patient]
    mean = mine[extractor_columns(mine, "radiomics")].mean().to_numpy()
    assert np.allclose(fit.test_x[list(fit.test_patients).index(patient)], mean)


def test_images_come_from_the_folds_own_generator(world: Any, material: Material) -> None:
    part, labels = _grouped(world)
    fit = _fit(sets.make_fit(Arm("synthetic", "edm", "synthetic"), material, part, labels, "edm", "real"))
    assert np.array_equal(
        fit.train_x[0], material.samples["edm", "synthetic", part.fold].loc[fit.train_patients[0]].to_numpy()
    )


def _trained(world: Any, protocol: Protocol, fold: str) -> FittedGenerator:
    """A generator trained on a fold as the workflow trains it."""
    recipe = Recipe(
        "radgen_lib.generators.baselines:NearestPatient", {}, "genes15", protocol.condition_scaling,
        log=protocol.condition_log, image_size=world.images.shape[-1],
    )  # fmt: skip
    conditions, splits = world.tables.conditions["genes15"], world.tables.splits
    rows = training_images(splits, fold, world.series, conditions)
    return train_fold(recipe, world.images, rows, conditions, FitContext(seed=0))


@pytest.mark.parametrize("protocol", [RIGOROUS, AS_PUBLISHED], ids=["rigorous", "as_published"])
def test_condition_arm_is_given_what_the_generator_of_the_fold_is_given(
    world: Any, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, labels = _grouped(world)
    fit = _fit(sets.make_fit(Arm("condition"), _gathered(world, protocol), part, labels, "edm", "real"))
    given: list[np.ndarray] = []
    monkeypatch.setattr(NearestPatient, "sample", lambda self, conditions, seeds, device: given.append(conditions))
    raw = world.tables.conditions["genes15"].set_index("patient")
    fitted = _trained(world, protocol, part.fold)
    for patients, x in ((fit.train_patients, fit.train_x), (fit.test_patients, fit.test_x)):
        fitted.sample(raw.loc[patients], [0] * len(patients))
        assert np.array_equal(x, given.pop())


def test_expression_is_logged_where_the_protocol_says_so(world: Any) -> None:
    raw = world.tables.conditions["genes15"].set_index("patient")
    published, rigorous = (_gathered(world, protocol).given["split"] for protocol in (AS_PUBLISHED, RIGOROUS))
    low = raw.min(axis=1).to_numpy()[:, None]
    np.testing.assert_allclose(published, (raw - low) / (raw.max(axis=1).to_numpy()[:, None] - low), rtol=1e-5)
    tables, splits = np.log2(raw + 1), world.tables.splits
    trained = tables.loc[splits.loc[(splits["fold"] == "split") & (splits["role"] == "train"), "patient"].unique()]
    np.testing.assert_allclose(rigorous, (tables - trained.mean()) / trained.std(ddof=1), rtol=1e-4, atol=1e-5)


def test_factors_are_never_logged(world: Any) -> None:
    values = world.tables.conditions["genes15"].set_index("patient") - 1e3
    prepared = Preparation("factors", "per_patient_minmax", log=True).given(values, values.index)
    assert (prepared.min(axis=1) == 0).all() and (prepared.max(axis=1) == 1).all()


def test_endpoint_folds_cover_each_patient_once_a_repeat(world: Any, material: Material) -> None:
    pool = material.samples["edm", "synthetic", "full"].index
    parts = sets.endpoint_partitions(world.tables.endpoint_splits, "er", "full", pool)
    tested = [p for part in parts for p in part.test]
    assert sorted(tested) == sorted(pool)
    for part in parts:
        fit = _fit(
            sets.make_fit(
                Arm("both", "edm", "synthetic"), material, part, world.tables.labels("er"), "edm", "synthetic"
            )
        )
        assert set(fit.train_patients) & _imaged(world) == _imaged(world)
        assert not set(fit.test_patients) & _imaged(world)


def test_real_arm_cannot_be_tested_on_synthetic(world: Any, material: Material) -> None:
    part = Partition(0, "e0f0", [], [], "full")
    assert "the real arm has no such images" in str(
        sets.make_fit(Arm("real"), material, part, world.tables.labels("er"), "edm", "synthetic")
    )


def test_missing_generator_is_a_reason(world: Any, material: Material) -> None:
    part, labels = _grouped(world)
    gone = sets.make_fit(Arm("synthetic", "cpdm", "synthetic"), material, part, labels, "edm", "real")
    assert gone == "no synthetic images of generator cpdm for fold r0f0"
    assert "has no synthetic images" in str(sets.make_fit(Arm("condition"), material, part, labels, "cpdm", "real"))


def test_holdout_is_a_tenth_seeded_and_never_overlaps() -> None:
    people = [f"P{i}" for i in range(123)]
    first = sets.holdout_partitions(people, "split", share=0.1, times=5, seed=1)
    again = sets.holdout_partitions(people[::-1], "split", share=0.1, times=5, seed=1)
    assert first == again
    assert {len(p.test) for p in first} == {12}
    assert len({tuple(p.test) for p in first}) == 5
    for part in first:
        assert sorted(part.train + part.test) == sorted(people)


def test_source_fold_prefers_full_then_split(material: Material) -> None:
    assert sets.source_fold(material, "edm") == "full"
    only = {k: v for k, v in material.samples.items() if k[2] == "split"}
    assert sets.source_fold(Material(material.real, material.condition, only, 0), "edm") == "split"
    assert sets.source_fold(Material(material.real, material.condition, {}, 0), "edm") is None


def test_columns_that_are_not_finite_are_left_out_everywhere(world: Any) -> None:
    featured = {g: t.copy() for (_, g), t in featured_runs(world.runs).items()}
    where = featured["noise"].index[featured["noise"]["kind"] == "synthetic"][0]
    featured["noise"].loc[where, "radiomics:f3"] = np.inf
    found = sets.gather(world.tables, featured, "genes15", "radiomics", RIGOROUS)
    assert found.dropped_columns == 1
    assert "radiomics:f3" not in found.real.columns
    assert all("radiomics:f3" not in table.columns for table in found.samples.values())


def test_arms_list_controls_even_without_their_generators() -> None:
    names = [(a.name, a.generator) for a in sets.arms_of(["cpdm", "vae"], "cpdm")]
    assert ("untrained", "untrained") in names
    assert ("synthetic", "vae") in names
    assert names.count(("synthetic", "cpdm")) == 1


@pytest.mark.parametrize(
    ("fold", "design", "repeat"),
    [
        ("split", "published_split", 0), ("split-s2", "split_trainings", 0), ("image-07", "published_folds", 0),
        ("r2f13", "grouped", 2), ("site-AO_AR", "site", 0), ("full", "full", 0),
    ],
)  # fmt: skip
def test_fold_names(fold: str, design: str, repeat: int) -> None:
    assert design_of(fold) == design
    assert repeat_of(fold) == repeat


def test_unknown_fold_name() -> None:
    with pytest.raises(ValueError, match="leftover"):
        design_of("leftover")


def test_features_that_do_not_match_the_index_are_refused(world: Any) -> None:
    run = world.runs[0]
    short = Run(run.condition, run.generator, run.samples, run.index, run.features.iloc[1:], run.status)
    with pytest.raises(DataError, match="rows differ"):
        short.featured()


def test_chunks_are_put_together_and_status_is_read(world: Any, make_world: Callable[..., Any]) -> None:
    run = world.runs[0]
    joined = featured_runs([run, run])
    assert len(joined["genes15", "edm"]) == 2 * len(run.index)
    assert known_extractors(world.runs) == ["radiomics", "vgg16"]
    assert missing_extractors(world.runs) == {"vgg16": "weights not present: file vgg16.safetensors"}
