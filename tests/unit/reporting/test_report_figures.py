"""Figures: deterministic, of the right format, and not silent about what is missing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.reporting import figures
from radgen_lib.reporting.diagram import _kept, group_of
from radgen_lib.reporting.gather import frechet_bars
from radgen_lib.reporting.response_figure import NOTHING, variable_response
from radgen_lib.reporting.style import nothing_to_show, styled

SVG, PNG = b"<?xml", b"\x89PNG"


def pixels(content: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(content), format="png")


def test_figures_are_svg_or_png(all_figures: dict[str, bytes]) -> None:
    for name, content in all_figures.items():
        wanted = PNG if name in ("image_grid", "nearest_pairs") else SVG
        assert content.startswith(wanted), name


def test_same_input_gives_the_same_bytes(log: pd.DataFrame, flow: pd.DataFrame, images: dict[str, np.ndarray]) -> None:
    for make, argument in ((figures.training_curves, log), (figures.cohort_flow, flow)):
        first, second = make(argument), make(argument.copy())
        assert first == second
        assert re.search(rb"<dc:date>", first) is None
    patients = ["TCGA-AO-A03M"] * 4
    assert figures.image_grid(images, patients) == figures.image_grid(images, patients)


def test_figures_leave_global_style_alone(log: pd.DataFrame) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.training_curves(log)
    assert dict(mpl.rcParams) == before


def test_image_grid_refuses_a_column_of_another_length(images: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="column 'real' has 4 images for 3 patients"):
        figures.image_grid(images, ["a", "b", "c"])


def test_image_grid_uses_one_grey_scale(images: dict[str, np.ndarray]) -> None:
    # A dark and a bright constant image must not look alike, as a per-image stretch would make them.
    dark, bright = np.full((1, 8, 8), 0.1), np.full((1, 8, 8), 0.9)
    shown = pixels(figures.image_grid({"real": dark, "cpdm": bright}, ["TCGA-AO-A03M"]))[..., 0]
    middle = shown[shown.shape[0] * 6 // 10]
    width = len(middle)
    assert middle[width // 3] == pytest.approx(0.1, abs=0.02)
    assert middle[width * 4 // 5] == pytest.approx(0.9, abs=0.02)


def test_missing_image_is_shown_as_missing(images: dict[str, np.ndarray]) -> None:
    gap = {"real": images["real"][:1], "edm": np.full_like(images["real"][:1], np.nan)}
    full = {"real": images["real"][:1], "edm": images["real"][:1]}
    assert figures.image_grid(gap, ["TCGA-AO-A03M"]) != figures.image_grid(full, ["TCGA-AO-A03M"])


def test_nearest_pairs_puts_the_closest_first(images: dict[str, np.ndarray]) -> None:
    a, b = images["edm"], images["real"]
    first = figures.nearest_pairs(a, b, [0.3, 0.1, 0.2, 0.4], ["w", "x", "y", "z"], most=1)
    only = figures.nearest_pairs(a[1:2], b[1:2], [0.1], ["x"])
    assert first == only
    with pytest.raises(ValueError, match="different numbers of pairs"):
        figures.nearest_pairs(a, b, [0.1], ["x"])


def test_kaplan_meier_prints_the_number_at_risk(curve: Callable[..., pd.DataFrame]) -> None:
    table = curve(1)
    one = figures.kaplan_meier_figure({"all": table}, times=[0, 365.25])
    fewer = table.assign(at_risk=table["at_risk"] // 2)
    assert figures.kaplan_meier_figure({"all": fewer}, times=[0, 365.25]) != one


def test_forest_leaves_out_arms_without_a_number(rows: pd.DataFrame) -> None:
    chosen = rows[(rows["item"] == "B.TB") & (rows["task"] == "er") & (rows["model"].isin(["logistic", ""]))]
    assert chosen["value"].isna().any()
    finite = chosen[chosen["value"].notna()]
    assert figures.auroc_forest(chosen) == figures.auroc_forest(finite)


def test_frechet_bars_are_sorted_by_distance() -> None:
    bars = pd.DataFrame({"name": ["b", "a"], "value": [2.0, 1.0], "kind": ["model", "reference"]})
    assert figures.frechet_reference(bars) == figures.frechet_reference(bars.iloc[::-1])


def test_frechet_bars_hold_references_the_published_split_and_the_printed_numbers() -> None:
    keys = {"item": "B.TD", "task": "TCGA-AO-A03M", "metric": "pixelrow_frechet_mean", "arm": "model"}
    model = {**keys, "generator": "cpdm", "condition": "genes15"}
    rows = result_frame(
        [
            result_row(item="B.TD", task="TCGA-AO-A03M", arm="copy", metric="pixelrow_frechet", value=0.05),
            result_row(**model, protocol="as_published", design="published_split", value=4.0),
            result_row(**model, protocol="rigorous", design="grouped", value=9.0),
        ]
    )
    bars = frechet_bars(rows).set_index("name")["value"].to_dict()
    assert bars == {
        "best copy, same patient": 0.05, "CPDM, 15 genes": 4.0, "printed in the preprint": 1.33,
        "printed in the article": 2.02,
    }  # fmt: skip
    assert frechet_bars(rows.iloc[:0]).empty


def test_flow_has_arrows_along_the_images_only(flow: pd.DataFrame) -> None:
    from matplotlib.axes import Axes

    steps = ["series", "image", "expression", "condition", "label er", "clinical", "survival check"]
    groups = ["Images", "Images", "Omics", "Omics", "Labels", "Labels", "Outcome"]
    assert [group_of(step) for step in steps] == groups
    table = pd.DataFrame({"step": steps, "unit": "patient", "kept": 5, "excluded": 0, "reasons": ""})
    with mock.patch.object(Axes, "annotate", autospec=True) as arrows:
        figures.cohort_flow(table)
    assert arrows.call_count == 1


def test_flow_shows_the_count_that_is_used(flow: pd.DataFrame) -> None:
    row = {"step": "label er", "unit": "patient", "kept": 708, "kept_patients": 708, "used": 706}
    assert _kept(row) == "708 patients labelled, 706 with a condition"
    assert _kept({**row, "used": None}) == "708 patients kept"
    assert figures.cohort_flow(flow.assign(used=None)) == figures.cohort_flow(flow)
    assert figures.cohort_flow(flow.assign(used=[None, None, 99])) != figures.cohort_flow(flow)


def test_forest_names_the_kind_of_its_ranges(rows: pd.DataFrame) -> None:
    chosen = rows[(rows["item"] == "B.TB") & (rows["task"] == "er") & (rows["model"] == "logistic")]
    spread = chosen.assign(interval="spread over 5 random 10% tests of 12 patients each, 95 %")
    assert figures.auroc_forest(spread) != figures.auroc_forest(chosen)


def test_flow_takes_reason_or_reasons(flow: pd.DataFrame) -> None:
    assert figures.cohort_flow(flow) == figures.cohort_flow(flow.rename(columns={"reasons": "reason"}))


def response_rows(**over: object) -> pd.DataFrame:
    """Two variables, their mean and the common direction; the second variable changes nothing in one family."""
    keys = {"item": "S.ADH", "protocol": "rigorous", "condition": "genes15", "generator": "edm", "design": "grouped"}
    told = {"response_share_firstorder": 0.7, "response_share_glcm": 0.3, "response_size": 0.2}
    told |= {"response_agreement_within_site": 0.41, "response_agreement_p_within_site_holm": 0.03}
    rows = [
        result_row(**keys, task=task, metric=metric, value=value, n=8)
        for task in ("CD6", "LTB", "all", "PC1")
        for metric, value in told.items()
    ]
    return result_frame(rows).assign(**over)


def drawn_texts(rows: pd.DataFrame) -> list[str]:
    """Every text of the figure, titles included, in the order drawn."""
    found: list[str] = []

    def look(figure: object) -> bytes:
        from matplotlib.text import Text

        found.extend(text.get_text() for text in figure.findobj(Text) if text.get_text())
        return b"<?xml"

    with mock.patch("radgen_lib.reporting.response_figure.as_svg", look):
        variable_response(rows)
    return found


def test_response_figure_shows_each_variable_of_the_first_design() -> None:
    told = drawn_texts(response_rows())
    assert {"CD6", "LTB", "firstorder", "glcm", "EDM, 15 genes, rigorous, folds by patient (n = 8)"} <= set(told)
    assert not {"all", "PC1"} & set(told)
    assert told.count("70") == told.count("30") == 2 and told.count("+0.41*") == 2
    rows = response_rows()
    rows.loc[rows["metric"] == "response_agreement_p_within_site_holm", "value"] = 0.2
    rows.loc[(rows["metric"] == "response_share_glcm") & (rows["task"] == "LTB"), "value"] = np.nan
    told = drawn_texts(rows[rows["task"] != "CD6"])
    assert "–" in told and "+0.41" in told and "CD6" not in told
    site = response_rows(design="site", value=0.11)
    both = pd.concat([site, response_rows()], ignore_index=True)
    assert variable_response(both) == variable_response(both.iloc[::-1]) == variable_response(response_rows())
    assert drawn_texts(pd.concat([response_rows(), response_rows(generator="cpdm")])).count("70") == 4


def test_response_figure_gives_no_families_to_a_change_that_is_rounding() -> None:
    rows = response_rows()
    rows.loc[(rows["metric"] == "response_size") & (rows["task"] == "LTB"), "value"] = 8e-7
    told = drawn_texts(rows)
    assert told.count("70") == 1 and told.count("–") == 2 and "8e-07" in told
    rows.loc[rows["metric"] == "response_size", "value"] = 8e-7
    assert drawn_texts(rows).count("–") == 4


def test_response_figure_names_the_design_and_shows_no_agreement_where_there_is_none() -> None:
    rows = response_rows(design="published_folds", protocol="as_published", n=28)
    told = drawn_texts(rows[~rows["metric"].str.startswith("response_agreement")])
    assert "EDM, 15 genes, as published, rerun, 15 folds (n = 28)" in told
    assert told.count("–") == 2 and not [text for text in told if text.startswith("+")]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: figures.image_grid({}, []), "no held-out image was drawn"),
        (lambda: figures.training_curves(pd.DataFrame()), "no generator of this run is trained step by step"),
        (lambda: figures.kaplan_meier_figure({}), "no risk groups: survival was not analysed"),
        (lambda: figures.auroc_forest(pd.DataFrame()), "no AUROC could be computed"),
        (lambda: figures.frechet_reference(pd.DataFrame()), "no pixel-row Fréchet distance could be computed"),
        (lambda: figures.cohort_flow(pd.DataFrame()), "the selection table is empty"),
        (lambda: variable_response(pd.DataFrame()), NOTHING),
        (lambda: variable_response(response_rows().query("task in ['all', 'PC1']")), NOTHING),
        (lambda: figures.subgroup_pca(pd.DataFrame()), "no patient has both a subgroup label and a synthetic image"),
        (
            lambda: figures.nearest_pairs(np.empty((0, 4, 4)), np.empty((0, 4, 4)), [], []),
            "no nearest pair was computed",
        ),
    ],
)
def test_nothing_to_show_is_said(made: Callable[[], bytes], reason: str) -> None:
    assert made() == nothing_to_show(reason)


def test_style_restores_after_an_error() -> None:
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    with pytest.raises(RuntimeError, match="inside"), styled():
        raise RuntimeError("inside")
    assert mpl.rcParams["font.size"] == before
