"""Images that were refused though their headers are whole: what these say keeps their phase in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import pandas as pd

from radgen_lib.cohort.selection import REFUSED as IN_REASON

REFUSED = "refused"  # column of the reason; "" for an image that can be used
DUPLICATE, CLASHING = "duplicate SOP instance", "duplicate SOP instance with different content"
_ORDER = ["patient", "study", "series", "instance", "frame", "sop", "folder", "file"]
_SAME = itemgetter(
    "patient", "study", "orientation", "position", "rows", "columns", "temporal", "acquisition", "trigger",
    "acquisition_time", "content_time", "te",
)  # fmt: skip
# Phases of a study that share their times may be told apart by these; a copy has those of its original.
_SERIES = itemgetter("series_time", "series_number")
Row = dict[str, Any]


def refused_table(
    told: Sequence[Row], dropped: Iterable[Row], used: Sequence[Row], faults: Iterable[Mapping[str, str]],
    expected: Mapping[str, Mapping[str, str]], columns: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    """The refused images of a scan: its ``columns``, and :data:`REFUSED`, the reason.

    ``told`` are rows of files that were refused one by one, with their reason; ``dropped`` are rows that were refused
    together, for one of ``faults``; ``used`` are the rows that stay. ``expected`` is the patient of each series of a
    folder by the ledger, under whom the rows of that series stand; where some are that patient's, the others are left
    out. Left out as well are series of several patients that the ledger does not know, series that the ledger does
    not put there, and images that ``used`` holds in the same series.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in [*told, *_with_reasons(dropped, list(faults))]:
        groups.setdefault((row["folder"], row["series"]), []).append(row)
    rows = [row for same in groups.values() for row in _of_owner(same, expected)]
    there = {mark for row in (used if rows else ()) for mark in _marks(row)}
    kept: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if there.isdisjoint(_marks(row)):
            kept.setdefault((row["series"], row["sop"], row["frame"], row["position"]), row)
    table = pd.DataFrame(list(kept.values()), columns=[*columns, REFUSED])
    return table.sort_values(_ORDER, kind="stable", ignore_index=True) if kept else table


def _with_reasons(dropped: Iterable[Row], faults: Sequence[Mapping[str, str]]) -> Iterable[Row]:
    """Rows of ``dropped`` with the reason of their file, else of their series, else of their folder.

    A second copy of an image that stays is not lost and not among them.
    """
    reasons = {(fault["folder"], fault["file"] or fault["series"]): fault["reason"] for fault in faults}
    folders = {fault["folder"]: fault["reason"] for fault in faults if not fault["file"]}
    for row in dropped:
        places = ((row["folder"], row["file"]), (row["folder"], row["series"]))
        reason = next((reasons[place] for place in places if place in reasons), folders.get(row["folder"], ""))
        if not reason.startswith(DUPLICATE) or reason.startswith(CLASHING):
            yield {**row, REFUSED: reason.partition(" (")[0]}


def _of_owner(same: list[Row], expected: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """Rows of one series of one folder under the patient of the ledger."""
    owner = expected[same[0]["folder"]].get(same[0]["series"])
    if owner is None or (not owner and len({row["patient"] for row in same}) > 1):
        return []
    mine = [row for row in same if not owner or row["patient"] == owner]
    return [{**row, "patient": owner or row["patient"]} for row in mine or same]


def _marks(row: Row) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What no two images of one series share: the identifier of the frame, and all that is said of it."""
    return (row["series"], row["sop"], row["frame"]), (row["series"], *said_of_image(row))


def said_of_image(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """What a file of another series that is a copy says as well; None where the tag is missing, as NaN is no key."""
    return tuple(value if value == value else None for value in _SAME(row))


def with_refused(instances: pd.DataFrame, refused: pd.DataFrame | None) -> pd.DataFrame:
    """MR images of a scan, the refused ones among them, in the order of a scan; all have the column REFUSED."""
    usable = instances[instances["kind"] == "MR"].assign(**{REFUSED: ""})
    if refused is None or refused.empty:
        return usable
    parts = [usable, refused] if len(usable) else [refused]
    return pd.concat(parts).sort_values(_ORDER, kind="stable", ignore_index=True)


def refusal(rows: pd.DataFrame) -> str:
    """Why images of a part cannot be used, with their number; "" where all can."""
    reasons = [reason for reason in rows[REFUSED] if reason] if REFUSED in rows else []
    if not reasons:
        return ""
    common = min(reasons, key=lambda reason: (-reasons.count(reason), reason))
    if len(reasons) == len(rows):
        return f"all {len(rows)} {IN_REASON}: {common}"
    return f"missing slices: {len(reasons)} of {len(rows)} {IN_REASON}: {common}"


def says_the_same(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    """Whether the images of two parts of different series have the same tags, times among them: one is a copy."""
    if len(one) != len(two) or one[["acquisition_time", "content_time"]].isna().to_numpy().all():
        return False
    first, second = (
        {(*said_of_image(row), *map(str, _SERIES(row))) for row in part.to_dict("records")} for part in (one, two)
    )
    return first == second and set(one["series"]).isdisjoint(two["series"])
