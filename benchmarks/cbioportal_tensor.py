"""Three matrices of the real size to the omics tensor, against plain pandas; peak memory of each in its own process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ROOT, Result, parser, pin, report

SIZE, QUICK = (20_000, 1_084), (300, 60)  # genes, samples
META = {
    "mrna": "genetic_alteration_type: MRNA_EXPRESSION\ndatatype: CONTINUOUS\nstable_id: rna_seq_v2_mrna\n",
    "log2_cna": "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: LOG2-VALUE\nstable_id: log2CNA\n",
    "methylation": "genetic_alteration_type: METHYLATION\ndatatype: CONTINUOUS\nstable_id: methylation_hm450\n",
}


def write_files(folder: Path, genes: int, samples: int) -> None:
    """Write a study folder of three matrices of random numbers as long as real ones; one cell in 100 is NA."""
    import numpy as np

    rng = np.random.default_rng(0)
    names = "\t".join(f"TCGA-A1-{i:04d}-01" for i in range(samples))
    # A pool of texts: writing stays fast, and reading sees as many different numbers as it needs.
    pools = {
        "mrna": np.char.mod("%.4f", np.exp(rng.normal(5, 2, 200_000))),
        "log2_cna": np.char.mod("%.3f", rng.normal(0, 0.4, 200_000)),
        "methylation": np.char.mod("%.4f", rng.beta(1, 2, 200_000)),
    }
    for name, pool in pools.items():
        pool[::100] = "NA"
        (folder / f"meta_{name}.txt").write_text(META[name] + f"data_filename: data_{name}.txt\n")
        with open(folder / f"data_{name}.txt", "w") as handle:
            handle.write(f"Hugo_Symbol\tEntrez_Gene_Id\t{names}\n")
            for gene in range(genes):
                cells = pool[rng.integers(0, len(pool), samples)]
                handle.write(f"GENE{gene}\t{gene + 1}\t" + "\t".join(cells) + "\n")


def ours(folder: Path, out: Path) -> None:
    """Study folder to tensor, with every decision on the way."""
    from radgen_lib.omics.study.read import read_study
    from radgen_lib.omics.tensor_table import write_tensor

    write_tensor(read_study(folder, drivers=[]).matrices, out)


def plain_pandas(folder: Path, out: Path) -> None:
    """The same tensor as one would write it by hand: read_csv, align, stack, save."""
    import numpy as np
    import pandas as pd

    frames = [
        pd.read_csv(folder / f"data_{name}.txt", sep="\t", index_col=0).drop(columns="Entrez_Gene_Id") for name in META
    ]
    frames[0] = np.log2(frames[0] + 1)
    genes = sorted(set.intersection(*(set(frame.index) for frame in frames)))
    samples = sorted(set.union(*(set(frame.columns) for frame in frames)))
    arrays = [frame.reindex(index=genes, columns=samples).to_numpy(np.float32).T for frame in frames]
    np.save(out / "tensor.npy", np.stack(arrays, axis=2))


WAYS = {"ours": ours, "pandas": plain_pandas}


def run_way(way: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory (MiB) of one way in this process; imports are counted as memory, not as time."""
    import resource

    import pandas as pd  # noqa: F401  # both ways need it

    import radgen_lib.omics.study.read  # noqa: F401

    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        started = time.perf_counter()
        WAYS[way](folder, Path(out))
        return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, folder: Path, *, repeats: int) -> tuple[float, float]:
    """Median seconds and highest peak memory (MiB) of a way, each time from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.cbioportal_tensor", "--way", way, "--folder", str(folder)]
    found = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        found.append([float(text) for text in done.stdout.split()[-2:]])
    seconds = sorted(second for second, _ in found)
    return seconds[len(seconds) // 2], max(memory for _, memory in found)


def main() -> None:
    """Write the files, measure both ways, or be one of them."""
    made = parser(__doc__)
    made.add_argument("--way", choices=tuple(WAYS), help="run this one here and print seconds and peak memory")
    made.add_argument("--folder", type=Path, help="study folder of --way")
    options = made.parse_args()
    pin(2)
    if options.way:
        print(*run_way(options.way, options.folder))
        return
    import pandas as pd

    genes, samples = QUICK if options.quick else SIZE
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        folder.mkdir()
        write_files(folder, genes, samples)
        size = f"{genes} genes x {samples} samples x 3"
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        repeats = 1 if options.quick else 3
        (seconds, memory), (peer_s, peer_mb) = (measure(way, folder, repeats=repeats) for way in ("ours", "pandas"))
    note = f"{megabytes:.0f} MB of text; target 30 s and 2,048 MiB on 2 cores"
    peer = ("pandas.read_csv, align, stack", pd.__version__)
    report(
        [
            Result("cBioPortal matrices to tensor", size, seconds, *peer, peer_s, "s", note),
            Result("cBioPortal matrices to tensor, peak memory", size, memory, *peer, peer_mb, "MiB", note),
        ],
        options.out,
    )


if __name__ == "__main__":
    main()
