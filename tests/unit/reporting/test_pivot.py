"""Laying protocols side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.pivot import Line, pivot, protocol_order


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    keys = {"item": "B.TA", "metric": "mse", "value": 0.1, "n": 4}
    return result_frame([result_row(**{**keys, **row}) for row in rows]).assign(source="rows.csv")


def variants(line: Line) -> dict[str, tuple[str, str]]:
    return {name: (row["generator"], row["design"]) for name, row in line.cells.items()}


def test_published_design_stands_beside_the_folds_by_patient(facts: ReportFacts) -> None:
    lines = pivot(
        frame(
            {"protocol": "as_published", "generator": "cpdm", "design": "published_split"},
            {"protocol": "rigorous", "generator": "cpdm", "design": "grouped"},
            {"protocol": "rigorous", "generator": "cpdm", "design": "site"},
        ),
        facts,
    )
    assert [variants(line) for line in lines] == [
        {"as_published": ("cpdm", "published_split"), "rigorous": ("cpdm", "grouped")},
        {"rigorous": ("cpdm", "site")},
    ]


def test_numbers_of_different_generators_never_meet(facts: ReportFacts) -> None:
    lines = pivot(
        frame(
            {"protocol": "as_published", "generator": "cpdm", "design": "published_split"},
            {"protocol": "as_published", "generator": "vae", "design": "published_split"},
            {"protocol": "rigorous", "generator": "edm", "design": "grouped"},
        ),
        facts,
    )
    assert [variants(line) for line in lines] == [
        {"as_published": ("cpdm", "published_split")},
        {"rigorous": ("edm", "grouped")},
        {"as_published": ("vae", "published_split")},
    ]


def test_numbers_about_synthetic_images_meet_their_like(facts: ReportFacts) -> None:
    lines = pivot(
        frame(
            {"protocol": "as_published", "design": "holdout10:test_on_synthetic"},
            {"protocol": "rigorous", "design": "out_of_fold:test_on_real"},
            {"protocol": "rigorous", "design": "out_of_fold:test_on_synthetic"},
        ),
        facts,
    )
    assert variants(lines[0])["rigorous"][1] == "out_of_fold:test_on_synthetic"
    assert variants(lines[1]) == {"rigorous": ("", "out_of_fold:test_on_real")}


def test_numbers_about_different_images_never_meet(facts: ReportFacts) -> None:
    lines = pivot(
        frame(
            {"protocol": "as_published", "design": "holdout10:test_on_synthetic"},
            {"protocol": "rigorous", "design": "out_of_fold:test_on_real"},
        ),
        facts,
    )
    assert [set(line.cells) for line in lines] == [{"as_published"}, {"rigorous"}]


def test_keys_of_a_line_are_true_for_every_cell(facts: ReportFacts) -> None:
    (line,) = pivot(
        frame(
            {"protocol": "as_published", "generator": "cpdm", "design": "published_split"},
            {"protocol": "rigorous", "generator": "cpdm", "design": "grouped"},
        ),
        facts,
    )
    told = line.told_keys()
    assert told["design"] == "as_published: published_split; rigorous: grouped"
    assert (told["generator"], told["metric"]) == ("cpdm", "mse")
    assert line.designs() == ["published_split", "grouped"]


def test_protocol_of_the_user_gets_its_own_group(facts: ReportFacts) -> None:
    rows = frame({"protocol": "mine"}, {"protocol": "rigorous"}, {"protocol": ""})
    assert protocol_order(rows, facts) == ["as_published", "rigorous", "mine", "shared"]
    merged = [set(line.cells) for line in pivot(rows, facts)]
    assert merged == [{"rigorous", "mine", "shared"}]


def test_only_numbers_of_one_metric_meet(facts: ReportFacts) -> None:
    apart = frame({"protocol": "as_published", "metric": "mse"}, {"protocol": "rigorous", "metric": "ssim"})
    assert len(pivot(apart, facts)) == 2
    same = frame(
        {"protocol": "as_published", "metric": "c_harrell", "design": "holdout20"},
        {"protocol": "rigorous", "metric": "c_harrell", "design": "out_of_fold"},
    )
    assert [set(line.cells) for line in pivot(same, facts)] == [{"as_published", "rigorous"}]


def test_result_that_stands_twice_is_refused(facts: ReportFacts) -> None:
    rows = frame({"protocol": "rigorous"})
    with pytest.raises(DataError, match=r"rows\.csv: the result .* stands twice"):
        pivot(pd.concat([rows, rows]), facts)


keys = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(["as_published", "rigorous", "mine", ""]),
        "generator": st.sampled_from(["cpdm", "edm", "vae", ""]),
        "design": st.sampled_from(["published_split", "published_folds", "grouped", "site"]),
        "metric": st.sampled_from(["mse", "ssim"]),
        "condition": st.sampled_from(["genes15", "factors17"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(keys, min_size=1, max_size=25, unique_by=lambda k: tuple(sorted(k.items()))))
def test_every_result_appears_and_order_of_rows_does_not_matter(
    facts_for: Callable[..., ReportFacts], found: list[dict[str, str]]
) -> None:
    rows = frame(*({**key, "value": float(i)} for i, key in enumerate(found)))
    lines = pivot(rows, facts_for())
    assert all(len({row["generator"] for row in line.cells.values()}) == 1 for line in lines)
    assert {row["value"] for line in lines for row in line.cells.values()} == set(map(float, range(len(found))))
    again = pivot(rows.iloc[::-1], facts_for())
    assert [(line.keys, variants(line)) for line in lines] == [(line.keys, variants(line)) for line in again]
