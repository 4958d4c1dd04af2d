"""The one training loop of all torch generators, on Lightning Fabric.

Fabric gives device placement, precision, backward and clipping; the loop adds what a killed job needs: every random
number derives from the seed and the step (never from what ran before), and all state is in the checkpoint, so a
training that was interrupted at any moment ends with the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from pydantic import Field

from radgen_lib.core.stop import stop_on_signal
from radgen_lib.generators.base import FitContext, Options, TrainingData
from radgen_lib.generators.common import fixed_numerics

if TYPE_CHECKING:
    import torch

    Loss = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


class LoopOptions(Options):
    """Settings of the loop; ``epochs`` has no default because it decides what a result is worth."""

    epochs: int = Field(ge=1, description="Passes over the training images")
    batch_size: int = Field(default=6, ge=1, le=256, description="Images per forward pass")
    learning_rate: float = Field(default=1e-4, gt=0, description="Of Adam, constant")
    ema: float | None = Field(default=None, gt=0, lt=1, description="Decay of averaged weights; null: last weights")
    accumulate: int = Field(default=1, ge=1, description="Batches per optimiser step")
    clip_norm: float | None = Field(default=None, gt=0, description="Largest norm of the gradient; null: no limit")
    mixed_precision: bool | None = Field(
        default=None, description="bfloat16; null: on where an accelerator is used and deterministic is false"
    )
    compile: bool | None = Field(
        default=None, description="torch.compile; null: on where an accelerator is used and deterministic is false"
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Training state is saved this often")
    checkpoint_steps: int | None = Field(default=None, ge=1, description="Also saved every so many steps")


def wanted(switch: bool | None, context: FitContext) -> bool:
    """Whether a switch that costs exactness for speed (``mixed_precision``, ``compile``) is on in this training.

    An explicit true or false wins; None is on where the training uses an accelerator and need not be deterministic.
    """
    return context.device != "cpu" and not context.deterministic if switch is None else switch


def train(
    network: torch.nn.Module,
    loss: Loss,
    data: TrainingData,
    options: LoopOptions,
    context: FitContext,
) -> torch.nn.Module:
    """Train ``network`` in place and return it on the CPU in evaluation mode.

    ``loss(network, images [b, 1, H, W], conditions [b, c], generator)`` returns the mean loss of a batch; every random
    number in it must come from ``generator`` (on the CPU, seeded per step) or from dropout. The returned weights are
    the averaged ones with ``options.ema``, else the last.

    With ``context.resume`` the state is saved there, taken up again by the next call with the same data, options, seed
    and device, and removed on success. ``context.record`` gets a row per epoch (epoch, step, loss, learning_rate); a
    resumed call gives the earlier rows again first. SIGTERM and SIGINT save the state and raise
    StopRequested; a loss that is not finite raises RadgenError.
    """
    from radgen_lib.generators.loop_run import Curves, Run  # torch and Fabric: not needed to check options

    with (
        fixed_numerics(
            threads=context.threads,
            deterministic=context.deterministic or context.device == "cpu",
            device=context.device,
        ),
        stop_on_signal() as stop,
        closing(Curves(context)) as curves,
    ):
        run = Run(network, loss, data, options, context, curves)
        run.resume()
        run.go(stop)
        return run.finish()
