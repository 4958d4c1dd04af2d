"""The page of factors against the analyses that feed it, its workflow script, and properties of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radgen_lib.analyses.factors.associations import ASSOCIATION_COLUMNS, ENDPOINTS, METRICS, associations
from radgen_lib.analyses.factors.enrichment import ENRICHMENT_COLUMNS
from radgen_lib.analyses.factors.genes import GENE_COLUMNS, factor_table, top_genes
from radgen_lib.analyses.factors.imputing import COVERAGE_COLUMNS, DENSITY, ENTRIES, EVERY, OMIC
from radgen_lib.analyses.factors.rank_curve import rank_curve
from radgen_lib.analyses.factors.stability import STABILITY_COLUMNS, seed_rows
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.factor_layout import FACTOR_FIGURES, FACTOR_TABLES
from radgen_lib.core.rows import RESULT_COLUMNS, result_frame, result_row
from radgen_lib.omics.btf.cohort_tensor import SELECTION_COLUMNS, StoredTensor
from radgen_lib.omics.btf.folds import FITS_COLUMNS, FoldFit, fit_facts, fit_fold, published_tables, traces
from radgen_lib.omics.btf.gathering import component_names
from radgen_lib.omics.btf.published import fit_published
from radgen_lib.omics.study.decisions import DECISION_COLUMNS
from radgen_lib.reporting import factor_names as names
from radgen_lib.reporting.factor_cells import result_cell
from radgen_lib.reporting.factor_charts import SHOWN, common_scale, comparison_figure
from radgen_lib.reporting.factor_figures import shown_genes
from radgen_lib.reporting.factor_tables import NEEDED, SOURCES
from radgen_lib.reporting.factor_words import percent, span

ROOT = Path(__file__).parents[3]
OMICS = ("expression", "copy_number", "methylation")
SETTINGS = Factors(components=4, chains=2, burn_in=60, draws=20, thin=1, seeds=2, max_genes=None)


@pytest.fixture(scope="module")
def tensor() -> StoredTensor:
    """36 patients x 24 genes x 3 omics with two planted factors, one omic missing in three patients."""
    rng = np.random.default_rng(8)
    x, w, u = rng.normal(size=(36, 2)), rng.normal(size=(24, 2)), np.array([[1.0, 0.0], [1.0, 0.3], [0.0, 1.4]])
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + rng.normal(scale=0.5, size=(36, 24, 3))
    values[:3, :, 2] = np.nan
    patients = tuple(f"TCGA-AO-{i:04d}" for i in range(36))
    genes = tuple(f"GENE{i}" for i in range(24))
    return StoredTensor(values.astype(np.float32), patients, genes, OMICS, ("z-score", "log2 ratio", "m_value"))


@pytest.fixture(scope="module")
def fit(tensor: StoredTensor) -> FoldFit:
    return fit_fold(tensor, "full", list(tensor.patients), SETTINGS, seed=2)


@pytest.fixture(scope="module")
def people(tensor: StoredTensor, fit: FoldFit) -> pd.DataFrame:
    """A patient table in which the first factor goes along with ER, and one mutation is too rare to test."""
    table = pd.DataFrame({"patient": tensor.patients, "n_images": 0, "subtype": ""})
    table.loc[:4, "n_images"] = 1
    rng = np.random.default_rng(0)
    first = fit.model.factors_[:, 0]
    table["er"] = (first > np.median(first)).astype(float)
    for name in ("pr", "her2", "mut_TP53", "mut_PIK3CA"):
        table[name] = rng.integers(2, size=36).astype(float)
    table["mut_CDH1"] = [1.0] * 2 + [0.0] * 34
    return table.assign(age=rng.normal(60, 9, 36), os_days=rng.uniform(10, 900, 36), os_event=0.0)


@pytest.fixture(scope="module")
def files(
    tensor: StoredTensor, fit: FoldFit, people: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The files of a small cohort, as the rules before the page write them."""
    folder = tmp_path_factory.mktemp("cohort")
    fit.save(folder / "models")
    factors, spread = factor_table(fit.model)
    roles = pd.Series(["train"] * 36)
    published = fit_published(tensor.values, 3, burn_in=15, draws=2, thin=1, seed=1)
    first = (fit.model.factors_, fit.model.explained_.mean(axis=1))
    turned = fit.model.factors_[:, ::-1] + 0.1
    keys = {"item": "F.CMP", "protocol": "rigorous", "n": 36, "interval": "patient bootstrap, 95 %"}
    band = {"value": 0.6, "low": 0.5, "high": 0.7}
    scored = [
        result_row(**keys, **band, model=model, metric=metric, task=task)
        for model in ("btf_gibbs", "pca")
        for metric, task in ((ENTRIES, EVERY), (OMIC, "expression"), (DENSITY, EVERY), ("auroc", "er"))
    ]
    covered = pd.DataFrame(
        [(omic, 0.95, 0.94, 90, 36, 0.9, 0.97, "patient bootstrap, 95 %") for omic in (EVERY, *OMICS)],
        columns=list(COVERAGE_COLUMNS),
    )
    splits = pd.DataFrame({"fold": "cv0-0", "patient": tensor.patients, "role": "train"})
    grid = SETTINGS.model_copy(update={"rank_grid": [1, 3, 30]})
    sets = {"item": "F.SETS", "metric": "nes", "reason": "1 gene sets have 5 to 500 of the 24 genes of the tensor"}
    tables = {
        "fits": fit_facts(fit, roles), "published": published_tables(published, tensor.patients, 3)[1],
        "traces": traces(fit), "coverage": covered, "comparison": result_frame(scored),
        "stability": pd.concat([seed_rows(0, *first[:1], fit.model.factors_, first[1]),
                                seed_rows(1, first[0], turned, first[1])]),
        "genes": top_genes(fit.model), "patients": people, "rank": rank_curve(tensor, splits, grid, seed=1, draws=40),
        "associations": associations(factors, spread, people, seed=1, model="btf_gibbs", draws=40),
        "enrichment": result_frame([result_row(**sets)]).assign(p=np.nan, fdr=np.nan, genes=""),
        "selection": pd.DataFrame(
            [("factors", "patient", "TCGA-BH-0001", "tensor", "", False, "no omic")], columns=list(SELECTION_COLUMNS)
        ),
        "decisions": pd.DataFrame([("gene", "tensor", "x", "kept", "why", 24)], columns=list(DECISION_COLUMNS)),
    }  # fmt: skip
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in tables} | {"models": folder / "models"}


class Named(list[Any]):
    """Paths by place and by name, as a workflow hands them to a script."""

    def __init__(self, paths: Mapping[str, Any]) -> None:
        flat: list[Any] = []
        for value in paths.values():
            flat += value if isinstance(value, list) else [value]
        super().__init__(flat)
        self.paths = dict(paths)

    def __getitem__(self, key: Any) -> Any:
        return self.paths[key] if isinstance(key, str) else super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        return self.paths[name]


class Params(Mapping[str, Any]):
    """Parameters as attributes and as a mapping."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_of = dict(values)

    def __getitem__(self, key: str) -> Any:
        return self.values_of[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)

    def __getattr__(self, name: str) -> Any:
        return self.values_of[name]


def run_script(files: Mapping[str, Path], out: Path) -> None:
    """Run workflow_scripts/factor_page.py as the rule does."""
    outputs = {
        "tables": [str(out / "tables" / f"{item}.csv") for item in FACTOR_TABLES],
        "figures": [str(out / "figures" / name) for name in FACTOR_FIGURES],
        "page": str(out / "report" / "factors.html"),
        "card": str(out / "report" / "factors.card.json"),
    }
    params = {"seed": 1, "factors": SETTINGS.model_dump(), "preset": "mini", "phantom": True, "released": False}

    class Job:
        rule, threads = "factor_page", 1
        input = Named({name: str(path) for name, path in files.items()})
        output = Named(outputs)
        log = [str(out / "log.txt")]
        wildcards = type("W", (), {"cohort": "phantom"})()

    Job.params = Params({**params, "code": "x"})  # type: ignore[attr-defined]
    script = ROOT / "workflow_scripts/factor_page.py"
    exec(compile(script.read_text(), str(script), "exec"), {"snakemake": Job})


def test_workflow_script_makes_every_output_from_what_the_rules_write(
    files: dict[str, Path], fit: FoldFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank = fit.model.n_components_
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run_script(files, tmp_path)
    page = (tmp_path / "report" / "factors.html").read_text()
    assert "Digital patients" in page and "Of 5 patients with images, 5 are in the tensor" in page
    assert "Left out: 1, because no omic." in page and "No gene set was tested: 1 gene sets have" in page
    assert "2 patients in the smaller class, 5 are needed" in page, "reasons of the analyses reach the page"
    assert "0 deaths, 10 are needed" in page
    assert "ER with F0" in page, "the planted association is told"
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == sorted(FACTOR_TABLES)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(FACTOR_FIGURES)
    table = pd.read_csv(tmp_path / "tables" / "F.ASSOC.csv", keep_default_na=False)
    assert list(table.columns) == [*ASSOCIATION_COLUMNS, "source", "preset"]
    card = json.loads((tmp_path / "report" / "factors.card.json").read_text())
    assert card["name"] == "factor_page" and card["code_digest"] == "x" and len(card["inputs"]) > 5
    assert len(table) == len(ENDPOINTS) * rank and (table["reason"][table["value"] == ""] != "").all()
    facts = pd.read_csv(tmp_path / "tables" / "F.FIT.csv", keep_default_na=False)
    assert {"rank", "n_train", "explained", "noise_sd", "r_hat_max"} <= set(facts["metric"])
    said = facts.set_index("metric")["note"]
    assert (said != "").all(), "every number is told in words too"
    assert said["n_left_out"] == "Training patients without any value in the genes of the fit (patients)"
    assert facts.loc[(facts["metric"] == "rank") & (facts["protocol"] == "rigorous"), "value"].astype(
        float
    ).tolist() == [rank]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fits", FITS_COLUMNS), ("published", FITS_COLUMNS), ("stability", STABILITY_COLUMNS),
        ("comparison", RESULT_COLUMNS), ("coverage", COVERAGE_COLUMNS), ("genes", GENE_COLUMNS),
        ("enrichment", ENRICHMENT_COLUMNS), ("associations", ASSOCIATION_COLUMNS), ("selection", SELECTION_COLUMNS),
        ("decisions", DECISION_COLUMNS), ("rank", RESULT_COLUMNS),
    ],
)  # fmt: skip
def test_the_page_asks_for_no_column_that_an_analysis_does_not_write(name: str, given: tuple[str, ...]) -> None:
    assert set(NEEDED[name]) <= set(given)


def test_every_measure_and_endpoint_of_the_analyses_has_a_name() -> None:
    measures = {ENTRIES, OMIC, DENSITY, "auroc", "harrell_c", "factor_match", "rank", "nes", "odds_ratio"}
    assert measures | set(METRICS.values()) <= set(names.METRICS)
    assert set(ENDPOINTS) <= set(names.TASKS) and set(SHOWN) <= set(names.METRICS)
    assert names.metric_name("new_measure") == names.Metric("new measure", "new measure", "")


def test_every_stored_quantity_of_a_fit_has_a_name_and_is_documented(files: dict[str, Path]) -> None:
    stored = {name for table in ("fits", "published") for name in pd.read_parquet(files[table])["quantity"]}
    assert {"unjudged", "n_left_out", "omics"} <= stored
    assert stored == set(names.QUANTITIES), "no more and no less than the analyses write"
    page = (ROOT / "docs/reference/tables.md").read_text()
    part = page[page.index("**F.FIT**") : page.index("**F.CMP**")]
    for name, told in names.QUANTITIES.items():
        assert f"`{name}`" in part, name
        assert told.short and told.unit and "_" not in f"{told.short}{told.name}{told.unit}"
    assert names.quantity_note("new_one") == "new one"


def test_rule_gives_the_script_what_it_reads() -> None:
    rule = (ROOT / "rules/factor_page.smk").read_text()
    for name in ("fits", "traces", "published", "models", "patients", "decisions", "selection", "coverage"):
        assert f"        {name}=" in rule, name
    for name in ("factors", "preset", "phantom", "released"):
        assert f"        {name}=" in rule[rule.index("params:") :], name
    reads = {"stability", "rank", "comparison", "genes", "enrichment", "associations"}
    assert set(NEEDED) == reads | {
        "fits", "traces", "published", "patients", "decisions", "selection", "coverage",
    }  # fmt: skip


def test_documentation_names_every_measure_of_the_tables() -> None:
    page = (ROOT / "docs/reference/tables.md").read_text()
    part = page[page.index("### F: factors") : page.index("## Files of a results folder")]
    for word in (*names.METRICS, "coverage", "returned", "`match`", "explained", "noise_sd", *SOURCES):
        assert word in part, word
    for column in ("fdr_endpoint", "posterior_sd", *GENE_COLUMNS):
        assert f"`{column}`" in part, column
    assert (ROOT / "docs/captions/factors.rst").read_text().count("\n") >= 1


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_hazard_ratios_keep_their_order_on_the_common_scale(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scaled = common_scale("hazard_ratio", np.array([low, high]))
    assert scaled[0] <= scaled[1] and np.abs(scaled).max() <= 1
    # A ratio and its inverse are effects of one size.
    np.testing.assert_allclose(common_scale("hazard_ratio", np.array(1 / low)), -scaled[0], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(arrays(float, st.tuples(st.integers(3, 30), st.integers(1, 6)), elements=st.floats(-5, 5)), st.integers(1, 40))
def test_genes_of_the_heat_map_are_few_distinct_and_hold_each_leader(loadings: np.ndarray, most: int) -> None:
    rows = shown_genes(loadings, most=most)
    rank = loadings.shape[1]
    assert len(set(rows.tolist())) == len(rows) <= max(most, rank)
    size = np.abs(loadings)
    assert all(size[rows, k].max() == size[:, k].max() for k in range(rank))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 999), min_size=1, max_size=5))
def test_spans_hold_the_smallest_and_the_largest_value(values: list[float]) -> None:
    said = [float(part) for part in span(values).split(" to ")]
    assert said[0] == pytest.approx(min(values), rel=6e-3) and said[-1] == pytest.approx(max(values), rel=6e-3)
    assert len(said) == (1 if min(values) == max(values) else 2)


def test_cells_say_how_many_and_how_sure_or_why_not() -> None:
    row = result_row(item="F.CMP", metric="auroc", value=0.75, low=0.7, high=0.8, n=40, events=9)
    assert result_cell(row).below == ("0.700 to 0.800", "n 40, 9 positive")
    assert result_cell(result_row(item="F.CMP", metric="auroc", value=0.75, n=40)).below == ("n 40",)
    refused = result_cell(result_row(item="F.CMP", metric="auroc", reason="one class"))
    assert (refused.text, refused.reason) == ("", "one class")
    assert percent(0.456) == "46 %" and percent(float("nan")) == "unknown"
    assert component_names(2) == ["F01", "F02"]


def test_a_method_that_could_not_be_scored_has_no_dot() -> None:
    keys = {"item": "F.CMP", "protocol": "rigorous", "task": "er", "metric": "auroc"}
    scored = result_row(**keys, model="btf_gibbs", value=0.8, low=0.7, high=0.9, n=36)
    refused = result_row(**keys, model="pca", reason="one class")
    assert comparison_figure(result_frame([scored, refused])) == comparison_figure(result_frame([scored]))
    unnamed = result_row(**{**keys, "metric": "unheard_of"}, model="btf_gibbs", value=0.8, n=36)
    assert comparison_figure(result_frame([scored, unnamed])) == comparison_figure(result_frame([scored]))


def test_model_file_that_was_changed_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray((files["models"] / "full.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "full.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="changed or damaged"):
        run_script(files | {"models": tmp_path / "models"}, tmp_path)
    assert not (tmp_path / "report").exists() and not (tmp_path / "tables").exists(), "nothing half-written"
