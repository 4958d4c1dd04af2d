"""Tables of the abstracts (B.ABS1, B.ABS2) and the overview S.SIDE: one published number after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from radgen_lib.core.plan import PUBLISHED_FOLDS
from radgen_lib.core.rows import result_row
from radgen_lib.reporting.claims import CLAIMS, Claim, find
from radgen_lib.reporting.facts import PUBLISHED, SHARED, RunFacts
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line, protocol_order
from radgen_lib.reporting.published import published_values
from radgen_lib.reporting.records import check_rows, record
from radgen_lib.reporting.verdict import judge

if TYPE_CHECKING:
    import pandas as pd

_PLACES = {"B.ABS1": "preprint abstract", "B.ABS2": "final abstract"}


def settings_rows(facts: RunFacts) -> list[dict[str, Any]]:
    """Numbers that are settings of the as-published protocol, as result rows (folds of the cross-validation)."""
    keys: dict[str, Any] = {"item": "B.ABS2", "metric": "cv_folds", "protocol": PUBLISHED, "design": "published_folds"}
    if "published_folds" in (facts.switch(PUBLISHED, "designs") or ()):
        return [result_row(**keys, value=PUBLISHED_FOLDS, note="setting, by construction")]
    return [result_row(**keys, reason=f"design published_folds is not run under the {facts.preset} preset")]


def _claim_records(
    claim: Claim, value: float, heading: dict[str, Any], rows: pd.DataFrame, facts: RunFacts
) -> list[dict[str, Any]]:
    """Table rows of one published number: the judged one first, then the other readings of it."""
    order = [name for name in protocol_order(rows, facts) if name != SHARED]
    records = []
    for place in range(max(len(claim.as_published), len(claim.rigorous))):
        line = Line(dict.fromkeys(KEY_COLUMNS, ""))
        for name in order:
            picks = claim.picks(name)
            found = find(rows, picks[place], name, facts) if place < len(picks) else None
            if found is not None:
                line.cells[name] = found
        told = line.cells.get(PUBLISHED, {})
        first = next(iter(line.cells.values()), {})
        line.keys.update({column: first.get(column, "") for column in KEY_COLUMNS})
        verdict = judge(
            value, told.get("value", math.nan), told.get("low", math.nan), told.get("high", math.nan),
            preset=facts.preset, tolerance=claim.tolerance, unrecoverable=claim.unrecoverable, invalid=claim.invalid,
            incomparable=claim.incomparable(told),
        )  # fmt: skip
        reasons = {
            name: line.cells[name]["reason"] if name in line.cells else _absent(claim, name, place, facts)
            for name in order
        }
        picks = claim.as_published if place < len(claim.as_published) else claim.rigorous
        told_heading = {**heading, "col": picks[place].label, "published": value}
        records.append(record(line, told_heading, reasons, verdict, facts, order))
    return records


def _absent(claim: Claim, protocol: str, place: int, facts: RunFacts) -> str:
    picks = claim.picks(protocol)
    if place >= len(picks):
        return "not run under this protocol" if picks else "has no counterpart"
    if claim.absent:
        return claim.absent
    design = picks[place].patterns.get("design", "")
    if design and design not in (facts.switch(protocol, "designs") or ()):
        where = f"the {facts.preset} preset" if protocol == PUBLISHED else protocol
        return f"design {design} is not run under {where}"
    metric = picks[place].patterns.get("metric", "")
    return f"no row of {label('metric', metric)} came from the analysis"


def abstract_tables(rows: pd.DataFrame, facts: RunFacts) -> dict[str, pd.DataFrame]:
    """Tables B.ABS1, B.ABS2 and the overview S.SIDE (one row per published number of system B)."""
    import pandas as pd

    settings = pd.DataFrame(settings_rows(facts)).assign(source="config")
    rows = check_rows(pd.concat([rows, settings], ignore_index=True) if len(rows) else settings)
    published = published_values("B").set_index(["item", "row"])
    tables: dict[str, list[dict[str, Any]]] = {"B.ABS1": [], "B.ABS2": [], "S.SIDE": []}
    for claim in CLAIMS:
        cell = published.loc[(claim.item, claim.row)]
        heading = {"item": claim.item, "row": claim.row, "citation": cell["citation"], "note": claim.why}
        records = _claim_records(claim, float(cell["value"]), heading, rows, facts)
        tables[claim.item] += records
        tables["S.SIDE"].append(
            {**records[0], "item": "S.SIDE", "row": f"{claim.row} ({_PLACES[claim.item]})", "col": cell["col"]}
        )
    return {item: pd.DataFrame(records) for item, records in tables.items()}
