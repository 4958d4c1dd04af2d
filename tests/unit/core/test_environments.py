"""The environments of the rules and the one of `make run` hold the same versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PINS = {
    line.split("==")[0].lower(): line.split("==")[1].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}


@pytest.mark.parametrize("file", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_pin_equals_the_constraints(file: Path) -> None:
    env = yaml.safe_load(file.read_text())
    assert "nodefaults" in env["channels"]
    (pip,) = [entry["pip"] for entry in env["dependencies"] if isinstance(entry, dict)]
    for requirement in pip:
        name, _, version = requirement.partition("==")
        assert PINS[name.lower()] == version, f"{file.name}: {requirement}"


@pytest.mark.parametrize("file", ["envs/analysis.post-deploy.sh", "radgen_lib/cli/checks.py"])
def test_what_is_built_apart_has_the_version_of_the_constraints(file: str) -> None:
    named = re.findall(r"--no-build-isolation pyradiomics==([\w.]+)", (ROOT / file).read_text())
    assert named == [PINS["pyradiomics"]]
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "--no-build-isolation" in line]
    assert "-c constraints.txt" in line and line.endswith(" pyradiomics")


def test_every_rule_environment_exists() -> None:
    used = {
        line.strip().strip('"').removeprefix("../")
        for rules in (ROOT / "rules").glob("*.smk")
        for line in rules.read_text().splitlines()
        if line.strip().startswith('"../envs/')
    }
    assert used
    assert all((ROOT / name).is_file() for name in used)
