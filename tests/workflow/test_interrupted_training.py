"""A training job that is killed or asked to stop ends with the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.conftest import Copier, Finished
from tests.workflow.driver import RESULTS, Workspace, finish, job_processes, kill_group

pytestmark = pytest.mark.workflow
JOB = f"{RESULTS}/cpdm/rigorous/genes15/edm/all"
TARGET = f"{JOB}/weights.safetensors"
# Long enough to hit: two folds of some three seconds each, with a checkpoint every other step.
LONGER = [
    "cpdm={generators: {edm: {options: {epochs: 16, checkpoint_steps: 2}}}, "
    "protocols: {rigorous: {designs: [grouped]}}}"
]
PATIENCE_S = 120


@pytest.fixture(scope="module")
def undisturbed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = finished.workspace.copy(tmp_path_factory.mktemp("undisturbed") / "run", without=[f"{RESULTS}/cpdm"])
    outcome = workspace.run(TARGET, config=LONGER)
    assert outcome.code == 0, outcome.text
    assert outcome.jobs == {"train_generator": 1}
    return workspace


def in_the_middle(workspace: Workspace, fold: str) -> subprocess.Popen[str]:
    """Start the training job and come back at a random moment after the first checkpoint of ``fold``."""
    process = workspace.start(TARGET, config=LONGER)
    end = time.monotonic() + PATIENCE_S
    while not any((workspace.folder / "resume").rglob(f"{fold}-*/[0-9a-f]*.safetensors")):
        if time.monotonic() > end or process.poll() is not None:
            raise AssertionError(f"no checkpoint of fold {fold}: {finish(process).text}")
        time.sleep(0.01)
    time.sleep(random.random())  # truly random: any moment has to do
    return process


def kill(process: subprocess.Popen[str]) -> None:
    kill_group(process)


def ask_the_job(process: subprocess.Popen[str]) -> None:
    """SIGTERM to the training script alone, as a batch system sends it."""
    (job,) = job_processes(process, "train_generator.py")
    os.kill(job, signal.SIGTERM)
    process.wait(PATIENCE_S)


@pytest.mark.parametrize("stop", [kill, ask_the_job])
def test_training_goes_on_to_the_same_bytes(
    copied: Copier, undisturbed: Workspace, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    workspace = copied(without=(f"{RESULTS}/cpdm",))
    process = in_the_middle(workspace, random.choice(["r0f0", "r0f1"]))
    stop(process)
    text = finish(process).text
    assert process.returncode not in (0, None)
    assert not list(job_processes(process, "train_generator.py"))
    assert not (workspace.folder / JOB).is_dir() or not any((workspace.folder / JOB).iterdir()), text
    state = [path for path in (workspace.folder / "resume").rglob("*") if path.is_file()]
    assert state, "the training state outlives the job"
    if stop is ask_the_job:
        assert "training stopped at step" in text and "state is saved. Run again to go on" in text

    assert workspace.run(options=["--unlock"]).code == 0
    again = workspace.run(TARGET, options=["--rerun-incomplete"], config=LONGER)
    assert again.code == 0, again.text
    log = next((workspace.folder / "logs/train_generator").rglob("*edm-all.log")).read_text()
    assert "training goes on from step" in log
    for name in ("weights.safetensors", "training.csv"):
        assert (workspace.folder / JOB / name).read_bytes() == (undisturbed.folder / JOB / name).read_bytes(), name
    assert not [path for path in (workspace.folder / "resume").rglob("*") if path.is_file()]


def test_a_killed_rerun_leaves_the_earlier_weights(copied: Copier) -> None:
    workspace = copied()
    before = (workspace.folder / TARGET).read_bytes()
    process = in_the_middle(workspace, "r0f0")
    kill_group(process)
    finish(process)
    assert (workspace.folder / TARGET).read_bytes() == before
    plan = workspace.run(TARGET, options=["-n"], config=LONGER)  # nor are they taken for those of the killed job
    assert plan.jobs == {"train_generator": 1}


def test_nothing_is_left_running(undisturbed: Workspace) -> None:
    """Every workflow that these tests started is gone, with its jobs."""
    mine = str(undisturbed.folder.parents[1])
    commands = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            commands.append((entry / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it ended while we looked
    assert not [command for command in commands if mine in command and "snakemake" in command]
