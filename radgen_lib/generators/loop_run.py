"""One training under :func:`radgen_lib.generators.loop.train`: its moving parts, its steps, its saved state."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from radgen_lib.core.errors import RadgenError, StopRequested
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.core.stop import StopFlag
from radgen_lib.generators.base import FitContext, TrainingData
from radgen_lib.generators.checkpoint import (
    Checkpoint,
    Checkpoints,
    identity,
    load_optimizer,
    optimizer_tensors,
    section,
)
from radgen_lib.generators.loop import wanted

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from radgen_lib.generators.loop import LoopOptions, Loss

LOG = logging.getLogger("radgen")


class Curves:
    """Rows of training figures: kept for the checkpoint, given to ``context.record`` and to TensorBoard."""

    def __init__(self, context: FitContext) -> None:
        self.rows: list[dict[str, float]] = []
        self._record, self._folder = context.record, context.tensorboard
        self._writer: SummaryWriter | None = None

    def add(self, row: dict[str, float]) -> None:
        """Keep a row and pass it on."""
        self.rows.append(row)
        self._record(row)
        if self._folder is None:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # purge_step hides what an interrupted run wrote, because resuming gives all rows again
            self._writer = SummaryWriter(str(self._folder), purge_step=0)
        for name in sorted(row.keys() - {"step"}):
            self._writer.add_scalar(name, row[name], int(row["step"]))

    def close(self) -> None:
        """Flush what TensorBoard holds back."""
        if self._writer is not None:
            self._writer.close()


class Run:
    """One training: the moving parts and the steps over them."""

    def __init__(
        self,
        network: torch.nn.Module,
        loss: Loss,
        data: TrainingData,
        options: LoopOptions,
        context: FitContext,
        curves: Curves,
    ) -> None:
        self.network, self.loss, self.options, self.context = network, loss, options, context
        self.curves = curves
        self.fabric = _fabric(options, context)
        device = self.fabric.device
        self.images = torch.from_numpy(np.array(data.images, dtype=np.float32))[:, None].to(device)
        self.conditions = torch.from_numpy(np.array(data.conditions, dtype=np.float32)).to(device)
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate, fused=True)
        self.model, self.optimizer = self.fabric.setup(
            torch.compile(network) if wanted(options.compile, context) else network, optimizer
        )
        self.average = copy.deepcopy(network).requires_grad_(False) if options.ema else None
        self.step = 0
        self.batches_per_epoch = math.ceil(len(self.images) / options.batch_size)
        self.steps_per_epoch = math.ceil(self.batches_per_epoch / options.accumulate)
        self.total = self.steps_per_epoch * options.epochs
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        facts = {
            "options": options.model_dump(exclude={"checkpoint_minutes", "checkpoint_steps"}), "seed": context.seed,
            "device": context.device, "threads": context.threads, "deterministic": context.deterministic,
            "torch": str(torch.__version__), "network": type(network).__qualname__,
        }  # fmt: skip
        self.checkpoints = Checkpoints(context.resume, identity(network, [data.images, data.conditions], facts))

    def resume(self) -> None:
        """Take up the newest good checkpoint, if there is one."""
        found = self.checkpoints.latest()
        if found is None:
            return
        self.step = found.step
        self.network.load_state_dict(section(found.tensors, "network/"))
        load_optimizer(self.optimizer.optimizer, section(found.tensors, "optimizer/"))
        if self.average is not None:
            self.average.load_state_dict(section(found.tensors, "average/"))
        self.loss_sum.fill_(found.facts["loss_sum"])
        for row in found.facts["rows"]:
            self.curves.add(row)
        LOG.info("training goes on from step %d of %d", self.step, self.total)

    def loss_so_far(self) -> float:
        """Sum of the losses of this epoch's images; RadgenError when it is no longer a finite number."""
        value = self.loss_sum.item()
        if not math.isfinite(value):
            raise RadgenError(
                f"training: the loss is {value} before step {self.step} of {self.total}. Lower learning_rate, set "
                "clip_norm, or set mixed_precision: false"
            )
        return value

    def save(self) -> bool:
        """Write a checkpoint; False when there is no folder or the disk refused it."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors.update(optimizer_tensors(self.optimizer.optimizer))
        if self.average is not None:
            tensors.update({f"average/{name}": value for name, value in self.average.state_dict().items()})
        facts: dict[str, Any] = {"rows": self.curves.rows, "loss_sum": self.loss_so_far()}
        return self.checkpoints.save(Checkpoint(self.step, tensors, facts))

    def go(self, stop: StopFlag) -> None:
        """Step to the end, with checkpoints on the way."""
        progress = Progress("training steps", self.total, done=self.step)
        saved = time.monotonic()
        while self.step < self.total:
            self.one_step()
            progress.advance()
            if stop:
                kept = "state is saved" if self.save() else "state could not be saved"
                raise StopRequested(f"training stopped at step {self.step} of {self.total}; {kept}. Run again to go on")
            every = self.options.checkpoint_steps
            due = time.monotonic() - saved > 60 * self.options.checkpoint_minutes or (every and self.step % every == 0)
            if due and self.checkpoints.active and self.step < self.total:
                self.save()
                saved = time.monotonic()

    def _batches(self, epoch: int, first: int) -> Iterator[torch.Tensor]:
        """Row numbers of the batches of one optimiser step, from the epoch's own permutation."""
        order = make_rng(self.context.seed, "epoch", epoch).permutation(len(self.images))
        for number in range(first, min(first + self.options.accumulate, self.batches_per_epoch)):
            size = self.options.batch_size
            yield torch.from_numpy(order[number * size : (number + 1) * size]).to(self.images.device)

    def one_step(self) -> None:
        """One optimiser step; its random numbers depend on the seed and the step alone."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        seed = derive_seed(self.context.seed, "step", self.step)
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout reads the global state, which fixed_numerics puts back
        rows = list(self._batches(epoch, place * self.options.accumulate))
        count = sum(map(len, rows))
        self.optimizer.zero_grad()
        for batch in rows:
            share = len(batch) / count  # a step over several batches has the mean loss of all their images
            value = self.loss(self.model, self.images[batch], self.conditions[batch], generator) * share
            self.fabric.backward(value)
            self.loss_sum += value.detach().double() * count
        if self.options.clip_norm is not None:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.options.clip_norm)
        self.optimizer.step()
        self.step += 1
        if self.average is not None:
            _average(self.average, self.network, self.options.ema or 0.0)
        if self.step % self.steps_per_epoch == 0:
            self.end_epoch(epoch)

    def end_epoch(self, epoch: int) -> None:
        """Record the epoch's mean loss."""
        mean = self.loss_so_far() / len(self.images)
        self.loss_sum.zero_()
        row = {"epoch": epoch + 1, "step": self.step, "loss": mean, "learning_rate": self.options.learning_rate}
        self.curves.add(row)

    def finish(self) -> torch.nn.Module:
        """The weights to use, on the CPU; the training state is removed."""
        if self.average is not None:
            self.network.load_state_dict(self.average.state_dict())
        self.checkpoints.clear()
        return self.network.cpu().eval()


def _fabric(options: LoopOptions, context: FitContext) -> Any:
    precision: Literal["bf16-mixed", "32-true"] = (
        "bf16-mixed" if wanted(options.mixed_precision, context) else "32-true"
    )
    # The plain environment keeps Fabric from reading the cluster's variables: one job trains on one device.
    return Fabric(accelerator=context.device, devices=1, precision=precision, plugins=[LightningEnvironment()])


def _average(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Exponential moving average of parameters, the buffers copied as they are."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, now in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(now)
