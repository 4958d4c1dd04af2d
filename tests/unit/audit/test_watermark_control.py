from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from radgen_lib.audit.watermark import watermark_rows
from radgen_lib.core.rows import result_frame, result_row


def scored(value: float, arm: str, generator: str, metric: str = "auroc", **more: Any) -> dict[str, Any]:
    keys = {"condition": "genes15", "extractor": "radiomics", "task": "er", "model": "logistic", "design": "grouped"}
    row = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 28, "events": 23, **more}
    return result_row(item="B.TB", protocol="rigorous", metric=metric, arm=arm, generator=generator, **keys, **row)


def paired(value: float, generator: str = "edm", **more: Any) -> dict[str, Any]:
    text = "paired patient bootstrap, 500 draws, 95 %"
    return scored(value, "synthetic minus untrained", generator, "auroc_difference", interval=text, **more)


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return result_frame(rows)


def test_difference_and_interval_are_those_of_the_paired_row() -> None:
    rows = table(
        scored(0.7, "synthetic", "edm"), scored(0.6, "untrained", "untrained"), paired(0.1, low=0.02, high=0.18),
        scored(0.3, "synthetic minus shuffled", "edm", "auroc_difference"),
    )  # fmt: skip
    (row,) = watermark_rows(rows, protocol_name="rigorous")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.1, 0.02, 0.18))
    assert row["interval"].startswith("paired patient bootstrap")
    assert (row["n"], row["events"], row["generator"]) == (28, 23, "edm")
    assert row["metric"] == "watermark_auroc_difference"


def test_each_generator_gets_its_own_pair() -> None:
    rows = [scored(0.7, "synthetic", "edm"), scored(0.5, "synthetic", "vae"), paired(-0.1, "vae"), paired(0.1)]
    found = {row["generator"]: row["value"] for row in watermark_rows(table(*rows), protocol_name="rigorous")}
    assert found == pytest.approx({"edm": 0.1, "vae": -0.1})


def test_missing_pair_is_a_reason_even_where_both_arms_have_numbers() -> None:
    alone = table(scored(0.7, "synthetic", "edm"), scored(0.6, "untrained", "untrained"), paired(0.2, "vae"))
    (row,) = watermark_rows(alone, protocol_name="rigorous")
    assert math.isnan(row["value"]) and "no difference to the untrained" in row["reason"]
    moved = table(scored(0.7, "synthetic", "edm"), paired(0.1)).assign(task=["er", "subgroup"])
    assert watermark_rows(moved, protocol_name="rigorous")[0]["reason"]


def test_reason_of_the_pair_is_handed_on_and_another_protocol_has_none() -> None:
    nothing = {"low": math.nan, "high": math.nan, "reason": "one class"}
    rows = table(scored(math.nan, "synthetic", "edm", **nothing), paired(math.nan, **nothing))
    assert watermark_rows(rows, protocol_name="rigorous")[0]["reason"] == "one class"
    unpaired = table(scored(math.nan, "synthetic", "edm", low=math.nan, high=math.nan, reason="weights not present"))
    assert watermark_rows(unpaired, protocol_name="rigorous")[0]["reason"] == "weights not present"
    other = watermark_rows(rows, protocol_name="as_published")
    assert len(other) == 1 and "no AUROC" in other[0]["reason"]


def test_controls_are_not_compared_with_themselves() -> None:
    rows = [scored(0.7, "synthetic", "edm"), scored(0.55, "synthetic", "noise"), paired(0.1)]
    assert [row["generator"] for row in watermark_rows(table(*rows), protocol_name="rigorous")] == ["edm"]
