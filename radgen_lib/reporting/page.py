"""The page a person reads: one self-contained HTML file, the same bytes for the same results."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.core.atomic import write_text
from radgen_lib.reporting.captions import figure_caption
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.verdict import CLAIMING_PRESET
from radgen_lib.reporting.view import TableView, table_view

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "index.html"


@dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, title, items, figures (by prefix), and the items that are folded away."""

    anchor: str
    title: str
    text: str
    items: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()


@dataclass(frozen=True)
class FigureView:
    """A figure inlined as a data URI."""

    name: str
    title: str
    caption: str
    uri: str
    wide: bool


SECTIONS = (
    Section("summary", "Published numbers, and ours", "", ("S.SIDE", "B.ABS1", "B.ABS2"), folded=("B.ABS1", "B.ABS2")),
    Section("cohort", "Cohort", "Every exclusion is a row of the selection table.", (), ("cohort_flow",)),
    Section("images", "Images", "", (), ("image_grid",)),
    Section("training", "Training", "", (), ("training_curves",)),
    Section("fidelity", "Fidelity", "", ("B.TA", "B.TD"), ("frechet_reference",)),
    Section("prediction", "Clinical prediction", "", ("B.TB",), ("auroc_forest",)),
    Section("survival", "Survival", "", ("B.TC", "B.F2"), ("kaplan_meier", "subgroup_pca")),
    Section("adherence", "Condition adherence", "", ("S.ADH",), ("variable_response",)),
    Section("leakage", "Leakage", "", ("S.LEAK",)),
    Section("memorisation", "Memorisation", "", ("S.PRIV",), ("nearest_pairs",)),
)


def data_uri(content: bytes) -> str:
    """Data URI of SVG or PNG bytes; raises ValueError for anything else, so that a broken figure is noticed."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "image/png"
    elif content.lstrip()[:5] in (b"<?xml", b"<svg "):
        kind = "image/svg+xml"
    else:
        raise ValueError(f"a figure is neither PNG nor SVG: it starts with {content[:12]!r}")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _figures(section: Section, figures: Mapping[str, bytes]) -> list[FigureView]:
    wanted = [name for name in figures if any(name == f or name.startswith(f"{f}_") for f in section.figures)]
    return [_figure(name, figures[name]) for name in wanted]


def _figure(name: str, content: bytes) -> FigureView:
    title, caption = figure_caption(name)
    return FigureView(name, title, caption, data_uri(content), wide=name.startswith(("image_grid", "nearest_pairs")))


def _further(tables: Mapping[str, object], figures: Mapping[str, bytes]) -> Section | None:
    """What no section names: tables and figures of systems or analyses added later."""
    items = tuple(item for item in tables if not any(item in section.items for section in SECTIONS))
    prefixes = [prefix for section in SECTIONS for prefix in section.figures]
    names = tuple(name for name in figures if not any(name == p or name.startswith(f"{p}_") for p in prefixes))
    return Section("further", "Further results", "", items, names) if items or names else None


def render(tables: Mapping[str, pd.DataFrame], figures: Mapping[str, bytes], facts: ReportFacts) -> str:
    """HTML of the page; no date, no duration, no external address."""
    import yaml
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    further = _further(tables, figures)
    views: dict[str, TableView] = {item: table_view(item, table, facts) for item, table in tables.items()}
    sections = [
        (section, [views[item] for item in section.items if item in views], _figures(section, figures))
        for section in (*SECTIONS, *([further] if further else []))
    ]
    return environment.get_template("report.html").render(
        facts=facts,
        claims=facts.preset == CLAIMING_PRESET and not facts.elsewhere,
        sections=sections,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        config=yaml.safe_dump(dict(facts.config), sort_keys=True, allow_unicode=True, width=110),
    )


def write_report(
    folder: Path, *, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, bytes], facts: ReportFacts
) -> None:
    """Write ``folder/index.html``, whole or not at all.

    tables: item -> table as :func:`radgen_lib.reporting.tables.build_tables` makes them; figures: name -> SVG or PNG
    bytes, in the order they are to be shown (names of ``captions.FIGURES``, a suffix after ``_`` allowed). A run that
    has no figure of a kind leaves it out and the page says so. Raises ValueError for a figure of another format.
    """
    write_text(Path(folder) / PAGE, render(tables, figures, facts))
