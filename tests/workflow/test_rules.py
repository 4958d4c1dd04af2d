"""Hygiene of rules and scripts, read from their text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["input", "output", "log", "benchmark", "retries", "conda", "threads", "resources", "params", "script"]
RULES = {
    match[1]: match[0]
    for file in sorted((ROOT / "rules").glob("*.smk"))
    for match in re.finditer(r"(?m)^rule (\w+):\n(?:    .*\n|\n)+", file.read_text())
}

SOURCES = (ROOT / "rules/sources.smk").read_text()


@pytest.mark.parametrize("name", RULES)
def test_directives_are_there_in_order(name: str) -> None:
    found = re.findall(r"(?m)^    (\w+):(?: .*)?$", RULES[name])
    assert [d for d in found if d in ORDER] == [d for d in ORDER if d in found]
    assert set(ORDER) - set(found) <= {"input", "retries"}
    assert RULES[name].split("\n")[1].strip().startswith('"""')


@pytest.mark.parametrize("name", RULES)
def test_resources_grow_with_attempt(name: str) -> None:
    for resource in ("mem_mb", "runtime"):
        assert re.search(rf"{resource}=lambda wildcards, attempt: (\d+|\(\d+ if .+ else \d+\)) \* attempt", RULES[name])


@pytest.mark.parametrize("name", RULES)
def test_params_carry_the_code_digest(name: str) -> None:
    assert re.search(r"\bcode=", RULES[name])


@pytest.mark.parametrize("name", [name for name in RULES if f"rule {name}:" not in SOURCES])
def test_every_result_has_a_card(name: str) -> None:
    """All but the sources, whose ledgers say the same: an output of the rule, or of its list, and written."""
    output = RULES[name].split("    output:\n")[1].split("    log:\n")[0]
    assert "card" in output or "OMICS_FILES" in output or "TENSOR_FILES" in output
    script = re.findall(r"workflow_scripts/(\w+\.py)", RULES[name])[0]
    assert "output.card" in (ROOT / "workflow_scripts" / script).read_text()


def test_every_script_belongs_to_a_rule_and_is_short() -> None:
    scripts = {p.name for p in (ROOT / "workflow_scripts").glob("*.py")}
    used = {m for text in RULES.values() for m in re.findall(r"workflow_scripts/(\w+\.py)", text)}
    assert scripts == used
    for name in scripts:
        assert len((ROOT / "workflow_scripts" / name).read_text().splitlines()) <= 60, name


def test_sizes_of_files() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80
    for file in (ROOT / "rules").glob("*.smk"):
        assert len(file.read_text().splitlines()) <= 150, file.name
    for file in (ROOT / "radgen_lib").rglob("*.py"):
        assert len(file.read_text().splitlines()) <= 250, file.name


def test_rooms_import_one_way() -> None:
    rooms = ["core", "sources", "cohort", "imaging", "generators", "metrics", "analyses", "audit", "reporting", "cli"]
    level = {room: i for i, room in enumerate(rooms)} | {"omics": 3}
    wrong = []
    for file in (ROOT / "radgen_lib").rglob("*.py"):
        room = file.relative_to(ROOT / "radgen_lib").parts[0]
        if room not in level:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module and module.startswith("radgen_lib."):
                other = module.split(".")[1]
                if other in level and (level[other] > level[room] or {room, other} == {"imaging", "omics"}):
                    wrong.append(f"{file.name} imports {module}")
    assert not wrong


def test_the_library_never_prints_pickles_or_imports_snakemake() -> None:
    for file in (ROOT / "radgen_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not {n.split(".")[0] for n in names} & {"snakemake", "pickle"}, file
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                assert file.parent.name == "cli", file
