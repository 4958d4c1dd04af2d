"""All benchmarks one after the other, then the page with their newest results."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.common import COLUMNS, ROOT, TABLE

ALL = (
    "training_step", "sampling", "memory", "dag", "btf_sweep", "btf_paths", "btf_size", "dicom_volume",
    "cbioportal_tensor", "phantom_tables",
)  # fmt: skip
INTRO = """\
# Benchmarks

Made by `make bench`; do not edit. Each line is the newest measurement of its kind on its machine: ours against the
named peer on the same input, taking turns, medians. Ratio is peer over ours: above 1, ours needs less. All
measurements are in `benchmarks.csv`.

"""


def page(rows: Iterable[Mapping[str, str]]) -> str:
    """Markdown table of the newest row of each benchmark, size, peer and machine."""
    newest = {(row["benchmark"], row["size"], row["peer"], row["machine"]): row for row in rows}
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row[c].replace("|", "/") for c in COLUMNS) + " |" for row in newest.values()]
    return INTRO + "\n".join(lines) + "\n"


def main() -> int:
    """Run each benchmark in a process of its own; a failed one is named and the others still run."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--quick", action="store_true", help="smallest sizes: checks that it runs, measures nothing")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks run")
    made.add_argument("--out", type=Path, default=TABLE, help="CSV file that results are appended to")
    made.add_argument("--only", choices=ALL, nargs="+", default=ALL, help="some of them")
    options = made.parse_args()
    failed = []
    for name in options.only:
        print(f"\n{name}", flush=True)
        command = [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            "--device",
            options.device,
            "--out",
            str(options.out.resolve()),
        ]
        if subprocess.run([*command, "--quick"] if options.quick else command, cwd=ROOT).returncode:
            failed.append(name)
    if options.out.exists():
        with open(options.out, newline="", encoding="utf-8") as handle:
            options.out.with_suffix(".md").write_text(page(csv.DictReader(handle)), encoding="utf-8")
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
