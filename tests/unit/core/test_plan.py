"""Names of folds, jobs and files from the configuration alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.config.load import load_config, resolve
from radgen_lib.core.layout import Layout
from radgen_lib.core.plan import chunks, fold_names, generator_options, protocol_folds, synthetic_folds
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.core.trainings import further_trainings, split_of
from radgen_lib.sources.registry import load_registry

COHORT = "tcga_brca_released"


def test_paper_trains_every_fold_of_the_designs() -> None:
    config = load_config(preset="paper")
    published = protocol_folds(config, COHORT, "as_published")
    assert published == ["split", *(f"image-{i:02d}" for i in range(15)), "split-s1", "split-s2"]
    rigorous = protocol_folds(config, COHORT, "rigorous")
    assert len(rigorous) == 7 * 5 + 2 + 1
    assert rigorous[-3:] == ["site-AO_AR", "site-E2", "full"]


@pytest.mark.parametrize(("preset", "trainings"), [("mini", 2), ("demo", 1), ("paper", 3)])
def test_the_single_split_is_trained_as_often_as_the_preset_says(preset: str, trainings: int) -> None:
    config = load_config(preset=preset)
    names = ["split", "split-s1", "split-s2"]
    folds = protocol_folds(config, COHORT, "as_published")
    assert [name for name in folds if name.startswith("split")] == names[:trainings]
    assert fold_names("published_split", config.cohorts[COHORT].splits) == ["split"], "the split file has one fold"
    assert synthetic_folds(folds, 1) == ["split"]


def test_one_more_training_leaves_the_jobs_of_the_others_as_they_are() -> None:
    def jobs(trainings: int, **more: dict[str, object]) -> dict[str, list[str]]:
        over = {"cohorts": {COHORT: {"splits": {"trainings": trainings}}}, **more}
        return Layout(resolve({}, over | {"preset": "paper"})).jobs(COHORT, "as_published", "cpdm")

    three, four = jobs(3), jobs(4)
    assert set(four) - set(three) == {"split-s3"} and {name: four[name] for name in three} == three
    assert list(jobs(3, cpdm={"protocols": {"as_published": {"designs": ["published_folds"]}}})) == [
        f"image-{i:02d}" for i in range(15)
    ]


def test_only_names_of_further_trainings_share_a_split() -> None:
    assert [split_of(name) for name in ("split-s1", "split-s12", "split", "r0f1", "site-split-s1", "split-s0")] == [
        "split", "split", "split", "r0f1", "site-split-s1", "split-s0",
    ]  # fmt: skip
    assert all(split_of(name) == "split" for name in further_trainings(20)) and further_trainings(1) == []


@given(st.lists(st.text("abc", min_size=1), unique=True, min_size=1), st.integers(1, 5) | st.just("all"))
def test_chunks_hold_every_fold_once_in_order(folds: list[str], per_job: int | str) -> None:
    jobs = chunks(folds, per_job)
    assert [fold for group in jobs.values() for fold in group] == folds


def test_images_without_mri_come_from_few_folds() -> None:
    assert synthetic_folds(["split", "image-00", "r0f0", "r1f0", "site-E2", "full"], 1) == ["split", "r0f0", "full"]


def test_protocol_switches_reach_the_generator_unless_its_block_sets_them() -> None:
    over = {"cpdm": {"generators": {"cpdm": {"options": {"batch_size": 2}}}}}
    config = resolve({}, over)
    assert generator_options(config, "as_published", "cpdm")["batch_size"] == 2
    assert generator_options(config, "as_published", "cpdm")["start_noise"] == "random_linear"
    assert generator_options(config, "rigorous", "edm")["batch_size"] == 6


def test_the_page_of_ingestion_is_told_of_every_file_of_the_registry() -> None:
    names = {name: source.filename for name, source in load_registry().items()}
    layout = Layout(load_config(preset="paper"))
    used = {name: {path.split("/")[1] for path in layout.registry_files(name, names)} for name in layout.config.cohorts}
    assert used["duke"] == {"duke_clinical", "duke_boxes"} and used["phantom"] == set()
    assert used["tcga_brca"] == {"brca_tcga_pan_can_atlas_2018", "receptors", "subgroups", "btf_features"}
    assert used["tcga_brca"] - used["tcga_brca_dynamic"] == {"btf_features"}  # the series of the papers
    own = resolve({}, {"cohorts": {"tcga_brca": {"clinical": "mine.csv"}}})
    assert not any("mine" in path for path in Layout(own).registry_files("tcga_brca", names))


def test_every_run_has_its_own_folder() -> None:
    layout = Layout(load_config(preset="demo"))
    files = [f for p in ("as_published", "rigorous") for f in layout.run_files(COHORT, p, "card.json")]
    assert len(files) == len(set(files))
    assert f"results/{COHORT}/cpdm/rigorous/genes15/edm/all/card.json" in files


def test_a_generators_own_folds_per_job_goes_before_the_common_one() -> None:
    over = {"cpdm": {"generators": {"vae": {"folds_per_job": 2}}}}
    layout = Layout(resolve({}, over | {"preset": "paper"}))
    folds = protocol_folds(layout.config, COHORT, "rigorous")
    assert layout.jobs(COHORT, "rigorous", "edm") == {fold: [fold] for fold in folds}
    assert layout.jobs(COHORT, "rigorous", "nearest") == {"all": folds}
    pairs = list(layout.jobs(COHORT, "rigorous", "vae").values())
    assert [fold for pair in pairs for fold in pair] == folds and {len(pair) for pair in pairs[:-1]} == {2}


def test_factors_draw_no_patients_without_mri() -> None:
    layout = Layout(load_config(preset="demo"))
    assert layout.drawn_folds(COHORT, "as_published", "genes15", "cpdm", "all") == ["split"]
    assert layout.drawn_folds(COHORT, "as_published", "factors17", "cpdm", "all") == []


def test_conditions_are_shifted_for_the_primary_generator_and_those_that_are_named() -> None:
    def folds(protocol: str, generator: str, preset: str = "demo", **adherence: object) -> list[str]:
        layout = Layout(resolve({}, {"preset": preset, "cpdm": {"adherence": adherence, "folds_per_job": "all"}}))
        return layout.shifted_folds(COHORT, protocol, generator, "all")

    assert folds("rigorous", "edm") == folds("rigorous", "cpdm") == ["r0f0", "r0f1", "full"]
    assert folds("as_published", "cpdm", "mini") == ["split"], "once, however often the split is trained"
    for generator in ("vae", "pca_ridge", "untrained"):
        assert folds("rigorous", generator) == []
    assert folds("rigorous", "vae", response_generators=["vae"]) == ["r0f0", "r0f1", "full"]
    assert folds("rigorous", "cpdm", response_generators=["vae"]) == []
    assert folds("rigorous", "edm", response_generators=[]) == ["r0f0", "r0f1", "full"], "the primary one always"
    paper = folds("rigorous", "edm", "paper")
    assert paper == [*(f"r0f{fold}" for fold in range(7)), "site-AO_AR", "site-E2", "full"]
    assert len(folds("rigorous", "edm", "paper", response_repeats=3)) == 3 * 7 + 3


def test_sigterm_sets_the_flag_and_the_old_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal() as flag:
        assert not flag
        os.kill(os.getpid(), signal.SIGTERM)
        assert flag
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("module", ["core.config.load", "core.layout", "generators.base", "core.job", "cohort.ids"])
def test_light_modules_do_not_import_torch(module: str) -> None:
    code = f"import sys, radgen_lib.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("cohort", ["phantom", COHORT, "tcga_brca_dynamic", "duke"])
def test_every_result_has_a_card_beside_it_that_targets_name(cohort: str) -> None:
    config = load_config(preset="demo")
    layout, base = Layout(config), f"{config.results}/{cohort}/"
    made = {file.removeprefix(base) for file in layout.everything(cohort) if file.startswith(base)}
    assert len(made) == sum(file.startswith(base) for file in layout.everything(cohort)), "no file twice"
    beside = {
        "report/index.html": "report/card.json", "report/data.html": "report/data.card.json",
        "report/factors.html": "report/factors.card.json", "tables/S.SIDE.csv": "tables/card.json",
        "tables/F.CMP.csv": "report/factors.card.json", "figures/kaplan_meier.svg": "figures/card.json",
        "imaging/losses.csv": "imaging/losses.card.json", "clinical/boxes.parquet": "clinical/card.json",
        "factors/labels_selection.parquet": "factors/labels.card.json",
        "imaging/system_c_flow.csv": "imaging/system_c_flow.card.json", "omics/tensor.npy": "omics/card.json",
    }  # fmt: skip
    for result, card in beside.items():
        partners = {name for name, other in beside.items() if other == card}
        assert (card in made) == bool(partners & made), (result, card)
    assert ("report/data.card.json" in made) == (cohort != COHORT)
    assert ("tables/card.json" in made) == (cohort != "duke")
