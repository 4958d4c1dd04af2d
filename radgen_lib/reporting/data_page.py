"""The page of ingestion: what was fetched, how each series was read and why, what the molecular study holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.cohort.flow import flow
from radgen_lib.core.atomic import write_text
from radgen_lib.reporting.data_figures import flow_figure, omics_figure, timing_figure
from radgen_lib.reporting.data_sheets import Sheets, gather_sheets
from radgen_lib.reporting.data_sources import rest_rows, source_rows, sources_table
from radgen_lib.reporting.data_table import LINES, DataTable, as_text, table_of
from radgen_lib.reporting.page import TEMPLATES, data_uri
from radgen_lib.sources.registry import Source

_PHASES = {
    "volume": "Phase", "decision": "Called so because", "seconds": "Seconds after pre", "view": "View",
    "grid": "Slices x rows x columns", "spacing": "Spacing, mm", "motion": "Motion before to after, mm",
    "registration": "Registration", "outcome": "Kept, or why not",
}  # fmt: skip


@dataclass(frozen=True)
class DataFacts:
    """What the page is made of: tables of all shards together, contact sheets, files used, the omics folder."""

    cohort: str
    preset: str
    ledger: pd.DataFrame
    series: pd.DataFrame
    phases: pd.DataFrame
    masks: pd.DataFrame
    selection: pd.DataFrame
    sheets: Sheets
    files: pd.DataFrame
    omics: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def gather_data(
    cohort: str,
    preset: str,
    settings: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    omics: Path | None,
    *,
    page: Path,
    registry: Mapping[str, Source],
) -> DataFacts:
    """Read the files of all shards: ``files`` maps ledgers, series, phases, masks, selection and sheets to paths.

    It may map ``sources`` and ``rest`` as well: files of the ``registry``, and answers of the portal. ``page`` is
    where the page will lie, from which it links to the archives.
    """
    parts = {name: _joined(files[name]) for name in ("ledgers", "series", "phases", "masks", "selection")}
    if omics is not None:
        parts["selection"] = pd.concat([parts["selection"], pd.read_parquet(omics / "selection.parquet")])
    sheets = gather_sheets(parts["phases"], files["sheets"], page)
    used = [source_rows(registry, files.get("sources", ())), rest_rows(files.get("rest", ()))]
    return DataFacts(
        cohort, preset, parts["ledgers"], parts["series"], parts["phases"], parts["masks"],
        parts["selection"].reset_index(drop=True).astype({"kept": bool}), sheets,
        pd.concat([part for part in used if len(part)] or used[:1], ignore_index=True), omics, settings,
    )  # fmt: skip


def _joined(paths: Iterable[str]) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in paths]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def ledger_table(ledger: pd.DataFrame) -> DataTable:
    """What was fetched, by origin, outcome and reason."""
    grouped = ledger.groupby(["origin", "status", "reason"], sort=True, dropna=False)
    counts = grouped.agg(series=("series", "size"), patients=("patient", "nunique"), files=("n_files", "sum"),
                         bytes=("bytes", "sum")).reset_index()  # fmt: skip
    counts["megabytes"] = (counts.pop("bytes") / 1e6).round(1)
    return table_of("fetched", "What was fetched", "One line per origin, outcome and reason; each series is a row of "
                    "the ledger.", counts.rename(columns={"status": "outcome"}))  # fmt: skip


def phase_table(phases: pd.DataFrame) -> DataTable:
    """Every phase found: what it was taken for and why, its geometry, and whether it is used."""
    shown = pd.DataFrame(dict.fromkeys(_PHASES, ""), index=phases.index)
    shown["volume"], shown["decision"], shown["view"] = phases["volume"], phases["decision"], phases["view"]
    shown["seconds"] = phases["seconds"].map(as_text)
    grid = phases[["slices", "rows", "cols"]].astype("Int64").astype(str)
    shown["grid"] = grid.agg(" x ".join, axis=1)
    spacing = phases[["spacing_slice", "spacing_row", "spacing_col"]].map(lambda value: f"{value:.2f}")
    shown["spacing"] = spacing.agg(" x ".join, axis=1)
    shown.loc[phases["cols"] == 0, ["grid", "spacing"]] = ""  # no header could be read
    moved = phases["motion_before_mm"].notna()
    shown.loc[moved, "motion"] = [
        f"{a:.2f} to {b:.2f}" for a, b in phases.loc[moved, ["motion_before_mm", "motion_after_mm"]].to_numpy(float)
    ]
    shown["registration"] = phases["registration"]
    kept = phases["kept"].astype(bool)
    index = phases["index_phase"].astype(bool)
    shown["outcome"] = np.where(kept, np.where(index, "kept, index phase", "kept"), phases["reason"])
    order = np.lexsort((phases["volume"].to_numpy(str), ~_unregistered(phases).to_numpy(), kept.to_numpy()))
    first = int((~kept | _unregistered(phases)).sum())
    return table_of("decisions", "Every phase, and why it is called so", "Phases that are not used come first, then "
                    "those whose registration is not the one that was asked for; all of these are shown.",
                    shown.iloc[order].rename(columns=_PHASES), lines=max(LINES, first))  # fmt: skip


def _unregistered(phases: pd.DataFrame) -> pd.Series:
    """Kept phases whose registration failed or was dropped: their entry says why, after a colon."""
    return phases["kept"].astype(bool) & phases["registration"].str.contains(":", regex=False)


def series_table(series: pd.DataFrame) -> DataTable:
    """Every series that is not used, and why."""
    columns = ["patient", "series", "kind_of_pixels", "transfer_syntax", "reason"]
    odd = series.loc[~series["kept"].astype(bool), columns]
    return table_of("series", "Series that are not used", "Every series without a kept phase, with the reason.", odd,
                    lines=max(LINES, len(odd)))  # fmt: skip


def identifying_table(series: pd.DataFrame) -> DataTable:
    """Identifying attributes that are still in the files, with the number of series and patients."""
    names = series[["patient", "series"]].assign(attribute=series["identifying"].astype(str).str.split(","))
    names = names.explode("attribute").query("attribute != ''")
    counts = names.groupby("attribute", sort=True).agg(series=("series", "nunique"), patients=("patient", "nunique"))
    return table_of("identifying", "Identifying attributes in the files", "Names of attributes only; their values are "
                    "never written.", counts.reset_index())  # fmt: skip


def _tables(facts: DataFacts) -> list[DataTable]:
    tables = [ledger_table(facts.ledger), sources_table(facts.files), phase_table(facts.phases)]
    tables += [series_table(facts.series), identifying_table(facts.series)]
    if len(facts.masks):
        columns = ["volume", "source", "label", "voxels", "volume_mm3", "kept", "reason"]
        tables.append(table_of("masks", "Masks", "Volumes on the native grid.", facts.masks[columns]))
    return [*tables, *_omics_tables(facts.omics)] if facts.omics is not None else tables


def _omics_tables(folder: Path) -> list[DataTable]:
    quality = pd.read_parquet(folder / "quality.parquet")
    decisions = pd.read_parquet(folder / "decisions.parquet")
    order = np.argsort(~quality["flag"].to_numpy(bool), kind="stable")
    return [
        table_of("quality", "Quality of the molecular tables", "Missingness, scales, swaps, matrices that "
                 "stand there twice. What is flagged comes first.", quality.iloc[order], lines=80),
        table_of("omics-decisions", "Decisions on the molecular study", "Each is taken in one place and counted.",
                 decisions),
    ]  # fmt: skip


def _figures(facts: DataFacts) -> list[tuple[str, str, str]]:
    figures = [
        ("Flow of series and phases", "What each step kept, and why the rest was left out.",
         flow_figure(flow(facts.selection))),
        ("When the phases were acquired", "A line a study, a dot a phase; times come from the headers.",
         timing_figure(facts.phases)),
    ]  # fmt: skip
    if facts.omics is not None:
        tensor = np.load(facts.omics / "tensor.npy", mmap_mode="r", allow_pickle=False)
        names = json.loads((facts.omics / "tensor_omics.json").read_text())
        figures.append(("Distributions of the molecular tables", "Each line is one matrix; a table on the wrong scale "
                        "shows here.", omics_figure(tensor, names)))  # fmt: skip
    return [(title, caption, data_uri(content)) for title, caption, content in figures]


def render_data_page(facts: DataFacts) -> str:
    """HTML of the page: self-contained but for links to the archives of contact sheets that lie beside it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    kept = facts.phases["kept"].astype(bool)
    return environment.get_template("data.html").render(
        facts=facts, tables=_tables(facts), figures=_figures(facts), sheets=facts.sheets,
        counts={
            "patients with series": facts.phases["patient"].nunique(), "series": len(facts.series),
            "phases found": len(facts.phases), "phases kept": int(kept.sum()),
            "kept without the registration asked for": int(_unregistered(facts.phases).sum()),
            "series not fetched whole": int((facts.ledger["status"] != "ok").sum()),
        },
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )  # fmt: skip


def write_data_page(target: Path, facts: DataFacts) -> None:
    """Write the page, whole or not at all."""
    write_text(target, render_data_page(facts))
