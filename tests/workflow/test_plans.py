"""What would run: every target at every preset, mixtures of protocols, generators of one's own, refused settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.workflow.conftest import Finished
from tests.workflow.driver import RESULTS, ROOT, Outcome, Workspace

pytestmark = pytest.mark.workflow
TARGETS = ("all", "tcga_brca_released", "cpdm", "paper_tables")
PRESETS = ("mini", "demo", "paper")
# settings -> what the one line has to hold: the key, the value found, what is allowed
REFUSED = {
    "epochs=3": ("epochs", "3", "preset"),
    "cpdm={sampling: {draws: 2}}": ("cpdm.sampling.draws", "2", "draws_heldout"),
    "cpdm={sampling: {draws_heldout: 0}}": ("cpdm.sampling.draws_heldout", "0", "greater than or equal to 1"),
    "cpdm={sampling: {draws_heldout: many}}": ("cpdm.sampling.draws_heldout", "many", "integer"),
    "preset=huge": ("preset", "huge", "demo, mini, paper"),
    "run=[nobody]": ("run", "nobody", "tcga_brca_released"),
    "seed=-1": ("seed", "-1", "greater than or equal to 0"),
    "cpdm={protocols: {rigorous: {designs: [published_split]}}}": ("rigorous.designs", "published_split", "both sides"),
    "cpdm={protocols: {rigorous: {primary: unheard}}}": ("rigorous.primary", "unheard", "generators"),
    "cpdm={generators: {edm: {options: {epochs: 0}}}}": ("epochs", "0", "greater than or equal to 1"),
    "cpdm={generators: {edm: {class: radgen_lib.generators.edm:Nothing}}}": ("edm", "Nothing", ""),
    "cohorts={tcga_brca: {omics: {rest: [a/b/c]}}}": ("cohorts.tcga_brca.omics.rest", "a/b/c", "pattern"),
    "cohorts={tcga_brca: {omics: {rest: [ER, a/ER]}}}": ("omics.rest", "ER", "each once"),
}


def refused(outcome: Outcome) -> str:
    """The one line that is said when the workflow cannot even be planned."""
    assert outcome.code != 0 and not outcome.jobs and "Traceback" not in outcome.text
    found = re.search(r"(?s)\nWorkflowError in file [^\n]*:\n(.*?)\n  File ", outcome.text)
    assert found is not None and "\n" not in found[1], outcome.text
    return found[1]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, released: Path) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("plans"), released)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Two at a time, as many as the machine is asked to have cores."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def plans(empty: Workspace, pool: ThreadPoolExecutor) -> dict[tuple[str, str], Future[Outcome]]:
    # What is said last on the command line counts.
    return {
        (target, preset): pool.submit(empty.run, target, options=["-n"], config=[f"preset={preset}"])
        for target in TARGETS
        for preset in PRESETS
    }


@pytest.fixture(scope="module")
def refusals(empty: Workspace, pool: ThreadPoolExecutor) -> dict[str, Future[Outcome]]:
    return {setting: pool.submit(empty.run, config=[setting]) for setting in REFUSED}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_builds_at_every_preset(
    plans: dict[tuple[str, str], Future[Outcome]], target: str, preset: str
) -> None:
    plan = plans[target, preset].result()
    assert plan.code == 0, plan.text
    page = target in ("all", "tcga_brca_released")
    # The page of the factors tests the gene sets that are fetched for it, on the receptors of TCGA 2012.
    assert plan.jobs["fetch_source"] == 12 + 2 * page and plan.jobs["cohort_tables"] == 1 and plan.jobs["tables"] == 1
    assert plan.jobs["page"] == int(page)
    trained = plan.jobs["train_generator"]
    assert trained == plan.jobs["sample_images"] == plan.jobs["sample_features"]
    # as published 2 x 2, rigorous 7 or 8 generators on genes and 1 or 3 on factors, each in one job; at paper sizes one
    # job per fold for trained networks (2 x 2, of 16 folds and 2 further trainings; 3 on genes, 1 on factors), still
    # one for what is not trained (5 on genes, 2 on factors).
    expected = {"mini": 4 + 7 + 1, "demo": 4 + 8 + 1, "paper": 4 * 18 + 5 + 2 + (3 + 1) * (7 * 5 + 2 + 1)}
    assert trained == expected[preset]


def test_only_networks_ask_for_an_accelerator(empty: Workspace) -> None:
    plan = empty.run(options=["-n"], config=["preset=paper", "device=cuda"])
    assert plan.code == 0, plan.text
    found: dict[str, set[tuple[str, str]]] = {}
    for block in re.findall(r"(?ms)^rule \w+:\n.*?^    resources: .*?$", plan.text):
        rule, gpu = re.findall(r"^rule (\w+):", block)[0], re.findall(r"\bgpu=(\d)", block)
        generator = re.findall(r"generator=(\w+)", block)
        found.setdefault(gpu[0] if gpu else "none", set()).add((rule, generator[0] if generator else ""))
    trained = set(product(("train_generator", "sample_images"), ("cpdm", "edm", "vae", "untrained")))
    baselines = set(product(("train_generator", "sample_images"), ("pca_ridge", "nearest", "mean", "noise")))
    assert found["1"] == trained and found["0"] == baselines | {("fit_factors", "")}


@pytest.mark.parametrize("setting", REFUSED)
def test_an_impossible_setting_is_refused_before_any_job(refusals: dict[str, Future[Outcome]], setting: str) -> None:
    line = refused(refusals[setting].result())
    assert all(part in line for part in REFUSED[setting]), line


@pytest.mark.parametrize("rest", ["[]", "[brca_tcga/ER_STATUS_BY_IHC, SUBTYPE]"])
def test_the_portal_is_asked_only_for_what_is_named(empty: Workspace, rest: str) -> None:
    config = ["registry=null", f"cohorts={{tcga_brca: {{omics: {{rest: {rest}}}}}}}"]
    plan = empty.run("results/tcga_brca/omics/tensor.npy", options=["-n"], config=config)
    asked = int(rest != "[]")
    assert plan.code == 0 and plan.jobs["read_omics"] == 1 and plan.jobs["fetch_source"] == 2, plan.text
    assert plan.jobs["fetch_rest"] == asked and plan.text.count("data/tcga_brca/rest.card.json") == asked


def test_plans_and_refusals_make_nothing(
    empty: Workspace, plans: dict[tuple[str, str], Future[Outcome]], refusals: dict[str, Future[Outcome]]
) -> None:
    for future in (*plans.values(), *refusals.values()):
        future.result()
    assert {path.name for path in empty.folder.iterdir()} <= {".snakemake"}


def test_an_unknown_target_is_refused(empty: Workspace) -> None:
    outcome = empty.run("results/nobody/report/index.html", options=["-n"])
    assert outcome.code != 0 and "results/nobody/report/index.html" in outcome.text and not outcome.jobs


def code_block(page: str, language: str) -> str:
    """The first block of that language on a page of the manual."""
    found = re.search(rf"(?s)```{language}\n(.*?)```", (ROOT / "docs/how-to" / page).read_text())
    assert found is not None
    return found[1]


def test_a_mixture_of_protocols_runs_beside_the_others(empty: Workspace, tmp_path: Path) -> None:
    """The example of docs/how-to/own-protocol-mixture.md."""
    file = tmp_path / "mixture.yaml"
    file.write_text(code_block("own-protocol-mixture.md", "yaml"))
    plan = empty.run("paper_tables", options=["-n", "--configfile", str(file)])
    assert plan.code == 0, plan.text
    assert f"{RESULTS}/cpdm/published_by_patient/rows/leakage.parquet" in plan.text
    assert f"{RESULTS}/cpdm/published_by_patient/genes15/vae/all/weights.safetensors" in plan.text
    assert plan.jobs["train_generator"] == 4 + 7 + 1 + 2 and plan.jobs["fidelity"] == 3


def test_a_generator_of_ones_own_is_trained_and_sampled(finished: Finished, tmp_path: Path) -> None:
    """The example of docs/how-to/add-a-generator.md, as a module on PYTHONPATH instead of in the library."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/my_neighbours.py").write_text(code_block("add-a-generator.md", "python"))
    settings = code_block("add-a-generator.md", "yaml").replace("radgen_lib.generators.neighbours:", "my_neighbours:")
    file = tmp_path / "mine.yaml"
    file.write_text(settings)
    there = finished.workspace.copy(tmp_path / "run", without=[f"{RESULTS}/cpdm"])
    mine = Workspace(there.folder, there.mirror, settings={"PYTHONPATH": str(tmp_path / "modules")})

    whole = mine.run(options=["-n", "--configfile", str(file)])
    made = f"{RESULTS}/cpdm/rigorous/genes15/neighbours/all"
    assert whole.code == 0 and f"{made}/features.parquet" in whole.text
    outcome = mine.run(f"{made}/samples.npy", options=["--configfile", str(file)])
    assert outcome.code == 0, outcome.text
    assert outcome.jobs == {"train_generator": 1, "sample_images": 1}

    file.write_text(settings.replace("k: 5", "k: 0"))
    assert "k = 0" in refused(mine.run(options=["-n", "--configfile", str(file)]))


def test_a_changed_module_of_ones_own_trains_again(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    module = tmp_path / "modules/my_neighbours.py"
    source = code_block("add-a-generator.md", "python")
    module.write_text(source)
    file = tmp_path / "mine.yaml"
    file.write_text(
        code_block("add-a-generator.md", "yaml").replace("radgen_lib.generators.neighbours:", "my_neighbours:")
    )
    there = finished.workspace.copy(tmp_path / "run", without=[f"{RESULTS}/cpdm"])
    mine = Workspace(there.folder, there.mirror, settings={"PYTHONPATH": str(tmp_path / "modules")})
    target = f"{RESULTS}/cpdm/rigorous/genes15/neighbours/all/weights.safetensors"
    options = ["--configfile", str(file)]
    assert mine.run(target, options=options).code == 0
    module.write_text(source + "\n# a remark changes nothing\n")
    assert not mine.run(target, options=["-n", *options]).jobs
    module.write_text(source.replace(".mean(axis=0)", ".max(axis=0)"))
    assert mine.run(target, options=["-n", *options]).jobs == {"train_generator": 1}
