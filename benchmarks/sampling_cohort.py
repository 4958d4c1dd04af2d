"""The images, genes and folds that the sampling benchmark trains on and draws for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

SIDE = 32


class Pairs(NamedTuple):
    """Images [n, H, W] in [0, 1], raw genes (a row a patient), patients [n], and what the images are."""

    images: Any
    genes: Any
    patients: Any
    kind: str


def released(mirror: Path) -> Pairs:
    """The released projections and the 15 genes of their patients."""
    import numpy as np

    from radgen_lib.cohort.released import FILES, read_released
    from radgen_lib.core.config.cpdm import GENES
    from radgen_lib.sources.registry import load_registry

    registry = load_registry()
    files = {name: mirror / str(registry[name].mirror_path) for name in FILES}
    cohort = read_released(files, genes=list(GENES), max_excluded_share=0.2)
    patients = cohort.series["patient"].to_numpy().astype(str)
    images = cohort.images[cohort.series["image_index"].to_numpy()].astype(np.float32) / 255
    genes = cohort.genes15.set_index("patient").loc[np.unique(patients)]
    return Pairs(images, genes, patients, "released projections")


def stand_ins(people: int, count: int) -> Pairs:
    """Smooth random fields of so many patients and images."""
    import numpy as np
    import pandas as pd
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    fields = gaussian_filter(rng.normal(size=(count, 128, 128)), sigma=(0, 12, 12))
    low, high = fields.min(axis=(1, 2), keepdims=True), fields.max(axis=(1, 2), keepdims=True)
    names = np.array([f"patient-{i:02d}" for i in range(people)])
    genes = pd.DataFrame(rng.lognormal(size=(people, 15)), index=names)
    patients = np.sort(names[np.arange(count) % people])
    return Pairs(((fields - low) / (high - low)).astype(np.float32), genes, patients, "smooth random fields")


def pairs(*, quick: bool) -> Pairs:
    """Pairs at the network's size: the released ones where RADGEN_MIRROR names them, else stand-ins."""
    from radgen_lib.generators.common import resize

    mirror = os.environ.get("RADGEN_MIRROR")
    found = stand_ins(10, 16) if quick else released(Path(mirror)) if mirror else stand_ins(28, 58)
    return found._replace(images=resize(found.images, SIDE))


def halves(patients: Any) -> list[Any]:
    """Held-out patients of two folds: random halves that share nobody."""
    import numpy as np

    people = np.random.default_rng(0).permutation(np.unique(patients))
    return [np.sort(part) for part in np.array_split(people, 2)]


def conditions(data: Pairs, held_out: Any) -> tuple[Any, Any]:
    """Scaled genes of the training rows [n, 15] and of ``held_out``; the scale is that of the training patients."""
    import numpy as np

    from radgen_lib.omics.conditions import ConditionScaler

    training = data.patients[~np.isin(data.patients, held_out)]
    scaler = ConditionScaler.fit(data.genes.loc[np.unique(training)], "cohort_zscore", log=True)
    given, wanted = (scaler.transform(data.genes.loc[who].to_numpy()) for who in (training, held_out))
    return given, wanted
