"""The selection table and the flow diagram read from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from radgen_lib.cohort.flow import flow
from radgen_lib.cohort.selection import SELECTION_COLUMNS, Cells, Selection, check_lost, keep_first
from radgen_lib.core.errors import DataError


def _fault(cells: Cells) -> str:
    return "bad" if cells["v"] == "x" else ""


def _table() -> pd.DataFrame:
    rows = [
        ("TCGA.A1.0001", "x"),
        ("TCGA.A1.0001.1", "1"),
        ("TCGA.A1.0001.2", "2"),
        ("MB.1", "3"),
        ("TCGA.A2.0002", "4"),
    ]
    return pd.DataFrame(rows, columns=["ID", "v"], index=range(2, 7))


def test_keep_first_takes_the_first_usable_row_and_records_all() -> None:
    selection = Selection()
    kept = keep_first(_table(), selection, step="s", unit="sample", source=Path("d/f.csv"), fault=_fault)
    assert kept["v"].to_dict() == {"TCGA-A1-0001": "1", "TCGA-A2-0002": "4"}
    frame = selection.frame()
    assert list(frame.columns) == list(SELECTION_COLUMNS)
    assert frame["row"].tolist() == ["2", "3", "4", "5", "6"]
    assert frame["reason"].tolist() == ["bad", "", "second sample of the patient", "METABRIC sample, not TCGA", ""]
    assert (frame["kept"] == (frame["reason"] == "")).all()
    assert set(frame["source"]) == {"f.csv"}


def test_keep_first_with_nothing_usable_keeps_the_columns() -> None:
    kept = keep_first(_table()[:1], Selection(), step="s", unit="sample", source=Path("f"), fault=_fault)
    assert len(kept) == 0
    assert list(kept.columns) == ["ID", "v"]


def test_an_exclusion_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="without a reason"):
        Selection().drop("s", "patient", "x", "f", reason="")


def test_flow_counts_every_row_once_and_orders_reasons() -> None:
    selection = Selection()
    keep_first(_table(), selection, step="expression", unit="sample", source=Path("e.csv"), fault=_fault)
    selection.keep("image", "series", "TCGA-A1-0001_1.2", "z.zip", "0.png")
    selection.keep("image", "series", "TCGA-A1-0001_1.3", "z.zip", "1.png")
    for number in range(3):
        reason = "rare" if number == 0 else "often"
        selection.drop("image", "series", f"TCGA-A1-0001_1.{number + 4}", "z.zip", "x", reason=reason)
    diagram = flow(selection.frame()).set_index("step")
    assert list(diagram.index) == ["expression", "image"]
    assert diagram.loc["image", ["entered", "kept", "kept_patients", "excluded"]].tolist() == [5, 2, 1, 3]
    assert diagram.loc["image", "reasons"] == "2 x often; 1 x rare"
    assert (diagram["entered"] == diagram["kept"] + diagram["excluded"]).all()
    assert diagram["entered"].sum() == len(selection.frame())


def test_flow_of_an_empty_selection() -> None:
    assert len(flow(Selection().frame())) == 0


def test_too_large_a_share_lost_is_one_line_with_the_most_frequent_reason() -> None:
    reasons = pd.Series(["cut", "offline", "offline"])
    check_lost(reasons, 10, 0.3, Path("ledger"), what="series")
    check_lost(reasons[:0], 0, 0.0, Path("ledger"), what="series")
    with pytest.raises(DataError) as fault:
        check_lost(reasons, 10, 0.29, Path("ledger"), what="series", how="is absent", action="Look", row=7)
    assert str(fault.value) == (
        "ledger, row 7: 3 of 10 series (30%) is absent, more than max_excluded_share = 0.29; most frequent reason: "
        "offline. Look, or raise cohorts.*.max_excluded_share if the loss is meant"
    )
