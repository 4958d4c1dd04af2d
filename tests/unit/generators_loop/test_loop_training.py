"""The training loop: same bytes from the same seed, averaging, accumulation, choice of weights, what it records."""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from radgen_lib.core.errors import RadgenError
from radgen_lib.generators.base import TrainingData
from radgen_lib.generators.common import build_seeded, to_state
from radgen_lib.generators.loop import LoopOptions


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    one, two = to_state(a), to_state(b)
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


def plain(network, images, conditions, generator):
    """A loss without randomness, on a network without dropout and batch statistics."""
    return (network(images) - 0.25).square().mean()


def convolution() -> torch.nn.Module:
    return torch.nn.Conv2d(1, 1, 3)


def test_same_seed_gives_same_bytes_and_another_does_not(fit):
    torch.manual_seed(1)
    first = fit()
    torch.manual_seed(2)
    assert same(first, fit())
    assert not same(first, fit(context={"seed": 4}))


def test_training_lowers_the_loss_and_returns_evaluation_mode(fit):
    rows = []
    network = fit(epochs=40, context={"record": rows.append})
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert not network.training


def test_global_state_is_as_before(fit):
    torch.manual_seed(9)
    before = (torch.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    fit(epochs=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


def test_rows_hold_epoch_step_mean_loss_and_rate(fit, pairs):
    rows = []
    fit(epochs=3, loss=plain, network=build_seeded(1, convolution), learning_rate=1e-9, context={"record": rows.append})
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6), (3, 9)]
    with torch.no_grad():
        network = build_seeded(1, convolution)
        expected = plain(network, torch.from_numpy(pairs.images)[:, None], None, None).item()
    assert rows[0]["loss"] == pytest.approx(expected, rel=1e-5)  # each image counts once, also in the short last batch
    assert set(rows[0]) == {"epoch", "step", "loss", "learning_rate"}


def test_every_image_is_seen_once_per_epoch_in_a_new_order(fit, pairs):
    numbered = TrainingData(
        np.arange(10, dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), np.float32),
        pairs.conditions,
        pairs.patients,
    )
    seen = []

    def note(network, images, conditions, generator):
        seen.extend(images[:, 0, 0, 0].int().tolist())
        return plain(network, images, conditions, generator)

    fit(epochs=2, loss=note, data=numbered, network=build_seeded(1, convolution))
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_accumulated_batches_equal_one_large_batch(fit):
    large = fit(loss=plain, network=build_seeded(1, convolution), batch_size=6)
    small = fit(loss=plain, network=build_seeded(1, convolution), batch_size=2, accumulate=3)
    for name, value in to_state(large).items():
        np.testing.assert_allclose(to_state(small)[name], value, rtol=1e-4, atol=1e-6)


def test_average_is_the_exponential_mean_of_the_weights(fit, pairs):
    snapshots = []

    def watch(network, images, conditions, generator):
        snapshots.append(copy.deepcopy(network.weight.detach()))
        return plain(network, images, conditions, generator)

    decay = 0.7
    averaged = fit(loss=watch, network=build_seeded(1, convolution), batch_size=10, epochs=5, ema=decay)
    last = fit(loss=plain, network=build_seeded(1, convolution), batch_size=10, epochs=5)
    expected = snapshots[0]
    for weight in [*snapshots[1:], last.weight.detach()]:
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(averaged.weight.detach(), expected)
    assert not torch.allclose(averaged.weight, last.weight, atol=1e-6)


def test_average_matches_torch_averaged_model(fit):
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    reference = AveragedModel(build_seeded(1, convolution), multi_avg_fn=get_ema_multi_avg_fn(0.9))
    first = True

    def watch(network, images, conditions, generator):
        nonlocal first
        reference.update_parameters(network.module)
        first = False
        return plain(network, images, conditions, generator)

    averaged = fit(loss=watch, network=build_seeded(1, convolution), batch_size=10, epochs=6, ema=0.9)
    reference.update_parameters(fit(loss=plain, network=build_seeded(1, convolution), batch_size=10, epochs=6))
    assert not first
    torch.testing.assert_close(averaged.weight.detach(), reference.module.weight.detach())


def test_gradient_is_clipped(fit):
    def steep(network, images, conditions, generator):
        return 1e6 * network(images).mean()

    start = build_seeded(1, convolution).weight.detach()
    # Adam divides by the size of the gradient, so the limit shows in the gradient itself
    network = build_seeded(1, convolution)
    fit(loss=steep, network=network, epochs=1, batch_size=10, clip_norm=0.5)
    norm = torch.cat([p.grad.reshape(-1) for p in network.parameters()]).norm().item()
    assert norm == pytest.approx(0.5, rel=1e-3)
    assert not torch.equal(start, network.weight)


def test_loss_that_is_not_finite_stops_with_advice(fit):
    def broken(network, images, conditions, generator):
        return network(images).mean() * math.inf

    with pytest.raises(RadgenError, match=r"loss is .* before step 3 of 12.*Lower learning_rate"):
        fit(loss=broken, network=build_seeded(1, convolution))


def test_speed_switches_left_open_change_nothing_on_a_cpu(fit):
    exact = fit(mixed_precision=False, compile=False)
    for deterministic in (True, False):
        assert same(exact, fit(context={"deterministic": deterministic}))


def test_variables_of_a_cluster_do_not_turn_it_into_parallel_training(fit, monkeypatch):
    plain_run = fit(epochs=1)
    for name, value in {
        "SLURM_NTASKS": "4",
        "SLURM_JOB_NAME": "radgen",
        "SLURM_PROCID": "2",
        "WORLD_SIZE": "4",
    }.items():
        monkeypatch.setenv(name, value)
    assert same(plain_run, fit(epochs=1))


def test_arrays_that_cannot_be_written_to_are_left_alone(fit, pairs):
    images = pairs.images[::-1].copy()
    images.flags.writeable = False
    reversed_again = TrainingData(images[::-1], pairs.conditions, pairs.patients)
    assert same(fit(), fit(data=reversed_again))


def test_tensorboard_has_every_epoch(fit, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = []
    fit(epochs=3, context={"tensorboard": tmp_path, "record": rows.append})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [event.step for event in events] == [3, 6, 9]
    assert [event.value for event in events] == pytest.approx([row["loss"] for row in rows])


def test_progress_is_logged(fit, caplog):
    with caplog.at_level(logging.INFO, logger="radgen"):
        fit(epochs=2)
    assert "training steps: 6/6" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "key"),
    [({"epochs": 0}, "epochs"), ({"epochs": 1, "ema": 1.0}, "ema"), ({"epochs": 1, "rate": 1}, "rate"), ({}, "epochs")],
)
def test_options_refuse_impossible_values(wrong, key):
    with pytest.raises(ValidationError, match=key):
        LoopOptions(**wrong)
