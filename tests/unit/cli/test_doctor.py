"""`radgen doctor`: each check finds what is wrong and says what to do."""

from __future__ import annotations

import builtins
import hashlib
import re
import shutil
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from radgen_lib.cli import checks, doctor
from radgen_lib.cli.checks import GB, Check
from radgen_lib.cli.main import main
from radgen_lib.cohort.released import FILES
from radgen_lib.core.config.load import resolve
from radgen_lib.core.config.model import Config
from radgen_lib.core.errors import DownloadError
from radgen_lib.sources.registry import Source, load_registry

OF_ITS_FACTORS = ("tcga2012_chr17", "tcga2012_chr21", "kegg_gene_sets", "pam50_receptors")


def source(name: str, content: bytes, **changes: object) -> Source:
    entry = {
        "name": name, "what": "a table", "url": "http://127.0.0.1:9/a.csv", "filename": "a.csv",
        "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "licence": "MIT",
        "citation": "Nobody 2020", "mirror_path": f"{name}/a.csv",
    }  # fmt: skip
    return Source(**{**entry, **changes})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return resolve({"results": f"{tmp_path}/results", "downloads": f"{tmp_path}/data", "resume": f"{tmp_path}/resume"})


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_python().status == "OK"
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    found = checks.check_python()
    assert found.status == "FAIL" and "python3.11" in found.todo


def project(folder: Path, needs: str, pins: str | None) -> Path:
    (folder / "pyproject.toml").write_text(f"[project]\ndependencies = {needs}\n")
    if pins is not None:
        (folder / "constraints.txt").write_text(pins)
    return folder


def test_packages_as_pinned(tmp_path: Path) -> None:
    pins = f"# all\nnumpy=={metadata.version('numpy')} # why\nnot-installed-either==1.0\n"
    assert checks.check_packages(project(tmp_path, '["numpy>=1", "pandas<3"]', pins)) == Check(
        "OK", "packages", "1 installed, each as pinned in constraints.txt"
    )


def test_packages_other_than_pinned(tmp_path: Path) -> None:
    found = checks.check_packages(project(tmp_path, '["numpy"]', "numpy==0.1\npandas==0.1\n"))
    assert found.status == "WARN" and f"numpy {metadata.version('numpy')} (pinned 0.1)" in found.found
    many = "".join(f"{name}==0.1\n" for name in ("numpy", "pandas", "scipy", "torch", "pydantic", "requests", "PyYAML"))
    assert checks.check_packages(project(tmp_path, "[]", many)).found.endswith("and 2 more")


def test_build_label_is_the_same_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cpu")
    assert checks.check_packages(project(tmp_path, '["torch"]', "torch==2.13.0")).status == "OK"


def test_packages_missing_or_without_pins(tmp_path: Path) -> None:
    found = checks.check_packages(project(tmp_path, '["numpy", "no-such-package>=2"]', "numpy==0.1"))
    assert (found.status, found.found) == ("FAIL", "not installed: no-such-package") and "make setup" in found.todo
    (tmp_path / "constraints.txt").unlink()
    assert "no constraints.txt" in checks.check_packages(project(tmp_path, '["numpy"]', None)).found


def test_requirements_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=1", 'no-such-package; extra == "dev"'])
    assert checks.check_packages(tmp_path).status == "OK"


def test_pyradiomics(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_radiomics().status == "OK"
    broken = types.ModuleType("radiomics.glcm")
    monkeypatch.setitem(sys.modules, "radiomics.glcm", broken)
    found = checks.check_radiomics()
    assert found.status == "FAIL" and "--no-build-isolation" in found.todo and "\n" not in found.found


@pytest.mark.parametrize(
    ("device", "preset", "there", "status"),
    [
        ("auto", "demo", False, "OK"),
        ("auto", "paper", False, "WARN"),
        ("cpu", "paper", False, "OK"),
        ("cuda", "demo", False, "FAIL"),
        ("cuda", "demo", True, "OK"),
    ],
)
def test_device(monkeypatch: pytest.MonkeyPatch, device: str, preset: str, there: bool, status: str) -> None:
    cuda = types.SimpleNamespace(is_available=lambda: there, get_device_name=lambda: "Accelerator")
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.13.0", cuda=cuda))
    found = checks.check_device(resolve({"device": device, "preset": preset}))
    assert found.status == status and ("Accelerator" in found.found) == there
    assert bool(found.todo) == (status != "OK")


@pytest.mark.parametrize(
    ("preset", "free", "status"),
    [("demo", 0.4, "FAIL"), ("demo", 1.9, "WARN"), ("demo", 2.1, "OK"), ("paper", 2.1, "WARN"), ("paper", 1.0, "FAIL")],
)
def test_disk(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, preset: str, free: float, status: str
) -> None:
    asked: list[Path] = []

    def usage(place: Path) -> Any:
        asked.append(place)
        return types.SimpleNamespace(free=free * GB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert checks.check_disk(config.model_copy(update={"preset": preset})).status == status
    assert asked == [tmp_path]  # the results folder itself does not exist yet


@pytest.mark.parametrize(
    ("available", "limit", "status"),
    [(8.0, None, "OK"), (8.0, "max", "OK"), (8.0, "2", "WARN"), (3.0, "16", "WARN"), (0.5, None, "FAIL")],
)
def test_memory(tmp_path: Path, available: float, limit: str | None, status: str) -> None:
    info, limited = tmp_path / "meminfo", tmp_path / "memory.max"
    info.write_text(f"MemTotal: 99 kB\nMemAvailable:   {int(available * 1024 * 1024)} kB\n")
    if limit is not None:
        limited.write_text(limit if limit == "max" else str(int(limit) * GB))
    assert checks.check_memory(info, tmp_path).status == status


def test_memory_of_an_unknown_system(tmp_path: Path) -> None:
    assert checks.check_memory(tmp_path / "none", tmp_path / "none").status == "WARN"


def test_folders(config: Config, tmp_path: Path) -> None:
    found = list(checks.check_folders(config))
    assert [row.status for row in found] == ["OK"] * 3 and list(tmp_path.iterdir()) == []
    (tmp_path / "results").write_text("a file where a folder should be")
    first, *others = checks.check_folders(config)
    assert first.status == "FAIL" and "`results:`" in first.todo and {row.status for row in others} == {"OK"}


def test_files_of_a_cohort(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    wanted = (*FILES, *OF_ITS_FACTORS)
    registry = {name: source(name, name.encode()) for name in wanted}
    cohort = "tcga_brca_released"
    found = checks.check_sources(config, registry, cohort, None)
    assert found.status == "FAIL" and found.found == "14 of 14 files not here, 14 not reachable (no: ConnectionError)"
    offline = config.model_copy(update={"offline": True})
    assert checks.check_sources(offline, registry, cohort, None).found == "14 of 14 files not here, offline: true"
    for name in wanted:
        path = tmp_path / "mirror" / name / "a.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
    found = checks.check_sources(offline, registry, cohort, tmp_path / "mirror")
    assert (found.status, found.found) == ("OK", "14 of 14 here and verified")
    (tmp_path / "mirror" / "side_png" / "a.csv").write_bytes(b"other")
    found = checks.check_sources(offline, registry, cohort, tmp_path / "mirror")
    assert found.status == "FAIL" and "a.csv in mirror: no: SHA-256" in found.found
    del registry["side_png"], registry["tcga2012_chr21"]
    assert checks.check_sources(config, registry, cohort, None).found == "not in the registry: side_png, tcga2012_chr21"


def test_the_readme_says_what_the_released_cohort_weighs() -> None:
    registry = load_registry()
    names = (*FILES, *OF_ITS_FACTORS)
    size = sum(registry[name].bytes or 0 for name in names) / 1e6
    (row,) = re.findall(r"(?m)^\| `tcga_brca_released` \|.*$", (checks.ROOT / "README.md").read_text())
    assert row.endswith(f"| {size:.1f} MB |")


def test_weights(tmp_path: Path) -> None:
    registry = {
        "vgg16": source("vgg16", b"weights", filename="v.pth"),
        "resnet50": source("resnet50", b"weights", filename="r.pth"),
        "radimagenet": source("radimagenet", b"", url=None, ask="Ask them", filename="x.pth"),
    }
    (tmp_path / "v.pth").write_bytes(b"weights")
    (tmp_path / "r.pth").write_bytes(b"damaged")
    found = {row.what: row for row in checks.check_weights(resolve({"cpdm": {"weights": str(tmp_path)}}), registry)}
    assert {what.split()[1]: row.status for what, row in found.items()} == {
        "vgg16": "OK", "resnet50": "FAIL", "inception": "WARN", "radimagenet": "WARN",
    }  # fmt: skip
    assert found["weights radimagenet"].todo == f"Ask them into {tmp_path}"
    assert {row.status for row in checks.check_weights(resolve({}), registry)} == {"WARN"}


def test_shipped_registry_has_every_encoder_and_every_file() -> None:
    registry = load_registry()
    assert {*FILES, *Config().cpdm.encoders} <= set(registry)


def quiet(monkeypatch: pytest.MonkeyPatch, *rows: Check) -> None:
    """Leave only the given rows of the doctor."""
    for name in ("check_packages", "check_memory", "check_radiomics"):
        monkeypatch.setattr(doctor, name, lambda: Check("OK", "fine", "fine"))
    monkeypatch.setattr(doctor, "_configured", lambda options: list(rows))


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        ("OK", 0, "all is there"),
        ("WARN", 0, "0 to be mended before a run, 1 to know about"),
        ("FAIL", 1, "1 to be mended before a run, 0 to know about"),
    ],
)
def test_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: Any, code: int, told: str
) -> None:
    quiet(monkeypatch, Check(status, "thing", "broken", "mend it"))
    assert main(["doctor"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == told and lines[-2].split() == [status, "thing", "broken", "mend", "it"]


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (ModuleNotFoundError("No module named 'torch'"), Check("FAIL", "import", "No module named 'torch'")),
        (DownloadError("mirror x: is not a folder"), Check("FAIL", "mirror", "mirror x: is not a folder")),
    ],
)
def test_a_check_that_cannot_run_is_a_row(error: Exception, row: Check) -> None:
    def check() -> Check:
        raise error

    (found,) = doctor._rows(check)
    assert found[:3] == row[:3] and found.todo


def test_missing_pyyaml_is_a_row_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("check_packages", "check_memory", "check_radiomics"):
        monkeypatch.setattr(doctor, name, lambda: Check("OK", "fine", "fine"))
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "radgen_lib.sources.registry":
            raise ModuleNotFoundError("No module named 'yaml'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["doctor"]) == 1
    assert "No module named 'yaml'" in capsys.readouterr().out


def test_whole_command_with_the_real_mirror(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["doctor", "--cohort", "tcga_brca_released"])
    shown = capsys.readouterr().out
    assert "14 of 14 here and verified" in shown and "pyradiomics" in shown and "weights vgg16" in shown
    assert list(tmp_path.iterdir()) == []


def test_unknown_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--cohort", "mars"]) == 1
    told = capsys.readouterr().err
    assert (
        "--cohort mars: no such cohort. Allowed: duke, phantom, tcga_brca, tcga_brca_dynamic, tcga_brca_released"
        in told
    )
