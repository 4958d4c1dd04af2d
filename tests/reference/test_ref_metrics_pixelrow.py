"""The published pixel-row statistic against its printed reference values on the real images (table B.TD)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.frechet import pixelrow_frechet

FOLDER = "Kylelhc_BC_RadiogenomicCPDM/data"
# test image: patient, best copy, median same patient, best other patient, mean training image, uniform noise
PRINTED = {
    1: ("TCGA-AO-A03M", 0.053, 0.187, 1.000, 1.383, 22.7),
    16: ("TCGA-AO-A12E", 0.050, 0.105, 1.867, 1.664, 21.5),
    24: ("TCGA-AO-A12G", 0.098, 0.338, 1.741, 2.272, 19.7),
    33: ("TCGA-AR-A1AX", 0.533, 0.533, 0.582, 4.578, 28.8),
}


class Released(NamedTuple):
    """images: [58, 128, 128] in [0, 1]; patients: [58]; training: rows outside the four test images."""

    images: np.ndarray
    patients: np.ndarray
    training: np.ndarray


@pytest.fixture(scope="module")
def released(mirror: Path) -> Released:
    table = pd.read_csv(mirror / FOLDER / "SideViewBTF.csv")
    with zipfile.ZipFile(mirror / FOLDER / "SidePNG128.zip") as archive:
        files = {int(Path(name).stem): name for name in archive.namelist() if name.endswith(".png")}
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(files[i])))) for i in range(len(table))]
    images = np.stack([p[..., 0] for p in pictures]) / 255.0
    training = np.array([i for i in range(len(table)) if i not in PRINTED])
    return Released(images, table["1"].str[:12].to_numpy(), training)


@pytest.mark.parametrize("index", PRINTED)
def test_reference_values_equal_the_printed_ones(released: Released, index: int) -> None:
    patient, *printed, _ = PRINTED[index]
    images, patients, training = released
    assert patients[index] == patient
    found = np.array([pixelrow_frechet(images[index], images[i]) for i in training])
    same = patients[training] == patient
    mean = pixelrow_frechet(images[index], images[training].mean(axis=0))
    values = [found[same].min(), np.median(found[same]), found[~same].min(), mean]
    assert [round(float(v), 3) for v in values] == printed


@pytest.mark.parametrize("index", PRINTED)
def test_printed_noise_value_is_one_draw_of_ours(released: Released, index: int) -> None:
    """One noise image was printed; draws spread by 0.2 around a mean that depends on the test image."""
    noise = make_rng(0, "noise").random((30, 128, 128))
    values = np.array([pixelrow_frechet(released.images[index], one) for one in noise])
    assert values.std() < 0.3
    assert abs(PRINTED[index][-1] - values.mean()) < 4 * values.std()


def test_an_image_equals_itself(released: Released) -> None:
    assert pixelrow_frechet(released.images[1], released.images[1]) == pytest.approx(0, abs=1e-10)
