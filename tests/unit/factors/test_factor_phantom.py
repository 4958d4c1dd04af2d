"""The digital patients at their own noise: planted factors are found, and predictive intervals hold what they say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors.imputing import coverage_table, fold_scores, ours
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.btf.align import match
from radgen_lib.omics.btf.cohort_tensor import StoredTensor, build_cohort_tensor
from radgen_lib.omics.btf.folds import FoldFit, fit_fold
from radgen_lib.omics.tensor_table import OmicMatrix
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.truth import Truth, draw_truth

SPEC = Phantom(patients=24, omics_only=96)
SCALES = {"expression": "log2(x+1)", "copy_number": "log2 ratio", "methylation": "beta"}
MARGIN = 0.02  # beyond the limits: gene effects of the site and the curve of beta are no part of the model


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(SPEC, 0)


@pytest.fixture(scope="module")
def tensor(truth: Truth) -> StoredTensor:
    """Primary tumours of all patients, as the tables hold them."""
    matrices = []
    for omic, table in omics_matrices(truth, SPEC, 0).items():
        primary = table.loc[:, table.columns.str.endswith("-01")]
        names = tuple(primary.columns.str.removesuffix("-01"))
        values = primary.T.to_numpy(dtype=np.float32)
        matrices.append(OmicMatrix(omic, names, tuple(primary.index), values, SCALES[omic]))
    built = build_cohort_tensor(matrices)
    return StoredTensor(built.values, built.patients, built.genes, built.omics, built.scales)


def fitted(tensor: StoredTensor, training: list[str], components: int) -> FoldFit:
    settings = Factors(components=components, method="variational", chains=1, draws=40)
    return fit_fold(tensor, "full", training, settings, seed=1)


@pytest.mark.parametrize("components", [12, 25])
def test_planted_factors_are_found_at_their_own_noise(tensor: StoredTensor, truth: Truth, components: int) -> None:
    assert SPEC.noise == 0.7
    model = fitted(tensor, list(tensor.patients), components).model
    rows = pd.Index(truth.patients["patient"]).get_indexer(pd.Index(model.patients_))
    found = match(model.factors_, truth.factors[rows])
    # Hospitals shift genes too (SD 0.15): some starts keep a seventh component of 1 % for that, no planted one.
    strong = int((model.explained_.max(axis=1) > 0.02).sum())
    assert strong == truth.factors.shape[1] == 6 and model.n_components_ <= 7
    assert found.min() > 0.95


def test_intervals_hold_their_share_in_each_omic(tensor: StoredTensor) -> None:
    """Each nominal level lies within the bootstrap limits of its share, hardly beyond, for each omic by itself."""
    train, test = list(tensor.patients[:80]), list(tensor.patients[80:])
    fit = fitted(tensor, train, 12)
    scaled = np.asarray(fit.scaled(tensor, np.arange(80, len(tensor.patients))), dtype=float)
    scores = fold_scores(
        {"btf": partial(ours, fit.model.draws_)}, scaled, test, tensor.omics, unit=np.ones(3),
        usable=~fit.scaler.flat_, share=0.2, rng=make_rng(0, "hidden"),
    )  # fmt: skip
    table = coverage_table(scores, tensor.omics, draws=200, seed=0)
    off = table[(table["level"] < table["low"] - MARGIN) | (table["level"] > table["high"] + MARGIN)]
    assert off.empty, off.to_string()
    assert (table["high"] - table["low"]).max() < 0.08, "limits so wide would pass anything"
