"""When phases were acquired: their order, and seconds after the pre-contrast one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

from radgen_lib.imaging.dicom.split import Part

_HALF_DAY = 43200.0
_NAN = float("nan")
# Evidence of order, strongest first: column of the scan, name.
TEMPORAL = "temporal positions"
_ORDERS = (
    ("temporal", TEMPORAL), ("trigger", "trigger times"), ("acquisition_time", "acquisition times"),
    ("content_time", "content times"), ("acquisition", "acquisition numbers"), ("series_time", "series times"),
    ("series_number", "series numbers"),
)  # fmt: skip
# A pre-contrast series, then all later phases in one series whose tags count from its own start: pairs of evidence.
_STARTS = ("acquisition_time", "content_time", "series_time", "series_number")
_WITHIN = ("temporal", "trigger", "acquisition", "content_time")
_NAMES = dict(_ORDERS)


class Order(NamedTuple):
    """Indices of the parts in time, what they were ordered by, and clauses on evidence that says otherwise."""

    indices: list[int]
    evidence: str
    disagreements: list[str]


def column(parts: list[Part], name: str) -> np.ndarray:
    """First value, float64 [parts], of a numeric column within each part (NaN where a part has none)."""
    firsts = [part.rows[name].to_numpy(dtype=np.float64) for part in parts]
    values = np.array([np.nanmin(found) if not np.isnan(found).all() else _NAN for found in firsts])
    return _past_midnight(values) if name.endswith("_time") else values


def _past_midnight(seconds: np.ndarray) -> np.ndarray:
    """Times of a study that went on after midnight, without the jump back."""
    known = seconds[~np.isnan(seconds)]
    if not len(known) or np.ptp(known) <= _HALF_DAY:
        return seconds
    return np.where(seconds < _HALF_DAY, seconds + 2 * _HALF_DAY, seconds)


def in_time(parts: list[Part], fits: Callable[[list[int]], bool] = lambda order: True) -> Order:
    """Order of ``parts`` by the strongest evidence that tells all of them apart, and that ``fits`` what else is known.

    Where none fits, it is the strongest all the same. Other evidence that also tells all apart and gives another order
    is named. Without any, parts keep the order of their first instance number and series UID, which is stable but says
    nothing about time.
    """
    found: list[tuple[list[int], str, str]] = []
    for name, how in _ORDERS:
        values = column(parts, name)
        if not np.isnan(values).any() and len(set(values.tolist())) == len(parts):
            found.append((np.argsort(values).tolist(), how, name))
    single = next((line for line in found if fits(line[0])), None)
    pairs = [] if single is not None else _in_pairs(parts)
    chosen = single or next((line for line in pairs if fits(line[0])), None) or next(iter([*found, *pairs]), None)
    if chosen is None:
        keys = [(_lowest(part), part.series) for part in parts]
        return Order(sorted(range(len(parts)), key=keys.__getitem__), "", [])
    others = [how for order, how, name in found if order != chosen[0] and not name.startswith("series")]
    return Order(chosen[0], chosen[1], [f"{how} say another order" for how in others])


def _in_pairs(parts: list[Part]) -> list[tuple[list[int], str, str]]:
    """Orders by when a series began, then by a tag within it (missing counts as first), where that tells all apart."""
    found = []
    for start, within in product(_STARTS, _WITHIN):
        first, second = column(parts, start), np.nan_to_num(column(parts, within), nan=0.0)
        if not np.isnan(first).any() and len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(parts):
            found.append((np.lexsort((second, first)).tolist(), f"{_NAMES[start]}, then {_NAMES[within]}", start))
    return found


def _lowest(part: Part) -> float:
    value = float(part.rows["instance"].min())
    return math.inf if math.isnan(value) else value


def seconds_after(parts: list[Part], pre: int | None) -> tuple[np.ndarray, str]:
    """Seconds, float64 [parts], of each part after part ``pre``, and their source; NaN and "" when no clock tells.

    A clock counts when every part has a time and later parts (by position in ``parts``) do not share or precede the
    time of the pre-contrast one. Trigger times (ms) count from the start of a series: they come first within one
    series, and are added to the acquisition time where several series share one. Temporal positions need the temporal
    resolution (ms).
    """
    nothing = np.full(len(parts), _NAN)
    if pre is None:
        return nothing, ""
    later = np.arange(len(parts)) > pre
    for values, source in _clocks(parts):
        after = values - values[pre]
        if len(parts) > 1 and not np.isnan(after).any() and (after[later] > 0).all() and _apart(after):
            return after, source
    resolution, positions = column(parts, "temporal_resolution"), column(parts, "temporal")
    after = (positions - positions[pre]) * np.nanmin(resolution) / 1000.0 if not np.isnan(resolution).all() else nothing
    if len(parts) > 1 and not np.isnan(after).any() and (after[later] > 0).all():
        return after, "temporal"
    nothing[pre] = 0.0
    return nothing, ""


def _clocks(parts: list[Part]) -> list[tuple[np.ndarray, str]]:
    """Times in seconds of all parts and their source, the most trustworthy first."""
    trigger, acquired = column(parts, "trigger") / 1000.0, column(parts, "acquisition_time")
    single = [(acquired, "acquisition"), (column(parts, "content_time"), "content")]
    started = (acquired + np.nan_to_num(trigger, nan=0.0), "acquisition")
    if len({name for part in parts for name in part.series}) == 1:
        return [(trigger, "trigger"), *single]
    return [*single, started, (trigger, "trigger")]


def _apart(after: np.ndarray) -> bool:
    return len(set(after.tolist())) == len(after)
