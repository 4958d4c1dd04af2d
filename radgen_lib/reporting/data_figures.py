"""Figures of the page of ingestion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from radgen_lib.reporting.diagram import cohort_flow
from radgen_lib.reporting.style import COLOURS, as_svg, nothing_to_show, styled

if TYPE_CHECKING:
    import pandas as pd

SAMPLED = 200_000


def flow_figure(steps: pd.DataFrame) -> bytes:
    """Flow diagram of all steps of ingestion."""
    return cohort_flow(steps)


def timing_figure(phases: pd.DataFrame) -> bytes:
    """Acquisition times of the kept phases of each study: a dot a phase, a line a study; SVG bytes."""
    kept = phases[phases["kept"].astype(bool) & phases["seconds"].notna()]
    if kept.empty:
        return nothing_to_show("no kept phase has an acquisition time")
    studies = sorted(kept.groupby(["patient", "study_number"], sort=True), key=lambda item: item[1]["seconds"].max())
    with styled(height=min(2 + 0.06 * len(studies), 7)) as figure:
        axes = figure.add_subplot()
        for place, (_, study) in enumerate(studies):
            times = study["seconds"].sort_values() / 60
            axes.plot(times, np.full(len(times), place), color=COLOURS[7], lw=0.6)
            axes.scatter(times, np.full(len(times), place), s=10, color=COLOURS[0], zorder=3)
        axes.set(xlabel="Minutes after the pre-contrast phase", ylabel="Studies", yticks=[])
        return as_svg(figure)


def omics_figure(tensor: np.ndarray, names: Sequence[str]) -> bytes:
    """Histogram of each molecular matrix of a tensor [patients, genes, omics]; SVG bytes."""
    with styled(height=3.2) as figure:
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for layer, (name, axis) in enumerate(zip(names, axes, strict=True)):
            values = np.asarray(tensor[:, :, layer], dtype=np.float64).ravel()
            step = max(1, values.size // SAMPLED)
            found = values[::step][np.isfinite(values[::step])]
            axis.set_title(name.replace("_", " "), fontsize=10)
            missing = 1 - np.isfinite(values).mean()
            axis.set_xlabel(f"{missing:.1%} missing", fontsize=9)
            axis.set_yticks([])
            if found.size:
                axis.hist(found, bins=40, color=COLOURS[layer % len(COLOURS)])
        return as_svg(figure)
