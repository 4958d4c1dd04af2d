"""Seconds per training step and per generated image: the published network as its authors laid it out against ours.

Same weights' shapes, same batch, same machine, taking turns. The peer is written from the description of the network:
16,384 equal condition tokens, weights standardised at every pass, default memory layout, unfused Adam. Ours uses the
closed form of that attention, channels-last memory, fused Adam, and for sampling weights standardised once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.common import Result, alternate, parser, pin, report

if TYPE_CHECKING:
    import torch

    from radgen_lib.generators.published_unet import Attention, PublishedUNet

STEPS = 1500
SIZES = ((32, 64, 4, 5), (128, 128, 1, 1))  # width, side, batch, repeats
QUICK = ((8, 16, 2, 1),)


def network(width: int, attention: Attention, device: str) -> PublishedUNet:
    """The published network for 15 genes; both layouts have the same weights."""
    import torch

    from radgen_lib.generators.published_unet import PublishedUNet

    torch.manual_seed(0)
    made = PublishedUNet(15, width=width, attention=attention).to(device)
    return made.to(memory_format=torch.channels_last) if attention == "closed_form" else made


def training_step(model: PublishedUNet, images: torch.Tensor, *, fused: bool) -> Callable[[], None]:
    """One optimiser step on the predicted noise."""
    import torch

    from radgen_lib.generators.diffusion import GaussianDiffusion

    diffusion = GaussianDiffusion(STEPS, "linear")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=fused)
    condition = torch.randn(len(images), 15, device=images.device)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        optimizer.zero_grad()
        diffusion.loss(lambda x, time: model(x, time, condition), images, generator).backward()
        optimizer.step()
        settle(images.device.type)

    return step


def denoising_step(model: PublishedUNet, images: torch.Tensor) -> Callable[[], None]:
    """One of the 1,500 network evaluations behind an image."""
    import torch

    condition, time = torch.randn(len(images), 15, device=images.device), torch.tensor([700], device=images.device)

    def step() -> None:
        with torch.inference_mode():
            model(images, time, condition)
        settle(images.device.type)

    return step


def settle(device: str) -> None:
    """Wait for an accelerator, whose calls return before the work is done."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def measure(width: int, side: int, batch: int, repeats: int, device: str) -> list[Result]:
    """Both comparisons at one size."""
    import torch

    ours, peer = network(width, "closed_form", device), network(width, "tokens", device)
    images = torch.rand(batch, 1, side, side, device=device)
    size = f"width {width}, {side} x {side}, batch {batch}"
    version = "PROTOCOLS B.3"
    t_ours, t_peer = alternate(
        [training_step(ours, images, fused=True), training_step(peer, images, fused=False)], repeats=repeats
    )
    rows = [Result("training step", size, t_ours, "authors' layout", version, t_peer, "s per step")]
    t_ours, t_peer = alternate(
        [denoising_step(ours.for_sampling(), images), denoising_step(peer.eval(), images)], repeats=2 * repeats + 1
    )
    share = STEPS / batch
    note = f"both extrapolated: one network evaluation x {STEPS:,} ancestral steps"
    rows.append(
        Result(
            "image, all steps", size, t_ours * share, "authors' layout", version, t_peer * share, "s per image", note
        )
    )
    return rows


def main() -> None:
    """Measure and report."""
    options = parser(__doc__).parse_args()
    pin()
    rows = [row for size in (QUICK if options.quick else SIZES) for row in measure(*size, options.device)]
    report(rows, options.out)


if __name__ == "__main__":
    main()
