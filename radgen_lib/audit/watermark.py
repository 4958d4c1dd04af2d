"""Test 5 of condition adherence: how far does an untrained generator of the same kind get downstream?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from radgen_lib.core.rows import result_row

MATCH = ["condition", "extractor", "task", "model", "design"]
NO_CONTROL = "no number of the untrained generator for this condition, extractor, task, model and design"


def watermark_rows(prediction: pd.DataFrame, *, protocol_name: str) -> list[dict[str, Any]]:
    """Rows ``watermark_auroc_difference``: AUROC of the synthetic arm minus that of the untrained generator.

    ``prediction`` holds result rows of the clinical prediction. Images of an untrained generator are a fixed random
    function of the condition, so what they reach is no evidence for image content; a claim is the difference. The
    interval joins the two arms' own intervals as if independent (Zou and Donner 2008): wider than the true one where
    arms are positively correlated, as they are on the same patients. One row with a reason when there is nothing.
    """
    base: dict[str, Any] = {"item": "S.ADH", "protocol": protocol_name, "metric": "watermark_auroc_difference"}
    mine = prediction[(prediction["protocol"] == protocol_name) & (prediction["metric"] == "auroc")]
    synthetic = mine[(mine["arm"] == "synthetic") & ~mine["generator"].isin(["untrained", "noise"])]
    control = mine[mine["arm"] == "untrained"].drop_duplicates(MATCH).set_index(MATCH)
    if synthetic.empty:
        return [result_row(**base, reason="no AUROC of a synthetic arm under this protocol")]
    return [_difference(base, row, control) for row in synthetic.to_dict("records")]


def _difference(base: dict[str, Any], row: dict[str, Any], control: pd.DataFrame) -> dict[str, Any]:
    keys: dict[str, Any] = {
        **base,
        **{name: row[name] for name in (*MATCH, "generator")},
        "arm": "synthetic - untrained",
    }
    place = tuple(row[name] for name in MATCH)
    other = control.loc[place].to_dict() if place in control.index else None
    if other is None or not math.isfinite(other["value"]):
        return result_row(**keys, reason=NO_CONTROL, n=int(row["n"]))
    if not math.isfinite(row["value"]):
        return result_row(**keys, reason=row["reason"], n=int(row["n"]))
    value = row["value"] - other["value"]
    low = value - math.hypot(row["value"] - row["low"], other["high"] - other["value"])
    high = value + math.hypot(row["high"] - row["value"], other["value"] - other["low"])
    return result_row(
        **keys, value=value, low=low, high=high, n=int(min(row["n"], other["n"])), interval=_method(low),
        events=None if math.isnan(row["events"]) else int(row["events"]),
        note=f"synthetic {row['value']:.3f}, untrained {other['value']:.3f}",
    )  # fmt: skip


def _method(low: float) -> str:
    known = "from the intervals of both arms, taken as independent (conservative), 95 %"
    return known if math.isfinite(low) else "none: an arm has no interval"
