"""Peak memory of training and sampling, each variant in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.common import ROOT, Result, parser, pin, report

SIZE, QUICK = (64, 128, 1), (8, 16, 1)  # width, side, batch
VARIANTS = (
    "import",
    "train-tokens",
    "train-closed_form",
    "sample-tokens",
    "sample-closed_form",
    "train-edm",
    "sample-edm",
)


def run_variant(variant: str, width: int, side: int, batch: int, device: str) -> float:
    """Do the work of a variant in this process and return its peak memory in MiB."""
    import resource

    import torch

    from benchmarks import training_step as bench

    kind, _, which = variant.partition("-")
    images = torch.rand(batch, 1, side, side, device=device)
    if which == "edm":
        _edm(kind, width, images)
    elif which:
        model = bench.network(width, "tokens" if which == "tokens" else "closed_form", device)
        step = (
            bench.training_step(model, images, fused=which != "tokens")
            if kind == "train"
            else bench.denoising_step(model.for_sampling() if which == "closed_form" else model.eval(), images)
        )
        step()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _edm(kind: str, width: int, images) -> None:  # type: ignore[no-untyped-def]  # a tensor; torch is imported late
    import torch

    from radgen_lib.generators.base import build_generator
    from radgen_lib.generators.edm_network import edm_loss

    options = {"channels": [width, 2 * width, 4 * width, 4 * width], "sampling_steps": 2}
    made = build_generator(
        "radgen_lib.generators.edm:EDMDiffusion", options, image_size=images.shape[-1], n_conditions=15
    )
    model = made.build(0).to(images.device)  # type: ignore[attr-defined]
    condition = torch.randn(len(images), 15, device=images.device)
    if kind == "sample":
        with torch.inference_mode():
            made.draw(model, condition, torch.randn_like(images))  # type: ignore[attr-defined]
        return
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    edm_loss(model, images, condition, torch.Generator().manual_seed(0), options=made.options).backward()
    optimizer.step()


def measure(variant: str, *, quick: bool, device: str) -> float:
    """Peak memory of a variant in MiB, from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--variant", variant, "--device", device]
    done = subprocess.run(
        [*command, "--quick"] if quick else command, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all variants, or be one of them."""
    made = parser(__doc__)
    made.add_argument("--variant", choices=VARIANTS, help="run this one here and print its peak memory")
    options = made.parse_args()
    pin()
    size = QUICK if options.quick else SIZE
    if options.variant:
        print(run_variant(options.variant, *size, options.device))
        return
    peak = {variant: measure(variant, quick=options.quick, device=options.device) for variant in VARIANTS}
    text = f"width {size[0]}, {size[1]} x {size[1]}, batch {size[2]}"
    note = f"whole process (EDM: with MONAI); torch imported alone: {peak['import']:.0f} MiB"
    rows = [
        Result(
            f"peak memory, {kind}, {name}", text, peak[f"{kind}-{which}"], "authors' layout", "PROTOCOLS B.3",
            peak[f"{kind}-tokens"], "MiB", note,
        )
        for kind in ("train", "sample")
        for which, name in (("closed_form", "published network"), ("edm", "EDM"))
    ]  # fmt: skip
    report(rows, options.out)


if __name__ == "__main__":
    main()
