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
from radgen_lib.core.plan import chunks, generator_options, protocol_folds, synthetic_folds
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.sources.registry import load_registry

COHORT = "tcga_brca_released"


def test_paper_trains_every_fold_of_the_designs() -> None:
    config = load_config(preset="paper")
    published = protocol_folds(config, COHORT, "as_published")
    assert published == ["split", *(f"image-{i:02d}" for i in range(15))]
    rigorous = protocol_folds(config, COHORT, "rigorous")
    assert len(rigorous) == 7 * 5 + 2 + 1
    assert rigorous[-3:] == ["site-AO_AR", "site-E2", "full"]


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
        "imaging/system_c_flow.csv": "imaging/system_c_flow.card.json", "omics/tensor.npy": "omics/card.json",
    }  # fmt: skip
    for result, card in beside.items():
        partners = {name for name, other in beside.items() if other == card}
        assert (card in made) == bool(partners & made), (result, card)
    assert ("report/data.card.json" in made) == (cohort != COHORT)
    assert ("tables/card.json" in made) == (cohort != "duke")
