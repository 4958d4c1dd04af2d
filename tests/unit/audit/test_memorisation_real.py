"""The memorisation audit on the real projections: a generator that copies, one that averages, one that is perfect."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from radgen_lib.audit.memorisation import memorisation_rows
from radgen_lib.audit.runs import AuditRun
from radgen_lib.core.rows import result_frame

FOLDER = "Kylelhc_BC_RadiogenomicCPDM/data"


class Real(NamedTuple):
    images: np.ndarray
    series: pd.DataFrame
    splits: pd.DataFrame


@pytest.fixture(scope="module")
def real(mirror: Path) -> Real:
    """58 projections of 28 patients, two folds by patient."""
    with zipfile.ZipFile(mirror / FOLDER / "SidePNG128.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png") and "__MACOSX" not in n)
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L")) for name in names]
    patients = pd.read_csv(mirror / FOLDER / "SideViewBTF.csv").iloc[:, 1].str[:12]
    series = pd.DataFrame({"image_index": np.arange(58), "patient": patients})
    people = np.random.default_rng(0).permutation(patients.unique())
    second = series["patient"].isin(people[::2])
    parts = [
        series.assign(design="grouped", fold=f"r0f{f}", role=np.where(second == bool(f), "test", "train"))
        for f in range(2)
    ]
    return Real(np.stack(pictures), series, pd.concat(parts, ignore_index=True))


def audited(real: Real, make: Callable[[np.ndarray, str], np.ndarray]) -> dict[tuple[str, str], float]:
    rows, images = [], []
    for fold, part in real.splits.groupby("fold"):
        train = part.loc[part["role"] == "train", "image_index"].to_numpy()
        for name in sorted(part.loc[part["role"] == "test", "patient"].unique()):
            for draw in range(2):
                keys = {"fold": fold, "kind": "heldout", "patient": name, "condition_patient": name, "draw": draw}
                rows.append({"row": len(rows), **keys})
                images.append(make(train, name))
    run = AuditRun("genes15", "g", pd.DataFrame(rows), np.asarray(images), pd.DataFrame(index=range(len(rows))))
    found, _ = memorisation_rows(run, real.images, real.series, real.splits, draws=100, seed=1, protocol_name="p")
    table = result_frame(found)
    table = table[table["extractor"] == "pixels_rmse"]
    return dict(zip(zip(table["metric"], table["arm"], strict=True), table["value"], strict=True))


def test_perfect_generator_looks_like_a_new_patient(real: Real) -> None:
    """Its images are the held-out patient's own real ones: no nearer to training than a new patient is."""
    rng = np.random.default_rng(1)
    own = real.series.groupby("patient")["image_index"].apply(np.array)
    found = audited(real, lambda train, name: real.images[rng.choice(own[name])] / 255)
    assert found["nearest_ratio", "synthetic"] == pytest.approx(1, abs=0.1)
    assert found["copy_rate", "synthetic"] == pytest.approx(found["copy_rate", "real"], abs=0.15)
    assert found["membership_auc", ""] == pytest.approx(0.5, abs=0.15)
    assert found["reidentification_top1", ""] > 0.9


def test_copying_generator_is_caught(real: Real) -> None:
    rng = np.random.default_rng(2)
    found = audited(real, lambda train, name: real.images[rng.choice(train)] / 255)
    assert found["nearest_ratio", "synthetic"] == 0
    assert found["copy_rate", "synthetic"] == 1
    assert found["membership_auc", ""] > 0.7
    assert found["reidentification_top1", ""] < 0.2


def test_mean_image_is_near_to_all_and_noise_to_none(real: Real) -> None:
    smooth = audited(real, lambda train, name: real.images[train].mean(axis=0) / 255)
    rng = np.random.default_rng(3)
    rough = audited(real, lambda train, name: rng.random((128, 128)))
    assert smooth["nearest_ratio", "synthetic"] < 0.9 < 1.5 < rough["nearest_ratio", "synthetic"]
    assert rough["copy_rate", "synthetic"] == 0
