"""Weights and card: round trip, and every way in which the two can disagree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import DataError
from radgen_lib.core.provenance import Card
from radgen_lib.generators.base import FitContext, TrainingData
from radgen_lib.generators.store import FittedGenerator, load_generators, save_generators
from radgen_lib.omics.conditions import ConditionScaler

NAMES = ("CD6", "LTB", "CYBA")


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(8).gamma(2.0, 50.0, size=(11, 3)), columns=list(NAMES))


@pytest.fixture
def stored(tmp_path, make, toy, raw) -> tuple[Path, dict[str, FittedGenerator]]:
    """Three folds, three classes, two ways of scaling."""
    fitted = {}
    for fold, name, method in [
        ("r0f0", "PCARidge", "cohort_zscore"), ("r0f1", "NearestPatient", "per_patient_minmax"),
        ("full", "UniformNoise", "cohort_zscore"),
    ]:  # fmt: skip
        scaler = ConditionScaler.fit(raw[: len(toy.images)], method, log=True)
        generator = make(f"baselines:{name}")
        conditions = scaler.transform(raw.to_numpy()[: len(toy.images)])
        generator.fit(TrainingData(toy.images[:11], conditions, toy.patients[:11]), FitContext(seed=0))
        ranges = np.stack([raw.min(), raw.max()]) if fold == "full" else None
        fitted[fold] = FittedGenerator(generator, scaler, NAMES, ranges)
    card = Card("train_generator", config={"epochs": 1}, seed=3, code="abc")
    rows = {"patient": toy.patients[:11].tolist(), "image_index": list(range(11))}
    card.add(trained_on=dict.fromkeys(fitted, rows))
    save_generators(tmp_path / "weights.safetensors", tmp_path / "card.json", fitted, card)
    return tmp_path / "card.json", fitted


def edit(card: Path, change) -> None:
    fields = json.loads(card.read_text())
    change(fields)
    card.write_text(json.dumps(fields))


def edit_weights(card: Path, change) -> None:
    """Change the arrays and let the card agree with the new file."""
    weights = card.with_name("weights.safetensors")
    arrays = load_file(weights)
    change(arrays)
    save_file(arrays, weights)
    edit(card, lambda fields: fields.update(weights_sha256=file_sha256(weights)))


def test_round_trip(stored, raw, toy):
    card, fitted = stored
    loaded = load_generators(card)
    assert loaded.keys() == fitted.keys()
    for fold, one in fitted.items():
        twin = loaded[fold]
        assert type(twin.generator) is type(one.generator) and twin.names == NAMES
        assert twin.generator.options == one.generator.options
        seeds = list(range(len(raw)))
        np.testing.assert_array_equal(twin.sample(raw, seeds), one.sample(raw, seeds))
        assert twin.patients == tuple(sorted(set(toy.patients[:11])))
    np.testing.assert_array_equal(loaded["full"].ranges, fitted["full"].ranges)
    assert loaded["r0f0"].ranges is None


def test_sampling_scales_raw_values_and_finds_columns_by_name(stored, raw):
    _, fitted = stored
    one = fitted["r0f0"]
    expected = one.generator.sample(one.scaler.transform(raw.to_numpy()), [0] * len(raw))
    mixed = raw.assign(EXTRA=1.0)[["EXTRA", "LTB", "CYBA", "CD6"]]
    np.testing.assert_array_equal(one.sample(mixed, [0] * len(raw)), expected)


def test_the_card_says_what_a_user_needs(stored):
    fields = json.loads(stored[0].read_text())
    fold = fields["folds"]["r0f1"]
    assert fold["class_path"] == "radgen_lib.generators.baselines:NearestPatient"
    assert fold["scaling"] == "per_patient_minmax" and fold["log"] is True and fold["names"] == list(NAMES)
    assert fold["image_indexes"] == list(range(11)) and len(fold["patients"]) == len(set(fold["patients"]))
    assert fields["weights"] == "weights.safetensors" and len(fields["weights_sha256"]) == 64
    assert "diagnosis" in fields["intended_use"] and "licence" in fields and fields["seed"] == 3


def test_the_same_generators_give_the_same_bytes(stored, tmp_path):
    card, fitted = stored
    other = tmp_path / "again"
    save_generators(other / "w.safetensors", other / "card.json", fitted, Card("x", config={}, seed=1, code=""))
    assert (other / "w.safetensors").read_bytes() == card.with_name("weights.safetensors").read_bytes()


def test_weights_and_card_lie_together(stored, tmp_path):
    with pytest.raises(ValueError, match="one folder"):
        save_generators(tmp_path / "a" / "w", tmp_path / "b" / "c", stored[1], Card("x", config={}, seed=1, code=""))


def test_moved_together_they_still_load(stored, tmp_path, raw):
    card, fitted = stored
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("card.json", "weights.safetensors"):
        card.with_name(name).rename(moved / name)
    assert load_generators(moved / "card.json").keys() == fitted.keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.update(weights_sha256="0" * 64), "SHA-256 is"),
        (lambda f: f.update(weights_sha256="short"), "with a SHA-256"),
        (lambda f: f.update(weights="gone.safetensors"), "not there, but card.json names it"),
        (lambda f: f.update(weights="../card.json"), "must be a file name"),
        (lambda f: f.pop("folds"), "no generator card: folds"),
        (lambda f: f["folds"]["full"].pop("names"), r"folds\.full\.names"),
        (lambda f: f["folds"]["full"].update(scaling="none"), r"folds\.full\.scaling"),
        (lambda f: f["folds"]["full"].update(class_path="radgen_lib.nowhere:X"), "fold full.*nowhere"),
        (lambda f: f["folds"]["full"].update(class_path="pathlib:Path"), "fold full.*is not a"),
        (lambda f: f["folds"]["full"].update(options={"steps": 3}), "fold full.*steps"),
        (lambda f: f["folds"]["r0f0"].update(names=["CD6"]), "fold r0f0.*coefficients"),
        (lambda f: f["folds"]["r0f0"].update(image_size=32), "fold r0f0.*components"),
        (lambda f: f["folds"].pop("full"), r"folds \['full'\] unknown"),
    ],
)
def test_a_bad_card_is_one_line(stored, change, said):
    card = stored[0]
    edit(card, change)
    with pytest.raises(DataError, match=said) as caught:
        load_generators(card)
    assert "\n" not in str(caught.value) and str(card.parent) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("r0f0/generator/mean"), "fold r0f0.*mean.*missing"),
        (lambda a: a.update({"r0f1/generator/images": np.zeros((2, 16, 16), "f4")}), "fold r0f1.*images"),
        (lambda a: a.pop("full/scaler/mean"), "fold full.*mean"),
        (lambda a: a.update({"r9f9/generator/x": np.zeros(1)}), "r9f9"),
    ],
)
def test_wrong_arrays_are_named(stored, change, said):
    edit_weights(stored[0], change)
    with pytest.raises(DataError, match=said):
        load_generators(stored[0])


def test_unreadable_cards(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_generators(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        load_generators(tmp_path / "text.json")


def test_weights_that_are_no_weights(stored):
    card = stored[0]
    weights = card.with_name("weights.safetensors")
    weights.write_bytes(b"junk")
    edit(card, lambda fields: fields.update(weights_sha256=file_sha256(weights)))
    with pytest.raises(DataError, match="no safetensors file"):
        load_generators(card)


def test_a_network_survives_the_round_trip(tmp_path, make, toy, raw):
    options = {"channels": [8, 16], "num_head_channels": 8, "res_blocks": 1, "token_width": 8, "sampling_steps": 2}
    generator = make("edm:UntrainedDiffusion", **options)
    generator.fit(toy, FitContext(seed=0))
    one = FittedGenerator(generator, ConditionScaler.fit(raw, "cohort_zscore", log=False), NAMES)
    card = Card("x", config={}, seed=1, code="")
    save_generators(tmp_path / "weights.safetensors", tmp_path / "card.json", {"full": one}, card)
    twin = load_generators(tmp_path / "card.json")["full"]
    np.testing.assert_array_equal(twin.sample(raw[:2], [1, 2]), one.sample(raw[:2], [1, 2]))
