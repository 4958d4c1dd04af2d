"""SIGKILL at random moments, from outside, on a real process: the weights end byte-identical."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# One interpreter pays for the imports; each training is a forked child that its parent kills without notice.
SCRIPT = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
import numpy as np, torch
import lightning_fabric
from radgen_lib.generators.base import FitContext, TrainingData
from radgen_lib.generators.common import build_seeded, to_state
from radgen_lib.generators.loop import LoopOptions, train

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
data = TrainingData(rng.random((10, 8, 8), dtype=np.float32), rng.random((10, 3), dtype=np.float32),
                    np.array([str(i) for i in range(10)]))

def network():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.2),
                               torch.nn.Conv2d(4, 1, 1))

def loss(model, images, conditions, generator):
    return (model(images + torch.randn(images.shape, generator=generator)) - images).square().mean()

def child(resume, target):
    pid = os.fork()
    if pid:
        return pid
    rows = []
    context = FitContext(seed=1, resume=resume, record=rows.append)
    options = LoopOptions(epochs=40, batch_size=4, ema=0.9, checkpoint_steps=1)
    state = to_state(train(build_seeded(2, network), loss, data, options, context))
    digest = hashlib.sha256(repr(rows).encode())
    for name in sorted(state):
        digest.update(state[name].tobytes())
    target.write_text(digest.hexdigest())
    os._exit(0)

assert os.waitpid(child(None, folder / "whole"), 0)[1] == 0
moments, state, kills = random.Random(4), folder / "state", 0
target = folder / "killed"
for aim in (1, 9, 30, 31, 70, 100):
    pid = child(state, target)
    while not any(int(p.stem.split("-")[1]) >= aim for p in state.glob("*-*.safetensors")):
        time.sleep(0.0005)
    time.sleep(moments.random() * 0.004)
    os.kill(pid, signal.SIGKILL)
    kills += os.waitpid(pid, 0)[1] == signal.SIGKILL
assert os.waitpid(child(state, target), 0)[1] == 0
print(kills, (folder / "whole").read_text() == target.read_text(), state.exists())
"""


def test_killed_training_ends_with_the_same_bytes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.stdout.split() == ["6", "True", "False"], done.stdout + done.stderr
