"""`radgen explain`: Snakemake's dry run in words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from radgen_lib.cli.dryrun import Job, causes_by_rule, code_or_params, error_line, job_counts, parse_jobs
from radgen_lib.cli.explain import TARGETS, cohort_words, rule_words, summary, target_words
from radgen_lib.cli.main import main

WORKFLOW = '''
rule all:
    input: "c.txt"
rule a:
    """Write the beginning. It is short."""
    output: "a.txt"
    params: word=config.get("word", "one")
    shell: "echo {params.word} > {output}"
rule b:
    """Copy it."""
    input: "a.txt"
    output: "b.txt"
    shell: "cat {input} > {output}"
rule c:
    input: "b.txt"
    output: "c.txt"
    shell: "cat {input} > {output}"
'''
DRY = """Building DAG of jobs...
Job stats:
job      count
-----  -------
fit          2
plot         1
all          1
total        4


[Sat Nov 21 09:41:30 2026]
rule fit:
    input: a.txt
    output: b1.txt, b2.txt
    jobid: 2
    reason: Params have changed since last execution: before: 2 now: 3
    wildcards: fold=1
[Sat Nov 21 09:41:30 2026]
rule fit:
    output: b3.txt
    reason: Missing output files: b3.txt; Input files updated by another job: a.txt
[Sat Nov 21 09:41:30 2026]
localrule plot:
    reason: Updated input files: a.txt
[Sat Nov 21 09:41:30 2026]
rule all:
    reason: Input files updated by another job: c.txt
Job stats:
job      count
-----  -------
fit          2
plot         1
all          1
total        4

Reasons:
    input files updated by another job:
        all
"""


def test_jobs_and_counts_of_a_dry_run() -> None:
    jobs = parse_jobs(DRY)
    assert [job.rule for job in jobs] == ["fit", "fit", "plot", "all"]
    assert jobs[0].output == ["b1.txt", "b2.txt"]
    assert job_counts(DRY) == {"fit": 2, "plot": 1, "all": 1}
    assert causes_by_rule(jobs) == {
        "fit": {"params changed": 1, "missing output": 1},
        "plot": {"input updated": 1},
        "all": {"input is made anew": 1},
    }


def test_output_that_holds_no_jobs() -> None:
    assert parse_jobs("nothing here") == [] and job_counts("nothing here") == {}


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Missing output files: a; Input files updated by another job: b", "missing output"),
        ("Code has changed since last execution; Input files updated by another job: b", "script changed"),
        ("Set of input files has changed since last execution", "other inputs"),
        ("Software environment definition has changed since last execution", "environment changed"),
        ("Forced execution", "forced"),
        ("Something new in a later release: 3", "Something new in a later release: 3"),
        ("", "collects its inputs"),
    ],
)
def test_first_cause(reason: str, cause: str) -> None:
    assert Job("a", reason).cause == cause


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        ("2", "3", "params changed"),
        ("'0123456789abcdef'", "'fedcba9876543210'", "code changed"),
        ("'0123456789abcdef', 2", "'fedcba9876543210', 3", "code and params changed"),
        ("<nothing exclusive>", "3", "params changed"),
        ("'mini'", "'demo'", "params changed"),
    ],
)
def test_digests_of_code_are_told_from_settings(before: str, now: str, cause: str) -> None:
    reason = f"Params have changed since last execution: Union of exclusive params: before: {before} now: {now} "
    assert Job("a", reason).cause == cause
    assert code_or_params("Params have changed since last execution") == "params changed"


def test_error_becomes_one_line() -> None:
    text = 'Date: x\n\nBuilding DAG of jobs...\nMissingRuleException:\nNo rule to produce x\n  File "a", line 3, in b\n'
    assert error_line(text) == "MissingRuleException: No rule to produce x"
    assert error_line("usage: x\nsnakemake: unrecognised\n\n") == "snakemake: unrecognised"
    assert error_line("") == "no message"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words_of_rules_and_targets(project: Path) -> None:
    words = rule_words(project)
    assert words == {"a": "Write the beginning", "b": "Copy it"}
    jobs = [Job("b", output=["b.txt", "b.log"])]
    assert target_words("a", jobs, words) == "Write the beginning"
    assert target_words("b.log", jobs, words) == "a file of rule b: Copy it"
    assert target_words("old.txt", [], words) == "is there"
    assert target_words("old.txt", jobs, words) == "a file or rule of the workflow"
    assert "CPDM" in target_words("cpdm", jobs, words)


def test_named_targets_are_those_of_the_workflow(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    snakefile = (root / "Snakefile").read_text()
    named = re.findall(r"(?m)^rule (\w+):", snakefile)
    assert set(named) == set(TARGETS)
    # The other targets are the cohorts, made in a loop over the configuration.
    assert re.search(r"for name in CONFIG\.cohorts:\s+rule:\s+name:\s+name\b", snakefile)
    assert set(cohort_words(root)) == {"phantom", "tcga_brca_released", "tcga_brca", "tcga_brca_dynamic", "duke"}
    own = {"kind": "ingested", "imaging": {"source": "folder", "location": "here"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"cohorts": {"local": own}}))
    words = cohort_words(tmp_path)
    assert set(words) == {"phantom", "tcga_brca_released", "tcga_brca", "tcga_brca_dynamic", "duke", "local"}
    assert "no system applies" in words["local"] and "no system applies" in words["duke"]
    assert "digital patients" in words["phantom"] and "authors of CPDM" in words["tcga_brca_released"]
    assert target_words("local", [], words) == words["local"]


def test_summary() -> None:
    assert (
        summary("Nothing to be done (all there).", [], {}) == "Nothing to be done: every file is there and up to date."
    )
    head, _, _, first, *_ = summary(DRY, parse_jobs(DRY), {"fit": "Fit it"}).splitlines()
    assert head == "4 jobs would run:"
    assert re.split(r"\s{2,}", first) == ["fit", "2", "1 params changed, 1 missing output", "Fit it"]


def test_first_run_then_nothing_then_a_changed_setting(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    shown = capsys.readouterr().out
    assert "4 jobs would run:" in shown and "1 missing output" in shown and "Write the beginning" in shown
    assert not (project / "a.txt").exists()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    assert main(["explain"]) == 0
    assert "Nothing to be done" in capsys.readouterr().out
    assert main(["explain", "b.txt", "--config", "word=two"]) == 0
    shown = capsys.readouterr().out
    assert "b.txt: a file of rule b: Copy it" in shown and "1 params changed" in shown
    assert "1 input is made anew" in shown


def test_errors_of_snakemake_are_passed_on_in_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nosuch"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("radgen: error: Snakemake: MissingRuleException: No rule to produce nosuch")
    assert told.count("\n") == 1


def test_folder_without_a_workflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--directory", str(tmp_path)]) == 1
    assert "no Snakefile here" in capsys.readouterr().err


def test_setting_that_is_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--config", "word"]) == 1
    assert "must be KEY=VALUE" in capsys.readouterr().err
