"""Test 5 of condition adherence: how far does an untrained generator of the same kind get downstream?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from radgen_lib.core.rows import result_row

MATCH = ["condition", "generator", "extractor", "task", "model", "design"]
PAIRED = "synthetic minus untrained"
NO_CONTROL = "the prediction has no difference to the untrained generator for this generator, task, model and design"


def watermark_rows(prediction: pd.DataFrame, *, protocol_name: str) -> list[dict[str, Any]]:
    """Rows ``watermark_auroc_difference``: AUROC of the synthetic arm minus that of the untrained generator.

    ``prediction`` holds result rows of the clinical prediction. Images of an untrained generator are a fixed random
    function of the condition, so what they reach is no evidence for image content; a claim is the difference. Both
    arms are scored on the same patients, so the difference and its interval are those of the prediction's own
    ``auroc_difference`` rows, which resample the patients for both arms at once. One row per AUROC of a synthetic arm;
    a reason where that difference is missing, and one row with a reason when there is no such AUROC.
    """
    base: dict[str, Any] = {"item": "S.ADH", "protocol": protocol_name, "metric": "watermark_auroc_difference"}
    mine = prediction[prediction["protocol"] == protocol_name]
    trained = mine[(mine["metric"] == "auroc") & ~mine["generator"].isin(["untrained", "noise"])]
    synthetic = trained[trained["arm"] == "synthetic"]
    paired = mine[(mine["metric"] == "auroc_difference") & (mine["arm"] == PAIRED)].set_index(MATCH)
    if synthetic.empty:
        return [result_row(**base, reason="no AUROC of a synthetic arm under this protocol")]
    return [_difference(base, row, paired) for row in synthetic.to_dict("records")]


def _difference(base: dict[str, Any], row: dict[str, Any], paired: pd.DataFrame) -> dict[str, Any]:
    place = tuple(row[name] for name in MATCH)
    keys: dict[str, Any] = {**base, **dict(zip(MATCH, place, strict=True)), "arm": "synthetic - untrained"}
    if place not in paired.index:
        return result_row(**keys, reason=row["reason"] or NO_CONTROL, n=int(row["n"]))
    found = paired.loc[[place]].iloc[0].to_dict()
    return result_row(
        **keys, **{name: found[name] for name in ("value", "low", "high", "interval", "reason")}, n=int(found["n"]),
        events=None if math.isnan(found["events"]) else int(found["events"]),
        note="; ".join(text for text in (f"AUROC of synthetic {row['value']:.3f}", str(found["note"])) if text),
    )  # fmt: skip
