"""Pictures of stacks that are not used: which ones, of which images, and what is left out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.imaging import ingest as ingest_module
from radgen_lib.imaging.dicom.scan import scan
from radgen_lib.imaging.ingest import ingest_shard
from radgen_lib.imaging.looks import look_at
from tests.unit.imaging.dicom_images import Series, ledger, write
from tests.unit.imaging.test_ingest import GRID, store, study

TILE = (16, 16)


def seen(jpeg: bytes) -> np.ndarray:
    """The sixteen tiles [16, rows, columns] of a sheet."""
    sheet = np.asarray(Image.open(io.BytesIO(jpeg)))
    return sheet.reshape(4, TILE[0], 4, TILE[1]).transpose(0, 2, 1, 3).reshape(16, *TILE)


def look(root: Path, series: Series) -> bytes:
    write(root, series.images())
    rows = scan(root, ledger(("a", series.patient, series.uid))).instances
    return look_at(rows.sample(frac=1, random_state=0), root, TILE)


def steps(count: int, shape: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.stack([np.full(shape, 100 * place, dtype=np.uint16) for place in range(count)])


def names_of_sheets(tmp_path: Path, series: list[Series], damage: int | None = None, cut: int = 40) -> list[str]:
    listed = store(tmp_path, series)
    if damage is not None:
        for path in (tmp_path / listed["folder"].iloc[damage]).glob("*.dcm"):
            path.write_bytes(path.read_bytes()[:-cut])
    imaging = Imaging(source="folder", volume=GRID)
    ingest_shard(listed, tmp_path, tmp_path / "out", imaging=imaging, names=None, jobs=1)
    with zipfile.ZipFile(tmp_path / "out/contact_sheets.zip") as archive:
        return [name.removeprefix("TCGA-AO-A03M_1_").removesuffix(".jpg") for name in archive.namelist()]


def test_a_stack_with_gaps_has_a_picture_and_a_subtraction_none(tmp_path: Path) -> None:
    series = study("TCGA-AO-A03M", posts=3)
    series[2].skip = (2, 3)
    series[3].tags["ImageType"] = "DERIVED\\SECONDARY\\SUBTRACTION"
    assert names_of_sheets(tmp_path, series) == ["pre", "post1", "post2"]


def test_a_study_of_which_nothing_is_kept_has_pictures_too(tmp_path: Path) -> None:
    (series,) = study("TCGA-AO-A03M", posts=0)
    series.skip = (2, 3)
    assert names_of_sheets(tmp_path, [series]) == ["pre"]


def test_images_that_cannot_be_decoded_give_no_picture(tmp_path: Path) -> None:
    assert names_of_sheets(tmp_path, study("TCGA-AO-A03M"), damage=1) == ["pre", "post2"]


def test_a_phase_that_fails_in_reading_has_a_picture_of_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = store(tmp_path, study("TCGA-AO-A03M"))

    def scan_then_lose(root: Path, *args: object, **options: object) -> object:
        found = scan(root, *args, **options)  # type: ignore[arg-type] # handed on as they come
        next((root / listed["folder"].iloc[1]).glob("*.dcm")).unlink()
        return found

    monkeypatch.setattr(ingest_module, "scan", scan_then_lose)
    imaging = Imaging(source="folder", volume=GRID)
    ingest_shard(listed, tmp_path, tmp_path / "out", imaging=imaging, names=None, jobs=1)
    with zipfile.ZipFile(tmp_path / "out/contact_sheets.zip") as archive:
        assert "TCGA-AO-A03M_1_post1.jpg" in archive.namelist()


def test_sixteen_images_evenly_spaced_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tiles = seen(look(tmp_path, Series(steps(31)))).mean(axis=(1, 2))
    assert len(tiles) == 16 and (np.diff(tiles) > 8).all() and tiles[0] < 5 and tiles[-1] > 250


def test_proportions_are_kept_and_the_rest_is_black(tmp_path: Path) -> None:
    values = np.full((5, 8, 4), 200, dtype=np.uint16)
    values[0, 0, 0] = 0
    tile = seen(look(tmp_path, Series(values)))[2]
    assert (tile[:, 5:11] > 240).all() and (tile[:, :3] < 15).all() and (tile[:, 13:] < 15).all()


def test_inverted_grey_is_shown_as_it_is_meant(tmp_path: Path) -> None:
    tiles = seen(look(tmp_path, Series(steps(16), tags={"PhotometricInterpretation": "MONOCHROME1"})))
    assert (np.diff(tiles.mean(axis=(1, 2))) < 0).all()


def test_colours_are_left_out(tmp_path: Path) -> None:
    images = Series(steps(5)).images()
    for image in images:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit = 7
        image.PixelData = bytes(8 * 8 * 3)
    write(tmp_path, images)
    rows = scan(tmp_path, ledger(("a", Series(steps(1)).patient, Series(steps(1)).uid))).instances
    assert len(rows) == 5 and look_at(rows, tmp_path, TILE) == b""
