"""MOFA of mofapy2 (Argelaguet et al., Genome Biol 2020;21:111) on a tensor: genes of an omic are features of a view.

mofapy2 prints, seeds NumPy's global generator, switches warnings off and ends the process on a fault of its own: all
four are undone or caught here.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

import numpy as np

ITERATIONS, CONVERGENCE = 1000, "fast"  # as mofapy2 has them
_LOG = logging.getLogger("radgen")


class Mofa(NamedTuple):
    """Mean [D, L], loadings [D, L, K], noise variance [D, L], variance of loadings [D, L, K], factors [N, K]."""

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray
    spread: np.ndarray
    factors: np.ndarray


def fit_mofa(train: np.ndarray, k: int, seed: int, omics: Sequence[str]) -> Mofa:
    """Fit ``k`` factors to ``train`` [N, D, L], NaN for missing, with mofapy2's own options and priors.

    Loadings and noise are means of its variational posterior. Genes that are absent or constant in an omic are not
    shown to it: they get no noise variance, and no mean where there is no value. Raises RuntimeError with the end of
    its output when mofapy2 gives up.
    """
    d, length = train.shape[1:]
    shown = _varying(train)
    views = [place for place in range(length) if shown[:, place].any()]
    data = [[train[:, shown[:, place], place].copy()] for place in views]
    nodes = _run(data, [omics[place] for place in views], k, seed)
    weights, precision = nodes["W"].getExpectations(), nodes["Tau"].getExpectation()
    noise = np.full((d, length), np.nan)
    loadings, spread = np.zeros((d, length, k)), np.zeros((d, length, k))
    for view, place in enumerate(views):
        genes = shown[:, place]
        expected = np.asarray(weights[view]["E"])
        loadings[genes, place] = expected
        spread[genes, place] = np.maximum(np.asarray(weights[view]["E2"]) - expected**2, 0.0)
        noise[genes, place] = 1.0 / np.asarray(precision[view])[0]
    # mofapy2 subtracts the same means before it starts.
    return Mofa(_means(train), loadings, noise, spread, np.array(nodes["Z"].getExpectation()))


def _varying(train: np.ndarray) -> np.ndarray:
    there = ~np.isnan(train)
    highest = np.where(there, train, -np.inf).max(axis=0)
    lowest = np.where(there, train, np.inf).min(axis=0)
    return there.any(axis=0) & (highest > lowest)


def _means(train: np.ndarray) -> np.ndarray:
    """Mean of each gene and omic over the patients who have it, NaN where nobody has."""
    there = ~np.isnan(train)
    total, number = np.where(there, train, 0.0).sum(axis=0), there.sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _run(data: list[list[np.ndarray]], views: list[str], k: int, seed: int) -> dict[str, Any]:
    """Nodes of the trained model."""
    said = io.StringIO()
    try:
        with _quiet(said):
            from mofapy2.run.entry_point import entry_point

            model = entry_point()
            model.set_data_options(scale_views=False)
            model.set_data_matrix(data, likelihoods=["gaussian"] * len(data), views_names=views)
            model.set_model_options(factors=k)
            model.set_train_options(iter=ITERATIONS, convergence_mode=CONVERGENCE, seed=seed)
            model.build()
            model.run()
    except SystemExit as error:
        raise RuntimeError(f"mofapy2 gave up: {' '.join(said.getvalue().split()[-30:])}") from error
    finally:
        for line in filter(None, map(str.strip, said.getvalue().splitlines())):
            _LOG.debug("mofapy2: %s", line)
    nodes: dict[str, Any] = model.model.nodes
    return nodes


@contextmanager
def _quiet(said: io.StringIO) -> Iterator[None]:
    """Send what is printed to ``said``; put warning filters and NumPy's global generator back afterwards."""
    state = np.random.get_state()  # noqa: NPY002 - mofapy2 seeds this generator
    try:
        with redirect_stdout(said), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002 - as above
