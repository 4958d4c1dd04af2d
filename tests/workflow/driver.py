"""Runs the workflow as a user does, in a folder of its own, on the made-up released files."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.released_files import imaged_names, other_names, write_registry, write_released
from tests.released_omics import write_omics

ROOT = Path(__file__).resolve().parents[2]
COHORT = "tcga_brca_released"
RESULTS = f"results/{COHORT}"
# A port that nothing listens on: what asks for the network fails at once.
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
LIMIT_S = 600


@dataclass(frozen=True)
class Outcome:
    """Exit status and everything that was said."""

    code: int
    text: str

    @property
    def jobs(self) -> Counter[str]:
        """How often each rule stands in the list of jobs (of a dry run, or of what ran)."""
        return Counter(re.findall(r"(?m)^(?:local)?rule (\w+):$", self.text))

    @property
    def complaints(self) -> set[str]:
        """The distinct lines that radgen wrote about what went wrong."""
        return set(re.findall(r"(?m)^radgen: rule \w+: .*$", self.text))


@dataclass(frozen=True)
class Workspace:
    """A folder to run in, and the released files that it downloads."""

    folder: Path
    mirror: Path
    preset: str = "mini"
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / RESULTS

    def command(self, *targets: str, options: Sequence[str] = (), config: Sequence[str] = ()) -> list[str]:
        values = [f"run=[{COHORT}]", f"preset={self.preset}", f"registry={self.mirror / 'registry.yaml'}"]
        values += ["offline=true", *config]
        snakemake = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile")]
        return [*snakemake, "--directory", str(self.folder), "-c2", *options, "--config", *values, "--", *targets]

    def start(self, *targets: str, options: Sequence[str] = (), config: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the workflow at the head of a process group of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE_")}
        return subprocess.Popen(
            self.command(*targets, options=options, config=config),
            cwd=self.folder,
            env={**clean, **NO_NETWORK, "RADGEN_MIRROR": str(self.mirror), **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *targets: str, options: Sequence[str] = (), config: Sequence[str] = (), limit_s: float = LIMIT_S
    ) -> Outcome:
        """Run the workflow to its end; nothing of it is left behind."""
        process = self.start(*targets, options=options, config=config)
        return finish(process, limit_s)

    def copy(self, folder: Path, *, without: Collection[str] = ()) -> Workspace:
        """A copy with the same times of files, less the paths in ``without``."""
        shutil.copytree(self.folder, folder, symlinks=True)
        for path in without:
            shutil.rmtree(folder / path)
        return Workspace(folder, self.mirror, self.preset, self.settings)


def finish(process: subprocess.Popen[str], limit_s: float = LIMIT_S) -> Outcome:
    """Wait for a started workflow; whatever outlives it or the time limit is killed."""
    try:
        text, _ = process.communicate(timeout=limit_s)
    finally:
        kill_group(process)
    return Outcome(process.returncode, text)


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the workflow and every job of it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def job_processes(process: subprocess.Popen[str], script: str) -> Iterator[int]:
    """Process ids of the running Python jobs of a started workflow whose script ends in ``script``."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            group = os.getpgid(int(entry.name))
        except OSError:
            continue  # it ended while we looked
        if group == process.pid and len(words) > 1 and words[1].endswith(script.encode()):
            yield int(entry.name)


def made_up(folder: Path, *, faults: Collection[str] = (), wrong_checksum: str | None = None) -> Path:
    """Released files (20 imaged patients, 36 images, 60 patients without MRI) with their registry; the folder."""
    files = write_released(folder, patients=20, images=36, others=60, faults=faults)
    files |= write_omics(folder, [*imaged_names(20)[:16], *other_names(60)[:50]])
    write_registry(folder, files, wrong_checksum=wrong_checksum)
    return folder


def contents(folder: Path, *, without: Collection[str] = ()) -> dict[str, bytes]:
    """Every file below ``folder`` by its relative path, less those with an ending in ``without``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not any(path.name.endswith(ending) for ending in without)
    }
