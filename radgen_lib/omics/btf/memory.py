"""How much memory a factorisation takes, said before it starts rather than by the end of the process."""

from __future__ import annotations

from typing import Literal

import numpy as np

from radgen_lib.core.machine import available_memory

GIB = 1024**3
# Python with numpy, scipy, pandas and scikit-learn loaded.
_PROGRAM = 300 * 1024**2
FREE_SHARE = 0.9
_FACTOR_COPIES, _DRAW_COPIES, _GENES_AT_ONCE = 8, 3, 256
# K x K matrices of a gene, and of a patient, at the peak of a sweep of the approximation; twice the omics with holes.
_GENE_SQUARES, _PATIENT_SQUARES = 6, 4
Method = Literal["gibbs", "variational", "published"]


def bytes_needed(
    shape: tuple[int, int, int],
    n_components: int,
    dtype: str = "float64",
    *,
    draws: int = 200,
    holes: float = 1.0,
    method: Method = "gibbs",
) -> int:
    """Bytes at the peak of a fit of a tensor ``shape`` (patients, genes, omics), the program itself included.

    Counted are the tensor in float32 as read and as scaled; one block an omic in ``dtype``, twice for the share
    ``holes`` of the omics with scattered missing entries, and one byte an entry while they are read; factors with
    their temporaries; K x K matrices of 256 genes at a time; and ``draws`` stored draws (all chains together) in
    float32, three times, as aligning and summarising hold them beside the originals. ``holes`` = 1 is the worst case.

    ``method``: the variational approximation keeps matrices K x K of every gene, and with holes of every patient; the
    sampler needs them when patients with holes, at most as many as were fitted, are projected. "published" stores whole
    states of its chain in float64.
    """
    n, d, length = shape
    size, entries = np.dtype(dtype).itemsize, n * d * length
    blocks = 2 * 4 * entries + entries * size * (1 + holes) + n * d
    factors = _FACTOR_COPIES * (n + d) * n_components * size + 2 * 8 * _GENES_AT_ONCE * (n_components + 1) ** 2
    stored = _DRAW_COPIES * 4 * draws * (n + d + length) * n_components
    if method == "published":
        stored = draws * n_components * (8 * (n + (2 + length) * d) + 16 * (n + d))
    return int(_PROGRAM + blocks + factors + stored + _squares(shape, n_components, holes, method))


def _squares(shape: tuple[int, int, int], n_components: int, holes: float, method: Method) -> float:
    """Bytes of the K x K matrices of genes and patients."""
    n, d, length = shape
    each = _PATIENT_SQUARES + 2 * holes * length
    genes = {"gibbs": holes, "variational": _GENE_SQUARES + 2 * holes * length, "published": 0.0}[method]
    return 8.0 * n_components**2 * (genes * d + (0.0 if method == "published" else each * n))


def check_memory(shape: tuple[int, int, int], n_components: int, dtype: str, draws: int, method: Method) -> None:
    """Raise ValueError with the size needed when a fit would take more than nine tenths of the free memory."""
    needed, free = bytes_needed(shape, n_components, dtype, draws=draws, method=method), available_memory()
    if free is not None and needed > FREE_SHARE * free:
        size = f"{' x '.join(map(str, shape))} with {n_components} components needs {needed / GIB:.1f} GiB"
        less = "fewer genes or draws" if method == "published" else "fewer genes or draws, or dtype float32"
        raise ValueError(f"{size} and {free / GIB:.1f} GiB are free: {less}")
