"""Cohorts that the published numbers are not about: complete tables with reasons, no verdict, figures that say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.reference_rows import reference_rows
from radgen_lib.reporting.assemble import Material, make_figures
from radgen_lib.reporting.facts import OTHER_LIMITS, PHANTOM_LIMITS, VERDICT_LIMITS, ReportFacts
from radgen_lib.reporting.gaps import NO_FACTORS
from radgen_lib.reporting.gather import cohort_rows, joined_counts, per_protocol
from radgen_lib.reporting.labels import OTHER_COHORT, PHANTOM
from radgen_lib.reporting.model_card import model_card
from radgen_lib.reporting.page import render
from radgen_lib.reporting.tables import build_tables


@pytest.fixture(scope="module")
def phantom(facts: ReportFacts) -> ReportFacts:
    return replace(facts, cohort="phantom")


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    """24 imaged and 96 other digital patients without a subgroup label or subtype."""
    n = 120
    return pd.DataFrame(
        {
            "patient": [f"PH-{i:03d}" for i in range(n)], "n_images": [1] * 24 + [0] * 96, "has_genes15": True,
            "er": [0.0, 1.0] * 60, "subgroup": np.nan, "age": np.nan, "os_days": 100.0, "os_event": 0.0,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def series() -> pd.DataFrame:
    names = [f"PH-{i:03d}" for i in range(24)]
    return pd.DataFrame({"image_index": range(24), "series": [f"{name}/1/post1" for name in names], "patient": names})


@pytest.fixture(scope="module")
def found(phantom: ReportFacts, patients: pd.DataFrame, series: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables of a phantom whose analyses gave nothing but the reference rows' reasons."""
    images = np.zeros((24, 8, 8), dtype=np.uint8)
    splits = pd.DataFrame({"image_index": [1, 16], "role": "test", "fold": "split"})
    parts = [
        reference_rows(images, series, [], splits, name=name, clamp=True, seed=1).assign(source="cpdm/rows/x.csv")
        for name in phantom.protocols
    ]
    rows = pd.concat([*parts, cohort_rows(patients, phantom, "cohort/patients.csv")], ignore_index=True)
    return build_tables(rows, phantom)


@pytest.mark.parametrize(
    ("cohort", "verdict"),
    [("phantom", PHANTOM), ("duke", OTHER_COHORT), ("tcga_brca", ""), ("tcga_brca_released", ""), ("unnamed", "")],
)
def test_whose_numbers_the_published_ones_are(facts: ReportFacts, cohort: str, verdict: str) -> None:
    assert replace(facts, cohort=cohort).elsewhere == verdict


@pytest.mark.parametrize("changes", [{"patients": ["TCGA-AO-A03M"]}, {"pseudonyms": True}, {"series": "all"}])
def test_a_part_of_the_papers_series_or_one_under_pseudonyms_has_no_verdict(
    facts: ReportFacts, changes: dict[str, Any]
) -> None:
    known = facts.config["cohorts"]["tcga_brca"]
    block = {**known, "imaging": {**known["imaging"], **changes}}
    config = {**facts.config, "cohorts": {**facts.config["cohorts"], "tcga_brca": block}}
    assert replace(facts, cohort="tcga_brca", config=config).elsewhere == OTHER_COHORT


def test_published_numbers_stay_and_the_verdict_says_phantom(found: dict[str, pd.DataFrame]) -> None:
    side = found["S.SIDE"]
    printed = side[side["published"].notna()]
    assert len(printed) == 13
    assert set(printed["verdict"]) == {PHANTOM}
    assert (side["reason"] != "").any()


def test_every_gap_of_a_phantom_has_a_reason(found: dict[str, pd.DataFrame]) -> None:
    for item, table in found.items():
        for protocol in ("as_published", "rigorous"):
            gaps = table[table[protocol].isna()]
            assert (gaps[f"{protocol}_reason"] != "").all(), (item, protocol)
    factors = found["B.TA"].query("condition == 'factors17'")
    assert set(factors["reason"]) == {NO_FACTORS}


def test_reference_rows_need_the_released_images(found: dict[str, pd.DataFrame]) -> None:
    table = found["B.TD"]
    assert set(table.loc[table["published"].notna(), "verdict"]) == {PHANTOM}
    copies = table[table["arm"] == "copy"]
    assert len(copies) == 4
    assert copies["reason"].str.contains("needs the released projections").all()


def test_page_of_a_phantom_is_about_digital_patients(
    found: dict[str, pd.DataFrame], phantom: ReportFacts, facts_for: Callable[..., ReportFacts]
) -> None:
    html = render(found, {}, phantom)
    assert "<strong>Digital patients.</strong>" in html and PHANTOM in html
    assert "28 patients have a released projection" not in html
    paper = render(found, {}, replace(facts_for("paper"), cohort="phantom"))
    assert "verdicts are claimed" not in paper


def test_limits_are_those_of_the_cohort(facts: ReportFacts, phantom: ReportFacts) -> None:
    assert phantom.limits[0] == PHANTOM_LIMITS[0]
    assert facts.limits[0].startswith("28 patients")
    assert set(VERDICT_LIMITS) <= set(facts.limits) and not set(VERDICT_LIMITS) & set(phantom.limits)
    stand_in = {name: OTHER_LIMITS[0] in replace(facts, cohort=name).limits for name in facts.config["cohorts"]}
    assert stand_in == {
        "phantom": True, "tcga_brca_released": False, "tcga_brca": False, "tcga_brca_dynamic": True, "duke": True,
    }  # fmt: skip
    assert not [limit for limit in replace(facts, cohort="duke").limits if "28 people" in limit]


def test_figures_of_a_cohort_without_results_say_so(
    phantom: ReportFacts, patients: pd.DataFrame, series: pd.DataFrame
) -> None:
    names = phantom.protocols
    selection = pd.DataFrame(
        {
            "step": "image",
            "unit": "series",
            "id": series["patient"],
            "source": "p",
            "row": 0,
            "kept": True,
            "reason": "",
        }
    )
    columns = ["condition", "generator", "extractor", "task", "arm", "group", "time", "survival", "low", "high"]
    none: dict[str, Any] = {name: [] for name in names}
    material = Material(
        rows=pd.DataFrame(
            columns=["item", "task", "metric", "extractor", "model", "condition", "protocol", "arm", "generator",
                     "design", "value"]
        ),
        selection=selection, patients=patients, series=series, images=np.zeros((24, 8, 8), dtype=np.uint8), runs=none,
        samples=none, indexes=none, features=none, training=none,
        curves={name: pd.DataFrame(columns=columns) for name in names},
        pairs={name: pd.DataFrame() for name in names},
    )  # fmt: skip
    made = make_figures(material, phantom)
    assert {"cohort_flow", "subgroup_pca", "kaplan_meier", "frechet_reference"} <= set(made)
    assert all(content[:5] in (b"<?xml", b"\x89PNG\r") for content in made.values())


def test_card_of_a_phantoms_generator_names_no_released_patients() -> None:
    fold = {
        "class_path": "a:B",
        "options": {},
        "image_size": 64,
        "names": ["G"],
        "scaling": "s",
        "log": False,
        "patients": ["PH-1"],
    }
    card = {"folds": {"r0f0": fold}, "config": {"generator": "edm", "condition": "genes15", "protocol": "rigorous"}}
    text = model_card(card, cohort="phantom")
    assert "digital patients" in text and "TCGA-BRCA" not in text
    assert "TCGA-BRCA" in model_card(card)
    assert "TCGA-BRCA" not in model_card(card, cohort="ingested")


def test_counts_after_the_join_stand_beside_those_before(patients: pd.DataFrame) -> None:
    steps = pd.DataFrame({"step": ["image", "label er", "label subgroup", "survival", "label her2"], "kept": 130})
    bare = patients.assign(has_genes15=[False] * 2 + [True] * 118)
    assert joined_counts(steps, bare)["used"].tolist() == [None, 118, 0, 118, None]


def test_inputs_of_a_protocol_may_be_one_file_or_none() -> None:
    given = {"samples_a": "x.npy", "samples_b": ["y.npy", "z.npy"]}
    assert per_protocol(given, "samples", ["a", "b", "c"]) == {"a": ["x.npy"], "b": ["y.npy", "z.npy"], "c": []}
