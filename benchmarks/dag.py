"""Time to build the DAG of the released cohort with 10 folds, and what a job costs beside its work."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from benchmarks.common import ROOT, Result, parser, pin, report

FOLDS, LIMIT_S, JOBS = 10, 3.0, 30
CONFIG = f"""\
preset: paper
run: [tcga_brca_released]
cohorts: {{tcga_brca_released: {{splits: {{folds: {FOLDS}, repeats: 1}}}}}}
"""
SCRIPTS = """\
rule all:
    input: expand("out/{i}", i=range(int(config["jobs"])))
rule one:
    output: "out/{i}"
    script: "one.py"
"""


def snakemake(folder: Path, *arguments: str) -> float:
    """Seconds of one call of Snakemake; raises CalledProcessError with its output when it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--nolock", *arguments], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
    return time.perf_counter() - started


def build_seconds(repeats: int) -> tuple[float, int]:
    """Median seconds of a dry run of the workflow with 10 folds, and the number of its jobs."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "folds.yaml"
        config.write_text(CONFIG)
        common = ["--snakefile", str(ROOT / "Snakefile"), "--directory", folder, "--configfile", str(config)]
        taken = [snakemake(ROOT, "-n", "--quiet", "all", *common) for _ in range(repeats)]
        summary = subprocess.run(
            [sys.executable, "-m", "snakemake", "--nolock", "-n", "--quiet", "rules", *common],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    totals = [line.split()[1] for line in (summary.stdout + summary.stderr).splitlines() if line.startswith("total")]
    return statistics.median(taken), int(totals[0]) if totals else 0


def job_overhead(jobs: int, repeats: int) -> float:
    """Seconds a ``script:`` job of no work adds, from runs with one job and with many."""
    taken: dict[int, list[float]] = {1: [], 1 + jobs: []}
    for _ in range(repeats):
        for count, seconds in taken.items():
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                (place / "Snakefile").write_text(SCRIPTS)
                (place / "one.py").write_text("open(snakemake.output[0], 'w').close()\n")
                seconds.append(snakemake(place, "--cores", "1", "--quiet", "all", "--config", f"jobs={count}"))
    one, many = (statistics.median(seconds) for seconds in taken.values())
    return (many - one) / jobs


def main() -> None:
    """Measure and report; the peer of the DAG is its limit, that of a job Snakemake's start."""
    options = parser(__doc__).parse_args()
    pin()
    repeats = 1 if options.quick else 3
    version = f"snakemake {metadata.version('snakemake')}"
    seconds, jobs = build_seconds(repeats)
    rows = [Result("DAG build", f"{FOLDS} folds, {jobs} jobs", seconds, "limit", version, LIMIT_S, "s")]
    count = 3 if options.quick else JOBS
    note = "peer: the start of Python and Snakemake; the imports of a script come on top"
    with tempfile.TemporaryDirectory() as folder:
        start = snakemake(Path(folder), "--version")
    overhead = job_overhead(count, repeats)
    rows.append(
        Result("job overhead", f"{count} script jobs", overhead, "snakemake --version", version, start, "s", note)
    )
    report(rows, options.out)


if __name__ == "__main__":
    main()
