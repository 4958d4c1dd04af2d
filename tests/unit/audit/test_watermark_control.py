from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from radgen_lib.audit.watermark import watermark_rows
from radgen_lib.core.rows import result_frame, result_row


def auroc(value: float, arm: str, generator: str, **more: Any) -> dict[str, Any]:
    keys = {"condition": "genes15", "extractor": "radiomics", "task": "er", "model": "logistic", "design": "grouped"}
    row = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 28, "events": 23, **more}
    return result_row(item="B.TB", protocol="rigorous", metric="auroc", arm=arm, generator=generator, **keys, **row)


def test_difference_of_the_arms_with_joined_interval() -> None:
    table = result_frame([auroc(0.7, "synthetic", "edm"), auroc(0.6, "untrained", "untrained")])
    (row,) = watermark_rows(table, protocol_name="rigorous")
    assert row["value"] == pytest.approx(0.1)
    assert (row["low"], row["high"]) == pytest.approx((0.1 - math.hypot(0.1, 0.1), 0.1 + math.hypot(0.1, 0.1)))
    assert (row["n"], row["generator"], row["metric"]) == (28, "edm", "watermark_auroc_difference")


def test_missing_control_and_missing_number_are_reasons() -> None:
    alone = result_frame([auroc(0.7, "synthetic", "edm")])
    assert "no number of the untrained" in watermark_rows(alone, protocol_name="rigorous")[0]["reason"]
    nothing = auroc(math.nan, "synthetic", "edm", low=math.nan, high=math.nan, reason="one class")
    pair = result_frame([nothing, auroc(0.6, "untrained", "untrained")])
    assert watermark_rows(pair, protocol_name="rigorous")[0]["reason"] == "one class"
    other = watermark_rows(alone, protocol_name="as_published")
    assert len(other) == 1 and "no AUROC" in other[0]["reason"]


def test_only_trained_generators_are_compared_and_only_with_their_own_task() -> None:
    rows = [
        auroc(0.7, "synthetic", "edm"), auroc(0.55, "synthetic", "noise"), auroc(0.6, "untrained", "untrained"),
    ]  # fmt: skip
    found = watermark_rows(result_frame(rows), protocol_name="rigorous")
    assert [row["generator"] for row in found] == ["edm"]
    moved = pd.DataFrame(result_frame(rows)).assign(task=["er", "er", "subgroup"])
    assert watermark_rows(moved, protocol_name="rigorous")[0]["reason"]
