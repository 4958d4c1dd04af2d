"""`radgen sources`."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from radgen_lib.cli.main import main
from radgen_lib.sources.registry import load_registry


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and a registry of one file that nobody serves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RADGEN_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    entry = {
        "what": "a table", "url": "http://127.0.0.1:9/a.csv", "filename": "a.csv", "bytes": 4,
        "sha256": hashlib.sha256(b"good").hexdigest(), "licence": "MIT", "citation": "Nobody 2020",
    }  # fmt: skip
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump({"sources": {"table": entry}}))
    (tmp_path / "config.yaml").write_text("registry: registry.yaml\n")
    (tmp_path / "data" / "table").mkdir(parents=True)
    return tmp_path


def test_every_shipped_source_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RADGEN_MIRROR", raising=False)
    assert main(["sources"]) == 0
    lines = capsys.readouterr().out.splitlines()
    registry = load_registry()
    assert [line.split()[0] for line in lines[2 : lines.index("")]] == list(registry)
    assert "53962" in lines[2] and "not checked" in lines[2] and "none" in lines[2]
    unsure = [name for name, source in registry.items() if not source.sum_known]
    assert lines[-1].endswith(": " + ", ".join(unsure))


def test_image_sources_of_the_cohorts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"kind": "ingested", "imaging": {"source": "folder", "location": "nowhere"}}
    lost = {"kind": "ingested", "imaging": {"source": "idc", "collection": "tcga_brcc"}}
    config = {"registry": "registry.yaml", "cohorts": {"local": own, "typo": lost}}
    (project / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["sources"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines[lines.index("") + 3 :]}
    version = metadata.version("idc-index-data")
    # Counts and sizes as DATA of the index: 1,858 MR series of TCGA-BRCA, 5,034 of Duke.
    assert rows["tcga_brca"][1:] == f"idc tcga_brca, index {version}, of which papers 1858 87.7".split()
    assert rows["duke"][-2:] == ["5034", "368.4"]
    assert rows["phantom"][1:5] == ["phantom", "written", "here,", "no"]
    assert rows["local"][1:] == ["folder", "a", "folder", "of", "your", "own", "-", "-"]
    assert "not in the index" in " ".join(rows["typo"]) and "tcga_brca" in " ".join(rows["typo"])
    assert "tcga_brca_released" not in rows


def test_mirror_of_the_environment(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sources"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("side_png"))
    assert row.split()[-5:] == ["registry", "mirror", "yes", "not", "checked"]


def test_good_and_wrong_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "data" / "table" / "a.csv"
    path.write_bytes(b"good")
    assert main(["sources"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[-5:] == ["registry", "downloads", "yes", "not", "checked"]
    path.write_bytes(b"evil")
    assert main(["sources"]) == 1
    assert "no: SHA-256 is" in capsys.readouterr().out


def test_check_asks_the_network(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "--check"]) == 1
    assert "no: ConnectionError" in capsys.readouterr().out
    (project / "config.yaml").write_text("registry: registry.yaml\noffline: true\n")
    assert main(["sources", "--check"]) == 0
    assert "no address was asked" in capsys.readouterr().out


def test_citations(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources", "--cite"]) == 0
    assert capsys.readouterr().out == "table: a table\n  http://127.0.0.1:9/a.csv\n  Nobody 2020\n"


def test_faults_of_configuration_and_registry(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "registry.yaml").write_text("sources: 3\n")
    assert main(["sources"]) == 1
    assert capsys.readouterr().err.startswith("radgen: error: registry.yaml: a registry holds `sources:`")
    assert main(["sources", "--config", "none.yaml"]) == 1
    assert "none.yaml: no such configuration file" in capsys.readouterr().err
