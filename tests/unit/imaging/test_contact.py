"""Contact sheets: what is on them, one window for a study, the same bytes each time."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from radgen_lib.imaging.contact import SheetArchive, common_window, contact_sheet, sheet_name


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == "L"
        return np.asarray(picture)


def tiles(jpeg: bytes) -> np.ndarray:
    """Mean grey of each of the sixteen tiles, row by row."""
    sheet = pixels(jpeg).astype(float)
    height, width = sheet.shape[0] // 4, sheet.shape[1] // 4
    return sheet.reshape(4, height, 4, width).mean(axis=(1, 3)).ravel()


def steps(count: int, size: int = 16) -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 1, count)[:, None, None], (count, size, size)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 60))
def test_sixteen_slices_from_the_first_to_the_last_in_order(count: int) -> None:
    shown = tiles(contact_sheet(steps(count), window=(0, 1)))
    np.testing.assert_allclose(shown, np.floor(np.linspace(0, count - 1, 16) + 0.5) / (count - 1) * 255, atol=3)
    assert (np.diff(shown) > 0).all()


def test_few_slices_leave_the_rest_black() -> None:
    shown = tiles(contact_sheet(steps(5) + 0.5, window=(0, 1.5)))
    assert (shown[:5] > 50).all()
    assert (shown[5:] < 2).all()


def test_slices_keep_their_orientation() -> None:
    values = np.zeros((16, 16, 24), dtype=np.float32)
    values[:, :8, :12] = 1
    sheet = pixels(contact_sheet(values, window=(0, 1)))
    assert sheet.shape == (64, 96)
    assert sheet[2:6, 2:10].min() > 230
    assert sheet[10:14, 14:22].max() < 25
    assert sheet[2:6, 14:22].max() < 25


def test_a_common_window_keeps_enhancement_visible() -> None:
    rng = np.random.default_rng(0)
    pre = rng.uniform(0, 1, (16, 16, 16)).astype(np.float16)
    post = (pre * 2).astype(np.float16)
    window = common_window([pre, post])
    assert window[1] == pytest.approx(2.0, abs=0.05)
    assert window[0] == pytest.approx(0.0, abs=0.05)
    assert tiles(contact_sheet(post, window=window)).mean() > 1.8 * tiles(contact_sheet(pre, window=window)).mean()
    alone = [tiles(contact_sheet(values)).mean() for values in (pre, post)]
    assert alone[0] == pytest.approx(alone[1], rel=0.02)
    assert common_window([]) == (0.0, 1.0)


def test_values_beyond_the_window_and_not_finite_ones_do_not_wrap() -> None:
    values = steps(16) * 3 - 1
    values[0] = np.nan
    shown = tiles(contact_sheet(values, window=(0, 1)))
    assert shown[0] < 2
    assert shown[-1] > 253
    flat = contact_sheet(np.full((16, 8, 8), 7.0), window=(7.0, 7.0))
    assert tiles(flat).max() < 2


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4)])
def test_anything_but_a_volume_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"need \[D, H, W\]"):
        contact_sheet(np.zeros(shape))


def test_archives_are_the_same_bytes_and_hold_the_sheets_uncompressed(tmp_path: Path) -> None:
    sheets = {"TCGA-AO-A03M/1/pre": contact_sheet(steps(16)), "TCGA-AO-A03M/1/post1": contact_sheet(steps(20))}
    for name in ("a.zip", "b.zip"):
        archive = SheetArchive(tmp_path / name)
        for volume, jpeg in sheets.items():
            archive.add(volume, jpeg)
        archive.close()
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["TCGA-AO-A03M_1_pre.jpg", "TCGA-AO-A03M_1_post1.jpg"]
        for volume, jpeg in sheets.items():
            entry = archive.getinfo(sheet_name(volume))
            assert archive.read(entry) == jpeg
            assert (entry.compress_type, entry.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))


def test_an_archive_without_sheets_is_an_archive(tmp_path: Path) -> None:
    SheetArchive(tmp_path / "a.zip").close()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == []
