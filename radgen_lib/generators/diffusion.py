"""Gaussian diffusion on images: noising, training loss, and sampling by all steps or by few.

Notation of Ho, Jain, Abbeel, "Denoising diffusion probabilistic models", 2020: steps t = 0 .. T-1 (their 1 .. T),
variances beta_t, alpha_t = 1 - beta_t, and ``kept`` for their product alpha-bar. Few-step sampling: Song, Meng, Ermon,
"Denoising diffusion implicit models", 2021. Nothing is clipped: images may leave [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from radgen_lib.core.progress import Progress

Schedule = Literal["linear", "cosine"]
NoiseLoss = Literal["l1", "l2", "smooth_l1", "l1_l2"]
Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def variances(timesteps: int, schedule: Schedule, *, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Variances beta_t, float64 [timesteps], in (0, 1).

    ``linear``: from ``first`` to ``last`` (Ho 2020, section 4), whatever the number of steps. ``cosine``: Nichol and
    Dhariwal 2021, equation 17, with offset 0.008 and at most 0.999.
    """
    if schedule == "linear":
        return np.linspace(first, last, timesteps)
    if schedule != "cosine":
        raise ValueError(f"schedule {schedule!r}: allowed are linear, cosine")
    angle = (np.arange(timesteps + 1) / timesteps + 0.008) / 1.008 * np.pi / 2
    kept = np.cos(angle) ** 2
    return np.clip(1 - kept[1:] / kept[:-1], 0, 0.999)


class GaussianDiffusion:
    """A noising process of ``timesteps`` steps, its loss on the predicted noise, and its samplers."""

    def __init__(
        self, timesteps: int, schedule: Schedule = "linear", *, first: float = 1e-4, last: float = 0.02
    ) -> None:
        self.timesteps = timesteps
        self.beta = variances(timesteps, schedule, first=first, last=last)
        self.kept = np.cumprod(1 - self.beta)
        self._signal = torch.from_numpy(np.sqrt(self.kept)).float()
        self._noise = torch.from_numpy(np.sqrt(1 - self.kept)).float()

    def signal_at_start(self) -> float:
        """Share of the image still in the most noised step; sampling starts from pure noise, so it should be near 0."""
        return float(np.sqrt(self.kept[-1]))

    def q_sample(self, images: torch.Tensor, time: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Noised images after steps ``time`` [b] (on the CPU): Ho 2020, equation 4."""
        shape = (-1, *[1] * (images.ndim - 1))
        signal, share = self._signal[time].reshape(shape), self._noise[time].reshape(shape)
        return signal.to(images.device) * images + share.to(images.device) * noise

    def loss(
        self, predict: Predict, images: torch.Tensor, generator: torch.Generator, kind: NoiseLoss = "l2"
    ) -> torch.Tensor:
        """Mean distance between drawn and predicted noise at uniformly drawn steps (Ho 2020, equation 14).

        ``kind`` l2 is the published choice; l1_l2 is the sum of both, smooth_l1 is Huber's with its corner at 1.
        ``generator`` is on the CPU; ``predict(noised [b, 1, H, W], time [b])`` returns the noise.
        """
        time = torch.randint(self.timesteps, (len(images),), generator=generator)
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        found = predict(self.q_sample(images, time, noise), time.to(images.device))
        return noise_distance(found, noise, kind)

    def ancestral_step(self, x: torch.Tensor, predicted: torch.Tensor, t: int, noise: torch.Tensor) -> torch.Tensor:
        """One step back from t (Ho 2020, algorithm 2) with the posterior's variance (equation 7); no noise at t = 0."""
        beta, kept = self.beta[t], self.kept[t]
        before = self.kept[t - 1] if t else 1.0
        mean = (x - float(beta / np.sqrt(1 - kept)) * predicted) / float(np.sqrt(1 - beta))
        if t == 0:
            return mean
        return mean + float(np.sqrt(beta * (1 - before) / (1 - kept))) * noise

    def ddim_step(
        self,
        x: torch.Tensor,
        predicted: torch.Tensor,
        t: int,
        to: int,
        noise: torch.Tensor | None,
        eta: float = 0.0,
        bounds: tuple[float, float] | None = None,
    ) -> torch.Tensor:
        """From step ``t`` to an earlier step ``to`` (-1: the image): Song 2021, equations 12 and 16.

        ``eta`` 0 is deterministic; 1 has the variance of the ancestral sampler. ``bounds``: the estimated image is
        kept within them and the noise is what then remains (static thresholding, Saharia 2022, section 2.3). Where
        little of the image is left, an error of the noise is multiplied by up to 1 / sqrt(kept); all steps average it
        out, few steps do not.
        """
        kept, aim = self.kept[t], self.kept[to] if to >= 0 else 1.0
        sigma = eta * np.sqrt((1 - aim) / (1 - kept) * (1 - kept / aim))
        image = (x - float(np.sqrt(1 - kept)) * predicted) / float(np.sqrt(kept))
        if bounds is not None:
            image = image.clamp(*bounds)
            predicted = (x - float(np.sqrt(kept)) * image) / float(np.sqrt(1 - kept))
        moved = float(np.sqrt(aim)) * image + float(np.sqrt(max(1 - aim - sigma**2, 0.0))) * predicted
        return moved + float(sigma) * noise if sigma and noise is not None else moved

    def steps(self, count: int) -> list[int]:
        """``count`` different step numbers from T-1 down to 0, closer together where the noise is small.

        They grow with the square of their place, as in appendix D.2 of Song 2021: with evenly spaced ones most of the
        variance of dark, smooth images is lost in the last few steps.
        """
        if not 1 <= count <= self.timesteps:
            raise ValueError(f"sampling steps {count}: allowed are 1 to {self.timesteps}")
        square = np.linspace(0, np.sqrt(self.timesteps - 1), count) ** 2
        chosen: list[int] = []
        for t in square.round():
            chosen.append(max(int(t), chosen[-1] + 1 if chosen else 0))
        return [*chosen[:0:-1], 0] if count > 1 else [self.timesteps - 1]

    def sample(
        self,
        predict: Predict,
        start: torch.Tensor,
        noise: Callable[[], torch.Tensor],
        *,
        steps: int | None = None,
        eta: float = 0.0,
        bounds: tuple[float, float] | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Images [n, 1, H, W] from ``start``: all T steps (``steps`` None, ancestral) or ``steps`` DDIM steps.

        ``noise()`` gives the next noise of the shape of ``start``; ``predict`` gets the step as one number [1], which
        counts for all rows; ``bounds`` are those of :meth:`ddim_step`. ``progress`` advances by one at every step.
        """
        x = start
        chosen = self.steps(self.timesteps if steps is None else steps)
        for t, to in zip(chosen, [*chosen[1:], -1], strict=True):
            predicted = predict(x, torch.tensor([t], device=x.device))
            if steps is None:
                x = self.ancestral_step(x, predicted, t, noise() if t else x)
            else:
                x = self.ddim_step(x, predicted, t, to, noise() if eta and to >= 0 else None, eta, bounds)
            if progress is not None:
                progress.advance()
        return x


def noise_distance(found: torch.Tensor, noise: torch.Tensor, kind: NoiseLoss) -> torch.Tensor:
    """Mean distance of two noise fields by the named loss; ValueError for another name."""
    if kind == "l2":
        return functional.mse_loss(found, noise)
    if kind == "l1":
        return functional.l1_loss(found, noise)
    if kind == "smooth_l1":
        return functional.smooth_l1_loss(found, noise)
    if kind == "l1_l2":
        return functional.l1_loss(found, noise) + functional.mse_loss(found, noise)
    raise ValueError(f"loss {kind!r}: allowed are l1, l2, smooth_l1, l1_l2")
