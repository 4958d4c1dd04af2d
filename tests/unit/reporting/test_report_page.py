"""The page: self-contained, complete, linked, the same bytes every time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from radgen_lib.reporting.captions import FIGURES, TABLES, caption_file, caption_pages, figure_caption, write_captions
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.page import PAGE, data_uri, render, write_report
from radgen_lib.reporting.tables import build_tables
from radgen_lib.reporting.view import number, table_view

ROOT = Path(__file__).resolve().parents[3]
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def tables(rows: pd.DataFrame, facts: ReportFacts) -> dict[str, pd.DataFrame]:
    return build_tables(rows, facts)


@pytest.fixture(scope="module")
def html(tables: dict[str, pd.DataFrame], all_figures: dict[str, bytes], facts: ReportFacts) -> str:
    return render(tables, all_figures, facts)


@pytest.fixture(scope="module")
def page(html: str) -> Reader:
    return Reader(html)


def test_page_is_well_formed(page: Reader) -> None:
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_needs_nothing_from_outside(html: str, page: Reader) -> None:
    addresses = [a.get("src", "") or a.get("href", "") for _, a in page.tags]
    assert not [address for address in addresses if re.match(r"(?:https?:)?//", address)]
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert not page.all("link")
    outside = re.sub(r"data:[^\"]+", "", html)
    assert not re.search(r"url\(|@import|\bsrc=\"(?!\")", outside)


def test_every_figure_is_there_with_alt_text(page: Reader, all_figures: dict[str, bytes]) -> None:
    images = page.all("img")
    assert len(images) == len(all_figures)
    assert all(len(image["alt"]) > 20 for image in images)


def test_links_lead_to_sources_tables_and_sections(
    page: Reader, tables: dict[str, pd.DataFrame], rows: pd.DataFrame
) -> None:
    hrefs = {a["href"] for a in page.all("a")}
    anchors = {href[1:] for href in hrefs if href.startswith("#")}
    assert anchors <= {attributes.get("id") for _, attributes in page.tags}
    assert {f"../{source}" for source in rows["source"]} <= hrefs
    assert {f"../tables/{item}.csv" for item in tables} <= hrefs
    assert "../cpdm/as_published/genes15/cpdm/all/card.json" in hrefs


def test_tables_have_headers_for_rows_and_columns(page: Reader) -> None:
    heads = page.all("th")
    assert {head["scope"] for head in heads} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))


def test_preset_is_told_first(
    html: str, tables: dict[str, pd.DataFrame], facts_for: Callable[..., ReportFacts]
) -> None:
    assert "claims nothing" in html
    paper = render(tables, {}, facts_for("paper"))
    assert "claims nothing" not in paper and "verdicts are claimed" in paper


def test_every_number_and_gap_of_the_overview_is_shown(page: Reader, tables: dict[str, pd.DataFrame]) -> None:
    text = " ".join(page.text)
    for row in tables["S.SIDE"].to_dict("records"):
        assert row["row"].split(" (")[0] in text
        for name in ("as_published", "rigorous"):
            shown = number(row[name]) if row[name] == row[name] else row[f"{name}_reason"]
            assert shown in text


def test_gaps_are_counted(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    for item, table in tables.items():
        view = table_view(item, table, facts)
        assert len(view.lines) + sum(gap.count for gap in view.gaps) + view.by_variable == len(table), item


def test_single_variables_of_the_condition_are_left_to_the_csv(
    tables: dict[str, pd.DataFrame], facts: ReportFacts
) -> None:
    blank = tables["S.ADH"].iloc[0]
    told = [
        ("monotone_share", "all"), ("monotone_share", "CD6"), ("response_size", "PC1"), ("readback_r2", "CD6"),
        ("watermark_auroc_difference", "er"), ("conditioned", ""),
    ]  # fmt: skip
    lines = [{**blank, "metric": m, "task": task, "row": task, "col": m, "rigorous": 0.5} for m, task in told]
    table = pd.DataFrame(lines)
    view = table_view("S.ADH", table, facts)
    assert [line.col for line in view.lines] == ["monotone_share", "watermark_auroc_difference", "conditioned"]
    assert view.by_variable == 3
    assert "3 further lines, of single variables of the condition" in render({"S.ADH": table}, {}, facts)
    assert table_view("B.TA", table, facts).by_variable == 0


def test_text_from_data_is_escaped(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    table = tables["B.TA"].copy()
    table.loc[table["as_published"].notna(), "row"] = "<script>alert(1)</script>"
    broken = render({"B.TA": table}, {}, facts)
    assert "<script>alert" not in broken and "&lt;script&gt;alert" in broken


def test_page_is_written_whole_and_the_same_twice(
    tmp_path: Path, tables: dict[str, pd.DataFrame], all_figures: dict[str, bytes], facts: ReportFacts
) -> None:
    write_report(tmp_path, tables=tables, figures=all_figures, facts=facts)
    first = (tmp_path / PAGE).read_bytes()
    write_report(tmp_path, tables=tables, figures=all_figures, facts=facts)
    assert (tmp_path / PAGE).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [PAGE]


def test_failure_leaves_the_earlier_page(tmp_path: Path, tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    write_report(tmp_path, tables=tables, figures={}, facts=facts)
    before = (tmp_path / PAGE).read_bytes()
    with pytest.raises(ValueError, match="neither PNG nor SVG"):
        write_report(tmp_path, tables=tables, figures={"image_grid": b"GIF89a"}, facts=facts)
    assert (tmp_path / PAGE).read_bytes() == before


def test_page_without_results_says_so(facts: ReportFacts) -> None:
    empty = Reader(render({}, {}, facts))
    assert " ".join(empty.text).count("This run made no such result.") == 10


def test_every_range_names_its_kind(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    ranges = 0
    for item, table in tables.items():
        view = table_view(item, table.assign(as_published_interval="spread over 5 random tests, 95 %"), facts)
        for line in view.lines:
            for cell in line.cells:
                ranges += bool(cell.interval)
                assert not cell.kind or cell.interval
            if line.cells[0].interval:
                assert line.cells[0].kind == "spread of 5 random tests"
    assert ranges > 50


def test_page_calls_no_spread_an_interval(html: str) -> None:
    assert "followed by its 95 % interval" not in html
    assert "A <em>spread</em> holds the middle 95 % of repeated values" in html
    assert "patient bootstrap 95 %" in html


def test_files_of_scores_are_linked(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    moved = tables["B.TB"].replace(
        {"rigorous_source": {"cpdm/rows/prediction.csv": "cpdm/rigorous/rows/prediction.csv"}}
    )
    hrefs = {a["href"] for a in Reader(render({"B.TB": moved}, {}, facts)).all("a")}
    assert "../cpdm/rigorous/rows/predictions.parquet" in hrefs
    survival = table_view("B.TC", tables["B.TC"], facts).behind
    assert survival == (("cpdm/rows/risks.parquet", "../cpdm/rows/risks.parquet"),)


def test_unknown_tables_and_figures_stand_at_the_end(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    made = Reader(render({"S.FAIR": tables["S.PRIV"]}, {"age_bars": b"<svg xmlns='x'/>"}, facts))
    assert "further" in [a.get("id") for a in made.all("section")]
    assert len(made.all("img")) == 1


def test_root_and_tables_can_be_moved(tables: dict[str, pd.DataFrame], facts: ReportFacts) -> None:
    moved = dataclasses.replace(facts, root="../..", tables_at=".")
    hrefs = {a["href"] for a in Reader(render(tables, {}, moved)).all("a")}
    assert "./S.SIDE.csv" in hrefs and "../../cpdm/rows/fidelity.csv" in hrefs


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.85, "0.850"),
        (726.0, "726"),
        (1.0, "1"),
        (22.719, "22.7"),
        (1063.2, "1063"),
        (0.00012, "0.000120"),
        (float("nan"), ""),
    ],
)
def test_numbers_are_readable(value: float, shown: str) -> None:
    assert number(value) == shown


def test_data_uri_keeps_the_bytes() -> None:
    import base64

    content = b"\x89PNG\r\n\x1a\nrest"
    uri = data_uri(content)
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.split(",")[1]) == content


def test_caption_files_are_up_to_date() -> None:
    """Repair with ``python -c 'from radgen_lib.reporting.captions import *; write_captions(Path("."))'``."""
    for name, text in caption_pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name} has drifted"


def test_captions_are_repaired(tmp_path: Path) -> None:
    assert len(write_captions(tmp_path)) == len(TABLES) + len(FIGURES) + 1
    assert write_captions(tmp_path) == []
    (tmp_path / "docs/captions/B.TA.rst").write_text("else", encoding="utf-8")
    assert write_captions(tmp_path) == ["docs/captions/B.TA.rst"]


def test_captions_are_valid_rst() -> None:
    from docutils.core import publish_doctree

    for name, text in caption_pages().items():
        tree = publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2})
        assert tree.astext().strip(), name


def test_figure_names_may_carry_a_suffix() -> None:
    assert figure_caption("auroc_forest_er")[0] == "AUROC by arm: er"
    assert figure_caption("age_bars") == ("age bars", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(999_999.0, "999999"), (1e6, "1.00e6"), (2.5709e10, "2.57e10"), (-2_969_365.0, "-2.97e6"), (62673.8, "62674")],
)
def test_numbers_from_a_million_on_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_every_table_and_figure_has_a_caption_file_of_its_own() -> None:
    for name in (*TABLES, *FIGURES):
        assert caption_file(name) == f"docs/captions/{name}.rst" and (ROOT / caption_file(name)).is_file()
    assert caption_file("auroc_forest_mut_TP53") == "docs/captions/auroc_forest.rst"
    assert caption_file("index") == "docs/captions/report.rst"
