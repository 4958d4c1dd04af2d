"""Settings that cannot work are refused before any job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from radgen_lib.core.config.load import resolve
from radgen_lib.core.config.sound import TAKEN
from radgen_lib.core.errors import ConfigError

FOLDER = {"source": "folder", "location": "mine"}


def cohort(imaging: dict[str, Any], omics: dict[str, Any] | None = None) -> dict[str, Any]:
    """A configuration with one ingested cohort."""
    return {"cohorts": {"mine": {"kind": "ingested", "imaging": imaging, "omics": omics}}}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (cohort({**FOLDER, "volume": [32, 128, 64]}), r"imaging\.volume = \[32, 128, 64\]: .*rows equal to columns"),
        (cohort({**FOLDER, "volume": [0, 64, 64]}), r"imaging\.volume = \[0, 64, 64\]"),
        (cohort({"source": "folder"}), r"imaging\.source = 'folder': location is missing"),
        (cohort({"source": "dicomweb"}), r"imaging\.source = 'dicomweb': location is missing"),
        (cohort({"source": "idc"}), r"imaging\.source = 'idc': collection is missing"),
        (cohort({**FOLDER, "pseudonyms": True, "patients": ["Jane"]}), r"imaging\.patients: names patients"),
        (cohort(FOLDER, {"source": "folder"}), r"omics\.source = 'folder': location is missing"),
        (cohort(FOLDER, {"source": "cbioportal"}), r"omics\.source = 'cbioportal': study is missing"),
        ({"cohorts": {"tables": {}}}, r"cohorts\.tables: a rule has this name"),
        ({"cohorts": {"a/b": {}}}, r"cohorts\.'a/b': a name becomes a folder"),
        ({"cpdm": {"generators": {"a b": {"class": "x.y:Z"}}}}, r"cpdm\.generators\.'a b'"),
        ({"results": "here", "downloads": "here"}, r"results = 'here': is the folder of the downloads too"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_the_key(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        resolve(tree)
    assert "\n" not in str(error.value)


def test_names_of_patients_are_not_repeated_in_the_refusal() -> None:
    with pytest.raises(ConfigError) as error:
        resolve(cohort({**FOLDER, "pseudonyms": True, "patients": ["Jane"]}))
    assert "Jane" not in str(error.value)


def test_sound_settings_pass() -> None:
    assert resolve(cohort(FOLDER, {"source": "folder", "location": "study"})).cohorts["mine"].kind == "ingested"


def test_no_rule_can_be_hidden_by_a_cohort() -> None:
    root = Path(__file__).resolve().parents[3]
    files = [root / "Snakefile", *(root / "rules").glob("*.smk")]
    rules = {name for file in files for name in re.findall(r"(?m)^rule (\w+):", file.read_text(encoding="utf-8"))}
    assert rules == TAKEN
