"""The diffusion process against MONAI's schedulers, which are written by others from the same papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radgen_lib.generators.diffusion import GaussianDiffusion

pytest.importorskip("monai")


@pytest.fixture(scope="module")
def fields() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 1, 8, 8, generator=generator), torch.randn(2, 1, 8, 8, generator=generator)


@pytest.mark.parametrize(("schedule", "theirs"), [("linear", "linear_beta"), ("cosine", "cosine")])
def test_schedule_and_noising(schedule, theirs, fields):
    from monai.networks.schedulers.ddpm import DDPMScheduler

    peer, ours = DDPMScheduler(300, schedule=theirs), GaussianDiffusion(300, schedule)
    np.testing.assert_allclose(ours.beta, peer.betas.numpy(), rtol=2e-3, atol=2e-7)  # theirs is in single precision
    time = torch.tensor([3, 250])
    torch.testing.assert_close(
        ours.q_sample(fields[0], time, fields[1]), peer.add_noise(fields[0], fields[1], time), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("t", [0, 1, 700, 1499])
def test_ancestral_step(t, fields):
    from monai.networks.schedulers.ddpm import DDPMScheduler

    peer = DDPMScheduler(1500, clip_sample=False)
    x, predicted = fields
    theirs, _ = peer.step(predicted, t, x, generator=torch.Generator().manual_seed(7))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    ours = GaussianDiffusion(1500).ancestral_step(x, predicted, t, noise)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("t", [1440, 720, 30])
def test_few_step_sampler(t, eta, fields):
    from monai.networks.schedulers.ddim import DDIMScheduler

    peer = DDIMScheduler(1500, clip_sample=False)
    peer.set_timesteps(50)
    x, predicted = fields
    theirs, _ = peer.step(predicted, t, x, eta=eta, generator=torch.Generator().manual_seed(7))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    ours = GaussianDiffusion(1500).ddim_step(x, predicted, t, t - 30, noise, eta)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_step_numbers_span_those_of_monai():
    from monai.networks.schedulers.ddpm import DDPMScheduler

    peer = DDPMScheduler(1500)
    for count in (10, 50, 1500):
        peer.set_timesteps(count)
        assert len(peer.timesteps) == count
        ours = GaussianDiffusion(1500).steps(count)
        assert len(ours) == count
        assert ours[0] == int(peer.timesteps[0])
        assert ours[-1] == int(peer.timesteps[-1])
        if count == 1500:
            assert ours == peer.timesteps.tolist()
