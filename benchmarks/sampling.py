"""Few sampling steps against all 1,500: time per image, and KID to the real projections beside its floor.

The networks have the demo's size and a short training; KID is over radiomic features (z-scored on the real images,
limited to 5 SD), one image a patient. Real images are the released projections where RADGEN_MIRROR names them, else
smooth stand-ins, and the note says which.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import Result, parser, pin, report

SIDE = 32
PEER = "ancestral, all steps"


class Pairs(NamedTuple):
    """Images [n, H, W] in [0, 1], scaled conditions [n, c], patients [n], and what the images are."""

    images: Any
    conditions: Any
    patients: Any
    kind: str


def released(mirror: Path) -> Pairs:
    """The released projections with their genes, z-scored by patient."""
    import numpy as np

    from radgen_lib.cohort.released import FILES, read_released
    from radgen_lib.core.config.cpdm import GENES
    from radgen_lib.omics.conditions import ConditionScaler
    from radgen_lib.sources.registry import load_registry

    registry = load_registry()
    files = {name: mirror / str(registry[name].mirror_path) for name in FILES}
    cohort = read_released(files, genes=list(GENES), max_excluded_share=0.2)
    patients = cohort.series["patient"].to_numpy().astype(str)
    genes = cohort.genes15.set_index("patient")
    scaler = ConditionScaler.fit(genes.loc[np.unique(patients)], "cohort_zscore", log=True)
    images = cohort.images[cohort.series["image_index"].to_numpy()].astype(np.float32) / 255
    return Pairs(images, scaler.transform(genes.loc[patients].to_numpy()), patients, "released projections")


def stand_ins() -> Pairs:
    """Smooth random fields of as many patients and images."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    fields = gaussian_filter(rng.normal(size=(58, 128, 128)), sigma=(0, 12, 12))
    low, high = fields.min(axis=(1, 2), keepdims=True), fields.max(axis=(1, 2), keepdims=True)
    patients = np.sort(np.array([f"patient-{i % 28:02d}" for i in range(58)]))
    owners = np.unique(patients, return_inverse=True)[1]
    conditions = rng.normal(size=(28, 15)).astype(np.float32)[owners]
    return Pairs(((fields - low) / (high - low)).astype(np.float32), conditions, patients, "smooth random fields")


def pairs(*, quick: bool) -> Pairs:
    """Training pairs at the network's size."""
    from radgen_lib.generators.common import resize

    mirror = os.environ.get("RADGEN_MIRROR")
    found = stand_ins() if quick or not mirror else released(Path(mirror))
    return found._replace(images=resize(found.images, SIDE))


def variants(*, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> class and options; the first is the peer."""
    epochs, steps, width = (1, 20, 8) if quick else (160, 1500, 16)
    published = {"width": width, "timesteps": steps, "epochs": epochs, "start_noise": "standard", "learning_rate": 1e-3}
    edm = {
        "channels": [width, 2 * width, 2 * width], "attention_levels": [False, False, True], "res_blocks": 1,
        "epochs": epochs, "learning_rate": 2e-3,
    }  # fmt: skip
    fews = (4,) if quick else (8, 12, 18)
    return {
        PEER: ("cpdm:PublishedDiffusion", published),
        "DDIM, 50 steps": (
            "cpdm:PublishedDiffusion", {**published, "sampler": "ddim", "sampling_steps": 10 if quick else 50}
        ),
        **{f"EDM, {few} Heun steps": ("edm:EDMDiffusion", {**edm, "sampling_steps": few}) for few in fews},
    }  # fmt: skip


def features(images: Any) -> Any:
    """Radiomic features [n, d] of images [n, h, w], clamped to [0, 1]."""
    import numpy as np

    from radgen_lib.imaging.radiomics import radiomic_features

    return radiomic_features(np.clip(images, 0, 1), binning="count32").to_numpy(dtype=float)


def draw(data: Pairs, rows: Any, *, quick: bool, device: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Images of ``rows`` by every variant, and the seconds per image; a class is trained once."""
    from radgen_lib.generators.base import FitContext, TrainingData, build_generator

    drawn, seconds, trained = {}, {}, {}
    for name, (path, options) in variants(quick=quick).items():
        made = build_generator(f"radgen_lib.generators.{path}", options, image_size=SIDE, n_conditions=15)
        if path in trained:
            made.load_state(trained[path])
        else:
            made.fit(TrainingData(data.images, data.conditions, data.patients), FitContext(seed=0, device=device))
            trained[path] = made.state()
        if name != PEER:  # the first call of a process is slow; 1,500 steps drown it
            made.sample(data.conditions[rows[:1]], [0], device=device)
        started = time.perf_counter()
        drawn[name] = made.sample(data.conditions[rows], range(len(rows)), device=device)
        seconds[name] = (time.perf_counter() - started) / len(rows)
    return drawn, seconds


def measure(*, quick: bool, device: str) -> list[Result]:
    """Train, draw, time and compare; one image a patient, drawn for the patient's own condition."""
    import numpy as np

    from radgen_lib.metrics.frechet import real_floor
    from radgen_lib.metrics.kid import kid, kid_interval
    from radgen_lib.metrics.scaling import RealScale

    data = pairs(quick=quick)
    people, rows = np.unique(data.patients, return_index=True)
    drawn, seconds = draw(data, rows[:8] if quick else rows, quick=quick, device=device)
    real = features(data.images[rows])
    scale = RealScale.fit(real)

    def scaled(values: Any) -> Any:
        return scale.apply(values)[:, scale.varying]

    real = scaled(real)
    floor = _text(real_floor(real, people, kid, halvings=100, rng=np.random.default_rng(0)))
    found = {}
    for name, images in drawn.items():
        values = scaled(features(images))
        rng = np.random.default_rng(0)
        found[name] = _text(kid_interval(real, values, people, people[: len(values)], draws=500, rng=rng))
    size = f"{SIDE} x {SIDE}, {len(drawn[PEER])} images, demo network"
    return [
        Result(
            f"sampling, {name}", size, seconds[name], PEER, "Ho 2020", seconds[PEER], "s per image",
            f"{data.kind}, also fitted on; KID {found[name]}, peer {found[PEER]}, real halves {floor}; one run each",
        )
        for name in list(drawn)[1:]
    ]  # fmt: skip


def _text(interval: Any) -> str:
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def main() -> None:
    """Measure and report."""
    options = parser(__doc__).parse_args()
    pin()
    report(measure(quick=options.quick, device=options.device), options.out)


if __name__ == "__main__":
    main()
