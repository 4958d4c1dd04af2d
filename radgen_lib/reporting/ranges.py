"""What kind of range stands behind a number: an interval over patients or trainings, or the spread of repeats."""

from __future__ import annotations

import re

_SPREAD = re.compile(r"spread over (?P<what>.*?)(?:, \d+ without a value)?, 95 %")
# Methods that resample patients: what they give may be called a 95 % interval.
_OVER_PATIENTS = re.compile(r"(?P<what>(?:paired )?patient (?:bootstrap|jackknife))\b.*\b95 %")
_OVER_TRAININGS = re.compile(r"(?:t interval of the mean over|range of) (?P<count>\d+) trainings(?:, 95 %)?")


def trainings(text: str) -> int:
    """How many trainings of one split a range is over (column ``interval``); 0 where it is over something else."""
    found = _OVER_TRAININGS.fullmatch(text)
    return int(found["count"]) if found else 0


def is_interval(text: str) -> bool:
    """Whether ``text`` (column ``interval`` of a result row) names a 95 % interval over patients."""
    return _OVER_PATIENTS.match(text) is not None


def range_kind(text: str) -> str:
    """Short name of the kind of a range, from the column ``interval`` of a result row; "" where there is no range.

    ``patient bootstrap 95 %`` is an interval; ``spread of 5 random 10% tests of 12 patients each`` is none.
    """
    if not text or text.startswith("none"):
        return ""
    if found := _OVER_PATIENTS.match(text):
        return f"{found['what']} 95 %"
    if found := _SPREAD.fullmatch(text):
        return f"spread of {found['what']}"
    return text.removesuffix(", middle 95 %").removesuffix(", 95 %")
