"""Which stacks of a study have one geometry, and which are of the other breast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radgen_lib.imaging.dicom.split import Part

_NEAR_MM = 30.0
_SAME_AXES = 0.05
_SAME_STEP = 0.2
_NAMES = {"R": "right", "L": "left"}


def by_geometry(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts of like planes, matrix and place together; first the set with most phases, then most slices.

    Of sets with as many the one that lies first goes first (smallest x, y, z; x grows to the patient's left), so that
    identifiers and names decide nothing.
    """
    sets: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: (_place(part), part.series)):
        home = next((members for members in sets if _alike(members[0], part)), None)
        if home is None:
            sets.append([part])
        else:
            home.append(part)

    def rank(members: list[Part]) -> tuple[int, int, int, tuple[float, ...]]:
        sound = sum(not part.fault or part.refused != "" for part in members)
        return -sound, -len(members), -max(part.places for part in members), min(map(_place, members))

    return sorted(sets, key=rank)


def other_side(sets: Sequence[list[Part]]) -> int:
    """Number of the set that is a dynamic series of the breast that ``sets[0]`` does not show, 0 when none is.

    Its planes are parallel to those of the first set and lie wholly to the right or to the left of them. A stack alone
    beside a first set of several is no dynamic series.
    """
    for number, members in enumerate(sets[1:], start=1):
        if _parallel(sets[0][0], members[0]) and _beside(sets[0], members) and min(2, len(sets[0])) <= len(members):
            return number
    return 0


def sides_of(first: list[Part], second: list[Part] | None) -> tuple[tuple[str, str], ...]:
    """Side of each set ("right", "left" or "") and a clause on where it is from.

    Of one set the laterality in the tags; of two their place tells it, and tags that say otherwise are named.
    """
    tags = [_tagged(members) for members in ((first, second) if second else (first,))]
    if second is None:
        return ((tags[0], f"{tags[0]} breast by the tags" if tags[0] else ""),)
    names = ("right", "left") if _along_x(first)[0] < _along_x(second)[0] else ("left", "right")
    clauses = []
    for name, tag in zip(names, tags, strict=True):
        clause = f"the {name} of two breasts in stacks of their own, by place"
        clauses.append(clause + (f" though the tags say {tag}" if tag and tag != name else ""))
    return tuple(zip(names, clauses, strict=True))


def _tagged(members: list[Part]) -> str:
    said = {str(value) for part in members for value in part.rows["laterality"]}
    return _NAMES.get(said.pop(), "") if len(said) == 1 else ""


def _place(part: Part) -> tuple[float, ...]:
    """Middle of the first voxels of a part in mm, orientation and matrix: what no two sets have alike."""
    row = part.rows.iloc[0]
    places = np.array(part.rows["position"].tolist())
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    shape = (row["rows"], row["columns"], row["spacing_row"], row["spacing_col"])
    return tuple(float(value) for value in (*middle.round(1), *np.round(row["orientation"], 2), *shape))


def _alike(one: Part, two: Part) -> bool:
    first, second = one.rows.iloc[0], two.rows.iloc[0]
    same = all(first[name] == second[name] for name in ("rows", "columns"))
    spacing = np.allclose(
        [first["spacing_row"], first["spacing_col"]], [second["spacing_row"], second["spacing_col"]], rtol=0.01
    )
    return bool(same and spacing and _parallel(one, two) and _same_steps(one, two) and not _apart(one, two))


def _same_steps(one: Part, two: Part) -> bool:
    """Whether slices are as far from the next; of a refused part, which may lack slices, nobody knows."""
    if one.refused or two.refused:
        return True
    return bool(np.isclose(_step(one), _step(two), rtol=_SAME_STEP))


def _step(part: Part) -> float:
    """Distance of slices in mm; of planes that make no stack the most frequent one."""
    if part.stack is not None:
        return part.stack.step
    along, down = np.reshape(part.rows.iloc[0]["orientation"], (2, 3))
    depths = np.array(part.rows["position"].tolist()) @ np.cross(along, down)
    return float(np.median(np.diff(np.unique(depths.round(1)))))


def _parallel(one: Part, two: Part) -> bool:
    turned = np.subtract(one.rows.iloc[0]["orientation"], two.rows.iloc[0]["orientation"])
    return bool(np.abs(turned).max() <= _SAME_AXES)


def _apart(one: Part, two: Part) -> bool:
    """Whether the middles are apart; of a refused part, which may lack slices, whether neither lies in the other."""
    first, second = (np.array(part.rows["position"].tolist()) for part in (one, two))
    middles = [(places.min(axis=0) + places.max(axis=0)) / 2 for places in (first, second)]
    if not (one.refused or two.refused):
        return bool(np.linalg.norm(middles[0] - middles[1]) > _NEAR_MM)
    gaps = [np.linalg.norm(second - middles[0], axis=1).min(), np.linalg.norm(first - middles[1], axis=1).min()]
    return bool(min(gaps) > _NEAR_MM)


def _beside(first: list[Part], second: list[Part]) -> bool:
    """Whether two sets share no place along the patient's x."""
    one, two = _along_x(first), _along_x(second)
    return one[1] < two[0] or two[1] < one[0]


def _along_x(members: list[Part]) -> tuple[float, float]:
    """Least and largest x in mm that voxels of a set have."""
    ends = []
    for part in members:
        row = part.rows.iloc[0]
        along, down = np.reshape(row["orientation"], (2, 3))[:, 0]
        width, height = row["spacing_col"] * (row["columns"] - 1) * along, row["spacing_row"] * (row["rows"] - 1) * down
        lefts = np.array(part.rows["position"].tolist())[:, 0]
        ends += [lefts + move for move in (0.0, width, height, width + height)]
    return float(min(map(np.min, ends))), float(max(map(np.max, ends)))
