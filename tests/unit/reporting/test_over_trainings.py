"""What several trainings of the single split may say about a published number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.reporting import tables as paper
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.ranges import is_interval, range_kind, trainings
from radgen_lib.reporting.verdict import judge

THREE, TWO = "t interval of the mean over 3 trainings, 95 %", "range of 2 trainings"
FOUR = "none: 4 patients, an interval needs 5"


@pytest.mark.parametrize(
    ("value", "low", "high", "interval", "verdict", "told"),
    [
        (1.40, 1.30, 1.50, THREE, "reproduced (trainings)", "1.2 to 1.6, where one more training would fall"),
        (1.50, 1.40, 1.60, THREE, "reproduced (trainings)", "lies inside"),  # outside the mean's, inside a training's
        (1.60, 1.50, 1.70, THREE, "not reproduced (trainings)", "lies outside 1.4 to 1.8"),
        (1.40, 0.90, 1.90, THREE, "not judged", "too wide to tell anything"),
        (9.00, 5.50, 12.5, THREE, "not reproduced (trainings)", "lies outside"),
        (1.40, 1.30, 1.50, TWO, "not judged", "2 trainings have a range and no interval"),
        (1.33, 0.01, 2.65, TWO, "not judged", "needs 3"),
    ],
)
def test_verdicts_over_trainings(value: float, low: float, high: float, interval: str, verdict: str, told: str) -> None:
    found = judge(1.33, value, low, high, preset="paper", interval=interval)
    assert found.verdict == verdict
    assert told in found.reason
    assert judge(1.33, value, low, high, preset="demo", interval=interval).verdict == "not claimed (demo preset)"


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0, 50), st.integers(2, 20))
def test_a_wide_range_over_trainings_never_reproduces(published: float, value: float, half: float, count: int) -> None:
    interval = TWO if count == 2 else THREE.replace("3", str(count))
    found = judge(published, value, value - half, value + half, preset="paper", interval=interval).verdict
    if found == "reproduced (trainings)":
        assert count >= 3 and 0.45 < published / value < 1.55
    assert found != "reproduced"


def test_ranges_over_trainings_are_named_for_what_they_are() -> None:
    assert [trainings(text) for text in (THREE, TWO, "spread over 3 draws, 95 %", FOUR, "")] == [3, 2, 0, 0, 0]
    assert not is_interval(THREE) and not is_interval(TWO)
    assert range_kind(THREE) == "t interval of the mean over 3 trainings" and range_kind(TWO) == TWO


def split_rows(*bands: tuple[float, float, str], designs: str = "split_trainings") -> pd.DataFrame:
    """The single split's row of one training, and those over trainings."""
    keys: dict[str, Any] = {
        "item": "B.TA", "protocol": "as_published", "condition": "genes15", "generator": "cpdm",
        "metric": "pixelrow_frechet_best", "n": 4,
    }  # fmt: skip
    found = [result_row(**keys, design="published_split", value=1.7, interval=FOUR)]
    for value, half, interval in bands:
        found.append(
            result_row(**keys, design=designs, value=value, low=value - half, high=value + half, interval=interval)
        )
    return result_frame(found).assign(source="cpdm/as_published/rows/fidelity.csv")


Facts = Callable[..., ReportFacts]


def test_the_judged_number_stays_that_of_one_training_and_its_verdict_names_the_trainings(facts_for: Facts) -> None:
    made = paper.build_tables(split_rows((1.4, 0.1, THREE)), facts_for("paper"))
    first = made["B.ABS1"].iloc[0]
    assert first["as_published"] == 1.7 and math.isnan(first["as_published_low"])
    assert first["verdict"] == "reproduced (trainings)"
    assert "where one more training would fall (95 %, 3 trainings)" in first["reason"]
    assert f"one training; mean over trainings 1.4 (1.3 to 1.5, {THREE})" in first["note"]
    again = made["B.ABS1"].set_index("col").loc["best of draws, 15 genes, mean over trainings"]
    assert (again["as_published"], again["as_published_low"], again["as_published_high"]) == pytest.approx(
        (1.4, 1.3, 1.5)
    )
    assert again["as_published_interval"] == THREE and again["verdict"] == "reproduced (trainings)"
    side = made["S.SIDE"].set_index("row").loc["FID (preprint abstract)"]
    assert side["as_published"] == 1.7 and side["verdict"] == "reproduced (trainings)"
    quality = made["B.TA"]
    assert list(quality.loc[quality["design"] == "split_trainings", "as_published"]) == [1.4]
    gap = quality.loc[quality["design"] == "split_trainings", "rigorous_reason"].iloc[0]
    assert gap


@pytest.mark.parametrize(
    ("band", "verdict"), [((1.4, 0.9, THREE), "not judged"), ((1.4, 0.3, TWO), "not judged"), (None, "not judged")]
)
def test_few_or_scattered_trainings_give_no_verdict(
    facts_for: Facts, band: tuple[float, float, str] | None, verdict: str
) -> None:
    made = paper.build_tables(split_rows(*([band] if band else [])), facts_for("paper"))["B.ABS1"]
    assert made.iloc[0]["verdict"] == verdict
    if band is None:
        assert "one training: how far another seed would move the number is not known" in made.iloc[0]["note"]
        assert "needs 5" in made.iloc[0]["reason"]
        lines = made[made["col"].str.endswith("over trainings")]
        assert len(lines) == 2
        assert lines["as_published_reason"].str.contains("trained once on the single split").all()
        assert set(lines["verdict"]) == {"not computable"}


def test_trainings_of_another_generator_do_not_judge(facts_for: Facts) -> None:
    rows = split_rows((1.4, 0.1, THREE))
    rows.loc[1, "generator"] = "vae"
    assert paper.build_tables(rows, facts_for("paper"))["B.ABS1"].iloc[0]["verdict"] == "not judged"
