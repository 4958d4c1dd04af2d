"""Reference rows of the pixel-row Frechet distance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.fidelity import pair_table
from radgen_lib.analyses.reference_rows import reference_rows
from radgen_lib.cohort.published import PUBLISHED_TEST
from radgen_lib.metrics.frechet import pixelrow_frechet

Pick = Callable[..., pd.Series]


def _tests(world: Any, *indices: int) -> dict[int, tuple[str, str]]:
    known = world.series.set_index("image_index")
    return {index: (known["patient"][index], known["series"][index]) for index in indices}


def test_references_and_models_of_a_made_up_cohort(world: Any, pick: Pick) -> None:
    tests = _tests(world, 1, 4)
    rows = reference_rows(
        world.images, world.series, world.runs[:2], world.tables.splits, name="rigorous", clamp=True, seed=1,
        test_images=tests,
    )  # fmt: skip
    owner = world.series.set_index("image_index")["patient"]
    real = world.images / 255
    mates = [i for i in range(len(real)) if owner[i] == owner[4] and i not in tests]
    expected = min(pixelrow_frechet(real[4].astype(np.float32), real[i].astype(np.float32)) for i in mates)
    found = pick(rows, arm="copy", task=owner[4])
    assert found["value"] == pytest.approx(expected, rel=1e-4)
    assert found["interval"] == "none: one image"
    noise = pick(rows, arm="noise", task=owner[4])
    assert noise["low"] < noise["value"] < noise["high"]
    keys = {"arm": "model", "generator": "edm", "design": "grouped", "task": owner[4]}
    best, mean = (pick(rows, metric=f"pixelrow_frechet_{m}", **keys)["value"] for m in ("best", "mean"))
    assert best <= mean < noise["value"]


def test_best_of_draws_is_taken_within_a_repeat(make_world: Any, pick: Pick) -> None:
    """More repeats must not lower the best: it is the mean of each repeat's best of the first three draws."""
    world = make_world(repeats=3, others=20)
    rows = reference_rows(
        world.images,
        world.series,
        world.runs[:1],
        world.tables.splits,
        name="p",
        clamp=True,
        seed=1,
        test_images=_tests(world, 4),
    )
    pairs = pair_table(world.images, world.runs[0], world.tables.splits, clamp=True)
    pairs = pairs[(pairs["image_index"] == 4) & (pairs["design"] == "grouped")]
    best = pick(rows, metric="pixelrow_frechet_best", design="grouped")
    assert best["value"] == pytest.approx(pairs.groupby("fold")["pixelrow"].min().mean())
    assert best["value"] > pairs["pixelrow"].min()
    assert best["note"] == "image 4; first 2 draws, mean over 3 repeats"


def test_patient_without_another_image_is_a_reason(world: Any, pick: Pick) -> None:
    rows = reference_rows(
        world.images, world.series, [], world.tables.splits, name="p", clamp=True, seed=1, test_images=_tests(world, 0)
    )
    assert pick(rows, arm="copy")["reason"] == "no such training image"
    assert pick(rows, arm="other_patient")["value"] > 0


@pytest.mark.parametrize(
    ("image", "task", "values"),
    [
        (1, "TCGA-AO-A03M", (0.053, 0.187, 1.000, 1.383)),
        (16, "TCGA-AO-A12E", (0.050, 0.105, 1.867, 1.664)),
        (24, "TCGA-AO-A12G", (0.098, 0.338, 1.741, 2.272)),
        (33, "TCGA-AR-A1AX", (0.533, 0.533, 0.582, 4.578)),
    ],
)
def test_values_measured_once_on_the_released_projections(
    mirror: Path, pick: Pick, image: int, task: str, values: tuple[float, ...]
) -> None:
    """The reference table measured independently on the same files (three decimals)."""
    images, series = _released(mirror)
    assert series["patient"][image] == task
    rows = reference_rows(
        images, series, [], pd.DataFrame({"image_index": []}), name="p", clamp=True, seed=1,
    )  # fmt: skip
    for arm, value in zip(("copy", "same_patient", "other_patient", "mean_image"), values, strict=True):
        assert pick(rows, arm=arm, task=task)["value"] == pytest.approx(value, abs=0.0015), arm
    assert 15 < pick(rows, arm="noise", task=task)["value"] < 35


def test_another_cohort_has_reasons_for_the_published_test_images(world: Any) -> None:
    """Its images 1 and 16 exist, but they show other people than the published test images."""
    assert {1, 16} <= set(world.series["image_index"])
    rows = reference_rows(world.images, world.series, world.runs, world.tables.splits, name="p", clamp=True, seed=1)
    assert list(rows["task"]) == [patient for patient, _ in PUBLISHED_TEST.values()]
    assert rows["value"].isna().all()
    assert rows["reason"].str.startswith("needs the released projections, of which TCGA-").all()


def test_another_image_of_the_same_patient_is_not_the_published_one(world: Any) -> None:
    """An ingested cohort of the papers' patients may have one of them at the same place, as another volume."""
    tests = {index: (patient, f"{series}.9") for index, (patient, series) in _tests(world, 1, 4).items()}
    rows = reference_rows(
        world.images, world.series, world.runs, world.tables.splits, name="p", clamp=True, seed=1, test_images=tests
    )
    assert len(rows) == 2 and rows["reason"].str.startswith("needs the released projections").all()


def _released(mirror: Path) -> tuple[np.ndarray, pd.DataFrame]:
    import io
    import zipfile

    from PIL import Image

    folder = mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data"
    with zipfile.ZipFile(folder / "SidePNG128.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png") and not n.startswith("__"))
        images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("L")) for n in names])
    table = pd.read_csv(folder / "SideViewBTF.csv")
    names = table.iloc[:, 1].astype(str)
    columns = {"series": names.str[13:].tolist(), "patient": names.str[:12].tolist()}
    return images, pd.DataFrame({"image_index": range(len(images)), **columns})
