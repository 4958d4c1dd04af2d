"""One Gibbs sweep of the tensor factorisation against one iteration of its peers, and against its own floor."""

from __future__ import annotations

import io
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import Result, alternate, parser, pin, report

if TYPE_CHECKING:
    import numpy as np

SIZES, QUICK = ((754, 1000, 3), (754, 5000, 3)), ((60, 80, 3),)
COMPONENTS, PLANTED, NOISE = 20, 17, (0.5, 1.0, 2.0)
TENSORBF_S = 0.70  # of 754 x 1000 x 3, K = 20, one masked sweep


def make_tensor(shape: tuple[int, int, int]) -> np.ndarray:
    """Sparse planted factors, noise of its own size in every omic, a tenth of the fibres missing."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(shape[0], PLANTED)), rng.normal(size=(shape[2], PLANTED))
    w = rng.normal(size=(shape[1], PLANTED)) * (rng.random((shape[1], PLANTED)) < 0.3)
    values, absent = np.empty(shape), np.zeros((shape[0], shape[2]), dtype=bool)
    for omic, (row, sd) in enumerate(zip(u, NOISE, strict=True)):
        values[:, :, omic] = (x * row) @ w.T + rng.normal(size=shape[:2]) * sd
        absent[:, omic] = rng.random(shape[0]) < 0.1
    absent[absent.all(axis=1), 0] = False  # a patient without any omic is none
    for omic, rows in enumerate(absent.T):
        values[rows, :, omic] = np.nan
    return values


def ours(values: np.ndarray, dtype: str, device: str, sweeps: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A path of ``sweeps`` Gibbs sweeps, and one of as many pairs of products with the data, the floor."""
    import numpy as np

    from radgen_lib.omics.btf.data import observe
    from radgen_lib.omics.btf.gibbs import make_backend, start
    from radgen_lib.omics.btf.model import Priors
    from radgen_lib.omics.btf.updates import sweep
    from radgen_lib.omics.btf.working import Working, place_point

    observed, backend = observe(values, dtype=dtype), make_backend(0, dtype, device)
    point = place_point(start(observed, COMPONENTS, np.random.default_rng(0)), backend)
    data, priors = Working(observed, backend), Priors()
    x, w = point.x.T + 0, point.w.T + 0

    def sweeping() -> None:
        for _ in range(sweeps):
            sweep(point, data, priors)

    def products() -> float:
        for _ in range(sweeps):
            made = [(w @ block.T, x @ block) for block in data.blocks]
        return float(made[-1][0][0, 0])  # waits for an accelerator

    return sweeping, products


def tensorly_path(values: np.ndarray, iterations: int) -> Callable[[], object]:
    """Masked alternating least squares from given factors; missing values are filled in every iteration."""
    import numpy as np
    from tensorly.cp_tensor import CPTensor
    from tensorly.decomposition import parafac

    rng, mask = np.random.default_rng(0), (~np.isnan(values)).astype(float)
    filled = np.nan_to_num(values)
    first = [rng.normal(size=(size, COMPONENTS)) for size in values.shape]

    def run() -> object:
        begin = CPTensor((None, [factor.copy() for factor in first]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parafac(filled, COMPONENTS, n_iter_max=iterations, init=begin, mask=mask, tol=0)

    return run


def mofa_path(values: np.ndarray, iterations: int) -> Callable[[], object]:
    """Updates of all nodes of mofapy2's model, without its lower bound."""
    from mofapy2.run.entry_point import entry_point

    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = entry_point()
        made.set_data_options(scale_views=False)
        made.set_data_matrix([[values[:, :, omic].copy()] for omic in range(values.shape[2])])
        made.set_model_options(factors=COMPONENTS)
        made.set_train_options(iter=2, seed=0)
        made.build()
        model = made.model
        model.setTrainOptions(made.train_opts)
        model.precompute()

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(iterations):
                for node in model.options["schedule"]:
                    model.nodes[node].update()

    return run


def tensorbf_sweep(values: np.ndarray, sweeps: int = 8) -> tuple[float, str] | None:
    """Median seconds of tensorBF's masked sweeps and its version with its BLAS; None where R does not have it."""
    import numpy as np

    if shutil.which("Rscript") is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".bin") as handle:
        handle.write(np.asfortranarray(values).tobytes(order="F"))
        handle.flush()
        script = Path(__file__).with_name("tensorbf_sweep.R")
        asked = ["Rscript", str(script), handle.name, *map(str, values.shape), str(COMPONENTS), str(sweeps)]
        times, version = [], ""
        with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            for line in process.stdout or ():
                if (found := re.search(r"iter:\s+(\d+)", line)) and int(found[1]) <= sweeps + 1:
                    times.append(time.perf_counter())
                elif not times and not line.startswith("["):
                    version = line.strip()
                if len(times) == sweeps + 1:
                    process.terminate()
    taken = [after - before for before, after in pairwise(times[1:])]  # without the first one, which only begins
    return (statistics.median(taken), version) if taken else None


def measure(shape: tuple[int, int, int], *, quick: bool, device: str, threads: int) -> list[Result]:
    """Seconds of a sweep in double and single precision, and of an iteration of each peer."""
    values, sweeps, iterations, repeats = make_tensor(shape), 5, 2, 2 if quick else 5
    size = f"{shape[0]} x {shape[1]} x {shape[2]}, K = {COMPONENTS}, {threads} threads"
    double, floor = ours(values, "float64", device, sweeps)
    single, single_floor = ours(values, "float32", device, sweeps)
    peers = [
        ("tensorly parafac with mask, an iteration", "tensorly", tensorly_path(values, iterations)),
        ("mofapy2, an iteration", "mofapy2", mofa_path(values, iterations)),
    ]
    paths = [double, floor, single, single_floor, *(path for *_, path in peers)]
    times = alternate(paths, repeats=repeats)
    own, least, own32, least32 = (seconds / sweeps for seconds in times[:4])
    theirs = [seconds / iterations for seconds in times[4:]]
    name, note = "Gibbs sweep of the tensor factorisation", "a tenth of the fibres missing"
    found = [
        Result(name, size, own, "its two products with the data", "numpy", least, "s", f"float64; {note}"),
        Result(f"{name}, float32", size, own32, "its two products with the data", "numpy", least32, "s", note),
    ]
    if rerun := tensorbf_sweep(values):
        found.append(Result(name, size, own, "R tensorBF, a sweep", rerun[1], rerun[0], "s", f"float64; {note}"))
    elif shape == SIZES[0]:
        found.append(Result(name, size, own, "R tensorBF, a sweep", "1.0.2", TENSORBF_S, "s", f"not rerun; {note}"))
    for (peer, package, _), seconds in zip(peers, theirs, strict=True):
        found.append(Result(name, size, own, peer, metadata.version(package), seconds, "s", f"float64; {note}"))
    return found


def main() -> None:
    """Measure all sizes and report."""
    made = parser(__doc__)
    made.add_argument("--threads", type=int, default=2, help="of the matrix products")
    options = made.parse_args()
    pin(options.threads)
    shapes = QUICK if options.quick else SIZES
    results = [
        result
        for shape in shapes
        for result in measure(shape, quick=options.quick, device=options.device, threads=options.threads)
    ]
    report(results, options.out)


if __name__ == "__main__":
    main()
