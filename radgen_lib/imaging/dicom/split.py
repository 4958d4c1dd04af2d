"""From the images of a study to stacks that may be phases: one phase a series, several in one, or one over several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from radgen_lib.imaging.dicom.geometry import SAME_DIRECTION, Stack, axes_of, group_places, stack_planes
from radgen_lib.imaging.dicom.pixels import INVERTED, INVERTED_FAULT
from radgen_lib.imaging.dicom.refused import refusal
from radgen_lib.imaging.volume import VolumeFault

# Tags that may tell the phases of one series apart, strongest first.
_LABELS = (
    ("temporal", "temporal position"), ("acquisition", "acquisition number"), ("trigger", "trigger time"),
    ("acquisition_time", "acquisition time"), ("content_time", "content time"),
)  # fmt: skip
# The k-th image at each place, in order of these, where the values themselves differ from slice to slice.
_RANKS = (
    ("trigger", "order of trigger times at each position"),
    ("acquisition_time", "order of acquisition times at each position"),
    ("content_time", "order of content times at each position"),
    ("instance", "repeated positions in order of instance number"),
)
_MATRIX = ["rows", "columns", "spacing_row", "spacing_col", "samples", "image_type", "te"]
_SAME_PHASE = ["rows", "columns", "spacing_row", "spacing_col", "samples", "image_type", "te", "tr", "flip", "contrast"]


@dataclass(frozen=True)
class Part:
    """Images that may be one phase: their rows of the scan, how they were told from others, what speaks against them.

    ``orientations`` counts the plane orientations of the series, ``share`` is the part of the series' images that has
    this one, ``largest`` that of the most frequent one; ``stack`` is None when ``fault`` says why the planes make no
    volume; ``series`` names the series that the images are from. ``refused`` says why images of it cannot be used:
    such a part is never a volume, but it has its place among the others.
    """

    rows: pd.DataFrame
    how: str
    orientations: int = 1
    share: float = 1.0
    largest: float = 1.0
    stack: Stack | None = None
    fault: str = ""
    series: tuple[str, ...] = field(default=())
    refused: str = ""

    @property
    def places(self) -> int:
        """Number of different slice positions."""
        return len(self.stack.order) if self.stack else len(set(self.rows["position"]))


def split_study(rows: pd.DataFrame) -> list[Part]:
    """Parts of all MR images of one study, in an order that depends on tags alone."""
    parts = [part for _, series in rows.groupby("series", sort=True) for part in split_series(series)]
    return [_with_stack(part) for part in _join(parts)]


def split_series(rows: pd.DataFrame) -> list[Part]:
    """Parts of one series: by orientation, matrix, echo and image type, then by phase."""
    name = (str(rows["series"].iloc[0]),)
    located = rows["position"].notna() & rows["orientation"].notna()
    fault = "no position or orientation in the tags"
    parts = [Part(rows[~located], "", fault=fault, series=name)] if not located.all() else []
    rows = rows[located]
    if not len(rows):
        return parts
    labels = _orientation_labels(np.array(rows["orientation"].tolist()))
    shares = np.bincount(labels) / len(rows)
    for label, share in enumerate(shares):
        planes = rows[labels == label]
        for _, stack in planes.groupby(_MATRIX, dropna=False, sort=True):
            whole = Part(stack, "", len(shares), float(share), float(shares.max()), series=name)
            parts += [replace(whole, rows=part, how=how) for part, how in _phases(stack)]
    return parts


def _orientation_labels(orientations: np.ndarray) -> np.ndarray:
    """Number of the orientation of each plane; numbers follow the sorted values, not the order of the files."""
    kinds: list[np.ndarray] = []
    unique, inverse = np.unique(orientations, axis=0, return_inverse=True)
    number = np.empty(len(unique), dtype=np.intp)
    for index, value in enumerate(unique):
        near = [k for k, kind in enumerate(kinds) if np.abs(kind - value).max() <= SAME_DIRECTION]
        number[index] = near[0] if near else len(kinds)
        if not near:
            kinds.append(value)
    labels: np.ndarray = number[inverse.reshape(-1)]
    return labels


def _phases(rows: pd.DataFrame) -> list[tuple[pd.DataFrame, str]]:
    """Divide the planes of one geometry into phases, by the tag that leaves the fewest positions twice or missing."""
    try:
        groups = group_places(np.array(rows["position"].tolist()), axes_of(np.array(rows["orientation"].iloc[0])))
    except VolumeFault:
        return [(rows, "")]
    place = np.empty(len(rows), dtype=np.intp)
    for number, group in enumerate(groups):
        place[list(group)] = number
    best: tuple[int, np.ndarray, str] = (len(rows) - len(groups), np.zeros(len(rows), dtype=np.intp), "")
    for labels, how in _labellings(rows, place, groups):
        odd = _odd(labels, place, len(groups))
        if odd < best[0]:
            best = (odd, labels, how)
    _, labels, how = best
    count = int(labels.max()) + 1
    return [(rows[labels == k], f"{k + 1} of {count} in its series by {how}" if how else "") for k in range(count)]


def _labellings(
    rows: pd.DataFrame, place: np.ndarray, groups: tuple[tuple[int, ...], ...]
) -> list[tuple[np.ndarray, str]]:
    sizes = {len(group) for group in groups}
    most = max(sizes)
    if most == 1:
        return []
    found: list[tuple[np.ndarray, str]] = []
    for name, how in _LABELS:
        values = rows[name].to_numpy(dtype=np.float64)
        unique, labels = np.unique(values, return_inverse=True)
        # More values than images at a place: the tag varies from slice to slice and names no phase.
        if not np.isnan(values).any() and 2 <= len(unique) <= most:
            found.append((labels.reshape(-1), how))
    # Ranks shift phases against each other when an image lacks, so they need the same number at every place.
    for name, how in _RANKS if len(sizes) == 1 else ():
        values = rows[name].to_numpy(dtype=np.float64)
        if not np.isnan(values).any() and all(len(set(values[list(group)])) == most for group in groups):
            labels = np.empty(len(rows), dtype=np.intp)
            for group in groups:
                labels[np.array(group)[np.argsort(values[list(group)])]] = np.arange(most)
            found.append((labels, how))
    return found


def _odd(labels: np.ndarray, place: np.ndarray, places: int) -> int:
    """Images too many or too few when ``labels`` are phases that each show every place once."""
    counts = np.zeros((int(labels.max()) + 1, places), dtype=np.intp)
    np.add.at(counts, (labels, place), 1)
    return int(np.abs(counts - 1).sum())


def _join(parts: list[Part]) -> list[Part]:
    """Put together parts of different series that are slices of one phase: same moment, complementary positions."""
    waiting, done = list(parts), []
    while waiting:
        part = waiting.pop(0)
        mates = [other for other in waiting if not part.fault and not other.fault and _same_moment(part, other)]
        for group in ([mates] if len(mates) > 1 else []) + [[mate] for mate in mates]:
            joined = _joined([part, *group])
            if joined is not None:
                part, waiting = joined, [other for other in waiting if not any(other is mate for mate in group)]
                break
        done.append(part)
    return done


def _joined(parts: list[Part]) -> Part | None:
    """The parts as one when they are one phase, else None."""
    names = [name for part in parts for name in part.series]
    rows = pd.concat([part.rows for part in parts])
    if len(set(names)) < len(names):
        return None
    try:
        whole = stack_planes(np.array(rows["orientation"].tolist()), np.array(rows["position"].tolist()))
    except VolumeFault:
        return None
    # Without times, an even stack may be a volume of its own, e.g. of the other breast.
    if len(whole.order) != len(rows) or (not _times(parts[0]) and any(_is_slab(part, whole) for part in parts)):
        return None
    return replace(parts[0], rows=rows, series=tuple(sorted(names)))


def _is_slab(part: Part, whole: Stack) -> bool:
    depths = np.sort(np.array(part.rows["position"].tolist()) @ whole.direction[:, 2])
    return len(depths) > 1 and bool(np.allclose(np.diff(depths), whole.step, rtol=0.02))


def _times(part: Part) -> set[float]:
    return set(part.rows["acquisition_time"].dropna()) or set(part.rows["content_time"].dropna())


def _same_moment(one: Part, two: Part) -> bool:
    first, second = one.rows.iloc[0], two.rows.iloc[0]
    if any(first[name] != second[name] and not _both_missing(first[name], second[name]) for name in _SAME_PHASE):
        return False
    if first["frame_of_reference"] != second["frame_of_reference"]:
        return False
    for name in ("temporal", "acquisition"):
        if set(one.rows[name].dropna()) != set(two.rows[name].dropna()):
            return False
    times = _times(one), _times(two)
    return bool(times[0] & times[1]) or not (times[0] or times[1])


def _both_missing(one: object, two: object) -> bool:
    return bool(pd.isna(one)) and bool(pd.isna(two))


def _with_stack(part: Part) -> Part:
    rows = part.rows
    part = replace(part, refused=refusal(rows))
    if part.fault:
        return part
    if (rows["photometric"] == INVERTED).any():
        return replace(part, fault=INVERTED_FAULT)
    try:
        stack = stack_planes(np.array(rows["orientation"].tolist()), np.array(rows["position"].tolist()))
    except VolumeFault as fault:
        return replace(part, fault=fault.reason)
    return replace(part, stack=stack)
