"""The diffusion process: formulas, and samplers that must reproduce a distribution whose perfect predictor is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.progress import Progress
from radgen_lib.generators.common import RowNoise
from radgen_lib.generators.diffusion import GaussianDiffusion, noise_distance, variances


def gaussian_predictor(process: GaussianDiffusion, mean: float, deviation: float):
    """The best possible noise predictor when every pixel is N(mean, deviation^2)."""

    def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        kept = float(process.kept[int(time[0])])
        return (1 - kept) ** 0.5 * (x - kept**0.5 * mean) / (kept * deviation**2 + 1 - kept)

    return predict


def test_published_linear_schedule():
    beta = variances(1500, "linear")
    assert beta[0] == 1e-4
    assert beta[-1] == 0.02
    np.testing.assert_allclose(np.diff(beta), (0.02 - 1e-4) / 1499)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 2000), st.sampled_from(["linear", "cosine"]))
def test_signal_only_falls(timesteps, schedule):
    kept = GaussianDiffusion(timesteps, schedule).kept
    assert np.all(np.diff(kept) < 0)
    assert 0 < kept[-1] < kept[0] < 1


def test_unknown_names_say_what_is_allowed():
    with pytest.raises(ValueError, match="linear, cosine"):
        variances(10, "square")
    with pytest.raises(ValueError, match="l1, l2, smooth_l1, l1_l2"):
        noise_distance(torch.zeros(1), torch.zeros(1), "l3")
    with pytest.raises(ValueError, match="allowed are 1 to 10"):
        GaussianDiffusion(10).steps(11)


def test_noising_keeps_the_variance_of_normal_data_and_follows_the_step():
    process, generator = GaussianDiffusion(1500), torch.Generator().manual_seed(0)
    images, noise = torch.randn(3, 1, 64, 64, generator=generator), torch.randn(3, 1, 64, 64, generator=generator)
    noised = process.q_sample(images, torch.tensor([0, 700, 1499]), noise)
    assert noised.std(dim=(1, 2, 3)).numpy() == pytest.approx(np.ones(3), abs=0.05)
    distance = (noised - images).square().mean(dim=(1, 2, 3))
    assert distance[0] < 1e-3 < distance[1] < distance[2]


def test_losses_by_hand():
    found, noise = torch.tensor([0.5, 2.0]), torch.tensor([0.0, 0.0])
    expected = {"l1": 1.25, "l2": 2.125, "smooth_l1": (0.125 + 1.5) / 2, "l1_l2": 3.375}
    for kind, value in expected.items():
        assert noise_distance(found, noise, kind).item() == pytest.approx(value)


def test_loss_of_the_perfect_predictor_is_zero_and_uses_the_generator_alone():
    process, images = GaussianDiffusion(20), torch.full((4, 1, 8, 8), 0.3)
    signal, share = (torch.from_numpy(np.sqrt(v)).float() for v in (process.kept, 1 - process.kept))

    def perfect(x, time):
        return (x - signal[time][:, None, None, None] * images) / share[time][:, None, None, None]

    torch.manual_seed(0)
    assert process.loss(perfect, images, torch.Generator().manual_seed(1)).item() == pytest.approx(0, abs=1e-6)
    one = process.loss(lambda x, t: x, images, torch.Generator().manual_seed(1)).item()
    torch.manual_seed(1)
    two = process.loss(lambda x, t: x, images, torch.Generator().manual_seed(1)).item()
    assert one == two != process.loss(lambda x, t: x, images, torch.Generator().manual_seed(2)).item()


@pytest.mark.parametrize(("steps", "eta"), [(None, 0.0), (20, 0.0), (20, 1.0), (7, 0.5)])
def test_one_known_image_is_recovered(steps, eta):
    process = GaussianDiffusion(200)
    image = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8).repeat(2, 1, 1, 1)

    def perfect(x, time):
        kept = float(process.kept[int(time[0])])
        return (x - kept**0.5 * image) / (1 - kept) ** 0.5

    noise = RowNoise([1, 2], (1, 8, 8))
    made = process.sample(perfect, noise.draw(), noise.draw, steps=steps, eta=eta)
    torch.testing.assert_close(made, image, rtol=0, atol=2e-4)


@pytest.mark.parametrize(("steps", "eta"), [(None, 0.0), (60, 0.0), (250, 1.0)])
def test_normal_pixels_come_out_with_their_mean_and_deviation(steps, eta):
    process = GaussianDiffusion(1000)
    noise = RowNoise([0], (1, 64, 64))
    made = process.sample(gaussian_predictor(process, 0.4, 0.3), noise.draw(), noise.draw, steps=steps, eta=eta)
    assert made.mean().item() == pytest.approx(0.4, abs=0.02)
    assert made.std().item() == pytest.approx(0.3, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 600), st.data())
def test_step_numbers_fall_from_last_to_first(timesteps, data):
    count = data.draw(st.integers(2, timesteps))
    steps = GaussianDiffusion(timesteps).steps(count)
    assert (len(steps), steps[0], steps[-1]) == (count, timesteps - 1, 0)
    assert all(a > b for a, b in pairwise(steps))


def test_single_step_starts_at_the_last():
    assert GaussianDiffusion(10).steps(1) == [9]
    assert GaussianDiffusion(10).steps(10) == list(range(9, -1, -1))


def test_published_schedule_ends_in_noise_and_a_short_one_does_not():
    assert GaussianDiffusion(1500).signal_at_start() < 1e-3
    assert GaussianDiffusion(100).signal_at_start() > 0.5
    assert GaussianDiffusion(100, "cosine").signal_at_start() < 1e-3


def test_ddim_with_eta_one_over_all_steps_is_the_ancestral_sampler():
    process, x = GaussianDiffusion(50), torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    predicted, noise = x.flip(2), x.flip(3)
    for t in (0, 1, 30):
        torch.testing.assert_close(
            process.ddim_step(x, predicted, t, t - 1, noise, 1.0), process.ancestral_step(x, predicted, t, noise)
        )


def test_sampling_draws_only_the_noise_it_needs_and_advances():
    process, draws, steps = GaussianDiffusion(30), [], []

    class Count(Progress):
        def advance(self, steps_: int = 1, note: str = "") -> None:
            steps.append(steps_)

    def noise() -> torch.Tensor:
        draws.append(1)
        return torch.zeros(1, 1, 4, 4)

    start = torch.zeros(1, 1, 4, 4)
    process.sample(lambda x, t: x, start, noise, progress=Count("x", 30))
    assert (len(draws), sum(steps)) == (29, 30)
    process.sample(lambda x, t: x, start, noise, steps=5, progress=Count("x", 5))
    assert (len(draws), sum(steps)) == (29, 35)


def test_bounded_estimates_keep_a_wrong_noise_from_growing():
    """With little of the image left an error of the noise is multiplied by 1 / sqrt(kept); bounds undo that."""
    diffusion = GaussianDiffusion(1500, "linear")
    start = torch.randn((4, 1, 8, 8), generator=torch.Generator().manual_seed(3))

    def too_small(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return 0.9 * x

    free = diffusion.sample(too_small, start, lambda: start, steps=12)
    held = diffusion.sample(too_small, start, lambda: start, steps=12, bounds=(0.0, 1.0))
    assert free.abs().max() > 2
    assert held.min() >= 0 and held.max() <= 1
    # A perfect prediction of an image within the bounds is left alone.
    image = torch.full((4, 1, 8, 8), 0.4)

    def perfect(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        kept = float(diffusion.kept[int(time)])
        return (x - kept**0.5 * image) / (1 - kept) ** 0.5

    found = diffusion.sample(perfect, start, lambda: start, steps=12, bounds=(0.0, 1.0))
    torch.testing.assert_close(found, image, atol=1e-4, rtol=0)
