"""What Snakemake's dry run says, as data: how many jobs of each rule, and the first cause of each."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

# What Snakemake writes -> what a person reads, in the order of causes: an output that is missing explains a job better
# than an input that is made anew on the way to it.
CAUSES = (
    ("Forced execution", "forced"),
    ("Missing output files", "missing output"),
    ("Incomplete output files", "an earlier job was cut off"),
    ("Params have changed", "params changed"),
    ("Code has changed", "script changed"),
    ("Set of input files has changed", "other inputs"),
    ("Updated input files", "input updated"),
    ("Software environment definition has changed", "environment changed"),
    ("Input files updated by another job", "input is made anew"),
    ("Rules with neither input nor output files are always executed", "collects its inputs"),
)
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) ([\w-]+):$")
_FIELD = re.compile(r"^ {4}(\w+): (.*)$")
_ERROR = re.compile(r"^\w*(?:Error|Exception)\b")
_DIGEST = re.compile(r"'?[0-9a-f]{16}'?")
NOTHING = "Nothing to be done"


@dataclass
class Job:
    """One job of the dry run."""

    rule: str
    reason: str = ""
    output: list[str] = field(default_factory=list)

    @property
    def cause(self) -> str:
        """The first cause, in words."""
        for written, words in CAUSES:
            if written in self.reason:
                return code_or_params(self.reason) if words == "params changed" else words
        return self.reason.rstrip(":; ") or "collects its inputs"


def parse_jobs(text: str) -> list[Job]:
    """Jobs in the order of the output of ``snakemake --dry-run``."""
    jobs: list[Job] = []
    for line in text.splitlines():
        if found := _JOB.match(line):
            jobs.append(Job(found[1]))
        elif jobs and (found := _FIELD.match(line)):
            if found[1] == "reason":
                jobs[-1].reason = found[2]
            elif found[1] == "output":
                jobs[-1].output = found[2].split(", ")
    return jobs


def job_counts(text: str) -> dict[str, int]:
    """Jobs by rule of the table ``Job stats``, in its order, without the sum."""
    table = re.search(r"^Job stats:\n.*\n[- ]+\n((?:\S+ +\d+\n)+)", text, re.MULTILINE)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return {rule: int(count) for rule, count in rows if rule != "total"}


def code_or_params(reason: str) -> str:
    """Params carry the digest of the library code that a rule uses: tell such a change from one of a setting."""
    given = re.search(r"before: (.*?) now: (.*)$", reason)
    if given is None:
        return "params changed"
    values = [word for part in given.groups() for word in re.split(r"[,\s]+", part.split(";")[0]) if word]
    digests = [bool(_DIGEST.fullmatch(word)) for word in values if word != "<nothing"]
    if digests and all(digests):
        return "code changed"
    return "code and params changed" if any(digests) else "params changed"


def causes_by_rule(jobs: list[Job]) -> dict[str, Counter[str]]:
    """Rule -> cause -> number of jobs."""
    causes: dict[str, Counter[str]] = {}
    for job in jobs:
        causes.setdefault(job.rule, Counter())[job.cause] += 1
    return causes


def error_line(text: str) -> str:
    """The error in the output of a failed call, as one line."""
    lines = [line.strip() for line in text.splitlines()]
    start = next((i for i, line in enumerate(lines) if _ERROR.match(line)), None)
    if start is None:
        return next((line for line in reversed(lines) if line), "no message")
    kept = [line for line in lines[start:] if line and not line.startswith('File "')]
    return " ".join(kept)
