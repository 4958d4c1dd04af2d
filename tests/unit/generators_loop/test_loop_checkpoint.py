"""Checkpoints: a stopped training ends with the same bytes; damaged, foreign and refused files cost nothing."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from radgen_lib.core.errors import RadgenError, StopRequested
from radgen_lib.generators.base import TrainingData
from radgen_lib.generators.common import to_state

FULL = {"epochs": 5, "ema": 0.9, "checkpoint_steps": 2}


class Stop:
    """A loss that asks the process to stop (or fails) at its n-th call, like a scheduler would."""

    def __init__(self, loss, call: int, action=lambda: os.kill(os.getpid(), signal.SIGTERM)) -> None:
        self.loss, self.left, self.action = loss, call, action

    def __call__(self, *given):
        self.left -= 1
        if self.left == 0:
            self.action()
        return self.loss(*given)


class Crash(Exception):
    """An end without any notice."""


def crash() -> None:
    raise Crash


@pytest.fixture
def loss(fit):
    return fit.__kwdefaults__["loss"]


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    for name, value in to_state(a).items():
        np.testing.assert_array_equal(to_state(b)[name], value, err_msg=name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("call", [1, 8, 15])
def test_stopped_training_goes_on_to_the_same_bytes(fit, loss, tmp_path, number, call):
    rows, again = [], []
    whole = fit(**FULL, context={"record": rows.append})
    folder = tmp_path / "state"
    with pytest.raises(StopRequested, match=rf"step {call} of 15; state is saved. Run again"):
        fit(**FULL, loss=Stop(loss, call, lambda: os.kill(os.getpid(), number)), context={"resume": folder})
    assert list(folder.glob("*.safetensors"))
    assert_same(whole, fit(**FULL, context={"resume": folder, "record": again.append}))
    assert repr(again) == repr(rows)  # the order of the columns too
    assert not folder.exists()


def test_crashes_at_every_step_cost_only_the_steps_since_the_last_checkpoint(fit, loss, tmp_path):
    whole = fit(**FULL)
    for call in (3, 3, 4, 2):
        with pytest.raises(Crash):
            fit(**FULL, loss=Stop(loss, call, crash), context={"resume": tmp_path})
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert_same(whole, fit(**FULL, context={"resume": tmp_path}))


def crashed(fit, loss, folder: Path, call: int = 8) -> list[Path]:
    """Leave two checkpoints, of steps 4 and 6."""
    with pytest.raises(Crash):
        fit(**FULL, loss=Stop(loss, call, crash), context={"resume": folder})
    return sorted(folder.glob("*.safetensors"))


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 0x10
    path.write_bytes(bytes(content))


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_other(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, path)


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_empty, damage_other])
def test_damaged_checkpoint_falls_back_to_the_one_before(fit, loss, tmp_path, caplog, damage):
    old, new = crashed(fit, loss, tmp_path)
    damage(new)
    caplog.set_level("INFO", logger="radgen")
    assert_same(fit(**FULL), fit(**FULL, context={"resume": tmp_path}))
    assert f"{new}: ignored, damaged" in caplog.text
    assert "goes on from step 4 of 15" in caplog.text
    assert not old.exists()


def test_all_damaged_starts_again(fit, loss, tmp_path, caplog):
    for path in crashed(fit, loss, tmp_path):
        damage_flip(path)
    caplog.set_level("INFO", logger="radgen")
    assert_same(fit(**FULL), fit(**FULL, context={"resume": tmp_path}))
    assert "goes on" not in caplog.text


@pytest.mark.parametrize("change", ["seed", "rate", "data", "start"])
def test_checkpoint_of_other_training_is_left_out_and_said(fit, loss, pairs, tmp_path, caplog, change):
    crashed(fit, loss, tmp_path)
    other = {
        "seed": lambda: fit(**FULL, context={"seed": 8, "resume": tmp_path}),
        "rate": lambda: fit(**FULL, learning_rate=2e-2, context={"resume": tmp_path}),
        "data": lambda: fit(
            **FULL,
            data=TrainingData(pairs.images * 0.5, pairs.conditions, pairs.patients),
            context={"resume": tmp_path},
        ),
        "start": lambda: fit(**FULL, network=fit(epochs=1), context={"resume": tmp_path}),
    }
    caplog.set_level("INFO", logger="radgen")
    other[change]()
    assert caplog.text.count("belongs to other data, options, network or device") == 2
    assert "goes on" not in caplog.text


def test_how_often_state_is_saved_is_no_part_of_the_identity(fit, loss, tmp_path, caplog):
    crashed(fit, loss, tmp_path)
    caplog.set_level("INFO", logger="radgen")
    fit(epochs=5, ema=0.9, checkpoint_minutes=60, context={"resume": tmp_path})
    assert "goes on from step 6 of 15" in caplog.text


def test_half_written_files_are_swept_and_other_files_stay(fit, loss, tmp_path):
    crashed(fit, loss, tmp_path)
    note = tmp_path / "notes.txt"
    for name in (".x.safetensors.1.part", ".tmpItyaz4"):  # ours, and the one safetensors writes before it renames
        (tmp_path / name).write_bytes(b"x" * 100)
    note.write_text("mine")
    fit(**FULL, context={"resume": tmp_path})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_pickled_is_read_or_written(fit, loss, tmp_path):
    from safetensors import safe_open

    _, new = crashed(fit, loss, tmp_path)
    with safe_open(new, framework="np") as handle:
        names = set(handle.keys())
        assert set(handle.metadata()) == {"radgen"}
    assert {"network/first.weight", "average/norm.running_mean", "optimizer/0/exp_avg_sq"} <= names


def test_time_alone_triggers_a_checkpoint(fit, loss, tmp_path):
    with pytest.raises(Crash):
        fit(epochs=2, checkpoint_minutes=1e-9, loss=Stop(loss, 4, crash), context={"resume": tmp_path})
    assert len(list(tmp_path.glob("*-0000000003.safetensors"))) == 1


def test_simulated_full_disk_is_said_and_training_goes_on(fit, loss, tmp_path, monkeypatch, caplog):
    import safetensors.torch

    old = crashed(fit, loss, tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(Crash):
        fit(**FULL, loss=Stop(loss, 6, crash), context={"resume": tmp_path})
    assert sorted(tmp_path.iterdir()) == old  # earlier checkpoints are as they were
    assert "No space left on device" in caplog.text
    assert "free space" in caplog.text
    assert_same(fit(**FULL), fit(**FULL, context={"resume": tmp_path}))


def test_stop_on_a_full_disk_says_that_state_is_not_saved(fit, loss, tmp_path, monkeypatch):
    import safetensors.torch

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(StopRequested, match="state could not be saved"):
        fit(**FULL, loss=Stop(loss, 3), context={"resume": tmp_path})


def test_real_write_limit_leaves_earlier_checkpoint_and_result(fit, loss, tmp_path, caplog):
    """The kernel refuses to write beyond a size, in the middle of a checkpoint."""
    old = crashed(fit, loss, tmp_path)
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, earlier[1]))
    try:
        with pytest.raises(Crash):
            fit(**FULL, loss=Stop(loss, 6, crash), context={"resume": tmp_path})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
    assert sorted(tmp_path.iterdir()) == old
    assert "checkpoint not written" in caplog.text
    assert_same(fit(**FULL), fit(**FULL, context={"resume": tmp_path}))


def test_real_full_disk(fit, tmp_path, caplog):
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        network = fit(**FULL, context={"resume": folder})
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert "checkpoint not written" in caplog.text
    assert_same(fit(**FULL), network)


def test_no_checkpoint_of_a_loss_that_is_not_finite(fit, loss, tmp_path):
    def broken(*given):
        return loss(*given) * float("nan")

    with pytest.raises(RadgenError, match="loss is nan"):
        fit(**FULL, loss=broken, context={"resume": tmp_path})
    assert not list(tmp_path.glob("*.safetensors"))
