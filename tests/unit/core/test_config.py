"""The typed configuration: defaults, presets, errors a user reads, generated files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from radgen_lib.core.config.load import as_tree, defaults, load_config, merge, resolve
from radgen_lib.core.config.pages import pages, write_pages
from radgen_lib.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def test_generated_files_are_up_to_date() -> None:
    stale = [name for name, text in pages().items() if (ROOT / name).read_text() != text]
    assert not stale, f"{stale} differ from radgen_lib/core/config: run `make config`"


def test_repair_writes_what_drifted(tmp_path: Path) -> None:
    assert set(write_pages(tmp_path)) == set(pages())
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert write_pages(tmp_path) == ["config.yaml"]
    assert write_pages(tmp_path) == []


def test_config_yaml_states_exactly_the_defaults() -> None:
    assert yaml.safe_load((ROOT / "config.yaml").read_text()) == defaults()


def test_every_key_has_a_description() -> None:
    page = pages()["docs/reference/config.md"]
    assert not [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]


def test_preset_lies_over_the_file_and_the_command_line_over_the_preset() -> None:
    assert load_config(preset="demo").cpdm.generators["cpdm"].options["width"] == 8
    assert load_config(preset="paper").cpdm.generators["cpdm"].options["width"] == 128
    over = {"cpdm": {"generators": {"cpdm": {"options": {"width": 24}}}}}
    chosen = resolve({"preset": "demo"}, over).cpdm.generators["cpdm"].options
    assert chosen["width"] == 24
    assert chosen["timesteps"] == load_config(preset="demo").cpdm.generators["cpdm"].options["timesteps"]


def test_paper_preset_has_the_published_sizes() -> None:
    paper = load_config(preset="paper").cpdm
    options = paper.generators["cpdm"].options
    assert (options["width"], options["timesteps"], options["epochs"]) == (128, 1500, 1100)
    assert paper.survival.search_settings is None
    assert paper.protocols["as_published"].designs == ["published_split", "published_folds"]


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"cpdm": {"flods": 3}}, ["cpdm.flods", "unknown key", "folds_per_job"]),
        ({"seed": "seven"}, ["seed = 'seven'", "integer"]),
        ({"seed": -1}, ["seed = -1", "greater than or equal to 0"]),
        ({"device": "tpu"}, ["device = 'tpu'", "auto", "cuda"]),
        ({"cpdm": {"protocols": {"rigorous": {"split_unit": "slice"}}}}, ["rigorous.split_unit", "'slice'", "patient"]),
        ({"cpdm": {"protocols": {"rigorous": {"generators": ["gan"], "primary": "gan"}}}}, ["['gan']", "edm"]),
        ({"cpdm": {"protocols": {"rigorous": {"designs": ["published_split"]}}}}, ["both sides"]),
        ({"cpdm": {"protocols": {"rigorous": {"conditions": ["factors17"]}}}}, ["fitted on all patients"]),
        ({"cpdm": {"protocols": {"rigorous": {"condition_log": "log2"}}}}, ["rigorous.condition_log", "'log2'"]),
        ({"cpdm": {"genes": ["CD6", "CD6"]}}, ["named twice"]),
        ({"cpdm": {"genes": ["CD6", "PC1"]}}, ["genes: 'PC1'", "no single gene", "Rename"]),
        ({"cpdm": {"genes": ["all"]}}, ["genes: 'all'", "no single gene"]),
        ({"factors": {"rank_grid": [5, 5]}}, ["factors.rank_grid = [5, 5]", "ascending"]),
        ({"factors": {"rank_grid": [10, 5]}}, ["factors.rank_grid = [10, 5]", "ascending"]),
        ({"factors": {"rank_grid": [0, 5]}}, ["factors.rank_grid", "greater than or equal to 1"]),
        ({"cpdm": {"adherence": {"response_generators": ["edm", "gan"]}}}, ["response_generators", "['gan']", "'vae'"]),
        ({"cpdm": {"adherence": {"response_variables": 0}}}, ["response_variables = 0", "greater than or equal to 1"]),
        ({"cpdm": {"adherence": {"response_patients": "half"}}}, ["response_patients = 'half'", "integer"]),
        ({"cpdm": {"adherence": {"response_repeats": 0}}}, ["response_repeats = 0", "greater than or equal to 1"]),
        (
            {"cohorts": {"tcga_brca_released": {"splits": {"trainings": 0}}}},
            ["tcga_brca_released.splits.trainings = 0", "greater than or equal to 1"],
        ),
        (
            {"cohorts": {"phantom": {"splits": {"trainings": 21}}}},
            ["splits.trainings = 21", "less than or equal to 20"],
        ),
        ({"cpdm": {"folds_per_job": 0}}, ["folds_per_job", "greater than or equal to 1"]),
        (
            {"cpdm": {"protocols": {"rigorous": {"fit_scope": "all"}}}},
            ["fit_scope = 'all'", "name of its own"],
        ),
        ({"run": ["nowhere"]}, ["nowhere", "tcga_brca_released"]),
        ({"preset": "huge"}, ["huge", "demo", "paper"]),
        ({"cohorts": {"tcga_brca_released": {"max_excluded_share": 2.0}}}, ["max_excluded_share = 2.0", "less than"]),
    ],
)
def test_faults_name_key_value_and_what_is_allowed(over: dict, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({}, over)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    assert all(part in text for part in parts), text


def test_nested_values_of_the_command_line_keep_their_types() -> None:
    over = {"cpdm": {"folds_per_job": "2", "sampling": {"max_synthetic": "null"}, "genes": ["CD6", "LTB"]}}
    config = resolve({}, over)
    assert config.cpdm.folds_per_job == 2
    assert config.cpdm.sampling.max_synthetic is None
    assert config.cpdm.genes == ["CD6", "LTB"]


def test_generator_options_are_checked_before_any_job() -> None:
    from radgen_lib.generators.base import check_generators

    check_generators(load_config(preset="demo"))
    wrong = resolve({}, {"cpdm": {"generators": {"edm": {"options": {"epochz": 3}}}}})
    with pytest.raises(ConfigError, match=r"epochz = 3.*Allowed keys: epochs"):
        check_generators(wrong)
    absent = resolve({}, {"cpdm": {"generators": {"vae": {"class": "radgen_lib.generators.vae:Nope"}}}})
    with pytest.raises(ConfigError, match="Nope"):
        check_generators(absent)


def test_a_file_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("seed: [1\n")
    with pytest.raises(ConfigError, match=r"broken.yaml: cannot be read as YAML") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_mixture_of_switches_is_a_protocol_of_its_own() -> None:
    mixture = merge(as_tree(load_config())["cpdm"]["protocols"]["rigorous"], {"fit_scope": "all"})
    config = resolve({}, {"cpdm": {"protocols": {"leaky_scaler": mixture}}})
    assert config.cpdm.protocols["leaky_scaler"].fit_scope == "all"
    assert config.cpdm.protocols["rigorous"].fit_scope == "train"


def test_tree_holds_plain_values_only() -> None:
    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    assert plain(as_tree(load_config()))
