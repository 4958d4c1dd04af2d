"""A look at images that make no volume: slices as stored, for the person who decides about a refused stack."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from radgen_lib.imaging.contact import SIDE, common_window, contact_sheet
from radgen_lib.imaging.dicom.pixels import decoded_frames
from radgen_lib.imaging.volume import VolumeFault

# Phases that were meant, or may be meant, to be used; subtractions, localisers and derived images are not wanted.
_WANTED = ("pre", "post", "other")


def worth_a_look(phases: pd.DataFrame, members: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Images of each refused contrast phase and unnamed stack among the rows of a phase table, by volume id."""
    refused = phases[~phases["kept"].astype(bool) & phases["phase"].str.startswith(_WANTED)]
    return {str(name): members[str(name)] for name in refused["volume"] if str(name) in members}


def look_at(instances: pd.DataFrame, root: Path, tile: tuple[int, int]) -> bytes:
    """JPEG of up to sixteen of ``instances`` (rows of a scan; files below ``root``), evenly spaced in their order.

    Each picture is fitted into ``tile`` (rows, columns) with its proportions kept, without correction, registration
    or resampling between slices; all share one grey window. An image that cannot be decoded is left out; b"" when
    none can be.
    """
    ordered = instances.sort_values(["instance", "frame", "sop"], kind="stable")
    chosen = np.unique(np.linspace(0, max(len(ordered) - 1, 0), SIDE * SIDE).round().astype(int))[: len(ordered)]
    planes = [plane for row in ordered.iloc[chosen].to_dict("records") if (plane := _plane(row, root)) is not None]
    if not planes:
        return b""
    low, high = common_window(planes)
    greys = [np.clip((plane - low) / max(high - low, 1e-9), 0, 1) for plane in planes]
    return contact_sheet(np.stack([_fitted(grey, tile) for grey in greys]), window=(0.0, 1.0))


def _plane(row: dict[Any, Any], root: Path) -> np.ndarray | None:
    """Rescaled values, float32 [rows, columns], of one image; None when they cannot be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they repeat values of the tags
            (stored,) = decoded_frames(root / str(row["folder"]) / str(row["file"]), [int(row["frame"])])
    except VolumeFault:
        return None
    if stored.ndim != 2:
        return None  # colours are screen shots, which may show a name
    scaled = np.nan_to_num(stored.astype(np.float64) * float(row["slope"]) + float(row["intercept"]))
    return (-scaled if str(row["photometric"]) == "MONOCHROME1" else scaled).astype(np.float32)


def _fitted(grey: np.ndarray, tile: tuple[int, int]) -> np.ndarray:
    """``grey`` (0 to 1) in the middle of a black picture of ``tile`` rows and columns."""
    share = min(tile[0] / grey.shape[0], tile[1] / grey.shape[1])
    rows, columns = (max(round(length * share), 1) for length in grey.shape)
    picture = Image.fromarray(grey.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX)
    placed = np.zeros(tile, dtype=np.float32)
    top, left = (tile[0] - rows) // 2, (tile[1] - columns) // 2
    placed[top : top + rows, left : left + columns] = np.asarray(picture)
    return placed
