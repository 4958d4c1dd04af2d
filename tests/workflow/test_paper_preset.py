"""The whole of the preset `paper`, executed once: every design, condition, generator and rule, a job a fold.

Only sizes are smaller: tiny networks, few epochs, draws, repeats and search draws, made-up released files. Some 25
minutes on two cores: ``pytest -m scale -n 0 tests/workflow/test_paper_preset.py``.
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pandas as pd
import pytest
import yaml

from radgen_lib.core.config.load import resolve
from radgen_lib.core.factor_layout import FactorLayout
from radgen_lib.core.layout import ANALYSES, TABLES, Layout
from radgen_lib.core.plan import PUBLISHED_FOLDS, fold_names, protocol_folds
from tests.workflow.conftest import Finished
from tests.workflow.driver import COHORT, RESULTS, ROOT, Workspace, made_up

pytestmark = [pytest.mark.workflow, pytest.mark.scale]
LIMIT_S = 3 * 3600
_SMALL_EDM = {"channels": [8, 16, 16], "sampling_steps": 4, "res_blocks": 1, "working_size": 16}
SMALLER: dict[str, Any] = {
    "cohorts": {
        COHORT: {"splits": {"folds": 2, "repeats": 2, "endpoint_folds": 2, "endpoint_repeats": 1, "trainings": 2}}
    },
    "factors": {
        "max_genes": 60, "components": 4, "burn_in": 40, "draws": 10, "thin": 2, "folds": 2, "repeats": 2, "seeds": 2,
        "rank_grid": [2, 4], "published": {"components": 4, "burn_in": 60, "draws": 3},
    },
    "cpdm": {
        "generators": {
            "cpdm": {
                "options": {
                    "width": 8, "timesteps": 100, "sampler": "ddim", "sampling_steps": 4, "working_size": 16,
                    "epochs": 2,
                }
            },
            "edm": {"options": {**_SMALL_EDM, "epochs": 2}},
            "untrained": {"options": _SMALL_EDM},
            "vae": {"options": {"width": 0.125, "working_size": 32, "epochs": 2}},
        },
        "sampling": {"draws_heldout": 2},
        "prediction": {"search_draws": 2, "inner_folds": 2, "holdout_seeds": 2, "bootstrap": 100},
        "survival": {"search_permutations": 1},
        "adherence": {"permutations": 100, "response_variables": 2, "response_patients": 5},
    },
}  # fmt: skip
CONFIG = resolve(yaml.safe_load((ROOT / "config.yaml").read_text()), {"preset": "paper", "run": [COHORT], **SMALLER})
LAYOUT = Layout(CONFIG)
DESIGNS = {
    "as_published": ("published_split", "published_folds"),
    "rigorous": ("grouped", "site", "full"),
}
NETWORKS = {"as_published": ("cpdm", "vae"), "rigorous": ("cpdm", "edm", "vae")}
RUNS = [(protocol, run) for protocol in DESIGNS for run in LAYOUT.runs(COHORT, protocol)]
REPORTING = ("tables", "figures", "page", "all")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Snakemake's options that lay the small sizes over the preset."""
    file = tmp_path_factory.mktemp("sizes") / "smaller.yaml"
    file.write_text(yaml.safe_dump(SMALLER))
    return ["--configfile", str(file)]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory, options: list[str]) -> Finished:
    """The target of the cohort at the paper preset, run to its end."""
    released = made_up(tmp_path_factory.mktemp("released"))
    workspace = Workspace(tmp_path_factory.mktemp("paper"), released, preset="paper")
    outcome = workspace.run(options=options, limit_s=LIMIT_S)
    assert outcome.code == 0, outcome.text[-20000:]
    return Finished(workspace, outcome)


def _rows(paper: Finished, protocol: str, name: str) -> pd.DataFrame:
    return pd.read_parquet(paper.results / f"cpdm/{protocol}/rows/{name}.parquet")


def test_nothing_but_sizes_differs_from_the_preset() -> None:
    whole = resolve(yaml.safe_load((ROOT / "config.yaml").read_text()), {"preset": "paper"})
    assert CONFIG.cpdm.protocols == whole.cpdm.protocols
    assert {name: tuple(block.designs) for name, block in CONFIG.cpdm.protocols.items()} == DESIGNS
    assert CONFIG.cpdm.folds_per_job == whole.cpdm.folds_per_job == 1
    assert CONFIG.factors.method == whole.factors.method == "gibbs" and CONFIG.factors.peers == whole.factors.peers
    assert CONFIG.cpdm.survival.search_settings is None and CONFIG.cpdm.sampling.max_synthetic is None
    asked, full = CONFIG.cpdm.prediction, whole.cpdm.prediction
    for key in ("tasks", "classifiers", "primary_tasks", "primary_classifiers"):
        assert getattr(asked, key) == getattr(full, key)


def test_everything_is_made(paper: Finished) -> None:
    folder = paper.workspace.folder
    wanted = [*LAYOUT.everything(COHORT), LAYOUT.report(COHORT), *LAYOUT.tables(COHORT)]
    missing = [name for name in wanted if not (folder / name).exists()]
    assert not missing
    planned = set(paper.outcome.jobs)
    assert planned >= {*ANALYSES, "reference", "leakage_ablation", "published_factors", "factor_page", *REPORTING}
    assert not [path for path in (folder / "resume").rglob("*") if path.is_file()]


def test_every_fold_of_a_network_is_a_job_of_its_own(paper: Finished) -> None:
    assert paper.outcome.jobs["train_generator"] == len(RUNS) == paper.outcome.jobs["sample_features"]
    folds = {protocol: protocol_folds(CONFIG, COHORT, protocol) for protocol in DESIGNS}
    assert folds["as_published"][-2:] == ["image-14", "split-s1"] and len(folds["as_published"]) == 2 + PUBLISHED_FOLDS
    for protocol, run in RUNS:
        trained = json.loads((_folder(paper, protocol, run) / "card.json").read_text())["trained_on"]
        assert set(trained) == set(run.folds)
        if run.generator in NETWORKS[protocol]:
            assert run.folds == (run.chunk,)
        else:
            assert run.chunk == "all" and list(run.folds) == folds[protocol]
    alone = {(p, run.condition, run.generator, run.chunk) for p, run in RUNS if run.generator in NETWORKS[p]}
    assert {(p, c, g, fold) for p, c, g, _ in alone for fold in folds[p]} == alone
    fits = {path.name for path in (paper.results / "factors/rigorous/jobs").iterdir()}
    assert fits == set(FactorLayout(CONFIG).jobs(COHORT)) and len(fits) == paper.outcome.jobs["fit_factors"] > 1


def _folder(paper: Finished, protocol: str, run: Any) -> Any:
    return paper.results / "cpdm" / protocol / run.condition / run.generator / run.chunk


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_numbers_or_reasons_under_both_protocols(paper: Finished, name: str) -> None:
    table = pd.read_csv(paper.results / f"tables/{name}.csv", low_memory=False)
    assert len(table) and (table["preset"] == "paper").all()
    groups = [c.removesuffix("_reason") for c in table if c.endswith("_reason")]
    said = [(table[g].notna() & (table[f"{g}_n"] > 0)) | table[f"{g}_reason"].notna() for g in groups]
    silent = table[~pd.concat(said, axis=1).any(axis=1) & table["reason"].isna()]
    assert silent.empty, silent.iloc[0].to_dict()


@pytest.mark.parametrize(("protocol", "name"), list(product(DESIGNS, ANALYSES)))
def test_rows_have_numbers_or_reasons(paper: Finished, protocol: str, name: str) -> None:
    rows = _rows(paper, protocol, name)
    if (protocol, name) == ("rigorous", "survival_search"):
        assert rows.empty  # the search is what was published
        return
    there = rows["value"].notna()
    assert there.any() and (rows.loc[there, "n"] > 0).all() and (rows.loc[~there, "reason"] != "").all()


@pytest.mark.parametrize("protocol", DESIGNS)
def test_every_design_is_in_the_rows(paper: Finished, protocol: str) -> None:
    """Of every condition and generator: fidelity and adherence where patients are held out, memorisation and leaks."""
    made = {(run.condition, run.generator) for p, run in RUNS if p == protocol}
    tested = set(DESIGNS[protocol]) - {"full"}
    keys = ["condition", "generator", "design"]
    averaged = {"split_trainings"} if protocol == "as_published" else set()
    for name, metric, designs in (
        ("fidelity", "ssim", tested | averaged),
        ("fidelity", "kid", tested),
        ("adherence", "sensitivity_ratio", tested),
        ("memorisation", "nearest_ratio", set(DESIGNS[protocol])),
    ):
        rows = _rows(paper, protocol, name)
        found = set(rows.loc[rows["metric"] == metric, keys].itertuples(index=False, name=None))
        wanted = {(condition, generator, design) for (condition, generator), design in product(made, designs)}
        assert wanted <= found, (name, metric, sorted(wanted - found))
    leaks = _rows(paper, protocol, "leakage")
    assert set(DESIGNS[protocol]) <= set(leaks["design"])


def test_the_reference_table_has_every_generator_of_both_protocols(paper: Finished) -> None:
    rows = pd.read_parquet(paper.results / "cpdm/rows/reference.parquet")
    assert (rows["item"] == "B.TD").all() and (rows["value"].notna() | (rows["reason"] != "")).all()


@pytest.mark.parametrize("protocol", DESIGNS)
def test_settings_of_all_classifiers_were_searched(paper: Finished, protocol: str) -> None:
    rows, asked = _rows(paper, protocol, "prediction"), CONFIG.cpdm.prediction
    scored = rows[rows["value"].notna() & (rows["condition"] == "genes15") & (rows["arm"] == "synthetic")]
    assert set(scored["model"]) == set(asked.primary_classifiers) and set(scored["task"]) == set(asked.primary_tasks)
    if protocol == "as_published":
        search = _rows(paper, protocol, "survival_search")
        best = search[(search["metric"] == "c_harrell") & search["value"].notna()]
        assert len(best) and best["note"].str.contains("3630 of 3630 settings").all()


@pytest.mark.parametrize(
    ("protocol", "condition", "generator", "fold"),
    [("as_published", "factors17", "cpdm", "image-07"), ("rigorous", "factors", "edm", "r1f0")],
)
def test_a_lost_fold_brings_back_only_what_depends_on_it(
    paper: Finished, options: list[str], protocol: str, condition: str, generator: str, fold: str
) -> None:
    base = f"{RESULTS}/cpdm/{protocol}/{condition}/{generator}/{fold}"
    lost = paper.workspace.folder / base / "weights.safetensors"
    aside = lost.with_suffix(".aside")
    lost.rename(aside)
    try:
        plan = paper.workspace.run(options=["-n", *options])
    finally:
        aside.rename(lost)
    chain = ("train_generator", "sample_images", "sample_features")
    assert plan.code == 0, plan.text
    assert plan.jobs == dict.fromkeys([*chain, *ANALYSES, "reference", *REPORTING], 1)
    assert plan.text.count(f"output: {base}/") == len(chain)


def test_nothing_is_left_to_do(paper: Finished, options: list[str]) -> None:
    again = paper.workspace.run(options=["-n", *options])
    assert again.code == 0 and not again.jobs, again.text[-5000:]


def test_fold_names_of_the_designs() -> None:
    splits = CONFIG.cohorts[COHORT].splits
    assert {design: len(fold_names(design, splits)) for designs in DESIGNS.values() for design in designs} == {
        "published_split": 1, "published_folds": PUBLISHED_FOLDS, "grouped": 4, "site": 2, "full": 1,
    }  # fmt: skip
