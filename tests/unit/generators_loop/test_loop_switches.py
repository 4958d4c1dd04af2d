"""Mixed precision and compilation: when they are on, and what the loop then does."""

from __future__ import annotations

import pytest
import torch

from radgen_lib.generators import loop_run
from radgen_lib.generators.base import FitContext
from radgen_lib.generators.common import build_seeded, to_state
from radgen_lib.generators.loop import LoopOptions, wanted


@pytest.mark.parametrize(
    ("device", "deterministic", "default"),
    [("cpu", True, False), ("cpu", False, False), ("cuda", True, False), ("cuda", False, True)],
)
def test_a_switch_left_open_follows_the_device_and_an_explicit_one_wins(device, deterministic, default):
    context = FitContext(seed=1, device=device, deterministic=deterministic)
    assert wanted(None, context) is default
    assert wanted(True, context) is True
    assert wanted(False, context) is False


def test_switches_are_open_by_default_and_checked():
    options = LoopOptions(epochs=1)
    assert options.mixed_precision is None and options.compile is None
    assert LoopOptions(epochs=1, mixed_precision=False).mixed_precision is False
    with pytest.raises(ValueError, match="compile"):
        LoopOptions(epochs=1, compile="sometimes")


@pytest.mark.parametrize(
    ("device", "deterministic", "switch", "precision"),
    [
        ("cpu", False, None, "32-true"),
        ("cuda", True, None, "32-true"),
        ("cuda", False, None, "bf16-mixed"),
        ("cuda", False, False, "32-true"),
        ("cpu", True, True, "bf16-mixed"),
    ],
)
def test_precision_that_fabric_is_asked_for(monkeypatch, device, deterministic, switch, precision):
    asked = {}
    monkeypatch.setattr(loop_run, "Fabric", lambda **given: asked.update(given))
    context = FitContext(seed=1, device=device, deterministic=deterministic)
    loop_run._fabric(LoopOptions(epochs=1, mixed_precision=switch), context)
    assert (asked["precision"], asked["accelerator"]) == (precision, device)


@pytest.mark.parametrize(("switch", "calls"), [(None, 0), (False, 0), (True, 1)])
def test_the_network_is_compiled_on_a_processor_only_when_asked(fit, monkeypatch, switch, calls):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda network: (seen.append(network), network)[1])
    fit(epochs=1, compile=switch, context={"deterministic": False})
    assert len(seen) == calls


def test_explicit_mixed_precision_computes_in_bfloat16_and_keeps_weights_in_float32(fit):
    kinds = set()

    def watch(network, images, conditions, generator):
        kinds.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else network.module.weight.dtype)
        made = network(images)
        hidden = torch.nn.functional.conv2d(images, network.module.weight)
        assert hidden.dtype == torch.float32  # outside of the network nothing changes
        return (made - 0.25).square().mean()

    def trained(switch):
        network = build_seeded(1, lambda: torch.nn.Conv2d(1, 1, 3))
        return to_state(fit(epochs=2, loss=watch, network=network, mixed_precision=switch))

    exact, open_switch, mixed = trained(False), trained(None), trained(True)
    assert exact["weight"].tobytes() == open_switch["weight"].tobytes()
    assert exact["weight"].tobytes() != mixed["weight"].tobytes()
    assert mixed["weight"].dtype == exact["weight"].dtype == "float32"
    assert kinds == {torch.float32}
