"""Pictures of pixels: real beside synthetic, and the nearest training image of each synthetic one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from radgen_lib.reporting.labels import label
from radgen_lib.reporting.style import as_png, nothing_to_show, styled

if TYPE_CHECKING:
    import numpy as np

CELL = 1.05  # inches per image


def _show(axes: Any, image: np.ndarray, below: str = "") -> None:
    import numpy as np

    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if np.isfinite(image).all():
        # One grey scale for all: a per-image stretch would hide that generated images leave [0, 1].
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axes.set_facecolor("#eceff3")
        axes.text(0.5, 0.5, "no image", ha="center", va="center", fontsize=8, transform=axes.transAxes)
    if below:
        axes.set_xlabel(below, fontsize=8, labelpad=2)


def image_grid(columns: Mapping[str, np.ndarray], patients: Sequence[str]) -> bytes:
    """Real and synthetic images of the same held-out patients: a row per patient, a column per generator (PNG).

    columns: name (``real`` first, then generators) -> float [n, H, W] in [0, 1]; a row of NaN is shown as missing.
    patients: n names. Raises ValueError when a column has another number of rows.
    """
    for name, images in columns.items():
        if len(images) != len(patients):
            raise ValueError(f"image_grid: column {name!r} has {len(images)} images for {len(patients)} patients")
    if not columns or not len(patients):
        return nothing_to_show("no held-out image was drawn")
    rows = len(patients)
    with styled(CELL * len(columns) + 0.3, CELL * rows + 0.5) as figure:
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
        grid = figure.subplots(rows, len(columns), squeeze=False)
        for j, (name, images) in enumerate(columns.items()):
            for i in range(rows):
                _show(grid[i, j], images[i])
            title = "real" if name == "real" else label("generator", name)
            grid[0, j].set_title("\n".join(textwrap.wrap(title, 10)), fontsize=9, loc="center")
        for i, patient in enumerate(patients):
            grid[i, 0].set_ylabel(patient.removeprefix("TCGA-"), fontsize=9)
        return as_png(figure)


def nearest_pairs(
    synthetic: np.ndarray, training: np.ndarray, distances: Sequence[float], names: Sequence[str], *, most: int = 8
) -> bytes:
    """Contact sheet: each synthetic image above its nearest training image, closest pairs first (PNG).

    synthetic, training: float [n, H, W] in [0, 1], row i of one belongs to row i of the other; distances: n values;
    names: n short texts (generator, patient). At most ``most`` pairs are shown.
    """
    import numpy as np

    lengths = {len(synthetic), len(training), len(distances), len(names)}
    if len(lengths) != 1:
        raise ValueError(f"nearest_pairs: different numbers of pairs: {sorted(lengths)}")
    chosen = np.argsort(np.asarray(distances, dtype=float), kind="stable")[:most]
    if not len(chosen):
        return nothing_to_show("no nearest pair was computed")
    across = min(4, len(chosen))
    down = -(-len(chosen) // across)
    with styled(1.35 * across, 3.5 * down) as figure:
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03, wspace=0.02, hspace=0.02)
        grid = figure.subplots(2 * down, across, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for place, pair in enumerate(chosen):
            i, j = divmod(place, across)
            upper, lower = grid[2 * i, j], grid[2 * i + 1, j]
            for axes, image, text in (
                (upper, synthetic[pair], "synthetic"),
                (lower, training[pair], "nearest training"),
            ):
                axes.set_axis_on()
                _show(axes, image, text)
            title = "\n".join([*textwrap.wrap(names[pair], 18), f"d = {distances[pair]:.3g}"])
            upper.set_title(title, fontsize=8, loc="center", fontweight="normal")
        return as_png(figure)
