"""``radgen explain``: what would run and why, and what a target makes."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.cli.common import CONFIG_FILE, columns
from radgen_lib.cli.dryrun import NOTHING, Job, causes_by_rule, error_line, job_counts, parse_jobs
from radgen_lib.core.errors import RadgenError

if TYPE_CHECKING:
    from radgen_lib.core.config.cohort import Cohort

_RULE = re.compile(r'^(?:rule|checkpoint) (\w+):\n\s+"""(.+?)"""', re.MULTILINE | re.DOTALL)
TARGETS = {
    "all": "the report and every table of the cohorts under `run:` (what runs without a target)",
    "paper_tables": "every published table beside ours, as CSV, for the cohorts under `run:`",
    "cpdm": "the tables of system B (conditional diffusion from omics, CPDM) for the cohorts under `run:`",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain", description="What would run and why, and what a target makes. Nothing is run."
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="rule or file (default: what a run makes)")
    parser.add_argument("--directory", type=Path, default=Path(), help="project folder (default: this one)")
    parser.add_argument(
        "--config", action="append", default=[], metavar="KEY=VALUE", help="as Snakemake's --config; may be repeated"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what the targets make and, by rule, how many jobs would run for which cause."""
    words = {**rule_words(options.directory), **cohort_words(options.directory)}
    text = dry_run(options.directory, options.targets, options.config)
    jobs = parse_jobs(text)
    for target in options.targets or ["all"]:
        print(f"{target}: {target_words(target, jobs, words)}")
    print(summary(text, jobs, words))
    return 0


def dry_run(folder: Path, targets: list[str], settings: list[str]) -> str:
    """Output of ``snakemake --dry-run`` in ``folder``; nothing is made. Raises RadgenError with Snakemake's error."""
    if not any((folder / name).is_file() for name in ("Snakefile", "workflow/Snakefile")):
        raise RadgenError(f"{folder.absolute()}: no Snakefile here. Go to the project folder, or name it: --directory")
    wrong = [setting for setting in settings if "=" not in setting]
    if wrong:
        raise RadgenError(f"--config {wrong[0]}: must be KEY=VALUE, e.g. preset=mini")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *targets]
    command += ["--config", *settings] if settings else []
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RadgenError(f"Snakemake: {error_line(done.stdout)}")
    return done.stdout


def rule_words(folder: Path) -> dict[str, str]:
    """Rule -> first sentence of its docstring, from the workflow's files."""
    files = [folder / "Snakefile", *sorted((folder / "rules").glob("*.smk"))]
    found = [pair for file in files if file.is_file() for pair in _RULE.findall(file.read_text(encoding="utf-8"))]
    return {name: " ".join(text.split()).split(". ")[0].rstrip(".") for name, text in found}


def cohort_words(folder: Path) -> dict[str, str]:
    """Cohort -> what its target makes, by the configuration of the project folder, shipped cohorts included."""
    from radgen_lib.core.config.load import load_config

    file = folder / CONFIG_FILE
    cohorts = load_config(file if file.is_file() else None).cohorts
    return {name: _cohort_words(cohort) for name, cohort in cohorts.items()}


def _cohort_words(cohort: Cohort) -> str:
    if cohort.imaging is None:
        return "report and tables of the patients whose files the authors of CPDM released"
    if cohort.omics is None:
        return "ingestion alone (series, phases, volumes, its page): no system applies without molecular data"
    kind = "digital patients" if cohort.phantom else "a cohort"
    return f"{kind} from DICOM series and molecular tables to the report and every table"


def target_words(target: str, jobs: list[Job], words: dict[str, str]) -> str:
    """What ``target`` is, in words: a named target, a rule, or a file and the job that makes it."""
    known = TARGETS.get(target) or words.get(target)
    if known:
        return known
    maker = next((job.rule for job in jobs if target in job.output), None)
    if maker is not None:
        return f"a file of rule {maker}: {words.get(maker, 'no description')}"
    return "is there" if not jobs else "a file or rule of the workflow"


def summary(text: str, jobs: list[Job], words: dict[str, str]) -> str:
    """Table of rules with the number of jobs and their causes, or that nothing is to be done."""
    if NOTHING in text:
        return "Nothing to be done: every file is there and up to date."
    counts, causes = job_counts(text), causes_by_rule(jobs)
    rows = []
    for rule, count in counts.items():
        reasons = ", ".join(f"{number} {cause}" for cause, number in causes.get(rule, {}).items())
        rows.append((rule, str(count), reasons or "-", words.get(rule, "")))
    head = f"{sum(counts.values())} jobs would run:"
    return f"{head}\n{columns(['rule', 'jobs', 'why', 'what it does'], rows)}"
