"""Radiomic features against PyRadiomics' own extractor and against what the two binnings must show."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from PIL import Image

from radgen_lib.imaging.radiomics import central_box, feature_names, prepared, radiomic_features
from radgen_lib.sources.archive import read_zip_members


def projections(n: int, size: int = 48, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    images = [np.exp(-((x - 0.6) ** 2 + (y - 0.5) ** 2) / rng.uniform(0.05, 0.2)) * 0.8 for _ in range(n)]
    return np.clip(np.stack(images) + 0.03 * rng.normal(size=(n, size, size)), 0, 1).astype(np.float32)


def constant_features(table: pd.DataFrame) -> list[str]:
    """Columns that carry nothing: the same value (to 1e-9 relative) in all finite rows, or no finite row."""
    spread = table.max() - table.min()
    return [str(name) for name in table if not spread[name] > 1e-9 * max(1.0, float(table[name].abs().max()))]


def by_extractor(image: np.ndarray, binning: str) -> dict[str, float]:
    """The reference: PyRadiomics' extractor on the whole image with the box as mask."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    bins = {"binCount": 32} if binning == "count32" else {"binWidth": 25}
    extractor = RadiomicsFeatureExtractor(force2D=True, force2Ddimension=0, **bins)
    extractor.disableAllFeatures()
    for name in ("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm"):
        extractor.enableFeatureClassByName(name)
    mask = np.zeros((1, *image.shape), dtype=np.uint8)
    mask[(0, *central_box(*image.shape))] = 1
    found = extractor.execute(
        sitk.GetImageFromArray(prepared(image, binning)),  # type: ignore[arg-type]
        sitk.GetImageFromArray(mask),
    )
    prefix = "original_"
    return {f"radiomics:{k.removeprefix(prefix)}": float(v) for k, v in found.items() if k.startswith(prefix)}


@pytest.mark.parametrize("binning", ["count32", "width25"])
@pytest.mark.parametrize("size", [48, 50])
def test_values_equal_the_extractor(binning: str, size: int) -> None:
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    image = projections(1, size, seed=size)[0] - (0.05 if binning == "width25" else 0.0)
    ours = radiomic_features(image[None], binning=binning).iloc[0].to_dict()  # type: ignore[arg-type]
    reference = by_extractor(image, binning)
    assert set(ours) == set(reference)
    for name, value in reference.items():
        assert ours[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


def test_there_are_93_named_columns() -> None:
    names = feature_names()
    counts = pd.Series(names).str.extract(r"radiomics:(\w+?)_")[0].value_counts().to_dict()
    assert counts == {"firstorder": 18, "glcm": 24, "glrlm": 16, "glszm": 16, "gldm": 14, "ngtdm": 5}
    table = radiomic_features(projections(2), binning="count32")
    assert tuple(table.columns) == names
    assert table.index.tolist() == [0, 1]
    assert (table.dtypes == np.float64).all()


def test_32_bins_leave_no_constant_feature_and_width_25_degenerates() -> None:
    images = projections(6)
    assert constant_features(radiomic_features(images, binning="count32")) == []
    constant = constant_features(radiomic_features(images, binning="width25"))
    texture = [name for name in constant if "firstorder" not in name]
    assert "radiomics:glcm_JointEntropy" in constant
    assert "radiomics:ngtdm_Contrast" in constant
    assert len(texture) >= 60
    assert "radiomics:firstorder_Mean" not in constant


def test_only_the_central_box_counts() -> None:
    images = projections(2)
    rows, columns = central_box(48, 48)
    assert (rows, columns) == (slice(6, 42), slice(6, 42))
    outside = images.copy()
    outside[:, :6] = 1.0
    outside[:, :, 42:] = 0.0
    pd.testing.assert_frame_equal(
        radiomic_features(images, binning="count32"), radiomic_features(outside, binning="count32")
    )
    inside = images.copy()
    inside[:, 20, 20] = 1.0
    assert not radiomic_features(images, binning="count32").equals(radiomic_features(inside, binning="count32"))


def test_count32_clips_to_the_declared_range_and_width25_does_not() -> None:
    image = projections(1)
    wild = np.where(image > 0.7, image + 0.6, image)
    clipped = np.clip(wild, 0, 1)
    assert radiomic_features(wild, binning="count32").equals(radiomic_features(clipped, binning="count32"))
    assert not radiomic_features(wild, binning="width25").equals(radiomic_features(clipped, binning="width25"))


def test_texture_does_not_depend_on_scale_under_32_bins() -> None:
    image = projections(1).astype(np.float64)
    table, dark = (radiomic_features(image * s, binning="count32") for s in (1.0, 0.5))
    texture = [name for name in table.columns if "firstorder" not in name]
    np.testing.assert_allclose(table[texture], dark[texture], rtol=1e-9)
    assert dark["radiomics:firstorder_Mean"][0] == pytest.approx(table["radiomics:firstorder_Mean"][0] / 2)


def test_processes_give_the_same_bytes_in_the_same_order() -> None:
    images = projections(40, 16)
    one, two = (radiomic_features(images, binning="count32", threads=t) for t in (1, 2))
    assert one.to_numpy().tobytes() == two.to_numpy().tobytes()
    alone = pd.concat([radiomic_features(images[i : i + 1], binning="count32") for i in (0, 17, 39)])
    assert alone.to_numpy().tobytes() == one.iloc[[0, 17, 39]].to_numpy().tobytes()


def test_a_flat_image_gives_finite_values_or_nan_but_no_failure() -> None:
    table = radiomic_features(np.full((2, 16, 16), 0.4), binning="count32")
    assert not np.isinf(table.to_numpy()).any()
    assert table["radiomics:firstorder_Mean"].tolist() == pytest.approx([102.0, 102.0])
    assert set(constant_features(table)) == set(table.columns)


def test_no_images_give_an_empty_table() -> None:
    assert radiomic_features(np.zeros((0, 16, 16)), binning="width25").shape == (0, 93)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((16, 16)), r"need \[n, H, W\]"),
        (np.zeros((1, 4, 16)), "8 pixels"),
        (np.full((3, 16, 16), np.nan), "image 0 holds values that are not finite"),
    ],
)
def test_impossible_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        radiomic_features(images, binning="count32")


def test_unknown_binning_is_refused() -> None:
    with pytest.raises(ValueError, match="width25, count32"):
        radiomic_features(np.zeros((1, 16, 16)), binning="width5")  # type: ignore[arg-type]


def test_real_projections_have_texture_under_32_bins_only(mirror: Path) -> None:
    archive = mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / "SidePNG128.zip"
    members = read_zip_members(archive, ".png")
    pixels = [np.asarray(Image.open(io.BytesIO(members[name])))[..., 0] for name in sorted(members)[::8]]
    images = np.stack(pixels) / 255.0
    assert constant_features(radiomic_features(images, binning="count32")) == []
    assert len(constant_features(radiomic_features(images, binning="width25"))) >= 60
