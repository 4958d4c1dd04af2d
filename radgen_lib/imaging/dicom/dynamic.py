"""Names for the phases of a study's dynamic series: pre-contrast and post-contrast 1..n, with the evidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from radgen_lib.imaging.dicom.classify import MIN_SLICES, POST, PRE, words_of
from radgen_lib.imaging.dicom.refused import says_the_same
from radgen_lib.imaging.dicom.split import Part
from radgen_lib.imaging.dicom.timing import TEMPORAL, column, in_time, seconds_after

MOST_POSTS = 8
_NEAR_MM = 30.0
_SAME_AXES = 0.05


@dataclass
class Named:
    """A part under its phase name; ``decision`` says why, ``reason`` why it is not kept ("" when it is)."""

    part: Part
    phase: str
    decision: str
    reason: str = ""
    seconds: float = float("nan")
    seconds_source: str = ""
    clauses: list[str] = field(default_factory=list)


def name_dynamic(parts: list[Part]) -> list[Named]:
    """Name the dynamic parts of one study.

    The parts of one geometry that are most are the study's dynamic series; others are "other". Copies of a phase are
    set aside; a phase with fewer slices than its siblings is refused, because its ends lack.
    """
    found: list[Named] = []
    thin = [part for part in parts if part.places < MIN_SLICES and not part.refused]
    for part in thin:
        count = part.places
        found.append(Named(part, "other", f"{count} slices only", f"{count} slices are not a volume"))
    sets = _by_geometry([part for part in parts if part.places >= MIN_SLICES or part.refused])
    for number, members in enumerate(sets):
        unique, copies = _without_copies(members)
        if number:
            decision = "another geometry than the study's dynamic series"
            found += [Named(part, "other", decision, decision) for part in unique]
        else:
            found += _name_set(unique)
        found += [Named(part, "other", "the same series twice", "the same series twice") for part in copies]
    return found


def _by_geometry(parts: list[Part]) -> list[list[Part]]:
    """Parts of like planes, matrix and place together; first the set with most phases, then most slices."""
    sets: list[list[Part]] = []
    for part in parts:
        home = next((members for members in sets if _alike(members[0], part)), None)
        if home is None:
            sets.append([part])
        else:
            home.append(part)

    def rank(members: list[Part]) -> tuple[int, int, int, tuple[str, ...]]:
        sound = sum(not part.fault or part.refused != "" for part in members)
        return -sound, -len(members), -max(part.places for part in members), members[0].series

    return sorted(sets, key=rank)


def _alike(one: Part, two: Part) -> bool:
    first, second = one.rows.iloc[0], two.rows.iloc[0]
    same = all(first[name] == second[name] for name in ("rows", "columns"))
    spacing = np.allclose(
        [first["spacing_row"], first["spacing_col"]], [second["spacing_row"], second["spacing_col"]], rtol=0.01
    )
    turned = np.abs(np.subtract(first["orientation"], second["orientation"])).max() > _SAME_AXES
    return bool(same and spacing and not turned and not _apart(one, two))


def _apart(one: Part, two: Part) -> bool:
    """Whether the middles are apart; of a refused part, which may lack slices, whether neither lies in the other."""
    first, second = (np.array(part.rows["position"].tolist()) for part in (one, two))
    middles = [(places.min(axis=0) + places.max(axis=0)) / 2 for places in (first, second)]
    if not (one.refused or two.refused):
        return bool(np.linalg.norm(middles[0] - middles[1]) > _NEAR_MM)
    gaps = [np.linalg.norm(second - middles[0], axis=1).min(), np.linalg.norm(first - middles[1], axis=1).min()]
    return bool(min(gaps) > _NEAR_MM)


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


def _name_set(parts: list[Part]) -> list[Named]:
    order = in_time(parts)
    parts = [parts[index] for index in order.indices]
    names, decisions, against = _names(parts, order.evidence)
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
        reason = "" if name != "other" else decision
        found.append(Named(part, name, "; ".join(clauses), reason, float(value), source if value == value else ""))
    _refuse_short(found)
    return found


def _names(parts: list[Part], evidence: str) -> tuple[list[str], list[str], list[str]]:
    """Names and decisions of parts in time, and clauses on what speaks against them."""
    contrast = np.array([bool(part.rows["contrast"].any()) for part in parts])
    said = [_said(part) for part in parts]
    if len(parts) > 1 and contrast.any() and not contrast.all():
        names, decisions = _by_contrast(contrast)
    elif len(parts) == 1:
        name, why = _single(bool(contrast[0]), said[0])
        names, decisions = [name], [why]
    elif contrast.all() and all(word == "post" for word in said):
        why = "contrast agent in the tags and the description"
        names, decisions = (
            _posts(len(parts)),
            [f"{why} of every phase, {k + 1} by {evidence or 'no evidence'}" for k in range(len(parts))],
        )
    elif evidence == TEMPORAL and contrast.all() and column(parts, "temporal").min() > 1:
        names = _posts(len(parts))
        decisions = ["contrast agent in the tags; the first temporal position is not there"] * len(parts)
    elif evidence:
        names = ["pre", *_posts(len(parts) - 1)]
        decisions = [f"{k + 1} of {len(parts)} by {evidence}" for k in range(len(parts))]
    elif said.count("pre") == 1 and said[0] == "pre":
        names = ["pre", *_posts(len(parts) - 1)]
        decisions = ["description says pre", *["description does not say pre"] * (len(parts) - 1)]
    else:
        names = ["other"] * len(parts)
        decisions = ["no tag tells when the phase was acquired"] * len(parts)
    return names, decisions, _against(names, contrast, said, evidence)


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


def _by_contrast(contrast: np.ndarray) -> tuple[list[str], list[str]]:
    """Names where the contrast agent is in the tags of some phases: the last one before it is pre-contrast."""
    bare, first = np.flatnonzero(~contrast), int(np.flatnonzero(contrast)[0])
    before = bare[bare < first]
    pre = int(before[-1] if len(before) else bare[-1])
    names, decisions = ["other"] * len(contrast), ["another phase without contrast agent"] * len(contrast)
    names[pre], decisions[pre] = "pre", "no contrast agent in the tags, unlike other phases"
    # The agent does not leave within an examination: a later phase whose tags lack it is post-contrast all the same.
    given = [k for k in range(len(contrast)) if contrast[k] or (len(before) and k > first)]
    for index, name in zip(given, _posts(len(given)), strict=True):
        names[index] = name
        decisions[index] = "contrast agent in the tags" if contrast[index] else "after phases with contrast agent"
    return names, decisions


def _single(contrast: bool, said: str) -> tuple[str, str]:
    if contrast:
        return ("pre", "description says pre") if said == "pre" else ("post1", "only phase, contrast agent in the tags")
    return (
        ("post1", "description says post") if said == "post" else ("pre", "only phase, no contrast agent in the tags")
    )


def _posts(count: int) -> list[str]:
    return [f"post{k + 1}" if k < MOST_POSTS else "other" for k in range(count)]


def _said(part: Part) -> str:
    words = words_of(part)
    pre, post = PRE.search(words) is not None, POST.search(words) is not None
    return "pre" if pre and not post else "post" if post and not pre else ""


def _against(names: list[str], contrast: np.ndarray, said: list[str], evidence: str) -> list[str]:
    """Clauses for every evidence that speaks against the names."""
    clauses = []
    if "pre" in names:
        pre = names.index("pre")
        if contrast[pre]:
            clauses.append("though the tags of the pre-contrast phase name a contrast agent")
        elif not contrast.any() and len(names) > 1:
            clauses.append("no tag names a contrast agent")
        if said[pre] == "post":
            clauses.append("though its description says post")
        if any(name.startswith("post") for name in names[:pre]):
            clauses.append(f"though a phase with contrast agent is earlier by {evidence}")
    if any(name.startswith("post") and word == "pre" for name, word in zip(names, said, strict=True)):
        clauses.append("though the description of a post-contrast phase says pre")
    return clauses


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
