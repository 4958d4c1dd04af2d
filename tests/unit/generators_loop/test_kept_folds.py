"""Finished folds outlive a killed job: they are taken up, not fitted again, and the outputs are the same bytes."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from radgen_lib.core.atomic import write_csv
from radgen_lib.core.provenance import Card
from radgen_lib.core.sealed import read_sealed, write_sealed
from radgen_lib.generators.base import FitContext, Generator, Options, State, TrainingData
from radgen_lib.generators.common import build_seeded, load_module, to_state
from radgen_lib.generators.loop import LoopOptions, train
from radgen_lib.generators.resume import KeptFold, remove_kept
from radgen_lib.generators.store import FittedGenerator, load_generators, save_generators
from radgen_lib.generators.training import Recipe, train_folds

FOLDS = ["r0f0", "r0f1", "r0f2"]
SIDE, PATIENTS = 6, 9
OUTPUTS = ("weights.safetensors", "training.csv", "card.json")


class Killed(Exception):
    """An end without any notice."""


class CountingOptions(Options):
    """One option, so that a recipe can differ."""

    strength: float = Field(default=1.0)


class Counting(Generator):
    """Mean image and some seeded noise; counts its fits, and can be killed in one of them."""

    Options: ClassVar[type[Options]] = CountingOptions
    accelerated = False
    fits: ClassVar[list[int]] = []
    killed_in: ClassVar[int | None] = None
    arrays: State

    def fit(self, data: TrainingData, context: FitContext) -> None:
        if self.killed_in == len(self.fits):
            context.record({"step": 1, "loss": 9.0})
            raise Killed
        self.fits.append(context.seed)
        noise = np.random.default_rng(context.seed).normal(size=(SIDE, SIDE))
        self.arrays = {
            "mean": np.asfortranarray(data.images.mean(axis=0) + self.options.strength * noise),  # not in C order
            "weight": (data.conditions.T @ data.conditions).astype(np.float32),
            "count": np.array(len(data.images)),
        }
        for step in (1, 2):
            context.record({"step": step, "loss": float(noise[0, step]) / 3, "score": math.nan})
        context.record({"step": 3, "late": np.float64(1 / 7)})

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        return np.repeat(self.arrays["mean"][None].astype(np.float32), len(conditions), axis=0)

    def state(self) -> State:
        return self.arrays

    def load_state(self, state: State) -> None:
        if set(state) != {"mean", "weight", "count"}:
            raise ValueError("state: other arrays")
        self.arrays = state


class LoopOf(Counting):
    """The same interface over the real training loop."""

    Options: ClassVar[type[Options]] = LoopOptions

    def fit(self, data: TrainingData, context: FitContext) -> None:
        import torch

        if self.killed_in == len(self.fits):
            raise Killed
        self.fits.append(context.seed)
        network = build_seeded(context.seed, lambda: torch.nn.Conv2d(1, 1, 3, padding=1))

        def loss(model, images, conditions, generator):
            return (model(images) - images).square().mean()

        self.network = train(network, loss, data, self.options, context)

    def state(self) -> State:
        return to_state(self.network)

    def load_state(self, state: State) -> None:
        import torch

        self.network = torch.nn.Conv2d(1, 1, 3, padding=1)
        load_module(self.network, state)


@pytest.fixture(autouse=True)
def no_fits_yet(monkeypatch) -> None:
    for kind in (Counting, LoopOf):
        monkeypatch.setattr(kind, "fits", [])
        monkeypatch.setattr(kind, "killed_in", None)
    monkeypatch.setattr("radgen_lib.core.provenance.time.monotonic", lambda: 0.0)  # the duration is all that differs


@pytest.fixture
def tables() -> dict[str, object]:
    rng = np.random.default_rng(4)
    patients = [f"TCGA-AO-A{i:03d}" for i in range(PATIENTS)]
    roles = [(fold, image, "test" if image % 3 == number else "train")
             for number, fold in enumerate(FOLDS) for image in range(PATIENTS)]  # fmt: skip
    return {
        "images": rng.integers(0, 255, (PATIENTS, SIDE, SIDE), dtype=np.uint8),
        "series": pd.DataFrame({"image_index": range(PATIENTS), "patient": patients}),
        "splits": pd.DataFrame(roles, columns=["fold", "image_index", "role"]),
        "conditions": pd.DataFrame(rng.gamma(2, 9, (PATIENTS, 2)), columns=["CD6", "LTB"]).assign(patient=patients),
    }


RECIPE = Recipe(f"{__name__}:Counting", {}, "genes15", "cohort_zscore", log=True, image_size=SIDE)
LOOP = replace(RECIPE, class_path=f"{__name__}:LoopOf", options={"epochs": 2, "batch_size": 4})


def job(tables, out: Path, folder: Path | None, recipe: Recipe = RECIPE, **context) -> dict[str, FittedGenerator]:
    """What the workflow script does, with the output of every step."""
    rows: dict[str, object] = {}
    told = FitContext(**{"seed": 7, "resume": folder, **context})
    note = lambda fold, given: rows.update({fold: given.to_dict("list")})  # noqa: E731
    fitted, figures = train_folds(recipe, FOLDS, **tables, context=told, on_fold=note)
    write_csv(out / "training.csv", figures)
    card = Card("train_generator", config={}, seed=7, code="x")
    card.add(trained_on=rows, device="cpu")
    save_generators(out / "weights.safetensors", out / "card.json", fitted, card)
    return fitted


def killed_in_fold_two(tables, folder: Path, monkeypatch, recipe: Recipe = RECIPE) -> list[Path]:
    kind = LoopOf if recipe is LOOP else Counting
    kind.fits.clear()
    monkeypatch.setattr(kind, "killed_in", 1)
    with pytest.raises(Killed):
        job(tables, folder.parent / "never", folder, recipe)
    assert not (folder.parent / "never").exists()
    monkeypatch.setattr(kind, "killed_in", None)
    kind.fits.clear()
    return sorted(folder.rglob("*.safetensors"))


def assert_same_outputs(one: Path, two: Path) -> None:
    for name in OUTPUTS:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


@pytest.mark.parametrize("recipe", [RECIPE, LOOP], ids=["plain", "loop"])
def test_a_killed_job_takes_up_its_finished_fold_and_ends_with_the_same_bytes(tables, tmp_path, monkeypatch, recipe):
    job(tables, tmp_path / "whole", None, recipe)
    kept = killed_in_fold_two(tables, tmp_path / "state", monkeypatch, recipe)
    assert [path.parent.name.split("-")[0] for path in kept] == ["r0f0"]
    fitted = job(tables, tmp_path / "again", tmp_path / "state", recipe)
    assert len((LoopOf if recipe is LOOP else Counting).fits) == 2  # of three folds
    assert_same_outputs(tmp_path / "whole", tmp_path / "again")
    remove_kept(fitted.values())
    assert list((tmp_path / "state").iterdir()) == []


def test_kept_folds_stay_until_the_outputs_are_written(tables, tmp_path):
    fitted = job(tables, tmp_path / "one", tmp_path / "state")
    files = sorted((tmp_path / "state").rglob("*.safetensors"))
    assert sorted(one.kept for one in fitted.values()) == files and len(files) == 3
    Counting.fits.clear()
    job(tables, tmp_path / "two", tmp_path / "state")  # killed while it wrote: nothing is fitted again
    assert Counting.fits == []
    assert_same_outputs(tmp_path / "one", tmp_path / "two")


def test_folds_that_are_taken_up_sample_as_the_written_ones_do(tables, tmp_path):
    job(tables, tmp_path / "out", tmp_path / "state")
    again = job(tables, tmp_path / "out", tmp_path / "state")
    loaded = load_generators(tmp_path / "out" / "card.json")
    for fold, one in again.items():
        images = one.sample(tables["conditions"], range(PATIENTS))
        np.testing.assert_array_equal(images, loaded[fold].sample(tables["conditions"], range(PATIENTS)))
        np.testing.assert_array_equal(one.ranges, loaded[fold].ranges)
        assert one.scaler.names == loaded[fold].scaler.names == ("CD6", "LTB")


def test_without_a_resume_folder_nothing_is_kept(tables, tmp_path):
    for _ in range(2):
        fitted = job(tables, tmp_path / "out", None)
    assert len(Counting.fits) == 6
    assert all(one.kept is None for one in fitted.values())
    remove_kept(fitted.values())
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == sorted(OUTPUTS)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x04
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nameless(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, path)


def other_arrays(path: Path) -> None:
    """A whole file of the right digest whose arrays do not fit the class."""
    arrays, facts = read_sealed(path)
    arrays.pop(next(name for name in arrays if name.startswith("r0f0/generator/")))
    write_sealed(path, arrays, json.dumps(facts))


def other_kind(path: Path) -> None:
    write_sealed(path, {"a": np.zeros(2)}, json.dumps({"kind": "something else"}))


@pytest.mark.parametrize("damage", [truncate, flip, empty, nameless, other_arrays, other_kind])
@pytest.mark.parametrize("recipe", [RECIPE, LOOP], ids=["plain", "loop"])
def test_a_damaged_file_is_said_and_its_fold_is_fitted_again(tables, tmp_path, monkeypatch, caplog, damage, recipe):
    job(tables, tmp_path / "whole", None, recipe)
    (kept,) = killed_in_fold_two(tables, tmp_path / "state", monkeypatch, recipe)
    damage(kept)
    kind = LoopOf if recipe is LOOP else Counting
    job(tables, tmp_path / "again", tmp_path / "state", recipe)
    assert len(kind.fits) == 3
    assert f"{kept}: ignored (" in caplog.text and "fold r0f0 is trained again" in caplog.text
    assert caplog.text.count("ignored") == 1  # the training loop is not told of it once more
    assert_same_outputs(tmp_path / "whole", tmp_path / "again")
    kind.fits.clear()
    job(tables, tmp_path / "third", tmp_path / "state", recipe)
    assert kind.fits == []  # and the new one is whole


@pytest.mark.parametrize(
    "change", ["pixels", "names", "values", "seed", "threads", "option", "log", "packages", "code"]
)
def test_a_fold_of_other_training_is_never_taken(tables, tmp_path, monkeypatch, change):
    killed_in_fold_two(tables, tmp_path / "state", monkeypatch)
    recipe, context = RECIPE, {}
    if change == "pixels":
        tables["images"] = tables["images"] // 2
    elif change == "names":
        tables["conditions"] = tables["conditions"].rename(columns={"LTB": "CYBA"})
    elif change == "values":
        tables["conditions"] = tables["conditions"].assign(LTB=tables["conditions"]["LTB"] + 1)
    elif change in ("seed", "threads"):
        context = {change: 2}
    elif change == "option":
        recipe = replace(RECIPE, options={"strength": 0.5})
    elif change == "log":
        recipe = replace(RECIPE, log=False)
    else:
        name = {"packages": "package_versions", "code": "code_digest"}[change]
        monkeypatch.setattr(f"radgen_lib.generators.training.{name}", lambda *_: "other")
    job(tables, tmp_path / "again", tmp_path / "state", recipe, **context)
    assert len(Counting.fits) == 3
    Counting.fits.clear()
    job(tables, tmp_path / "fresh", None, recipe, **context)
    assert_same_outputs(tmp_path / "fresh", tmp_path / "again")


def test_pixels_of_the_test_side_are_no_part_of_it(tables, tmp_path, monkeypatch):
    killed_in_fold_two(tables, tmp_path / "state", monkeypatch)
    tables["images"][0] = 0  # image 0 is held out in r0f0
    job(tables, tmp_path / "again", tmp_path / "state")
    assert len(Counting.fits) == 2


def test_jobs_in_one_folder_remove_their_own_folds_alone(tables, tmp_path):
    mine = job(tables, tmp_path / "mine", tmp_path / "state")
    theirs = job(tables, tmp_path / "theirs", tmp_path / "state", replace(RECIPE, options={"strength": 2.0}))
    remove_kept(mine.values())
    assert sorted((tmp_path / "state").rglob("*.safetensors")) == sorted(one.kept for one in theirs.values())


def test_other_files_in_the_folder_stay(tables, tmp_path):
    fitted = job(tables, tmp_path / "out", tmp_path / "state")
    note = fitted["r0f1"].kept.with_name("notes.txt")
    note.write_text("mine")
    remove_kept(fitted.values())
    remove_kept(fitted.values())  # what is gone already is no fault
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == [note]


def test_a_refusal_to_remove_is_said(tables, tmp_path, monkeypatch, caplog):
    fitted = job(tables, tmp_path / "out", tmp_path / "state")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_kept(fitted.values())
    assert caplog.text.count("kept fold was not removed") == 3


def test_a_full_disk_costs_a_warning_and_nothing_else(tables, tmp_path, monkeypatch, caplog):
    import safetensors.numpy

    job(tables, tmp_path / "whole", None)
    real = safetensors.numpy.save_file

    def full(arrays, path, *given):
        if given:  # a kept fold, not the outputs
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(arrays, path)

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    fitted = job(tables, tmp_path / "again", tmp_path / "state")
    assert caplog.text.count("No space left on device") == 3 and "free space" in caplog.text
    assert all(one.kept is None for one in fitted.values())
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []
    assert_same_outputs(tmp_path / "whole", tmp_path / "again")


def test_figures_come_back_as_they_were_and_nothing_is_pickled(tables, tmp_path):
    _, first = train_folds(RECIPE, FOLDS, **tables, context=FitContext(seed=7, resume=tmp_path))
    _, again = train_folds(RECIPE, FOLDS, **tables, context=FitContext(seed=7, resume=tmp_path))
    assert len(Counting.fits) == 3
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert list(first.columns) == ["fold", "step", "loss", "score", "late"]
    arrays, facts = read_sealed(next(tmp_path.glob("r0f1-*/kept.safetensors")))
    assert "r0f1/generator/mean" in arrays
    assert [row["step"] for row in facts["rows"]] == [1, 2, 3]


def test_figures_that_are_no_numbers_are_refused(tables, tmp_path):
    fitted, _ = train_folds(RECIPE, FOLDS[:1], **tables, context=FitContext(seed=7))

    def fit(record):
        record({"step": object()})
        return fitted["r0f0"]

    with pytest.raises(TypeError, match="is no number"):
        KeptFold(tmp_path / "x", "r0f0", "d").take_or_fit(lambda row: None, fit)
