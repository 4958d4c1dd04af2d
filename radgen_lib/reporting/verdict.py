"""Verdicts: does our rerun give the published number?"""

from __future__ import annotations

import math
from typing import NamedTuple

from radgen_lib.reporting.ranges import is_interval, range_kind, trainings

CLAIMING_PRESET = "paper"
DETERMINISTIC_TOLERANCE = 0.005
FEWEST_TRAININGS = 3
# A range that reaches further from the value than this share of it would hold almost any number.
WIDEST_SHARE = 0.5


class Verdict(NamedTuple):
    """A verdict and the reason for it ("" when the numbers speak for themselves)."""

    verdict: str
    reason: str = ""


def judge(
    published: float,
    value: float,
    low: float,
    high: float,
    *,
    preset: str,
    tolerance: float | None = None,
    unrecoverable: bool = False,
    invalid: str = "",
    incomparable: str = "",
    interval: str = "",
    elsewhere: str = "",
) -> Verdict:
    """Compare a published number with the as-published rerun.

    ``tolerance`` marks a deterministic recomputation from released files (absolute difference allowed, 0.005 in the
    paper tables); it is judged under every preset, because no training goes into it. Everything else is judged under
    ``paper`` only: reproduced when ``published`` lies inside [``low``, ``high``]. ``interval`` says what that range is
    (a result row's column); the reason repeats it, and only a range over patients makes a plain verdict: the spread of
    repeated values (seeds, random tests, draws) is no 95 % interval, so its verdict says "(spread)"; one over trainings
    (:func:`_over_trainings`) says "(trainings)".
    ``unrecoverable`` marks a number that cannot be recomputed from released files under any preset. ``invalid`` says
    why the published statistic has no meaning; it is then never called reproduced. ``incomparable`` says why the rerun
    is not set against the published number at all, ``elsewhere`` that no number of this cohort is.
    """
    if not math.isfinite(published):
        return Verdict("no published value")
    if elsewhere:
        return Verdict(elsewhere)
    recomputed = tolerance is not None and math.isfinite(value)
    if unrecoverable and not math.isfinite(value):
        return Verdict("not computable")
    if preset != CLAIMING_PRESET and not recomputed:
        return Verdict(f"not claimed ({preset} preset)")
    if incomparable:
        return Verdict("not judged", incomparable)
    if invalid:
        return Verdict("invalid statistic", invalid)
    if not math.isfinite(value):
        return Verdict("not computable")
    if tolerance is not None:
        # Printed decimals are exact to the eye, not to the bit: 0.055 - 0.050 must not fail by a rounding error.
        return Verdict("reproduced" if abs(published - value) <= tolerance + 1e-12 else "not reproduced")
    if not (math.isfinite(low) and math.isfinite(high)):
        why = f": {interval.removeprefix('none: ')}" if interval.startswith("none: ") else ""
        return Verdict("not judged", f"the rerun has no interval{why}")
    if count := trainings(interval):
        return _over_trainings(published, value, high, count)
    inside = low <= published <= high
    kind = range_kind(interval)
    spread = " (spread)" if kind and not is_interval(interval) else ""
    limit = ", which is no 95 % interval" if spread else ""
    reason = f"the published number lies {'inside' if inside else 'outside'} the {kind}{limit}" if kind else ""
    return Verdict(f"{'reproduced' if inside else 'not reproduced'}{spread}", reason)


def _over_trainings(published: float, value: float, high: float, count: int) -> Verdict:
    """Judge a number of one training by the mean (``value``) of ``count`` trainings and the limit of its t interval.

    A single training scatters more than the mean does: by the square root of ``count`` + 1 times the interval's half
    width is where one further training falls with 95 %. Two trainings have no such range, and one that is wider than
    half the value decides nothing; it is never called reproduced.
    """
    if count < FEWEST_TRAININGS:
        return Verdict("not judged", f"{count} trainings have a range and no interval: that needs {FEWEST_TRAININGS}")
    half = (high - value) * math.sqrt(count + 1)
    where = f"{value - half:.3g} to {value + half:.3g}, where one more training would fall (95 %, {count} trainings)"
    if abs(published - value) > half:
        return Verdict("not reproduced (trainings)", f"the published number lies outside {where}")
    if half > WIDEST_SHARE * abs(value):
        return Verdict("not judged", f"{where}, holds the published number, but is too wide to tell anything")
    return Verdict("reproduced (trainings)", f"the published number lies inside {where}")
