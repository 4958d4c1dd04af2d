"""Tables, figures, words and page of the factors; the example of docs/explanation/factors.md."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.factor_layout import FACTOR_FIGURES, FACTOR_TABLES
from radgen_lib.core.rows import KEYS, RESULT_COLUMNS, result_frame, result_row
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.reporting import factor_words as words
from radgen_lib.reporting.factor_charts import associations_figure, common_scale, comparison_figure, counts
from radgen_lib.reporting.factor_compared import comparison_grids, coverage_grid, gap_grid
from radgen_lib.reporting.factor_convergence import OPEN_FACTORS, OPEN_FIT, TOO_SHORT, UNKNOWN
from radgen_lib.reporting.factor_figures import (
    calibration_figure,
    loadings_figure,
    shown_genes,
    stability_figure,
    starred,
    traces_figure,
)
from radgen_lib.reporting.factor_grids import association_grids, factor_grids, fit_grids, set_grid
from radgen_lib.reporting.factor_names import METRICS, method_label, method_order, metric_name, metric_order, task_label
from radgen_lib.reporting.factor_page import (
    CAPTIONS,
    captions,
    draw_figures,
    limits,
    render_factor_page,
    write_factor_page,
    write_figures,
)
from radgen_lib.reporting.factor_rank import rank_figure, rank_grids
from radgen_lib.reporting.factor_tables import (
    DOUBT,
    NEEDED,
    FactorResults,
    build_factor_tables,
    converged,
    coverage_rows,
    design_of,
    fit_rows,
    quantity,
    read_results,
    write_factor_tables,
)
from radgen_lib.reporting.factor_verdicts import comparison_words

OMICS = ("expression", "copy_number", "methylation")
SETTINGS = Factors(components=4, chains=2, burn_in=20, draws=10, thin=1, seeds=3)
PATIENTS = [f"TCGA-AO-{i:04d}" for i in range(40)]


@pytest.fixture(scope="module")
def model() -> BayesianTensorFactorisation:
    """A real fit of two planted factors, with names."""
    rng = np.random.default_rng(3)
    x, w, u = rng.normal(size=(40, 2)), rng.normal(size=(30, 2)), np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.4]])
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + rng.normal(scale=0.5, size=(40, 30, 3))
    genes = [f"GENE{i}" for i in range(30)]
    tables = {omic: pd.DataFrame(values[:, :, i], PATIENTS, genes) for i, omic in enumerate(OMICS)}
    fitted = BayesianTensorFactorisation(4, n_chains=2, n_burn_in=60, n_draws=20, thin=1, seed=5).fit(tables)
    assert fitted.n_components_ == 2
    return fitted


def facts(fold: str, *, r_hat: float = 1.01, ess: float = 90.0, n_test: int = 8) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [
        (fold, "", "rank", 2.0), (fold, "", "n_train", 40.0 - n_test), (fold, "", "n_test", float(n_test)),
        (fold, "", "r_hat_max", r_hat), (fold, "", "ess_min", ess), (fold, "", "stability_min", 0.97),
    ]  # fmt: skip
    for omic, share in zip(OMICS, (0.31, 0.87, 0.48), strict=True):
        rows += [(fold, omic, "explained", share), (fold, omic, "noise_sd", 0.5)]
    return rows


def fits_table(folds: dict[str, dict[str, Any]]) -> pd.DataFrame:
    rows = [row for fold, more in folds.items() for row in facts(fold, **more)]
    return pd.DataFrame(rows, columns=["fold", "omic", "quantity", "value"])


def compared() -> pd.DataFrame:
    rows = []
    for place, model_name in enumerate(("btf_gibbs", "pca", "mofa", "single_expression", "training_mean")):
        keys = {"item": "F.CMP", "protocol": "rigorous", "model": model_name}
        band = {"n": 40, "interval": "patient bootstrap, 200 draws, 95 %"}
        value = 0.6 + 0.05 * place
        for task in ("all omics", *OMICS):
            row = {**keys, "metric": "impute_rmse_entries", "task": task}
            if model_name.startswith("single") and task != "expression":
                rows.append(result_row(**row, reason="it knows expression alone"))
            else:
                rows.append(result_row(**row, **band, value=value, low=value - 0.02, high=value + 0.02))
        score = {"value": 0.9 - 0.04 * place, "low": 0.5, "high": 0.95, "events": 17}
        rows.append(result_row(**keys, **band, **score, metric="auroc", task="mut_TP53"))
    keys = {"item": "F.CMP", "protocol": "as_published", "model": "tensorbf"}
    rows.append(result_row(**keys, metric="auroc", task="mut_TP53", value=0.99, low=0.9, high=1.0, n=40, events=17))
    rows.append(result_row(**keys, metric="impute_rmse_entries", task="all omics", reason="nobody it has not seen"))
    return result_frame(rows)


def associated() -> pd.DataFrame:
    keys = {"item": "F.ASSOC", "protocol": "rigorous", "model": "btf_gibbs", "design": "full"}
    rows = []
    for arm, value in (("F01", 0.81), ("F02", 0.52)):
        binary = {"arm": arm, "task": "mut_TP53", "metric": "auroc", "interval": "DeLong, 95 %"}
        rows.append(result_row(**keys, **binary, value=value, low=value - 0.1, high=value + 0.1, n=38, events=15))
        hazard = {"arm": arm, "task": "survival", "metric": "hazard_ratio", "reason": "4 deaths, 10 are needed"}
        rows.append(result_row(**keys, **hazard, n=38, events=4))
        rows.append(
            result_row(**keys, arm=arm, task="subtype", metric="eta_squared", value=value / 4, low=0, high=0.3, n=39)
        )
    extra = {"p": [1e-6, np.nan, 0.03, 0.8, np.nan, 0.4], "fdr": [4e-6, np.nan, 0.06, 0.8, np.nan, 0.53]}
    return result_frame(rows).assign(**extra, posterior_sd=[0.1, 0.1, 0.1, 0.2, 0.2, 0.2])


def offered() -> pd.DataFrame:
    """Two components predict worse than six, three as well."""
    keys = {"item": "F.RANK", "protocol": "rigorous", "model": "btf_gibbs", "design": "cv0-0"}
    rows = []
    for count, kept, value in ((2, 2, -1.4), (3, 3, -1.1), (6, 3, -1.12)):
        for task in ("all omics", *OMICS):
            band = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 12}
            rows.append(result_row(**keys, **band, arm=str(count), task=task, metric="log_density_entries"))
        rows.append(result_row(**keys, arm=str(count), metric="rank", value=kept, n=24))
    for count, value in ((2, -0.28), (3, 0.02)):
        band = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 12}
        apart = {"arm": f"{count} - 6", "metric": "log_density_entries_difference"}
        rows.append(result_row(**keys, **band, **apart, task="all omics"))
        rows.append(result_row(**keys, **{**band, "low": 0.01, "high": 0.3}, **apart, task="methylation"))
    return result_frame(rows)


def enriched() -> pd.DataFrame:
    keys = {"item": "F.SETS", "protocol": "rigorous", "model": "btf_gibbs", "design": "full", "metric": "nes"}
    rows = [
        result_row(**keys, arm=arm, task=name, value=value, n=6, interval="none: a score against permuted genes")
        for arm, name, value in (("F01", "KEGG_CELL_CYCLE", 2.1), ("F02", "KEGG_CELL_CYCLE", 0.4))
    ]
    return result_frame(rows).assign(p=[1e-5, 0.6], fdr=[2e-5, 0.6], genes=["GENE1;GENE2", "GENE3"])


def stable(matches: tuple[float, ...] = (0.99, 0.95, 0.4, 0.3)) -> pd.DataFrame:
    rows = [(0, 2, name, 1.0, 0.3, 40) for name in ("F01", "F02")]
    for place, found in enumerate(matches):
        rows.append((1 + place % 2, 3, ("F01", "F02")[place // 2], found, 0.3, 40))
    return pd.DataFrame(rows, columns=["seed", "rank", "component", "match", "explained", "n"])


def covered() -> pd.DataFrame:
    rows = [
        (omic, level, level - 0.01, 400, 40, level - 0.03, level + 0.01, "patient bootstrap, 200 draws, 95 %")
        for omic in ("all omics", *OMICS)
        for level in (0.5, 0.95)
    ]
    columns = ["omic", "level", "covered", "n_entries", "n_patients", "low", "high", "interval"]
    return pd.DataFrame(rows, columns=columns)


def top_genes() -> pd.DataFrame:
    rows = [
        (
            component,
            rank,
            f"GENE{rank}",
            1.0 / rank,
            0.1,
            omic,
            weight,
            0.1,
            share,
            0.99 if component == "F01" else 0.97,
        )
        for component in ("F01", "F02")
        for rank in (1, 2, 3)
        for omic, weight, share in zip(OMICS, (1.2, 1.1, -0.1), (0.3, 0.2, 0.0), strict=True)
    ]
    columns = ["component", "rank", "gene", "mean", "sd", "omic", "omic_loading", "omic_sd", "explained", "stability"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def results(model: BayesianTensorFactorisation) -> FactorResults:
    published = [("all", "", "rank", 17.0), ("all", "", "n_train", 40.0), ("all", "", "noise_sd", 0.8)]
    patients = pd.DataFrame({"patient": [*PATIENTS[:3], "TCGA-BH-0001", PATIENTS[5]], "n_images": [1, 2, 1, 1, 0]})
    decisions = {"step": ["gene"], "item": ["<all>"], "decision": ["kept"], "reason": ["intersection"], "count": [30]}
    selection = {"unit": "patient", "id": [*PATIENTS, "TCGA-BH-0001"], "kept": [True] * 40 + [False]}
    selection["reason"] = [""] * 40 + ["no omic was measured"]
    return FactorResults(
        fits=fits_table({"full": {"n_test": 0}, "cv0-0": {}, "cv0-1": {"r_hat": 2.7, "ess": 2.7}}),
        published=pd.DataFrame(published, columns=["fold", "omic", "quantity", "value"]),
        traces=model.trace_.assign(fold="full"), stability=stable(), comparison=compared(), coverage=covered(),
        genes=top_genes(), enrichment=enriched(), associations=associated(), decisions=pd.DataFrame(decisions),
        selection=pd.DataFrame(selection), patients=patients, rank=offered(), settings=SETTINGS, model=model,
    )  # fmt: skip


SMALL = dict.fromkeys(FACTOR_FIGURES, b'<svg xmlns="http://www.w3.org/2000/svg"/>')


def page_of(results: FactorResults, **more: Any) -> str:
    named = {"cohort": "a_cohort", "preset": "mini", "phantom": False, "released": True} | more
    return render_factor_page(results, SMALL, **named)


def test_page_is_self_contained_and_the_same_each_time(results: FactorResults) -> None:
    page = page_of(results)
    assert page == page_of(results)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(re.match(r"#|data:image/svg|\.\./(tables|figures|factors)/", address) for address in addresses)
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)[a-z]", re.sub(r"data:[^\"]*", "", page))
    assert "&lt;all&gt;" in page and "nan" not in re.sub(r"data:[^\"]*", "", page).lower().split("</style>")[1]
    assert "Digital patients" not in page and "Digital patients" in page_of(results, phantom=True)


def test_every_number_leads_to_a_file_that_is_written(results: FactorResults, tmp_path: Path) -> None:
    page = page_of(results)
    tables = build_factor_tables(results, "mini")
    write_factor_tables([tmp_path / f"{item}.csv" for item in FACTOR_TABLES], tables)
    linked = set(re.findall(r'href="\.\./tables/([^"]*)"', page))
    assert linked == {path.name for path in tmp_path.iterdir()} == {f"{item}.csv" for item in FACTOR_TABLES}
    cells = re.findall(r'<td class="cell"[^>]*>(.*?)</td>', page)
    assert len(cells) > 50 and all(cell.startswith('<a href="../') for cell in cells)
    assert not re.search(r'<td class="(?:cell|gap)"[^>]*>(?:<a href="[^"]*"></a>)?</td>', page), "no empty cell"


def test_page_tells_what_limits_its_numbers(results: FactorResults) -> None:
    page = page_of(results)
    for text in (
        "Of 4 patients with images, 3 are in the tensor", "Left out: 1, because no omic was measured",
        "On all 40 patients 2 of 4 components are kept", "31 % of expression (noise SD 0.500)",
        "2 of 3 fits pass both limits", "largest R-hat 2.7", "test patients included",
        "chromosome 17", "1 of the 2 components of the first fit come back", "it knows expression alone",
        "4 deaths, 10 are needed", "94.0 % of all omics (400 values of 40 patients)",
        "1 of 4 tests have a false discovery rate below 5 %",
    ):  # fmt: skip
        assert text in page, text


def test_page_tells_what_more_components_bring(results: FactorResults) -> None:
    page = page_of(results)
    assert "in 12 patients held out inside the training part of one fold: 2 (2): -1.4" in page
    said, told = re.findall(r"Against 6 offered, on the same values \((.*?)\): (.*?)\.", page)[0]
    assert told == "all omics lower with 2, undecided with 3; methylation higher with 2 and 3"
    # One split and one fit a number, uncorrected: nothing of it is sure.
    assert "95 % interval of the paired difference lies below, above 0" in said and "undecided: it holds 0" in said
    assert "one split, not corrected for the number of comparisons" in said and "what another training" in said
    assert not re.search(r"surely (?:worse|better)|beyond chance", page)
    assert "how another training would move a point is not in them" in captions("gibbs")["factor_rank.svg"][1]
    assert "By number of components offered" in page
    empty = result_frame([result_row(item="F.RANK", metric="log_density_entries", reason="nothing was asked")])
    without = replace(results, rank=empty)
    page = page_of(without)
    assert "No density of held-out patients by number of components: nothing was asked." in page
    assert "By number of components offered" not in page and b"<svg" in draw_figures(without)["factor_rank.svg"]


def test_figure_of_the_rank_has_a_panel_for_each_omic(results: FactorResults) -> None:
    """More panels make a larger picture, and a number that could not be fitted leaves its place out."""
    whole = rank_figure(results.rank, 4)
    fewer = rank_figure(results.rank[results.rank["task"] != "methylation"], 4)
    assert len(whole) > len(fewer) > len(rank_figure(results.rank.iloc[:0], 4))
    lost = results.rank.copy()
    lost.loc[(lost["arm"] == "6") & (lost["metric"] != "rank"), ["value", "low", "high"]] = np.nan
    assert rank_figure(lost, 4) != whole
    cells = rank_grids(lost.assign(reason=np.where(lost["value"].isna(), "gave up", "")))[0].rows
    assert [head for head, _ in cells] == ["2", "3", "6"] and cells[2][1][0].reason == "gave up"


def test_rank_at_its_limit_is_not_called_learned(results: FactorResults) -> None:
    full = replace(results, settings=SETTINGS.model_copy(update={"components": 2}))
    assert "the one that was set, not one that the data chose" in words.fit_words(full)[0].text
    assert "None was switched off" not in words.fit_words(results)[0].text


def test_best_other_method_has_not_seen_the_test_patients(results: FactorResults) -> None:
    said = " ".join(sentence.text for sentence in comparison_words(results))
    assert "ours 0.900 (0.500 to 0.950; n 40, 17 positive), best other PCA, all omics 0.860" in said, (
        "not tensorBF's 0.99"
    )
    assert "paired intervals" not in said, "no differences, no words about them"
    assert "all omics: ours 0.600 (0.580 to 0.620; n 40), best other PCA, all omics 0.650" in said, (
        "low errors are good"
    )


def test_who_is_better_is_said_by_paired_intervals(results: FactorResults) -> None:
    keys = {"item": "F.CMP", "protocol": "rigorous", "model": "pca", "arm": "btf_gibbs - pca", "n": 40}
    keys["interval"] = "paired patient bootstrap, 95 %"
    limits = {"impute_rmse_entries": ("all omics", -0.2, -0.1), "auroc": ("mut_TP53", -0.3, -0.1)}

    def told(**changed: tuple[str, float, float]) -> str:
        more = [
            result_row(**keys, metric=f"{metric}_difference", task=task, value=(low + high) / 2, low=low, high=high)
            for metric, (task, low, high) in {**limits, **changed}.items()
        ]
        rows = pd.concat([compared(), result_frame(more)], ignore_index=True)
        return comparison_words(replace(results, comparison=rows))[0].text

    assert (
        "of 2 paired intervals 1 lie wholly where ours is better, 1 wholly where the other is, and 0 hold 0" in told()
    )
    assert "of 2 paired intervals 2 lie" in told(auroc=("mut_TP53", 0.1, 0.3))
    assert "of 2 paired intervals 0 lie" in told(impute_rmse_entries=("all omics", -0.1, 0.2))
    assert metric_name("impute_rmse_entries_difference").unit == "below 0 ours is better"
    assert metric_name("harrell_c_difference").unit == "above 0 ours is better"


@pytest.mark.parametrize(
    ("r_hat", "ess", "expected"), [(1.05, 50.0, 1.0), (1.051, 90.0, 0.0), (1.0, 49.9, 0.0), (np.nan, 90.0, np.nan)]
)
def test_convergence_needs_both_limits(r_hat: float, ess: float, expected: float) -> None:
    fits = fits_table({"full": {"r_hat": r_hat, "ess": ess}})
    np.testing.assert_equal(converged(fits, "full", "gibbs"), expected)
    assert np.isnan(converged(fits, "full", "variational"))
    said = pd.DataFrame([("full", "", "converged", 1.0)], columns=fits.columns)
    assert converged(pd.concat([fits, said]), "full", "variational") == 1.0


def test_fit_rows_hold_every_number_or_why_there_is_none(results: FactorResults) -> None:
    fits = fits_table({"full": {"r_hat": np.nan, "ess": np.nan}})
    rows = fit_rows(fits, results.published, SETTINGS.model_copy(update={"method": "variational"}))
    assert list(rows.columns) == list(RESULT_COLUMNS) and not rows.duplicated(list(KEYS)).any()
    assert ((rows["reason"] != "") == rows["value"].isna()).all()
    assert ((rows["interval"] != "") == rows["value"].notna()).all()
    missing = rows[(rows["metric"] == "r_hat_max") & (rows["protocol"] == "rigorous")].iloc[0]
    assert missing["reason"] == "a variational fit has no chains to compare" and missing["n"] == 32
    whole = rows.set_index(["protocol", "task", "metric"])["value"]
    assert whole["rigorous", "copy_number", "explained"] == 0.87 and whole["as_published", "", "rank"] == 17
    ranks = rows[rows["metric"] == "rank"].set_index("protocol")["note"]
    assert "rank is the setting" not in ranks["rigorous"]
    assert ranks["as_published"].endswith(
        "all 17 components of the start were kept, so the rank is the setting and not learned"
    )
    few = results.published.assign(value=[5.0, 40.0, 0.8])
    limit = fit_rows(fits, few, SETTINGS.model_copy(update={"components": int(whole["rigorous", "", "rank"])}))
    ranks = limit[limit["metric"] == "rank"].set_index("protocol")["note"]
    assert "the rank is the setting and not learned" in ranks["rigorous"]
    assert ranks["as_published"].endswith("tensorBF switched off 12 of 17; the papers' number is fixed")
    one = fit_rows(fits, results.published, SETTINGS.model_copy(update={"chains": 1}))
    assert "one chain: nothing to compare" in set(one["reason"])


def test_left_out_and_unjudged_stand_on_the_page_where_there_are_any(results: FactorResults) -> None:
    assert not re.search(r"left out \d|unjudged \d", page_of(results))
    more = [("full", "", "n_left_out", 3.0), ("r0f1", "", "n_left_out", 0.0), ("full", "", "unjudged", 2.0)]
    told = replace(results, fits=pd.concat([results.fits, pd.DataFrame(more, columns=results.fits.columns)]))
    page = page_of(told)
    assert "left out 3" in page and "unjudged 2" in page and "left out 0" not in page


def test_coverage_goes_into_the_comparison(results: FactorResults) -> None:
    broken = pd.concat([covered(), covered().head(1).assign(level=0.8, covered=np.nan, n_entries=0)])
    rows = coverage_rows(broken, "btf_gibbs")
    assert rows["value"].isna().sum() == 1 and (rows.loc[rows["value"].isna(), "reason"] != "").all()
    table = build_factor_tables(results, "mini")["F.CMP"]
    found = table[(table["metric"] == "coverage") & (table["design"] == "level 0.95")]
    assert found["n"].tolist() == [40] * 4 and found["note"].iloc[0] == "400 hidden values"
    assert set(table["preset"]) == {"mini"}
    where = table["metric"].eq("coverage").map({True: "factors/coverage.parquet", False: "factors/comparison.parquet"})
    assert table["source"].tolist() == where.tolist()
    fits = build_factor_tables(results, "mini")["F.FIT"].set_index("model")["source"]
    assert set(fits["tensorbf"]) == {"factors/as_published/fits.parquet"}
    assert set(fits["btf_gibbs"]) == {"factors/rigorous/fits.parquet"}
    assert "nothing was hidden" in str(coverage_grid(broken).rows)


def test_the_level_that_is_farthest_off_is_told_for_each_omic(results: FactorResults) -> None:
    table = covered()
    wide = (table["omic"] == "copy_number") & (table["level"] == 0.5)
    table.loc[wide, ["covered", "low", "high"]] = [0.901, 0.88, 0.92]
    narrow = (table["omic"] == "expression") & (table["level"] == 0.95)
    table.loc[narrow, ["covered", "low", "high"]] = [0.8, 0.78, 0.82]
    said = " ".join(sentence.text for sentence in comparison_words(replace(results, coverage=table)))
    assert "copy number, 90.1 % at 50 % (too wide)" in said
    assert "expression, 80.0 % at 95 % (too narrow)" in said
    assert "methylation, 49.0 % at 50 % (within chance)" in said


def test_tables_come_back_from_csv(results: FactorResults, tmp_path: Path) -> None:
    tables = build_factor_tables(results, "mini")
    assert tuple(tables) == FACTOR_TABLES
    write_factor_tables([tmp_path / "F.STAB.csv", tmp_path / "F.GENES.csv"], tables)
    stability = pd.read_csv(tmp_path / "F.STAB.csv", keep_default_na=False)
    assert {"rank", "returned", "match"} == set(stability["metric"])
    genes = pd.read_csv(tmp_path / "F.GENES.csv")
    assert genes["n"].eq(40).all() and len(genes) == 18
    with pytest.raises(KeyError):
        write_factor_tables([tmp_path / "F.NONE.csv"], tables)
    double = replace(results, coverage=pd.concat([covered(), covered().head(1)]))
    with pytest.raises(ValueError, match="twice"):
        build_factor_tables(double, "mini")


def test_figures_are_svg_with_their_captions(results: FactorResults, tmp_path: Path) -> None:
    figures = draw_figures(results)
    again = traces_figure(results.traces, burn_in=20, approximate=False)
    assert again == figures["factor_traces.svg"], "the same bytes each time"
    assert tuple(figures) == FACTOR_FIGURES and set(CAPTIONS) == set(FACTOR_FIGURES)
    assert all(content.startswith(b"<?xml") and b"<svg" in content for content in figures.values())
    write_figures([tmp_path / name for name in FACTOR_FIGURES], figures)
    assert (tmp_path / "factor_traces.svg").read_bytes() == figures["factor_traces.svg"]


def test_empty_results_are_figures_and_words_that_say_why(results: FactorResults, model: Any) -> None:
    nothing = np.empty((30, 0))
    empty = BayesianTensorFactorisation(4)
    for name in ("factors_", "factors_std_", "loadings_", "loadings_std_"):
        setattr(empty, name, np.empty((len(getattr(model, name)), 0)))
    empty.omic_loadings_, empty.explained_, empty.n_components_ = np.empty((3, 0)), np.empty((0, 3)), 0
    empty.patients_, empty.genes_, empty.omics_ = model.patients_, model.genes_, model.omics_
    no_fit = fits_table({"full": {"n_test": 0, "r_hat": np.nan, "ess": np.nan}})
    no_fit.loc[no_fit["quantity"] == "rank", "value"] = 0
    reason = {"item": "F.SETS", "metric": "nes", "reason": "the fit kept no component"}
    sets = result_frame([result_row(**reason)]).assign(p=np.nan, fdr=np.nan, genes="")
    none = {"item": "F.ASSOC", "metric": "auroc", "task": "er", "reason": "the fit kept no component"}
    found = result_frame([result_row(**none)]).assign(p=np.nan, fdr=np.nan, posterior_sd=np.nan)
    alone = pd.DataFrame({"seed": [0, 1], "rank": 0, "component": "", "match": np.nan, "explained": 0.0, "n": 40})
    bare = replace(
        results, model=empty, fits=no_fit, enrichment=sets, associations=found, stability=alone,
        genes=top_genes().iloc[:0], coverage=covered().assign(covered=np.nan),
    )  # fmt: skip
    page = page_of(bare)
    for text in (
        "No gene set was tested: the fit kept no component", "0 of 4 components", "Convergence could not be judged",
        "Nothing could be tested", "The first kept none", "No predictive interval could be checked",
    ):  # fmt: skip
        assert text in page, text
    drawn = (
        loadings_figure(nothing, nothing, np.empty((3, 0)), [], OMICS), comparison_figure(compared().iloc[:0]),
        associations_figure(found), stability_figure(pd.Series([2, 2]), alone.iloc[:0]),
        traces_figure(pd.DataFrame({"chain": [], "sweep": [], "log_likelihood": []}), burn_in=1, approximate=False),
        calibration_figure(covered().iloc[:0]),
    )  # fmt: skip
    assert len(set(drawn)) == 6 and max(map(len, drawn)) < 40_000


def test_heat_map_shows_the_strongest_genes_of_every_component() -> None:
    loadings = np.zeros((100, 3))
    loadings[[7, 70], 0], loadings[50, 1], loadings[[3, 4], 2] = (5.0, -6.0), 0.1, (1.0, 0.5)
    rows = shown_genes(loadings, most=6)
    assert rows[:2].tolist() == [70, 7] and {50, 3, 4} <= set(rows.tolist()), "small components get their genes too"
    assert len(shown_genes(loadings[:, :0])) == 0
    clear = loadings_figure(loadings, np.full_like(loadings, 0.01), np.ones((1, 3)), list("x" * 100), ["a"])
    unclear = loadings_figure(loadings, np.full_like(loadings, 9.0), np.ones((1, 3)), list("x" * 100), ["a"])
    assert clear != unclear, "loadings within two posterior SDs of zero are blank"


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [("auroc", 0.5, 0.0), ("auroc", 0.0, -1.0), ("eta_squared", 0.25, 0.5), ("eta_squared", -0.01, 0.0),
     ("hazard_ratio", 1.0, 0.0), ("hazard_ratio", 100.0, 1.0), ("spearman", -0.3, -0.3)],
)  # fmt: skip
def test_effects_share_a_scale_with_zero_for_none(metric: str, value: float, expected: float) -> None:
    assert common_scale(metric, np.array(value)) == pytest.approx(expected)


def test_traces_leave_burn_in_out_of_the_second_panel(model: BayesianTensorFactorisation) -> None:
    short = traces_figure(model.trace_, burn_in=5, approximate=False)
    assert short != traces_figure(model.trace_, burn_in=50, approximate=False)
    bound = model.trace_.assign(elbo=np.arange(len(model.trace_), dtype=float))
    assert traces_figure(bound, burn_in=5, approximate=True) != traces_figure(model.trace_, burn_in=5, approximate=True)


def test_grids_hold_a_row_for_each_method_and_fit(results: FactorResults) -> None:
    entries = next(grid for grid in comparison_grids(compared()) if grid.title == "Error of hidden entries")
    assert entries.rows[0][0] == "ours, sampled" and entries.columns[1:] == (
        "all omics", "expression", "copy number", "methylation",
    )  # fmt: skip
    alone = dict(entries.rows)["expression alone"]
    assert alone[0].reason == "it knows expression alone" and alone[1].below == ("0.730 to 0.770", "n 40")
    summary, single = fit_grids(results)
    assert [head for head, _ in summary.rows] == ["all patients", "folds over all patients: 2 fits"] and len(
        single.rows
    ) == 3
    assert dict(summary.rows)["folds over all patients: 2 fits"][5].text == "1 of 2"
    assert set_grid(enriched()).rows[0][0] == "cell cycle, F01" and len(set_grid(enriched()).rows) == 1
    gaps = gap_grid("F.CMP", compared())
    assert [(head, cells[0].text) for head, cells in gaps.rows] == [
        ("it knows expression alone", "3"), ("nobody it has not seen", "1"),
    ]  # fmt: skip


def test_every_factor_is_told_in_a_line(results: FactorResults) -> None:
    (one,) = factor_grids(results)
    cells = dict(one.rows)["F01"]
    assert cells[0].text == "0.99" and one.columns[1] == "Stability between chains"
    assert cells[1].text == "expression" and cells[1].below[2] == "methylation -0.10 (0.0 %)"
    assert cells[2].text.startswith("GENE1 (1), GENE2 (0.5)")
    assert cells[3].text == "cell cycle" and "6 genes" in cells[3].below, "n of a set counts genes"
    assert cells[4].below == ("AUROC 0.810", "0.710 to 0.910", "n 38, 15 positive", "FDR below 0.001")
    assert [cell.reason for cell in dict(one.rows)["F02"][3:]] == ["none", "none"]
    many = [top_genes().query("component == 'F01'").assign(component=f"F{i + 1:02d}") for i in range(11)]
    shown, everyone = factor_grids(replace(results, genes=pd.concat(many)))
    assert len(shown.rows) == 8 and len(everyone.rows) == 11


def test_a_factor_the_chains_do_not_agree_on_is_flagged_wherever_it_is_named(results: FactorResults) -> None:
    split = top_genes().assign(stability=lambda t: t["stability"].where(t["component"] != "F01", 0.6))
    doubted = replace(results, genes=split)
    flag = f"F01 ({DOUBT})"
    assert results.doubtful == frozenset() and doubted.doubtful == {"F01"}
    page = page_of(doubted)
    assert "The chains do not agree on F01 (1 of 2 factors correlate below 0.9" in page
    assert DOUBT not in re.sub(r"data:[^\"]*|A star: the chains do not agree on it", "", page_of(results))
    assert flag in dict(factor_grids(doubted)[0].rows) and "F02" in dict(factor_grids(doubted)[0].rows)
    assert association_grids(associated(), doubted.doubtful)[0].rows[0][0] == f"TP53 mutation, {flag}"
    assert set_grid(enriched(), doubted.doubtful).rows[0][0] == f"cell cycle, {flag}"
    assert f"TP53 mutation with {flag} (AUROC" in page
    tables = build_factor_tables(doubted, "mini")
    for item in ("F.ASSOC", "F.SETS"):
        told = tables[item].groupby("arm")["note"].agg(set)
        assert (told["F01"] == {DOUBT} and "F02" not in told) or told["F02"] == {""}
    assert starred(["F01", "F02"], doubted.doubtful) == ["F01*", "F02"]
    assert associations_figure(associated(), {"F01"}) != associations_figure(associated())
    alone = replace(results, genes=top_genes().assign(stability=np.nan))
    assert alone.doubtful == frozenset() and "no chains to compare" in page_of(alone), "not judged is not doubted"


def test_a_fit_that_did_not_converge_is_announced_first(results: FactorResults) -> None:
    bad = replace(results, fits=fits_table({"full": {"r_hat": 1.4, "ess": 12.0}, "cv0-0": {}}))
    intro = page_of(bad).split('id="tensor"')[0]
    assert "did not converge (largest R-hat 1.40, fewest effective draws 12" in intro
    assert "did not converge" not in page_of(results).split('id="tensor"')[0]
    said = pd.DataFrame([("full", "", "converged", 0.0), ("full", "", "unjudged", 2.0)], columns=results.fits.columns)
    fits = fits_table({"full": {"r_hat": np.nan, "ess": np.nan}})
    unjudged = replace(results, fits=pd.concat([fits, said]))
    assert "The fit on all patients did not converge. " in page_of(unjudged)
    text = words.fit_words(unjudged)[-1].text
    assert (
        text.startswith("0 of 1 fits pass") and "In 1 some quantity could not be judged" in text and "nan" not in text
    )


@pytest.mark.parametrize(
    ("failed", "named", "meaning"),
    [
        (["log_likelihood", "tau_1", "signal_worst"], "log-likelihood, noise of copy number and the worst of the "
         "reconstructed entries.", OPEN_FIT),
        (["signal_q95", "signal_worst", "share_0"], "reconstructed entries and variance explained by 1 component.",
         OPEN_FIT),
        (["share_0", "share_3", "x_worst", "x_q95"], "variance explained by 2 components and factors of patients.",
         OPEN_FACTORS),
        (["signal_worst"], "the worst of the reconstructed entries.", TOO_SHORT),
        ([], "", UNKNOWN),
    ],
)  # fmt: skip
def test_words_of_convergence_are_of_what_failed(
    results: FactorResults, failed: list[str], named: str, meaning: str
) -> None:
    names = ["log_likelihood", *(f"tau_{i}" for i in range(3)), "signal_worst", "signal_q95", "share_0", "share_3"]
    checks = pd.DataFrame({"quantity": [*names, "x_worst", "x_q95", "share_9"], "reason": ""})
    checks = checks.assign(ok=~checks["quantity"].isin(failed), r_hat=1.0)
    checks.loc[~checks["ok"], "r_hat"] = 1.4
    checks.loc[checks["quantity"] == "share_9", ["ok", "reason"]] = [False, "does not vary"]
    fit = SimpleNamespace(**{**vars(results.model), "diagnostics_": checks})
    bad = replace(results, model=fit, fits=fits_table({"full": {"r_hat": 1.4}, "cv0-0": {}}))  # type: ignore[arg-type]
    for text in (words.doubt_words(bad)[0], words.fit_words(bad)[-1].text):
        assert text.endswith(meaning)
        assert (f"In the fit on all patients these fail: {named}" in text) == bool(failed)
    only_fold = replace(bad, fits=fits_table({"full": {}, "cv0-0": {"r_hat": 1.4}}))
    text = words.fit_words(only_fold)[-1].text
    assert "1 of 2 fits pass" in text and meaning not in text and "these fail" not in text


def test_page_says_whom_the_fits_have_seen_and_what_peers_were_given(results: FactorResults) -> None:
    page = page_of(results)
    assert "their omics were seen, their labels were not" in page and "endpoint_test_patients_in_factor_fit" in page
    assert "as many components as ours starts with" in re.sub(r"\s+", " ", page)
    assert "PCA puts the training mean where a training patient lacks a value" in page
    for method, title in (("gibbs", "Log-likelihood by sweep"), ("variational", "Lower bound of the evidence")):
        told = captions(method)["factor_traces.svg"]
        assert told[0].startswith(title) and set(captions(method)) == set(CAPTIONS)
    assert "After burn-in" not in captions("variational")["factor_traces.svg"][1]


def test_every_n_of_a_comparison_is_told(results: FactorResults) -> None:
    rows = compared()
    peer = (rows["model"] == "pca") & (rows["metric"] == "impute_rmse_entries")
    rows.loc[peer, "n"] = 31
    text = " ".join(sentence.text for sentence in comparison_words(replace(results, comparison=rows)))
    assert "(0.580 to 0.620; n 40), best other PCA, all omics 0.650 (0.630 to 0.670; n 31)" in text
    assert counts(rows.loc[rows["value"].notna(), "n"]) == "31 to 40" and counts(pd.Series([17.0, np.nan])) == "17"
    assert comparison_figure(rows) != comparison_figure(compared()), "the title holds the range"


def test_associations_name_their_effect_and_how_sure_it_is() -> None:
    (one,) = association_grids(associated())
    assert [head for head, _ in one.rows] == ["TP53 mutation, F01"], "below 5 % only"
    cells = one.rows[0][1]
    assert cells[0].text == "AUROC" and cells[2].text == "below 0.001" and cells[4].text == "DeLong, 95 %"
    many = pd.concat([associated().head(1)] * 50)
    few, more = association_grids(many)
    assert (len(few.rows), len(more.rows), more.more) == (8, 40, 10)


def test_names_and_orders() -> None:
    order = sorted(["training_mean", "single_expression", "pca", "tensorbf", "btf_gibbs"], key=method_order)
    assert order == ["btf_gibbs", "tensorbf", "pca", "single_expression", "training_mean"]
    assert method_label("single_copy_number") == "copy number alone" and method_label("new_one") == "new one"
    assert task_label("mut_TP53") == "TP53 mutation" and task_label("copy_number") == "copy number"
    assert sorted([*METRICS, "unheard"], key=metric_order)[-1] == "unheard"
    assert [design_of(name) for name in ("full", "r0f3", "site-E2", "cv0-1")] == [
        "all patients", "folds of imaged patients", "left-out sites", "folds over all patients",
    ]  # fmt: skip


def test_what_is_absent_is_one_clear_line(results: FactorResults, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.parquet" for name in NEEDED}
    for name, path in files.items():
        getattr(results, name).to_parquet(path)
    with pytest.raises(DataError, match=r"full.safetensors: is not there"):
        read_results(files, tmp_path, SETTINGS)
    results.model.save(tmp_path / "full.safetensors")
    read = read_results(files, tmp_path, SETTINGS)
    assert page_of(read) == page_of(results)
    results.coverage.drop(columns="n_entries").to_parquet(files["coverage"])
    with pytest.raises(DataError, match=r"coverage.parquet: has no column 'n_entries'"):
        read_results(files, tmp_path, SETTINGS)
    results.coverage.to_parquet(files["coverage"])
    files["genes"].unlink()
    with pytest.raises(DataError, match=r"genes.parquet: is not there"):
        read_results(files, tmp_path, SETTINGS)
    write_factor_page(tmp_path / "factors.html", page_of(read))
    assert (tmp_path / "factors.html").read_text().startswith("<!doctype html>")


def test_limits_fit_the_cohort(results: FactorResults) -> None:
    here, elsewhere = limits(results, phantom=False, released=True), limits(results, phantom=True, released=False)
    assert any("chromosome" in text for text in here) and not any("chromosome" in text for text in elsewhere)
    assert any("planted" in text for text in elsewhere)
    assert np.isnan(quantity(results.fits, "full", "no such"))


def test_example_of_the_documentation_runs_and_says_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs/explanation/factors.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["rank"] == 2 and found["factors"].shape == (20, 2) and found["shares"].shape == (2, 3)
    assert abs(found["inside"] - 0.9) < 0.05, "as the comment says"
    assert (found["spread"] < 0.5).all() and len(found["checks"]) > 5
    again = found["same"].transform(found["scaler"].transform(found["test"]))
    np.testing.assert_array_equal(again, found["factors"])
