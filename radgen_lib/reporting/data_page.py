"""The page of ingestion: what was fetched, how each series was read and why, what the molecular study holds."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.cohort.flow import flow
from radgen_lib.core.atomic import write_text
from radgen_lib.reporting.data_figures import flow_figure, omics_figure, timing_figure
from radgen_lib.reporting.page import TEMPLATES, data_uri

SHEETS = 24
LINES = 400
_PHASES = {
    "volume": "Phase", "decision": "Called so because", "seconds": "Seconds after pre", "view": "View",
    "grid": "Slices x rows x columns", "spacing": "Spacing, mm", "motion": "Motion before to after, mm",
    "registration": "Registration", "outcome": "Kept, or why not",
}  # fmt: skip


@dataclass(frozen=True)
class DataTable:
    """A table of the page: anchor, title, what it says, columns, rows as text, and rows beyond those shown."""

    anchor: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    more: int = 0


@dataclass(frozen=True)
class DataFacts:
    """What the page is made of: tables of all shards together, contact sheets (name -> JPEG), the omics folder."""

    cohort: str
    preset: str
    ledger: pd.DataFrame
    series: pd.DataFrame
    phases: pd.DataFrame
    masks: pd.DataFrame
    selection: pd.DataFrame
    sheets: Mapping[str, bytes]
    omics: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def gather_data(
    cohort: str, preset: str, settings: Mapping[str, Any], files: Mapping[str, Sequence[str]], omics: Path | None
) -> DataFacts:
    """Read the files of all shards: ``files`` maps ledgers, series, phases, masks, selection and sheets to paths."""
    parts = {name: _joined(files[name]) for name in ("ledgers", "series", "phases", "masks", "selection")}
    if omics is not None:
        parts["selection"] = pd.concat([parts["selection"], pd.read_parquet(omics / "selection.parquet")])
    return DataFacts(
        cohort, preset, parts["ledgers"], parts["series"], parts["phases"], parts["masks"],
        parts["selection"].reset_index(drop=True).astype({"kept": bool}), _sheets(files["sheets"]), omics, settings,
    )  # fmt: skip


def _joined(paths: Iterable[str]) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in paths]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _sheets(paths: Iterable[str]) -> dict[str, bytes]:
    """The first contact sheets: first post-contrast phases before the others, in the order of shards and names."""
    listed = []
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            listed += [(not name.endswith("_post1.jpg"), path, name) for name in sorted(archive.namelist())]
    found: dict[str, bytes] = {}
    for _, path, name in sorted(listed)[:SHEETS]:
        with zipfile.ZipFile(path) as archive:
            found[Path(name).stem] = archive.read(name)
    return found


def _text(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def table_of(anchor: str, title: str, text: str, frame: pd.DataFrame, *, lines: int = LINES) -> DataTable:
    """A table with at most ``lines`` rows; the page says how many more there are."""
    rows = [tuple(_text(value) for value in row) for row in frame.head(lines).itertuples(index=False)]
    return DataTable(anchor, title, text, tuple(map(str, frame.columns)), rows, max(len(frame) - lines, 0))


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
    shown["seconds"] = phases["seconds"].map(_text)
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
    return table_of("decisions", "Every phase, and why it is called so", "Phases that are not used come first, then "
                    "those whose registration is not the one that was asked for.",
                    shown.iloc[order].rename(columns=_PHASES))  # fmt: skip


def _unregistered(phases: pd.DataFrame) -> pd.Series:
    """Kept phases whose registration failed, was dropped or left more motion: their entry says why, after a colon."""
    return phases["kept"].astype(bool) & phases["registration"].str.contains(":", regex=False)


def _tables(facts: DataFacts) -> list[DataTable]:
    tables = [ledger_table(facts.ledger), phase_table(facts.phases)]
    odd = facts.series[~facts.series["kept"].astype(bool) | (facts.series["identifying"] != "")]
    columns = ["patient", "series", "kind_of_pixels", "transfer_syntax", "identifying", "reason"]
    tables.append(table_of("series", "Series with a fault or identifying attributes", "Names of attributes only; "
                           "their values are never written.", odd[columns]))  # fmt: skip
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
    """HTML of the page: self-contained, no date, no external address."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    sheets = [
        (name.replace("_", " "), "data:image/jpeg;base64," + base64.b64encode(content).decode())
        for name, content in facts.sheets.items()
    ]
    kept = facts.phases["kept"].astype(bool)
    return environment.get_template("data.html").render(
        facts=facts, tables=_tables(facts), figures=_figures(facts), sheets=sheets,
        more_sheets=max(int(kept.sum()) - len(sheets), 0),
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
