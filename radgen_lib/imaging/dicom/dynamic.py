"""Names for the phases of a study's dynamic series: pre-contrast and post-contrast 1..n, with the evidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from radgen_lib.cohort.selection import COPY, OTHER_GEOMETRY
from radgen_lib.imaging.choice import TOO_MANY, UNNAMED
from radgen_lib.imaging.dicom.classify import MIN_SLICES
from radgen_lib.imaging.dicom.naming import MOST_POSTS, conflict, name_in_time, told_of
from radgen_lib.imaging.dicom.refused import says_the_same
from radgen_lib.imaging.dicom.sides import by_geometry, other_side, sides_of
from radgen_lib.imaging.dicom.split import Part
from radgen_lib.imaging.dicom.timing import column, in_time, seconds_after


@dataclass
class Named:
    """A part under its phase name; ``decision`` says why, ``reason`` why it is not kept ("" when it is).

    ``side``: the breast that its dynamic series shows, "right", "left" or "" (both, or not told). ``second``: it is of
    the second of two dynamic series, one a breast.
    """

    part: Part
    phase: str
    decision: str
    reason: str = ""
    seconds: float = float("nan")
    seconds_source: str = ""
    side: str = ""
    second: bool = False


def name_dynamic(parts: list[Part]) -> list[Named]:
    """Name the dynamic parts of one study.

    The parts of one geometry that are most are the study's dynamic series; where the breasts lie in stacks of their
    own it has two, each named by itself. Others are "other". Copies of a phase are set aside; a phase with fewer slices
    than its siblings is refused, because its ends lack.
    """
    found: list[Named] = []
    thin = [part for part in parts if part.places < MIN_SLICES and not part.refused]
    for part in thin:
        count = part.places
        found.append(Named(part, "other", f"{count} slices only", f"{count} slices are not a volume"))
    sets = []
    for members in by_geometry([part for part in parts if part.places >= MIN_SLICES or part.refused]):
        unique, copies = _without_copies(members)
        sets.append(unique)
        found += [Named(part, "other", COPY, COPY) for part in copies]
    if not sets:
        return found
    side = other_side(sets)
    told = sides_of(sets[0], sets[side] if side else None)
    for number, members in enumerate(sets):
        if number and number != side:
            found += [Named(part, "other", OTHER_GEOMETRY, _with_fault(OTHER_GEOMETRY, part)) for part in members]
        else:
            found += _name_set(members, *told[bool(number)], second=number > 0)
    return found


def _with_fault(reason: str, part: Part) -> str:
    """A reason why a part has no name, and what is wrong with its images."""
    fault = part.refused or part.fault
    return f"{reason}; {fault}" if fault else reason


def _without_copies(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Parts, and those whose pixels all stand in another series too (the scan compared them).

    The pixels of a refused part are not there: it is a copy when its tags, times among them, are those of another.
    """
    sound = [part for part in parts if not part.refused]
    seen: dict[frozenset[str], Part] = {}
    unique, copies = [], []
    for part in sorted(parts, key=lambda part: part.series):
        sums = frozenset(part.rows["pixels_sha256"])
        pixels = "" not in sums and sums in seen and seen[sums].series != part.series
        if pixels or (part.refused and any(says_the_same(part.rows, one.rows) for one in sound)):
            copies.append(part)
        else:
            seen.setdefault(sums, part)
            unique.append(part)
    return unique, copies


def _name_set(parts: list[Part], side: str, side_by: str, *, second: bool) -> list[Named]:
    told = told_of(parts)
    order = in_time(parts, lambda indices: not conflict(told, indices))
    parts = [parts[index] for index in order.indices]
    names, decisions, against = name_in_time(parts, told_of(parts), order.evidence)
    names = _numbered(names, column(parts, "temporal"))
    pre = names.index("pre") if "pre" in names else None
    seconds, source = seconds_after(parts, pre)
    found = []
    for part, name, decision, value in zip(parts, names, decisions, seconds, strict=True):
        clauses = [decision, *order.disagreements, *against]
        if part.how:
            clauses.append(part.how)
        if len(part.series) > 1:
            clauses.append(f"slices from {len(part.series)} series")
        if part.orientations > 1:
            clauses.append(f"one of {part.orientations} orientations in its series")
        if side_by:
            clauses.append(side_by)
        reason = decision if decision.startswith(UNNAMED) else TOO_MANY
        item = Named(part, name, "; ".join(clauses), "" if name != "other" else _with_fault(reason, part))
        item.seconds, item.seconds_source = float(value), source if value == value else ""
        item.side, item.second = side, second
        found.append(item)
    _refuse_short(found)
    return found


def _numbered(names: list[str], temporal: np.ndarray) -> list[str]:
    """Post-contrast phases by their temporal position, where it is told: a lost phase leaves its number free.

    Counted is from the pre-contrast phase, or from position 1 when that phase is lost. The names stay when positions
    are missing, repeat, or run against them.
    """
    start = temporal[names.index("pre")] if "pre" in names else 1.0
    posts = [k for k, name in enumerate(names) if name.startswith("post")]
    numbers = [float(temporal[k] - start) for k in posts]
    if not all(number >= k + 1 and number.is_integer() for k, number in enumerate(numbers)):
        return names
    if sorted(set(numbers)) != numbers:
        return names
    renamed = list(names)
    for k, number in zip(posts, numbers, strict=True):
        renamed[k] = f"post{number:.0f}" if number <= MOST_POSTS else "other"
    return renamed


def _refuse_short(found: list[Named]) -> None:
    """Refuse phases with fewer slices than most of their siblings: what lacks at an end leaves no gap."""
    sound = [item for item in found if not item.part.fault]
    counts = Counter(item.part.places for item in sound)
    if len(sound) < 2:
        return
    usual = max(counts, key=lambda size: (counts[size], size))
    for item in sound:
        if item.part.places < usual and not item.reason:
            item.reason = f"missing slices: {usual - item.part.places} of the {usual} of the study's other phases"
