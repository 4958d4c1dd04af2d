"""State as arrays, seeded noise, devices, resizing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import RadgenError
from radgen_lib.generators.common import (
    RowNoise,
    build_seeded,
    fixed_numerics,
    load_module,
    noise_like,
    pick_device,
    resize,
    to_state,
)


def small() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


def test_state_goes_round_with_a_prefix_and_is_a_copy():
    module, other = build_seeded(1, small), build_seeded(2, small)
    state = to_state(module, "net/")
    with torch.no_grad():
        module[0].weight.add_(1)
    load_module(other, {**state, "elsewhere": np.zeros(1)}, "net/")
    np.testing.assert_allclose(other[0].weight.detach().numpy() + 1, module[0].weight.detach().numpy(), rtol=1e-6)
    assert state["net/1.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"array 0\.bias is missing"),
        (lambda s: s.update(extra=np.zeros(1)), "array extra is not part"),
        (lambda s: s.update({"0.bias": np.zeros(3)}), r"array 0\.bias has shape \(3,\); this network needs \(2,\)"),
    ],
)
def test_state_that_does_not_fit_names_the_array(change, message):
    state = to_state(small())
    change(state)
    with pytest.raises(ValueError, match=message):
        load_module(small(), state)


def test_seeded_build_leaves_global_randomness_alone():
    before = torch.get_rng_state()
    one, two, three = build_seeded(1, small), build_seeded(1, small), build_seeded(2, small)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, three[0].weight)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6))
def test_noise_of_a_row_depends_on_its_seed_alone(seeds):
    together = noise_like(seeds, (2, 3))
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, noise_like([seed], (2, 3))[0])


def test_row_noise_goes_on_and_is_standard_normal():
    noise = RowNoise([1, 2], (100, 100))
    first, second = noise.draw(), noise.draw()
    assert first.dtype == torch.float32
    assert not torch.equal(first, second)
    assert abs(first.mean()) < 0.03
    assert abs(second.std() - 1) < 0.03


def test_devices():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="allowed are"):
        pick_device("gpu")


def test_cuda_without_accelerator_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RadgenError, match="set device: auto"):
        pick_device("cuda")


def test_resize_matches_scikit_image_when_enlarging():
    from skimage.transform import resize as reference

    images = np.random.default_rng(0).random((2, 16, 16)).astype(np.float32)
    for made, image in zip(resize(images, 64), images, strict=True):
        np.testing.assert_allclose(made, reference(image, (64, 64), order=1, mode="edge"), atol=1e-5)


def test_resize_keeps_means_when_shrinking_and_copies_when_equal():
    images = np.random.default_rng(0).random((3, 128, 128)).astype(np.float32)
    made = resize(images, 32)
    assert made.shape == (3, 32, 32)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=2e-3)
    assert made.std() < 0.5 * images.std()  # noise is filtered, not sampled
    same = resize(images, 128)
    same += 1
    assert images.max() <= 1


def test_numerics_are_put_back_after_an_error():
    before = (torch.get_rng_state(), torch.get_num_threads())
    with pytest.raises(KeyError), fixed_numerics(threads=3, deterministic=True):
        assert torch.get_num_threads() == 3
        assert torch.are_deterministic_algorithms_enabled()
        torch.rand(1)
        raise KeyError
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.get_num_threads()
    assert not torch.are_deterministic_algorithms_enabled()


def test_options_are_checked_without_torch():
    code = (
        "import sys, radgen_lib.generators.cpdm as m; m.PublishedDiffusionOptions(epochs=1);"
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
