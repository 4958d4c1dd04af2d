"""What the comparison of methods says, in sentences: ours beside the best of the others, each with its own n."""

from __future__ import annotations

from typing import Any

import numpy as np

from radgen_lib.reporting.factor_figures import omic_label
from radgen_lib.reporting.factor_names import event_word, listed, method_label, metric_name, task_label
from radgen_lib.reporting.factor_tables import COVERAGE, FactorResults
from radgen_lib.reporting.factor_words import Sentence
from radgen_lib.reporting.view import number

# Measures told in words: whether lower is better, and which tasks (None: all).
MEASURES: dict[str, tuple[bool, tuple[str, ...] | None]] = {
    "impute_rmse_entries": (True, ("all omics",)), "impute_rmse_omic": (True, None), "auroc": (False, None),
    "harrell_c": (False, None), "factor_match": (False, ("",)),
}  # fmt: skip


def comparison_words(results: FactorResults) -> list[Sentence]:
    """Ours beside the best of the others, for each measure and task, and how often which is surely ahead."""
    file, said, signs = "tables/F.CMP.csv", [], []
    for metric, (lower, tasks) in MEASURES.items():
        found = []
        for task, (mine, best) in _pairs(results, metric, lower, tasks).items():
            found.append((f"{task_label(task)}: " if task else "") + _beside(mine, best))
            signs += _surely(results, metric, task, str(best["model"]), lower)
        if found:
            said.append(Sentence(f"{metric_name(metric).name} ({metric_name(metric).unit}): {'; '.join(found)}.", file))
    if signs:
        text = (
            f"Ours minus the best other, on the same patients: of {len(signs)} paired intervals {signs.count(1)} lie "
            f"wholly where ours is better, {signs.count(-1)} wholly where the other is, and {signs.count(0)} hold 0. "
            "The best of several is chosen after the fact, which favours it; what was fitted on test patients is left "
            "out."
        )
        said.insert(0, Sentence(text, file))
    return [*said, *_coverage_words(results)]


def _pairs(
    results: FactorResults, metric: str, lower: bool, tasks: tuple[str, ...] | None
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Task -> our row and the best of the others that have seen training patients only."""
    rows = results.comparison
    part = rows[(rows["metric"] == metric) & rows["value"].notna() & (rows["protocol"] == "rigorous")]
    found = {}
    for task in dict.fromkeys(part["task"]):
        here = part[part["task"] == task]
        mine = here[here["model"] == results.own]
        others = here[here["model"] != results.own].sort_values("value", ascending=lower, kind="stable")
        if len(mine) and len(others) and (tasks is None or task in tasks):
            found[str(task)] = (mine.iloc[0].to_dict(), others.iloc[0].to_dict())
    return found


def _surely(results: FactorResults, metric: str, task: str, other: str, lower: bool) -> list[int]:
    """1: the paired interval of ours minus ``other`` lies where ours is better, -1: where worse, else 0; [] without."""
    rows = results.comparison
    found = rows[(rows["metric"] == f"{metric}_difference") & (rows["task"] == task) & (rows["model"] == other)]
    found = found.dropna(subset=["low", "high"])
    return [int((-1 if lower else 1) * (int(row.low > 0) - int(row.high < 0))) for row in found.itertuples()]


def _beside(mine: dict[str, Any], best: dict[str, Any]) -> str:
    told = [
        f"{number(row['value'])} ({number(row['low'])} to {number(row['high'])}; {_people(row)})"
        for row in (mine, best)
    ]
    return f"ours {told[0]}, best other {method_label(best['model'])} {told[1]}"


def _people(row: dict[str, Any]) -> str:
    events = f", {row['events']:.0f} {event_word(row['metric'])}" if np.isfinite(row["events"]) else ""
    return f"n {row['n']:.0f}{events}"


def _coverage_words(results: FactorResults) -> list[Sentence]:
    part = results.coverage[np.isclose(results.coverage["level"], 0.95)].dropna(subset=["covered"])
    if part.empty:
        return [Sentence("No predictive interval could be checked.", COVERAGE)]
    told = [
        f"{100 * row['covered']:.1f} % of {omic_label(str(row['omic']))} ({row['n_entries']:.0f} values of "
        f"{row['n_patients']:.0f} patients)"
        for row in part.to_dict("records")
    ]
    return [
        Sentence(f"95 % predictive intervals hold {listed(told)}.", "tables/F.CMP.csv"),
        Sentence(f"Farthest off of all levels: {'; '.join(_worst_levels(results))}.", "tables/F.CMP.csv"),
    ]


def _worst_levels(results: FactorResults) -> list[str]:
    """Of each omic the level that is farthest off: "copy number, 90.1 % at 50 % (too wide)"."""
    told = []
    known = results.coverage.dropna(subset=["covered"])
    for omic, part in known.groupby("omic", sort=False):
        row = part.loc[(part["covered"] - part["level"]).abs().idxmax()]
        level, low, high = (float(row[name]) for name in ("level", "low", "high"))
        # Without limits nobody can tell chance from a fault.
        word = "too wide" if low > level else "too narrow" if high < level else "within chance"
        if not np.isfinite([low, high]).all():
            word = "no interval"
        told.append(f"{omic_label(str(omic))}, {100 * row['covered']:.1f} % at {100 * level:g} % ({word})")
    return told
