"""The paper tables: complete, honest about gaps, and right about which number answers which claim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.prediction import prediction_rows
from radgen_lib.analyses.runs import Run
from radgen_lib.core.config.cpdm import Cpdm
from radgen_lib.core.errors import DataError
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.reporting import tables as paper
from radgen_lib.reporting.claims import CLAIMS
from radgen_lib.reporting.expected import required
from radgen_lib.reporting.facts import ReportFacts
from radgen_lib.reporting.gaps import NO_IMAGES, NOT_BUILT, OWN_LINES, Evidence, missing_reason
from radgen_lib.reporting.gather import cohort_rows
from radgen_lib.reporting.published import published_values
from radgen_lib.reporting.records import GROUP

Facts = Callable[..., ReportFacts]


@pytest.fixture(scope="module")
def built(rows: pd.DataFrame, facts: ReportFacts) -> dict[str, pd.DataFrame]:
    return paper.build_tables(rows, facts)


def some(**keys: Any) -> pd.DataFrame:
    return result_frame([result_row(**keys)]).assign(source="x.csv")


def test_all_items_are_made_in_order(built: dict[str, pd.DataFrame]) -> None:
    assert tuple(built) == paper.ITEMS


def test_every_cell_without_a_number_has_a_reason(built: dict[str, pd.DataFrame]) -> None:
    for item, table in built.items():
        for protocol in ("as_published", "rigorous"):
            gaps = table[table[protocol].isna()]
            assert (gaps[f"{protocol}_reason"] != "").all(), (item, protocol)
            assert (gaps["reason"] != "").all(), (item, protocol)


def test_every_result_row_appears_in_its_table(built: dict[str, pd.DataFrame], rows: pd.DataFrame) -> None:
    for item in ("B.TA", "B.TB", "B.TC", "B.TD", "S.ADH", "S.LEAK", "S.PRIV"):
        table = built[item]
        groups = [name.removesuffix("_low") for name in table.columns if name.endswith("_low")]
        shown = sorted(round(v, 12) for name in groups for v in table[name].dropna())
        there = sorted(round(v, 12) for v in rows.loc[rows["item"] == item, "value"].dropna())
        # A rigorous number may stand beside several published designs, but none may be lost.
        assert set(there) <= set(shown), item


def test_row_lists_are_those_of_the_paper(facts: ReportFacts) -> None:
    cells = required("B.TB", facts)
    assert len(cells) == 5 * 5 * 2 * 5 * 3
    combos = {tuple(cell.keys[c] for c in ("task", "extractor", "condition", "model", "metric")) for cell in cells}
    assert len(combos) == len(cells)
    designs = {cell.keys["design"] for cell in required("B.TA", facts) if cell.keys["generator"] == "cpdm"}
    assert designs == {"published_split", "published_folds", "fold_mean"}
    assert {cell.keys["model"] for cell in required("B.TC", facts)} == {"cox", "neural"}


def test_reasons_name_the_cause(built: dict[str, pd.DataFrame]) -> None:
    prediction, survival, quality = built["B.TB"], built["B.TC"], built["B.TA"]
    assert set(prediction.loc[prediction["condition"] == "factors17", "reason"]) == {NO_IMAGES}
    assert set(survival.loc[survival["model"] == "neural", "reason"]) == {NOT_BUILT}
    folds = quality[(quality["design"] == "published_folds") & (quality["condition"] == "genes15")]
    assert folds["as_published_reason"].str.contains("not run under the demo preset").all()
    factors = quality[(quality["condition"] == "factors17")]
    assert factors["rigorous_reason"].str.contains("as_published only").all()
    weights = prediction[
        (prediction["extractor"] == "vgg16") & (prediction["task"] == "er") & (prediction["condition"] == "genes15")
    ]
    assert weights["reason"].str.contains("weights not present").all()


def test_absent_results_leave_complete_tables(facts: ReportFacts, rows: pd.DataFrame) -> None:
    empty = paper.build_tables(rows.iloc[:0], facts)
    assert len(empty["S.SIDE"].loc[empty["S.SIDE"]["published"].notna()]) == 13
    assert len(empty["B.TB"]) == len(required("B.TB", facts))
    assert empty["B.TB"]["as_published"].isna().all()
    assert (empty["B.TB"]["reason"] != "").all()


def test_overview_holds_every_published_number_of_the_system(built: dict[str, pd.DataFrame]) -> None:
    published = published_values("B")
    assert [(c.item, c.row) for c in CLAIMS] == list(zip(published["item"], published["row"], strict=True))
    side = built["S.SIDE"][built["S.SIDE"]["published"].notna()]
    np.testing.assert_array_equal(side["published"], published["value"])
    assert (side["citation"] != "").all()
    side = side.set_index("row")["verdict"]
    count = side.index.str.startswith("n synthetic")
    assert (side[count] == "not computable").all()
    assert (side[~count] == "not claimed (demo preset)").all()


def test_claims_pick_the_right_numbers(rows: pd.DataFrame, built: dict[str, pd.DataFrame]) -> None:
    side = built["S.SIDE"].set_index("row")

    def value(**keys: str) -> float:
        found = rows[np.logical_and.reduce([rows[k] == v for k, v in keys.items()])]
        assert len(found) == 1
        return float(found["value"].iloc[0])

    fid = side.loc["FID (preprint abstract)"]
    frechet = {"item": "B.TA", "generator": "cpdm", "metric": "pixelrow_frechet_best"}
    assert fid["as_published"] == value(**frechet, protocol="as_published")
    kid = {"item": "B.TA", "generator": "cpdm", "metric": "kid", "arm": "", "protocol": "rigorous"}
    assert fid["rigorous"] == value(**kid)
    assert fid["rigorous_setup"].endswith("KID in radiomics space")
    assert fid["as_published_setup"].endswith("pixel-row Fréchet, best of draws")
    assert "floor, halves of the real images: 0.01" in fid["note"]
    other = built["B.ABS1"].set_index("col").loc["best of draws, 15 genes"]
    assert other["rigorous"] == value(**frechet, protocol="rigorous")
    auroc = {"item": "B.TB", "task": "subgroup", "model": "xgboost", "arm": "synthetic"}
    ours = "ER+/HER2+ AUROC (final abstract), EDM (this project's model)"
    assert side.loc[ours, "rigorous"] == value(**auroc, metric="auroc", protocol="rigorous")
    assert np.isnan(side.loc[ours, "published"]) and side.loc[ours, "verdict"] == "no published value"
    assert np.isnan(side.loc["ER+/HER2+ AUROC (final abstract)", "rigorous"]), "CPDM in both columns, never EDM"
    survival = side.loc["survival C-index (final abstract)"]
    assert survival["as_published"] == value(item="B.TC", model="cox_best_of_search")
    # The single random split of the preprint is not the best of a search.
    assert np.isnan(side.loc["survival C-index (preprint abstract)", "as_published"])
    assert np.isnan(survival["rigorous"])
    ours = side.loc["survival C-index (final abstract), EDM (this project's model)"]
    assert ours["rigorous"] == value(item="B.TC", model="cox", metric="c_harrell", protocol="rigorous")
    assert "EDM (this project's model) is not run under as_published" in ours["reason"]


def test_what_the_analysis_said_of_auroc_holds_for_auprc(rows: pd.DataFrame, facts: ReportFacts) -> None:
    """A model that could not be evaluated is one row of the analysis: under AUROC, with the reason."""
    subgroup = (rows["item"] == "B.TB") & (rows["task"] == "subgroup") & (rows["extractor"] == "radiomics")
    keys = {
        "item": "B.TB", "task": "subgroup", "extractor": "radiomics", "model": "xgboost", "arm": "synthetic",
        "condition": "genes15", "metric": "auroc",
    }  # fmt: skip
    said = [
        result_row(**keys, protocol=protocol, generator=generator, reason=f"2 patients, {generator} needs 5")
        for protocol, generator in (("as_published", "cpdm"), ("rigorous", "cpdm"), ("rigorous", "edm"))
    ]
    gaps = pd.concat([rows[~subgroup], result_frame(said).assign(source="x.csv")], ignore_index=True)
    tables = paper.build_tables(gaps, facts)
    for item in ("B.ABS1", "B.ABS2", "S.SIDE"):
        table = tables[item]
        lines = table[table["row"].str.startswith("ER+/HER2+ AUPRC")]
        assert len(lines) and set(lines["as_published_reason"]) > {"2 patients, cpdm needs 5"}, item
        assert "2 patients, edm needs 5" in set(lines["rigorous_reason"]), item
        assert not lines["reason"].str.contains("came from the analysis").any(), item
    # Where AUROC has a number, its row says nothing about AUPRC.
    auprc = paper.build_tables(rows[~(subgroup & (rows["metric"] == "auprc_trapz"))], facts)["B.ABS2"]
    lines = auprc[auprc["row"] == "ER+/HER2+ AUPRC"]
    assert lines["as_published_reason"].iloc[0] == "no row of AUPRC (trapezoid) came from the analysis"


def without_features(facts: ReportFacts, protocol: str) -> pd.DataFrame:
    """What the prediction writes for ``protocol`` where the extractor of its images failed."""
    system = Cpdm.model_validate(facts.system)
    index = pd.DataFrame(columns=["row", "fold", "kind", "patient", "condition_patient", "draw", "seed"])
    status = pd.DataFrame([("radiomics", "failed", "no mask")], columns=["extractor", "status", "reason"])
    run = Run("genes15", system.protocols[protocol].primary, np.empty((0, 1, 1)), index, index[["row"]], status)
    rows, _ = prediction_rows(
        None, [run], name=protocol, protocol=system.protocols[protocol], prediction=system.prediction, seed=1
    )
    assert (rows["model"] == "").all() and len(rows)
    return rows.assign(source="x.csv")


@pytest.mark.parametrize("lacking", [("as_published",), ("rigorous",), ("as_published", "rigorous")])
def test_one_reason_for_every_model_is_shown_in_each_of_its_cells(
    rows: pd.DataFrame, facts: ReportFacts, lacking: tuple[str, ...]
) -> None:
    """What no model could be evaluated on is one row of the analysis for an endpoint, without model."""
    kept = rows[(rows["item"] != "B.TB") | ~rows["protocol"].isin(lacking)]
    given = [kept, *(without_features(facts, protocol) for protocol in lacking)]
    tables = paper.build_tables(pd.concat(given, ignore_index=True), facts)
    for protocol in lacking:
        for item in ("B.ABS1", "B.ABS2", "S.SIDE"):
            lines = tables[item][tables[item]["row"].str.contains("AUROC|AUPRC")]
            if protocol == "as_published":
                lines = lines[~lines["col"].str.startswith("EDM")]  # not run under it
            assert len(lines) and set(lines[f"{protocol}_reason"]) == {"failed: no mask"}, item
        cells = tables["B.TB"]
        cells = cells[(cells["extractor"] == "radiomics") & (cells["condition"] == "genes15")]
        cells = cells[cells["task"].isin(facts.system["prediction"]["tasks"])]
        cells = cells[cells["model"].isin(["", *facts.system["prediction"]["classifiers"]])]
        other = {"as_published": "edm", "rigorous": "cpdm"}[protocol]
        if len(lacking) == 1:
            cells = cells[cells["generator"] != other]  # has a reason of its own
        assert {"auroc", "f1"} < set(cells["metric"])
        if len(lacking) == 1:
            assert {"synthetic", "condition", "untrained"} <= set(cells["arm"])
        assert set(cells[f"{protocol}_reason"]) == {"failed: no mask"}
    there = "rigorous" if lacking == ("as_published",) else "as_published"
    if there not in lacking:
        every = tables["B.TB"][(tables["B.TB"]["model"] == "") & (tables["B.TB"]["extractor"] == "radiomics")]
        assert OWN_LINES in set(every[f"{there}_reason"])
    assert not tables["B.TB"]["reason"].str.contains("no result came").any()


def test_other_readings_stand_below_the_judged_one(built: dict[str, pd.DataFrame]) -> None:
    fid = built["B.ABS1"][built["B.ABS1"]["row"] == "FID"]
    assert list(fid["col"]) == [
        "FID as each protocol defines it, 15 genes", "best of draws, 15 genes", "mean of draws, 15 genes",
        "KID in radiomics space, 15 genes", "best of draws, 17 factors", "mean of draws, 17 factors",
        "best of draws, 15 genes, mean over trainings", "mean of draws, 15 genes, mean over trainings",
        "EDM (this project's model): FID as each protocol defines it, 15 genes",
    ]  # fmt: skip
    assert (fid["published"].dropna() == 1.33).all() and fid["published"].isna().sum() == 1


def _mixed(table: pd.DataFrame) -> pd.DataFrame:
    """Lines with a number of another generator than the line's own."""
    mixed = np.zeros(len(table), dtype=bool)
    for name in ("as_published", "rigorous"):
        maker = table[f"{name}_setup"].str.split(", ").str[0]
        mixed |= (table[name].notna() & (table["generator"] != "") & (maker != table["generator"])).to_numpy()
    return table[mixed]


def test_filtering_on_a_generator_gives_its_numbers_only(built: dict[str, pd.DataFrame]) -> None:
    tables = [table for table in built.values() if "generator" in table]
    assert len(tables) >= 6
    for table in tables:
        assert _mixed(table).empty, table["item"].iloc[0]
    cpdm = built["B.TB"][(built["B.TB"]["generator"] == "cpdm") & (built["B.TB"]["model"] == "xgboost")]
    assert cpdm["as_published"].notna().any() and cpdm["rigorous"].isna().all()
    assert cpdm["rigorous_reason"].str.contains("beside EDM, generators are evaluated|alone under rigorous").any()
    broken = built["S.SIDE"].assign(rigorous_setup="edm, grouped", rigorous=1.0)
    assert len(_mixed(broken)), "the check can fail"


def test_design_of_each_column_is_named_in_its_cell(built: dict[str, pd.DataFrame]) -> None:
    both = built["B.TA"][built["B.TA"]["as_published"].notna() & built["B.TA"]["rigorous"].notna()]
    line = both[both["metric"] == "mse"].iloc[0]
    assert line["design"] == "as_published: published_split; rigorous: grouped"
    assert line["row"].endswith("single split beside folds by patient")
    assert (line["as_published_setup"], line["rigorous_setup"]) == ("cpdm, published_split", "cpdm, grouped")


def test_spread_is_named_where_it_makes_a_verdict(facts_for: Facts) -> None:
    keys = {"item": "B.TB", "protocol": "as_published", "condition": "genes15", "generator": "cpdm", "arm": "synthetic"}
    rows = some(
        **keys, extractor="radiomics", task="subgroup", model="xgboost", design="holdout10:test_on_synthetic",
        metric="auroc", value=0.8, low=0.7, high=0.9,
        interval="spread over 5 random 10% tests of 12 patients each, 95 %",
    )  # fmt: skip
    side = (
        paper.build_tables(rows, facts_for("paper"))["S.SIDE"].set_index("row").loc["ER+/HER2+ AUROC (final abstract)"]
    )
    assert side["verdict"] == "reproduced (spread)"
    assert "inside the spread of 5 random 10% tests of 12 patients each, which is no 95 % interval" in side["reason"]


def test_paper_preset_gives_verdicts(facts_for: Facts) -> None:
    facts = facts_for("paper")
    keys = {"item": "B.TA", "protocol": "as_published", "condition": "genes15", "generator": "cpdm", "n": 4}
    rows = result_frame(
        [
            result_row(**keys, design="published_split", metric="pixelrow_frechet_best", value=1.4, low=1.2, high=1.6),
            result_row(**keys, design="published_folds", metric="pixelrow_frechet_best", value=1.4, low=1.2, high=1.6),
            result_row(**keys, design="published_folds", metric="mse", value=0.03),
        ]
    ).assign(source="x.csv")
    side = paper.build_tables(rows, facts)["S.SIDE"].set_index("row")["verdict"]
    assert side["FID (preprint abstract)"] == "reproduced"
    assert side["FID (final abstract)"] == "not reproduced"
    assert side["MSE (final abstract)"] == "not judged"
    assert side["SSIM (final abstract)"] == "not computable"
    assert side["CV folds (final abstract)"] == "reproduced"


def test_published_fid_is_never_judged_by_a_kid(facts_for: Facts) -> None:
    protocol = {"cpdm": {"protocols": {"as_published": {"frechet_headline": "kid"}}}}
    facts = facts_for("paper", **protocol)
    keys = {"item": "B.TA", "protocol": "as_published", "condition": "genes15", "generator": "cpdm", "n": 4}
    rows = some(
        **keys, design="published_split", extractor="radiomics", metric="kid", value=1.33, low=1.2, high=1.6
    )  # fmt: skip
    side = paper.build_tables(rows, facts)["S.SIDE"].set_index("row").loc["FID (preprint abstract)"]
    assert (side["as_published"], side["verdict"]) == (1.33, "not judged")
    assert side["reason"].startswith("the published number is another statistic than KID")


def test_auprc_is_the_same_metric_on_both_sides() -> None:
    claims = [claim for claim in CLAIMS if claim.row.endswith("AUPRC")]
    assert len(claims) == 2
    assert {pick.patterns["metric"] for c in claims for pick in (*c.as_published, *c.rigorous)} == {"auprc_trapz"}


def test_gaps_name_what_the_protocol_does_not_run(facts: ReportFacts) -> None:
    keys = {"item": "B.TB", "task": "er", "model": "logistic", "extractor": "radiomics", "condition": "genes15"}
    rows = result_frame(
        [
            result_row(**keys, protocol="as_published", arm="synthetic", metric="auroc", value=0.6, generator="cpdm"),
            result_row(**keys, protocol="as_published", arm="noise", metric="auroc", value=0.5, generator="noise"),
        ]
    )
    told = Evidence(rows.to_dict("records"))

    def why(**more: str) -> str:
        cell = {**keys, "generator": "", "design": "", "arm": "synthetic", "metric": "auroc", **more}
        return missing_reason("B.TB", cell, "as_published", facts, told)

    assert why(design="out_of_fold:test_on_real") == "not tested on real images under as_published"
    assert why(arm="real") == "real images: not run under as_published"
    assert why(metric="f1") == "F1: not computed under as_published"
    assert why(arm="noise", generator="cpdm") == "noise, CPDM: not run under as_published"
    assert why(generator="edm") == "EDM is not run under as_published"
    assert why(arm="noise", generator="noise", design="x") == "no result came from the analysis"
    left_out = "not drawn under as_published: untrained is not among its generators"
    assert why(arm="untrained", generator="untrained") == left_out


def test_another_count_of_patients_is_a_reason_not_a_value(facts: ReportFacts) -> None:
    patients = pd.DataFrame({"n_images": [0] * 300 + [2], "has_genes15": [True] * 301})
    rows = cohort_rows(patients, facts, "cohort/patients.csv")
    side = paper.build_tables(rows, facts)["S.SIDE"].set_index("row").loc["n synthetic patients (final abstract)"]
    assert np.isnan(side["as_published"]) and "never released" in side["as_published_reason"]
    assert np.isnan(side["rigorous"]), "another quantity is not set beside 726"
    assert "300 patients have the 15 genes and no image, of whom 120 were given images" in side["rigorous_reason"]


def test_count_of_patients_is_judged_under_demo(facts: ReportFacts) -> None:
    rows = some(item="B.ABS1", protocol="as_published", metric="n_synthetic_patients", value=726, n=726)
    side = paper.build_tables(rows, facts)["S.SIDE"].set_index("row")
    assert side.loc["n synthetic patients (preprint abstract)", "verdict"] == "reproduced"
    wrong = some(item="B.ABS1", protocol="as_published", metric="n_synthetic_patients", value=725, n=725)
    side = paper.build_tables(wrong, facts)["S.SIDE"].set_index("row")
    assert side.loc["n synthetic patients (final abstract)", "verdict"] == "not reproduced"


def test_reference_rows_are_judged_to_their_tolerance(built: dict[str, pd.DataFrame]) -> None:
    table = built["B.TD"].set_index(["task", "arm"]).sort_index()
    assert table.index.get_level_values("arm").value_counts()["model"] == 8
    table = table[table.index.get_level_values("arm") != "model"]
    copied = table.loc[("TCGA-AO-A03M", "copy")]
    assert (copied["published"], copied["verdict"]) == (0.053, "reproduced")
    assert table.loc[("TCGA-AO-A03M", "mean_image"), "verdict"] == "not reproduced"
    assert table.loc[("TCGA-AO-A12E", "noise"), "verdict"] == "not claimed (demo preset)"
    assert len(table) == 20


def test_risk_groups_repeat_the_logrank_test_of_survival(built: dict[str, pd.DataFrame]) -> None:
    table = built["B.F2"].set_index("metric")
    assert table.loc["logrank_p", "rigorous"] == 0.31
    assert "a picture" in table.loc["subgroup clusters", "reason"]


def test_risk_groups_give_the_reason_of_survival(facts: ReportFacts) -> None:
    keys = {"item": "B.TC", "condition": "genes15", "extractor": "radiomics", "task": "survival", "model": "cox"}
    risks = {**keys, "generator": "cpdm", "arm": "synthetic", "design": "out_of_fold", "metric": "logrank_p"}
    clusters = {"item": "B.F2", "task": "subgroup", "model": "pca", "arm": "synthetic", "generator": "cpdm", "n": 9}
    number = result_row(**risks, protocol="rigorous", value=0.3, n=20)
    seen = result_row(**clusters, protocol="as_published", metric="cluster_p", value=0.4)

    def reason(*said: dict[str, Any]) -> str:
        table = paper.build_tables(result_frame([number, seen, *said]).assign(source="x.csv"), facts)["B.F2"]
        return str(table.set_index("metric").loc["logrank_p", "as_published_reason"])

    few = result_row(**keys, protocol="as_published", metric="c_harrell", reason="20 patients, 2 deaths")
    assert reason(few) == "20 patients, 2 deaths"
    other = {**risks, "protocol": "as_published", "metric": "c_harrell", "value": 0.6, "n": 20}
    assert reason(result_row(**other)) == "log-rank p: not computed under as_published"


def test_reason_of_survival_holds_for_every_generator(facts: ReportFacts) -> None:
    said = some(
        item="B.TC", protocol="rigorous", condition="genes15", extractor="radiomics", task="survival_subgroup",
        model="cox", metric="c_harrell", reason="20 patients, 2 deaths",
    )  # fmt: skip
    tables = paper.build_tables(said, facts)
    side = tables["S.SIDE"].set_index("row")
    for line in ("survival C-index (final abstract)", "survival C-index (final abstract), EDM (this project's model)"):
        assert side.loc[line, "rigorous_reason"] == "20 patients, 2 deaths"


def test_columns_come_in_groups(built: dict[str, pd.DataFrame]) -> None:
    columns = list(built["B.TA"].columns)
    assert columns[:3] == ["item", "row", "col"]
    start = columns.index("as_published")
    assert columns[start : start + len(GROUP)] == [f"as_published{end}" for end in GROUP]
    assert columns[start + len(GROUP)] == "rigorous"
    assert columns[-4:] == ["verdict", "reason", "note", "preset"]
    assert not {"task", "model"} & set(columns), "keys that do not vary are left out"


def test_reason_names_the_protocol_only_where_they_differ(rows: pd.DataFrame, facts: ReportFacts) -> None:
    table = paper.item_table("B.TA", rows, facts)
    own = table[(table["generator"] == "edm") & (table["metric"] == "mse") & table["rigorous"].notna()]
    assert list(own["reason"]) == ["as_published: EDM is not run under as_published"]


def test_user_protocol_gets_columns(facts: ReportFacts) -> None:
    rows = some(item="B.TA", protocol="mine", metric="mse", generator="cpdm", value=0.2, n=9)
    table = paper.item_table("B.TA", rows, facts)
    assert table["mine"].dropna().tolist() == [0.2]
    assert table["mine_source"].loc[table["mine"].notna()].tolist() == ["x.csv"]


def test_unknown_item_of_a_later_analysis_gets_a_table(facts: ReportFacts) -> None:
    found = paper.build_tables(some(item="S.FAIR", protocol="rigorous", metric="gap", value=0.1, n=28), facts)
    assert list(found)[-1] == "S.FAIR" and len(found["S.FAIR"]) == 1


def test_rows_without_source_are_refused(rows: pd.DataFrame, facts: ReportFacts) -> None:
    with pytest.raises(DataError, match="'source'"):
        paper.build_tables(rows.drop(columns="source"), facts)


def test_csv_bytes_do_not_depend_on_the_order_of_rows(tmp_path: Path, rows: pd.DataFrame, facts: ReportFacts) -> None:
    first = paper.write_tables(tmp_path / "a", paper.build_tables(rows, facts))
    second = paper.write_tables(tmp_path / "b", paper.build_tables(rows.sample(frac=1, random_state=1), facts))
    assert [path.name for path in first] == [f"{item}.csv" for item in paper.ITEMS]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
