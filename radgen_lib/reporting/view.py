"""Tables as the page shows them: text, links and classes, no numbers left to format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radgen_lib.reporting.captions import table_caption
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.labels import BESIDE, ITEM_TITLES, LABELS, label, setup_label
from radgen_lib.reporting.ranges import range_kind

if TYPE_CHECKING:
    import pandas as pd

HEADLINE_METRICS = {
    "B.TA": ("pixelrow_frechet_best", "kid", "kid_radiomics"),
    "B.TB": ("auroc",),
    "B.TC": ("c_harrell", "c_uno"),
}
# Beside result rows: what each patient was given in each fold, from which the rows can be computed again.
BEHIND = {"prediction.csv": "predictions.parquet", "survival.csv": "risks.parquet"}
# Numbers of single variables of the condition are for the CSV; the page has what holds over all of them.
BY_VARIABLE = {"S.ADH": ("readback_", "monotone_", "response_")}
SHOWN_AT_ONCE = 14
EXAMPLES = 4


@dataclass(frozen=True)
class CellView:
    """One number: text, range and its kind, n, what it was computed with, link to its file, or why there is none."""

    text: str = ""
    interval: str = ""
    kind: str = ""
    n: str = ""
    setup: str = ""
    href: str = ""
    reason: str = ""


@dataclass(frozen=True)
class LineView:
    """One line: label, metric, published number with citation, a cell per protocol, verdict, note."""

    row: str
    further: str
    col: str
    published: str
    citation: str
    cells: tuple[CellView, ...]
    verdict: str
    verdict_class: str
    note: str


@dataclass(frozen=True)
class GapView:
    """Cells without a number that share one reason."""

    reason: str
    count: int
    examples: str


@dataclass(frozen=True)
class TableView:
    """A table: headline lines, all lines with numbers, the gaps by reason, and files to compute its numbers again.

    ``behind``: name and address of each file of scores or risks by patient; ``by_variable``: how many lines of single
    variables of the condition are in the CSV alone.
    """

    item: str
    title: str
    caption: str
    href: str
    protocols: tuple[str, ...]
    has_published: bool
    headline: tuple[LineView, ...]
    lines: tuple[LineView, ...]
    gaps: tuple[GapView, ...]
    behind: tuple[tuple[str, str], ...] = ()
    by_variable: int = 0


def number(value: float) -> str:
    """Three significant digits, trailing zeros kept; thousands as whole numbers; from a million on as 2.57e10."""
    if not math.isfinite(value):
        return ""
    if abs(value) >= 999_999.5:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if value == round(value):
        return f"{value:.0f}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")


def protocols_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Protocols that a table has column groups for, in order."""
    return tuple(str(column).removesuffix("_low") for column in table.columns if str(column).endswith("_low"))


def _cell(row: dict[str, Any], protocol: str, facts: ReportFacts, item: str) -> CellView:
    value, low, high = (float(row[f"{protocol}{end}"]) for end in ("", "_low", "_high"))
    source = row[f"{protocol}_source"]
    where = f"{facts.root}/{source}" if source and source != "config" else f"{facts.tables_at}/{item}.csv"
    n, events = row[f"{protocol}_n"], row[f"{protocol}_events"]
    people = [f"n {number(n)}" if n and n > 0 else "", f"{number(events)} events" if events == events else ""]
    return CellView(
        text=number(value),
        interval=f"{number(low)} to {number(high)}" if math.isfinite(low) and math.isfinite(high) else "",
        kind=range_kind(row[f"{protocol}_interval"]) if math.isfinite(low) and math.isfinite(high) else "",
        n=", ".join(text for text in people if text) if math.isfinite(value) else "",
        setup=setup_label(row[f"{protocol}_setup"]) if math.isfinite(value) else "",
        href=where,
        reason=row[f"{protocol}_reason"],
    )


def _printed(value: float) -> str:
    """A published number with the digits it was printed with."""
    return f"{value:.6g}" if math.isfinite(value) else ""


def _name(row: dict[str, Any], protocols: tuple[str, ...]) -> tuple[str, str]:
    """First and further parts of a line's name, without what its cells say anyway (design; generator of an arm)."""
    said = {part for name in protocols for part in setup_label(row[f"{name}_setup"]).split(", ")}
    maker = {label("generator", row.get("generator", ""))} if row.get("arm") else set()
    told = said & (set(LABELS["design"].values()) | maker)
    parts = [part for part in row["row"].split(" | ") if not set(part.split(BESIDE)) <= told] or [row["row"]]
    if len(parts) > 1 and parts[0] in LABELS["condition"].values():
        parts = [*parts[1:], parts[0]]
    return parts[0], ", ".join(parts[1:])


def verdict_class(verdict: str) -> str:
    """Class of a verdict's badge; a verdict is never told by colour alone, its text stands in the badge."""
    known = {
        "reproduced": "good", "not reproduced": "bad", "invalid statistic": "bad", "not computable": "open",
        "reproduced (spread)": "open", "not reproduced (spread)": "open",
        "reproduced (trainings)": "open", "not reproduced (trainings)": "open",
    }  # fmt: skip
    return known.get(verdict, "quiet")


def line_view(row: dict[str, Any], protocols: tuple[str, ...], facts: ReportFacts, item: str) -> LineView:
    """One line of a table."""
    first, further = _name(row, protocols)
    verdict = "" if row["verdict"] == "no published value" else row["verdict"]
    return LineView(
        row=first, further=further, col=row["col"], published=_printed(row["published"]), citation=row["citation"],
        cells=tuple(_cell(row, protocol, facts, item) for protocol in protocols),
        verdict=verdict, verdict_class=verdict_class(verdict), note=row["note"],
    )  # fmt: skip


def _gaps(rows: list[dict[str, Any]]) -> tuple[GapView, ...]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["reason"] or "no result", []).append(f"{row['row']} ({row['col']})")
    gaps = [
        GapView(why, len(names), "; ".join(names[:EXAMPLES]) + (" …" if len(names) > EXAMPLES else ""))
        for why, names in found.items()
    ]
    return tuple(sorted(gaps, key=lambda gap: -gap.count))


def _behind(table: pd.DataFrame, protocols: tuple[str, ...], facts: ReportFacts) -> tuple[tuple[str, str], ...]:
    """Files of scores and risks by patient that stand beside the files that numbers of this table came from."""
    sources = {
        str(source) for name in protocols for source in table.loc[table[name].notna(), f"{name}_source"].unique()
    }
    files = [f"{folder}{name}" for end, name in BEHIND.items() for folder in _folders(sources, end)]
    return tuple((file, f"{facts.root}/{file}") for file in sorted(files))


def _folders(sources: set[str], end: str) -> list[str]:
    return [source.removesuffix(end) for source in sources if source.endswith(f"/{end}")]


def _of_one_variable(item: str, row: dict[str, Any]) -> bool:
    return row.get("task", "") not in ("", "all") and row["metric"].startswith(BY_VARIABLE.get(item, ()))


def table_view(item: str, table: pd.DataFrame, facts: ReportFacts) -> TableView:
    """View of one item's table. Lines with a published number are always shown, with or without a number of ours."""
    protocols = protocols_of(table)
    shown: list[LineView] = []
    headline: list[LineView] = []
    empty: list[dict[str, Any]] = []
    metrics = HEADLINE_METRICS.get(item, ())
    records = table.to_dict("records")
    rows = [row for row in records if not _of_one_variable(item, row)]
    for row in rows:
        filled = any(math.isfinite(row[protocol]) for protocol in protocols)
        if not filled and not math.isfinite(row["published"]):
            empty.append(row)
            continue
        shown.append(line_view(row, protocols, facts, item))
        main = row.get("arm", "") in ("", "synthetic", "condition", "heldout", "floor") and row.get(
            "extractor", ""
        ) in (
            "",
            "radiomics",
        )
        if main and row["metric"] in metrics and len(headline) < SHOWN_AT_ONCE:
            headline.append(shown[-1])
    return TableView(
        item=item, title=ITEM_TITLES.get(item, item), caption=table_caption(item),
        href=f"{facts.tables_at}/{item}.csv", protocols=tuple(label("protocol", name) for name in protocols),
        has_published=bool(table["published"].notna().any()),
        headline=tuple(headline) if len(shown) > SHOWN_AT_ONCE else (),
        lines=tuple(shown), gaps=_gaps(empty), behind=_behind(table, protocols, facts),
        by_variable=len(records) - len(rows),
    )  # fmt: skip
