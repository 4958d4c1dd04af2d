"""The tables of a phantom of 1,000 patients: written, and read to tensor, clinical table and mutations."""

from __future__ import annotations

import tempfile
import time
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from benchmarks.common import Result, parser, pin, report

PATIENTS, QUICK = 1_000, 60


def plain_pandas(folder: Path) -> None:
    """The same files as one would read them by hand, without a decision on anything."""
    import pandas as pd

    for file in sorted(folder.glob("data_*.txt")):
        pd.read_csv(file, sep="\t", comment="#", low_memory=False)


def measure(*, quick: bool) -> list[Result]:
    """Seconds to write the study, and to read it against plain pandas."""
    from radgen_lib.core.config.phantom import Phantom
    from radgen_lib.omics.study.read import read_study
    from radgen_lib.omics.study.write import write_omics
    from radgen_lib.sources.phantom.molecular import omics_matrices
    from radgen_lib.sources.phantom.study import write_study
    from radgen_lib.sources.phantom.truth import draw_truth

    patients = QUICK if quick else PATIENTS
    spec = Phantom(patients=4, omics_only=patients - 4)
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "study", Path(place) / "out"
        marks = [time.perf_counter()]
        truth = draw_truth(spec, 1)
        write_study(truth, omics_matrices(truth, spec, 1), folder, seed=1)
        marks.append(time.perf_counter())
        plain_pandas(folder)
        marks.append(time.perf_counter())
        write_omics(read_study(folder, drivers=["TP53", "PIK3CA", "CDH1"]), out)
        marks.append(time.perf_counter())
    written, pandas, read = (b - a for a, b in pairwise(marks))
    size = f"{patients} patients x {spec.genes} genes x 3"
    note = f"with every decision, quality checks and swap search; drawn and written in {written:.2f} s; one run"
    return [
        Result(
            "phantom tables to tensor",
            size,
            read,
            "pandas.read_csv alone",
            metadata.version("pandas"),
            pandas,
            "s",
            note,
        )
    ]


def main() -> None:
    """Measure and report."""
    options = parser(__doc__).parse_args()
    pin()
    report(measure(quick=options.quick), options.out)


if __name__ == "__main__":
    main()
