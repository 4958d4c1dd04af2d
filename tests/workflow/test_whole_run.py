"""What a finished run holds: every table, the page, the cards, and who was left out and why."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from radgen_lib.core.config.load import as_tree, resolve
from radgen_lib.core.layout import TABLES, Layout
from radgen_lib.core.trainings import split_of
from tests.workflow.conftest import Finished
from tests.workflow.driver import COHORT, ROOT

pytestmark = pytest.mark.workflow
LAYOUT = Layout(resolve(yaml.safe_load((ROOT / "config.yaml").read_text()), {"preset": "mini"}))
RUNS = [(protocol, run) for protocol in LAYOUT.config.cpdm.protocols for run in LAYOUT.runs(COHORT, protocol)]


class Links(HTMLParser):
    """All that a page points to: attributes ``src`` and ``href`` with their tags, and the ids it defines."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "xlink:href", "data", "action"):
                self.found.append((tag, name, value or ""))
            if name == "id":
                self.ids.add(value or "")


@pytest.fixture(scope="module")
def page(finished: Finished) -> str:
    return (finished.results / "report/index.html").read_text(encoding="utf-8")


def test_every_target_is_made(finished: Finished) -> None:
    named = ["report/index.html", "report/config.yaml", "report/model_cards.md"]
    wanted = [LAYOUT.report(COHORT), *LAYOUT.tables(COHORT), *LAYOUT.figures(COHORT), *LAYOUT.cards(COHORT)]
    paths = [finished.workspace.folder / name for name in wanted] + [finished.results / name for name in named]
    missing = [path for path in paths if not path.is_file() or not path.stat().st_size]
    assert not missing
    # A target names every file, or a lost one would not be noticed.
    everything = {finished.workspace.folder / name for name in LAYOUT.everything(COHORT)}
    made = {path for path in finished.results.rglob("*") if path.is_file()}
    assert not [path for path in everything if not path.exists()]
    assert not [path for path in made - everything if not everything & set(path.parents)]
    assert set(finished.outcome.jobs) >= {"fetch_source", "train_generator", "leakage", "survival_search", "page"}


def test_a_run_stays_in_its_folder_and_tidies_up(finished: Finished) -> None:
    folder = finished.workspace.folder
    assert {path.name for path in folder.iterdir()} <= {"data", "logs", "results", "resume", ".snakemake"}
    state = [path for path in (folder / "resume").rglob("*") if path.is_file()]
    assert not state, "a finished training leaves no state"
    assert not [path for path in (folder / "results").rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_has_a_value_with_n_or_a_reason(finished: Finished, name: str) -> None:
    table = pd.read_csv(finished.results / f"tables/{name}.csv", low_memory=False)
    assert len(table) and (table["preset"] == "mini").all() and table["verdict"].notna().all()
    groups = [c.removesuffix("_reason") for c in table if c.endswith("_reason")]
    assert {"as_published", "rigorous"} <= set(groups)
    silent = []
    for group in groups:
        there, reason = table[group].notna(), table[f"{group}_reason"].notna()
        # A number that both protocols share stands in one group only; each row has to say something somewhere.
        counted = there & (table[f"{group}_n"] > 0)
        silent.append(~(counted | reason))
        assert not (there & ~counted).any(), table[there & ~counted].iloc[0].to_dict()
        sourced = table.loc[there, f"{group}_source"]
        assert all((finished.results / str(path)).is_file() for path in sourced.unique())
    wrong = table[pd.concat(silent, axis=1).all(axis=1) & table["reason"].isna()]
    assert wrong.empty, wrong.iloc[0].to_dict()


@pytest.mark.parametrize("name", TABLES)
def test_every_number_has_an_interval_or_says_why_not(finished: Finished, name: str) -> None:
    table = pd.read_csv(finished.results / f"tables/{name}.csv", low_memory=False)
    for group in [c.removesuffix("_low") for c in table if c.endswith("_low")]:
        bare = table[table[group].notna() & table[f"{group}_low"].isna()]
        said = bare[f"{group}_interval"].notna()
        assert said.all(), bare[~said].iloc[0].to_dict()


def test_result_rows_have_a_value_with_n_or_a_reason(finished: Finished) -> None:
    for path in map(finished.workspace.folder.joinpath, LAYOUT.rows(COHORT)):
        rows = pd.read_parquet(path)
        # The search is what was published: nobody runs it under the rigorous protocol.
        assert len(rows) or path.match("rigorous/rows/survival_search.parquet"), path
        there = rows["value"].notna()
        assert (rows.loc[there, "n"] > 0).all(), path
        assert (rows.loc[~there, "reason"] != "").all(), path
        assert (rows.loc[there & rows["low"].isna(), "interval"] != "").all(), path


def test_page_is_self_contained(page: str) -> None:
    links = Links(page).found
    outside = [value for _, _, value in links if re.match(r"(?i)(https?:)?//", value)]
    assert all(re.match(r"https://doi\.org/", value) for value in outside), outside
    embedded = [value for tag, name, value in links if name in ("src", "srcset", "data", "action") or tag == "link"]
    assert embedded and all(value.startswith("data:") for value in embedded)
    assert all(value.startswith("data:") for value in re.findall(r"url\(\s*['\"]?([^'\")]+)", page) if value[0] != "#")
    assert not re.search(r"(?i)@import|fetch\(|XMLHttpRequest", page)


def test_links_of_the_page_lead_somewhere(finished: Finished, page: str) -> None:
    parsed = Links(page)
    anchors = [value[1:] for _, name, value in parsed.found if name == "href" and value.startswith("#")]
    files = {value for _, name, value in parsed.found if name == "href" and not re.match(r"#|https?:|data:", value)}
    assert set(anchors) <= parsed.ids
    assert len(files) > len(TABLES)
    missing = [value for value in sorted(files) if not (finished.results / "report" / value.split("#")[0]).is_file()]
    assert not missing


def test_page_shows_every_table_and_names_the_preset(page: str) -> None:
    assert "mini" in page
    for name in TABLES:
        assert f"../tables/{name}.csv" in page


def test_results_name_no_place_of_this_machine(finished: Finished, page: str) -> None:
    folder = str(finished.workspace.folder)
    assert folder not in page
    for name in TABLES:
        assert folder not in (finished.results / f"tables/{name}.csv").read_text()


def test_merged_configuration_is_kept(finished: Finished) -> None:
    kept = yaml.safe_load((finished.results / "report/config.yaml").read_text())
    mirror = finished.workspace.mirror
    assert kept == {
        **as_tree(LAYOUT.config),
        "run": [COHORT],
        "offline": True,
        "registry": str(mirror / "registry.yaml"),
    }
    assert kept["cpdm"]["survival"]["search_settings"] == 6  # of the preset


def test_every_training_has_a_model_card(finished: Finished) -> None:
    text = (finished.results / "report/model_cards.md").read_text()
    assert text.count("\n---\n") == len(RUNS) - 1


@pytest.mark.parametrize("path", sorted(set(LAYOUT.cards(COHORT))))
def test_cards_say_what_made_a_result(finished: Finished, path: str) -> None:
    card = json.loads((finished.workspace.folder / path).read_text())
    assert card["seed"] == LAYOUT.config.seed and card["code_digest"] and card["code_version"]
    assert card["packages"]["torch"] != "absent" and card["hardware"]["cores"] and card["duration_s"] >= 0
    assert card["inputs"] and all(re.fullmatch(r"[0-9a-f]{64}", value) for value in card["inputs"].values())


def test_faults_of_rows_are_rows_with_a_reason(finished: Finished) -> None:
    """Every planted fault left its trace, and the run went on."""
    selection = pd.read_parquet(finished.results / "cohort/selection.parquet")
    lost = selection[~selection["kept"]]
    assert (lost["reason"] != "").all() and (selection.loc[selection["kept"], "reason"] == "").all()
    said = lost["source"] + " " + lost["id"] + " " + lost["reason"]
    for pattern in (
        r"E2-A019.*expression",  # an imaged patient without expression
        r"allGeneExprs.*high",  # text in a cell
        r"allGeneExprs.*-0\.5",  # a negative cell
        r"CliniUnOpHer2.*7",  # a code nobody knows
        r"CliniUnOpHer2.*Maybe",
        r"subtypes.*Subgroup9",
        r"TCGABRCA_survival.*'soon'",  # times
        r"TCGABRCA_survival.*negative",
        r"TCGABRCA_survival.*zero",
        r"TCGABRCA_survival.*missing",
        r"BTF_features.*#REF!",
        r"PATIENT\.7",  # no identifier of a TCGA patient
    ):
        assert said.str.contains(pattern).any(), pattern
    doubled = lost["reason"].str.contains(r"(?i)sample")
    assert doubled.sum() >= 2  # second samples of a patient


def test_an_image_without_a_patient_is_used_nowhere(finished: Finished) -> None:
    series = pd.read_parquet(finished.results / "cohort/series.parquet")
    splits = pd.read_parquet(finished.results / "splits/splits.parquet")
    assert 35 not in set(series["image_index"]) and set(splits["image_index"]) == set(series["image_index"])
    assert "TCGA-E2-A019" not in set(splits["patient"])


def test_the_training_patients_of_cards_are_those_of_the_splits(finished: Finished) -> None:
    splits = pd.read_parquet(finished.results / "splits/splits.parquet")
    train = splits[splits["role"] == "train"].groupby("fold")["patient"].agg(set)
    test = splits[splits["role"] == "test"].groupby("fold")["patient"].agg(set)
    for protocol, run in RUNS:
        base = finished.results / "cpdm" / protocol / run.condition / run.generator / run.chunk
        trained = json.loads((base / "card.json").read_text())["trained_on"]
        assert set(trained) == set(run.folds)
        for fold, rows in trained.items():
            assert set(rows["patient"]) <= train[split_of(fold)]
            if protocol == "rigorous" and fold in test:
                assert not set(rows["patient"]) & test[fold]


def test_further_trainings_of_the_single_split_draw_held_out_images_and_are_averaged(finished: Finished) -> None:
    splits = pd.read_parquet(finished.results / "splits/splits.parquet")
    assert "split-s1" not in set(splits["fold"])
    base = finished.results / "cpdm/as_published/genes15/cpdm/all"
    drawn = pd.read_parquet(base / "samples.parquet").groupby("fold")["kind"].agg(set)
    assert drawn["split-s1"] == {"heldout"} and {"heldout", "synthetic", "shuffled"} <= drawn["split"]
    rows = pd.read_csv(finished.results / "cpdm/as_published/rows/fidelity.csv").set_index("design")
    rows = rows[(rows["generator"] == "cpdm") & (rows["condition"] == "genes15")]
    best = rows[rows["metric"] == "pixelrow_frechet_best"]
    one, mean = best.loc["published_split"], best.loc["split_trainings"]
    assert mean["interval"] == "range of 2 trainings" and mean["low"] < mean["high"]
    assert one["value"] in (pytest.approx(mean["low"]), pytest.approx(mean["high"]))
    leaks = pd.read_csv(finished.results / "cpdm/as_published/rows/leakage.csv", keep_default_na=False)
    fits = leaks[leaks["metric"] == "fit_mismatches"]
    assert set(fits["design"]) == {"published_split"} and set(fits["note"]) == {"sum over 2 fits"}
    assert (fits["value"].astype(float) == 0).all()


def test_encoders_without_weights_are_said_to_be_absent(finished: Finished) -> None:
    statuses = sorted(Path(finished.results / "cpdm").rglob("features_status.csv"))
    assert len(statuses) == len(RUNS)
    for path in statuses:
        status = pd.read_csv(path, keep_default_na=False).set_index("extractor")
        assert status.loc["radiomics", "status"] == "ok"
        rest = status.drop(index="radiomics")
        assert set(rest.index) == {"vgg16", "resnet50", "inception", "radimagenet"}
        assert (rest["status"] == "weights not present").all() and rest["reason"].str.contains("cpdm.weights").all()
