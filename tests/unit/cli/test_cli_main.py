"""The entry point: exit statuses, one-line errors, commands loaded only when asked for."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from snakemake.common.configfile import load_configfile
from snakemake.settings.types import ConfigSettings
from snakemake.utils import update_config

from radgen_lib.cli import main as cli
from radgen_lib.cli.common import columns, read_config
from radgen_lib.core.config.load import resolve
from radgen_lib.core.errors import ConfigError, RadgenError

ROOT = Path(cli.__file__).parents[2]


def command(monkeypatch: pytest.MonkeyPatch, run: Callable[[argparse.Namespace], int]) -> None:
    """Put a command `doctor` in place that does what ``run`` does."""
    module = types.ModuleType("radgen_lib.cli.doctor")

    def add_parser(subparsers: argparse._SubParsersAction) -> None:
        parser = subparsers.add_parser("doctor")
        parser.add_argument("--size", type=int, default=1)
        parser.set_defaults(run=run)

    module.add_parser = add_parser  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_help_lists_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)
    code = (
        "import sys; from radgen_lib.cli.main import main; main(['--help']); "
        "heavy = {'numpy', 'pandas', 'torch', 'pydantic', 'yaml', 'requests', 'snakemake'} & set(sys.modules); "
        "ours = [m for m in sys.modules if m.startswith('radgen_lib.cli.') and m != 'radgen_lib.cli.main']; "
        "sys.exit(f'{heavy} {ours}' if heavy or ours else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("radgen ")


@pytest.mark.parametrize("words", [["dance"], [], ["doctor", "--size", "many"], ["doctor", "--nonsense"]])
def test_misuse_is_exit_2(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, lambda options: 0)
    assert cli.main(words) == 2
    assert "usage: radgen" in capsys.readouterr().err


def test_arguments_reach_the_command_and_its_status_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, lambda options: options.size)
    assert cli.main(["doctor", "--size", "7"]) == 7
    assert cli.main(["doctor"]) == 1


def test_error_is_one_line_and_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: argparse.Namespace) -> int:
        raise ConfigError("config: seed = -1:\n must be 0 or more")

    command(monkeypatch, fail)
    assert cli.main(["doctor"]) == 1
    caught = capsys.readouterr()
    assert caught.err == "radgen: error: config: seed = -1: must be 0 or more\n" and caught.out == ""


def test_other_faults_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, lambda options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_interrupt_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    command(monkeypatch, stop)
    assert cli.main(["doctor"]) == 130


def test_reader_that_goes_away_is_no_error() -> None:
    code = "import sys; from radgen_lib.cli.main import main; sys.exit(main(['sources', '--cite'] ))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait() == 0, told
    assert told == ""


def test_command_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(cli.COMMANDS, "teleport", "nobody wrote it")
    assert cli.main(["teleport"]) == 1
    assert "command teleport is not part of this installation" in capsys.readouterr().err


def test_command_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli.importlib, "import_module", missing)
    with pytest.raises(RadgenError, match="doctor needs the package torch"):
        cli.build_parser(["doctor"])


@pytest.mark.parametrize("name", ["doctor", "sources", "explain"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"usage: radgen {name}" in capsys.readouterr().out


def test_columns_align_and_keep_the_last_one_free() -> None:
    shown = columns(["a", "long head"], [["value", "x"], ["b", ""]]).split("\n")
    assert shown == ["a      long head", "-----  ---------", "value  x", "b"]
    assert columns(["a", "b"], []) == "a  b\n-  -"


def test_configuration_is_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config(None).seed == 20230803
    (tmp_path / "config.yaml").write_text("seed: 5\n")
    assert read_config(None).seed == 5
    (tmp_path / "other.yaml").write_text("seed: 6\n")
    assert read_config(Path("other.yaml")).seed == 6
    with pytest.raises(ConfigError, match=r"missing\.yaml: no such configuration file"):
        read_config(Path("missing.yaml"))
    (tmp_path / "list.yaml").write_text("- seed\n")
    with pytest.raises(ConfigError, match="must hold keys and values, found list"):
        read_config(Path("list.yaml"))


@pytest.mark.parametrize("preset", ["mini", "demo", "proof", "paper"])
def test_a_file_means_to_the_commands_what_it_means_to_snakemake(tmp_path: Path, preset: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"preset: {preset}\ncohorts: {{phantom: {{phantom: {{patients: 7}}}}}}\nresults: elsewhere\n")
    over = ConfigSettings(configfiles=[file]).overwrite_config
    tree = load_configfile(ROOT / "config.yaml")
    update_config(tree, over)  # as Snakemake does before the Snakefile sees `config`
    found = read_config(file)
    assert found == resolve(tree, over)
    phantom = found.cohorts["phantom"].phantom
    assert phantom is not None and phantom.patients == 7, "the file goes before the preset"
    assert found.results == "elsewhere"
    assert read_config(None).cohorts["phantom"].phantom != phantom
