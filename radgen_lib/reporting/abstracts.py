"""Tables of the abstracts (B.ABS1, B.ABS2) and the overview S.SIDE: one published number after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from radgen_lib.core.plan import PUBLISHED_FOLDS
from radgen_lib.core.rows import result_row
from radgen_lib.core.trainings import TRAININGS
from radgen_lib.reporting.claims import CLAIMS, Claim, Pick, find
from radgen_lib.reporting.facts import PUBLISHED, SHARED, RunFacts
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line, protocol_order
from radgen_lib.reporting.published import published_values
from radgen_lib.reporting.records import check_rows, record
from radgen_lib.reporting.verdict import Verdict, judge

if TYPE_CHECKING:
    import pandas as pd

_PLACES = {"B.ABS1": "preprint abstract", "B.ABS2": "final abstract"}
# What could not be evaluated is one row of the analysis, under the first of its metrics, and without the keys that do
# not matter: of one model, or of all of them.
_SIBLINGS = {"auroc": "auroc", "auprc_trapz": "auroc", "c_harrell": "c_harrell"}
_EVERY = tuple(dict.fromkeys(keys, "") for keys in ((), ("arm", "generator"), ("model", "arm", "generator")))


def settings_rows(facts: RunFacts) -> list[dict[str, Any]]:
    """Numbers that are settings of the as-published protocol, as result rows (folds of the cross-validation)."""
    keys: dict[str, Any] = {"item": "B.ABS2", "metric": "cv_folds", "protocol": PUBLISHED, "design": "published_folds"}
    if "published_folds" in (facts.switch(PUBLISHED, "designs") or ()):
        return [result_row(**keys, value=PUBLISHED_FOLDS, note="setting, by construction")]
    return [result_row(**keys, reason=f"design published_folds is not run under the {facts.preset} preset")]


def _line(found: dict[str, dict[str, Any] | None]) -> Line:
    """A line of the results that were found, by protocol."""
    cells = {name: row for name, row in found.items() if row is not None}
    first = next(iter(cells.values()), {})
    return Line({column: first.get(column, "") for column in KEY_COLUMNS}, cells)


def _claim_records(
    claim: Claim, value: float, heading: dict[str, Any], rows: pd.DataFrame, facts: RunFacts
) -> list[dict[str, Any]]:
    """Table rows of one published number: the judged one first, then the other readings of it."""
    order = [name for name in protocol_order(rows, facts) if name != SHARED]
    records = []
    for place in range(max(len(claim.as_published), len(claim.rigorous))):
        asked = {name: claim.picks(name)[place] for name in order if place < len(claim.picks(name))}
        line = _line({name: find(rows, pick, name, facts) for name, pick in asked.items()})
        told = _judged(line.cells.get(PUBLISHED, {}))
        verdict = judge(
            value, told.get("value", math.nan), told.get("low", math.nan), told.get("high", math.nan),
            preset=facts.preset, tolerance=claim.tolerance, unrecoverable=claim.unrecoverable, invalid=claim.invalid,
            incomparable=claim.incomparable(told), interval=told.get("interval", ""), elsewhere=facts.elsewhere,
        )  # fmt: skip
        reasons = {
            name: line.cells[name]["reason"] if name in line.cells else _absent(claim, name, place, rows, facts)
            for name in order
        }
        picks = claim.as_published if place < len(claim.as_published) else claim.rigorous
        told_heading = {**heading, "col": picks[place].label, "published": value}
        records.append(record(line, told_heading, reasons, verdict, facts, order))
    return records


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    """The row that a verdict rests on: that over trainings where the single split's own patients give no interval."""
    again: dict[str, Any] | None = row.get("trainings")
    return row if again is None or math.isfinite(row["low"]) else again


def _own_record(
    claim: Claim, heading: dict[str, Any], rows: pd.DataFrame, facts: RunFacts
) -> tuple[str, dict[str, Any]] | None:
    """Name of this project's own model and its table row beside a published number; None where there is no such model.

    The row holds no published number, because the paper has none of that model.
    """
    order = [name for name in protocol_order(rows, facts) if name != SHARED]
    asked = {name: pick for name in order if (pick := claim.own_pick(name, facts)) is not None}
    if not asked:
        return None
    line = _line({name: find(rows, pick, name, facts) for name, pick in asked.items()})
    ours = [label("generator", str(facts.switch(name, "primary"))) for name in asked]
    name = f"{', '.join(dict.fromkeys(ours))} (this project's model)"
    reasons = {p: line.cells[p]["reason"] if p in line.cells else f"{name} is not run under {p}" for p in order}
    for protocol in set(asked) - set(line.cells):
        reasons[protocol] = (
            _said_of_several(asked[protocol], protocol, rows, facts) or "no such row came from the analysis"
        )
    told = {**heading, "col": f"{name}: {next(iter(asked.values())).label.removeprefix('CPDM, ')}", "citation": ""}
    return name, record(line, told, reasons, Verdict("no published value"), facts, order)


def _said_of_several(pick: Pick, protocol: str, rows: pd.DataFrame, facts: RunFacts) -> str:
    """Why the analysis has no number, where it says so in one row for several cells ("" where it does not)."""
    metric = _SIBLINGS.get(pick.patterns.get("metric", ""))
    if metric is None:
        return ""
    picks = (Pick(pick.label, {**pick.patterns, "metric": metric, **more}) for more in _EVERY)
    found = (find(rows, one, protocol, facts) for one in picks)
    return next((str(row["reason"]) for row in found if row is not None), "")


def _absent(claim: Claim, protocol: str, place: int, rows: pd.DataFrame, facts: RunFacts) -> str:
    picks = claim.picks(protocol)
    if place >= len(picks):
        return "not run under this protocol" if picks else "has no counterpart"
    if claim.absent:
        return claim.absent
    design = picks[place].patterns.get("design", "")
    if design == TRAININGS and "published_split" in (facts.switch(protocol, "designs") or ()):
        return "trained once on the single split: cohorts.NAME.splits.trainings asks for more"
    design = "published_split" if design == TRAININGS else design
    if design and design not in (facts.switch(protocol, "designs") or ()):
        where = f"the {facts.preset} preset" if protocol == PUBLISHED else protocol
        return f"design {design} is not run under {where}"
    generator = picks[place].patterns.get("generator", "")
    if generator in facts.system["generators"] and generator not in (facts.switch(protocol, "generators") or ()):
        return f"{label('generator', generator)} is not run under {protocol}"
    if said := _said_of_several(picks[place], protocol, rows, facts):
        return said
    metric = picks[place].patterns.get("metric", "")
    return f"no row of {label('metric', metric)} came from the analysis"


def abstract_tables(rows: pd.DataFrame, facts: RunFacts) -> dict[str, pd.DataFrame]:
    """Tables B.ABS1, B.ABS2 and the overview S.SIDE.

    The overview has one row per published number of system B, the published model in every column, and after it, named
    as such, a row of this project's own model where a protocol has one.
    """
    import pandas as pd

    settings = pd.DataFrame(settings_rows(facts)).assign(source="config")
    rows = check_rows(pd.concat([rows, settings], ignore_index=True) if len(rows) else settings)
    published = published_values("B").set_index(["item", "row"])
    tables: dict[str, list[dict[str, Any]]] = {"B.ABS1": [], "B.ABS2": [], "S.SIDE": []}
    for claim in CLAIMS:
        cell = published.loc[(claim.item, claim.row)]
        heading = {"item": claim.item, "row": claim.row, "citation": cell["citation"], "note": claim.why}
        records = _claim_records(claim, float(cell["value"]), heading, rows, facts)
        place = f"{claim.row} ({_PLACES[claim.item]})"
        tables["S.SIDE"].append({**records[0], "item": "S.SIDE", "row": place, "col": cell["col"]})
        own = _own_record(claim, heading, rows, facts)
        if own is not None:
            records.append(own[1])
            tables["S.SIDE"].append({**own[1], "item": "S.SIDE", "row": f"{place}, {own[0]}", "col": own[0]})
        tables[claim.item] += records
    return {item: pd.DataFrame(records) for item, records in tables.items()}
