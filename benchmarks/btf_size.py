"""How a Gibbs sweep and the memory of a fit grow with genes and patients, each size in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.btf_sweep import COMPONENTS, make_tensor, ours
from benchmarks.common import ROOT, Result, alternate, parser, pin, report

PATIENTS, GENES = 754, 5000
SIZES = ((PATIENTS, 1000), (PATIENTS, 5000), (PATIENTS, 20000), (377, GENES), (1508, GENES))
QUICK = ((PATIENTS // 10, 100), (PATIENTS // 10, GENES // 10), (PATIENTS // 20, GENES // 10))
LIMIT_MIB = 6 * 1024
SWEEPS = 10


def run_size(patients: int, genes: int) -> tuple[float, float]:
    """Median seconds of a sweep, and peak memory in MiB of a fit beside the tensor, in this process."""
    import resource

    from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation

    values = make_tensor((patients, genes, 3))
    BayesianTensorFactorisation(COMPONENTS, n_chains=1, n_burn_in=5, n_draws=2, thin=1).fit(values)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sweeping, _ = ours(values, "float64", "cpu", SWEEPS)
    return alternate([sweeping], repeats=5)[0] / SWEEPS, memory


def measure(patients: int, genes: int) -> tuple[float, float]:
    """The figures of :func:`run_size` from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.btf_size", "--one", str(patients), str(genes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def main() -> None:
    """Measure all sizes, or be one of them."""
    made = parser(__doc__)
    made.add_argument("--one", type=int, nargs=2, help="patients and genes of a fit to run here")
    options = made.parse_args()
    pin()
    if options.one:
        print(*run_size(*options.one))
        return
    sizes = QUICK if options.quick else SIZES
    found = {size: measure(*size) for size in sizes}
    results = []
    for (patients, genes), (seconds, memory) in found.items():
        size = f"{patients} x {genes} x 3, K = {COMPONENTS}"
        least = min(
            (other for other in sizes if (other[0] == patients) != (other[1] == genes)), key=lambda s: s[0] * s[1]
        )
        scaled = found[least][0] * patients * genes / (least[0] * least[1])
        peer = f"{least[0]} x {least[1]} x 3, in proportion"
        results.append(Result("Gibbs sweep, growth", size, seconds, peer, "ours", scaled, "s", "1 is linear"))
        results.append(
            Result("tensor factorisation, peak memory", size, memory, "limit", "", LIMIT_MIB, "MiB", "float64")
        )
    report(results, options.out)


if __name__ == "__main__":
    main()
