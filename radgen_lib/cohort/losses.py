"""What a cohort lost on its way in, by reason, and the gates that stop the run where it was too much."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from radgen_lib.cohort.selection import COPY, NO_CONTRAST_PHASE, OTHER_GEOMETRY, check_lost

LOSS_COLUMNS = ("unit", "reason", "count", "share")


def losses(ledger: pd.DataFrame, phases: pd.DataFrame, tables: pd.DataFrame | None = None) -> pd.DataFrame:
    """What was lost, by reason: unit (series, phase, or a unit of a table), reason, count, share of the unit's all.

    ``tables``: what the reader of the molecular study lost (table, unit, reason, count; reason "": what was read).
    """
    rows: list[tuple[str, str, int, float]] = []
    for unit, reasons, total in (
        ("series", ledger.loc[ledger["status"] != "ok", "reason"], len(ledger)),
        ("phase", phases.loc[~phases["kept"].astype(bool), "reason"], len(phases)),
    ):
        rows += [(unit, reason, count, count / total) for reason, count in _by_number(reasons.value_counts())]
    for table, unit, counts in _groups(tables):
        lost = counts.drop("", errors="ignore")
        rows += [(f"{unit} of {table}", reason, count, count / counts.sum()) for reason, count in _by_number(lost)]
    return pd.DataFrame(rows, columns=list(LOSS_COLUMNS))


def _by_number(counts: pd.Series) -> list[tuple[str, int]]:
    pairs = ((str(reason), int(count)) for reason, count in counts.items())
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _groups(tables: pd.DataFrame | None) -> Sequence[tuple[str, str, pd.Series]]:
    """Table, unit and reason -> count, in the order of reading."""
    if tables is None:
        return ()
    found = tables.groupby(["table", "unit"], sort=False)
    return [(str(table), str(unit), rows.groupby("reason")["count"].sum()) for (table, unit), rows in found]


def check_fetched(ledger: pd.DataFrame, allowed: float, path: Path) -> None:
    """Raise DataError when a larger share than ``allowed`` of the series of a ledger did not come whole."""
    reasons = ledger.loc[ledger["status"] != "ok", "reason"]
    action = "Fetch again (delete the ledger)"
    check_lost(reasons, len(ledger), allowed, path, what="series", how="did not come whole", action=action)


def check_share(phases: pd.DataFrame, allowed: float, path: Path) -> None:
    """Raise DataError when a larger share than ``allowed`` of the dynamic phases cannot be used.

    All that may be a phase counts: also parts that nobody could name, thin stacks, more phases than are used, and
    series of which no header can be read. What is left out as planned does not: localisers, derived images,
    subtractions, copies of a phase, and sound stacks of another geometry (a T1 image of the other plane, as some
    protocols have) of a study whose dynamic series gave its pre-contrast and a post-contrast phase. Where those are
    images too (``imaging.phases: all``), they count as well, copies excepted.
    """
    kept, reasons = phases["kept"].astype(bool), phases["reason"]
    planned = reasons == COPY
    if not (kept & ~phases["phase"].str.fullmatch(r"pre|post\d+")).any():
        planned |= reasons.str.contains(NO_CONTRAST_PHASE, regex=False)
        planned |= (reasons == OTHER_GEOMETRY) & _dynamic_series_found(phases, kept)
    lost = ~kept & ~planned
    check_lost(reasons[lost], int((kept | lost).sum()), allowed, path, what="phases")


def _dynamic_series_found(phases: pd.DataFrame, kept: pd.Series) -> pd.Series:
    """For each phase: whether its study has a pre-contrast and a post-contrast phase that are ``kept``."""
    study = phases["patient"].astype(str) + " " + phases["study_number"].astype(str)
    pre, post = (set(study[kept & phases["phase"].str.match(word)]) for word in ("pre", "post"))
    return study.isin(pre & post)


def check_patients(selection: pd.DataFrame, allowed: float, path: Path) -> None:
    """Raise DataError when a larger share than ``allowed`` of the patients who have series have no volume.

    ``selection``: the decisions of ingestion on all shards; the reason told is that of the patients' phases and series.
    """
    people = selection[selection["step"] == "patients"]
    without = people[~people["kept"].astype(bool)]
    dropped = selection[~selection["kept"].astype(bool) & selection["step"].isin(["fetched", "series", "phases"])]
    # The decisions on phases come last and say most; a patient of whom nothing was lost by name has none.
    why = dropped.drop_duplicates("id", keep="last").set_index("id")["reason"]
    reasons = without["id"].map(why).fillna(without["reason"])
    check_lost(reasons, len(people), allowed, path, what="patients", how="have series but no volume")


def check_tables(tables: pd.DataFrame, allowed: float) -> None:
    """Raise DataError when a larger share than ``allowed`` of a unit (rows, samples ...) of a table was lost.

    ``tables`` as in :func:`losses`; the line names the table that lost most. One lost table of the few that a study has
    is told, and stops nothing: its omic is absent.
    """
    found = [(counts.drop("", errors="ignore"), counts.sum(), table, unit) for table, unit, counts in _groups(tables)]
    for lost, total, table, unit in sorted(found, key=lambda group: -group[0].sum() / max(group[1], 1)):
        if unit == "tables" and lost.sum() < 2:
            continue
        ordered = [reason for reason, count in _by_number(lost) for _ in range(count)]
        check_lost(pd.Series(ordered, dtype=object), int(total), allowed, Path(table), what=unit)
