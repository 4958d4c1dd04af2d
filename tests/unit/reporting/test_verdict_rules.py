"""Verdicts: what may be claimed, and when."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.reporting.labels import PHANTOM, VERDICTS
from radgen_lib.reporting.ranges import range_kind
from radgen_lib.reporting.verdict import judge

NAN = math.nan


@pytest.mark.parametrize(
    ("published", "value", "low", "high", "expected"),
    [
        (1.33, 1.5, 1.2, 1.8, "reproduced"),
        (1.33, 1.5, 1.33, 1.8, "reproduced"),
        (1.33, 1.5, 1.34, 1.8, "not reproduced"),
        (1.33, NAN, NAN, NAN, "not computable"),
        (1.33, 1.33, NAN, NAN, "not judged"),
        (NAN, 1.5, 1.2, 1.8, "no published value"),
    ],
)
def test_paper_preset_judges_by_the_interval(
    published: float, value: float, low: float, high: float, expected: str
) -> None:
    assert judge(published, value, low, high, preset="paper").verdict == expected


@pytest.mark.parametrize("inside", [True, False])
def test_only_a_range_over_patients_is_an_interval(inside: bool) -> None:
    published, word = (0.8, "reproduced") if inside else (0.99, "not reproduced")
    bands = {
        "patient bootstrap (BCa), 500 draws, 95 %": (word, "patient bootstrap 95 %"),
        "spread over 5 random 10% tests of 12 patients each, 95 %": (f"{word} (spread)", "which is no 95 % interval"),
        "20 random halves by patient, middle 95 %": (f"{word} (spread)", "20 random halves by patient"),
    }
    for interval, (verdict, reason) in bands.items():
        found = judge(published, 0.8, 0.7, 0.9, preset="paper", interval=interval)
        assert found.verdict == verdict
        assert reason in found.reason


def test_no_number_of_another_cohort_is_judged() -> None:
    for preset in ("demo", "paper"):
        assert judge(0.8, 0.8, 0.7, 0.9, preset=preset, elsewhere=PHANTOM) == (PHANTOM, "")
    assert judge(15, 15, NAN, NAN, preset="demo", tolerance=0.0, elsewhere=PHANTOM).verdict == PHANTOM
    assert judge(NAN, 0.8, 0.7, 0.9, preset="paper", elsewhere=PHANTOM).verdict == "no published value"


@pytest.mark.parametrize(
    ("interval", "kind"),
    [
        ("paired patient bootstrap, 500 draws, 95 %, 4 draws without a value", "paired patient bootstrap 95 %"),
        ("patient jackknife, normal limits, 95 %", "patient jackknife 95 %"),
        ("spread over 3 draws, 95 %", "spread of 3 draws"),
        ("spread over 6 random 10% tests of 12 patients each, 2 without a value, 95 %",
         "spread of 6 random 10% tests of 12 patients each"),
        ("none: one image", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_kinds_of_ranges_have_short_names(interval: str, kind: str) -> None:
    assert range_kind(interval) == kind


def test_value_without_interval_says_why() -> None:
    assert judge(1.0, 1.0, NAN, NAN, preset="paper").reason == "the rerun has no interval"
    four = "none: 4 patients, an interval needs 5"
    assert judge(1.33, 1.4, NAN, NAN, preset="paper", interval=four) == (
        "not judged", "the rerun has no interval: 4 patients, an interval needs 5",
    )  # fmt: skip


@pytest.mark.parametrize("preset", ["mini", "demo", "proof"])
def test_small_presets_claim_nothing(preset: str) -> None:
    assert judge(1.33, 1.5, 1.2, 1.8, preset=preset).verdict == f"not claimed ({preset} preset)"
    assert judge(1.33, NAN, NAN, NAN, preset=preset, invalid="wraps").verdict == f"not claimed ({preset} preset)"


def test_recomputation_is_judged_under_every_preset() -> None:
    assert judge(0.05, 0.055, NAN, NAN, preset="demo", tolerance=0.005).verdict == "reproduced"
    assert judge(0.05, 0.0561, NAN, NAN, preset="demo", tolerance=0.005).verdict == "not reproduced"
    assert judge(15, NAN, NAN, NAN, preset="demo", tolerance=0.0).verdict == "not claimed (demo preset)"


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_a_number_that_was_never_released_is_not_computable_under_any_preset(preset: str) -> None:
    lost = judge(726, NAN, NAN, NAN, preset=preset, tolerance=0.005, unrecoverable=True)
    assert lost.verdict == "not computable"
    assert judge(726, 726, NAN, NAN, preset=preset, tolerance=0.005, unrecoverable=True).verdict == "reproduced"


def test_another_statistic_is_never_judged() -> None:
    found = judge(1.33, 1.33, 1.0, 2.0, preset="paper", incomparable="a KID")
    assert found == ("not judged", "a KID")


def test_invalid_statistic_is_never_reproduced() -> None:
    found = judge(37.8, 37.8, 30, 40, preset="paper", invalid="MSE below MAE squared")
    assert found == ("invalid statistic", "MSE below MAE squared")


numbers = st.floats(allow_nan=True, allow_infinity=False, width=32)


@given(numbers, numbers, numbers, numbers)
def test_verdict_is_one_of_those_named_and_reproduced_means_inside(
    published: float, value: float, low: float, high: float
) -> None:
    verdict = judge(published, value, low, high, preset="paper").verdict
    assert verdict in VERDICTS
    assert (verdict == "reproduced") == (math.isfinite(value) and low <= published <= high)
