"""The three omics matrices of the phantom: the CP model, noise and batches, put on the scales of real files."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.factors import SUBTYPES, population
from radgen_lib.sources.phantom.loadings import OMICS
from radgen_lib.sources.phantom.people import SITES
from radgen_lib.sources.phantom.truth import Truth

BATCH_SD = 0.15
"""SD of a site's shift of a gene, in units of the signal's SD."""

_METASTATIC_SHARE, _NORMAL_SHARE = 0.01, 0.05
_METASTASIS_SD = 0.5
_COPY_NUMBER_SD, _COPY_NUMBER_CENTRE = 0.28, 0.02
_LEAST, _MOST = -1.3, 3.0


def omics_samples(truth: Truth, seed: int) -> pd.DataFrame:
    """All samples: sample, patient, row (of the patient in the truth), kind ("primary", "metastasis", "normal").

    Every patient has a primary tumour (``-01``), one in a hundred a metastasis too (``-06``), one in twenty adjacent
    normal tissue (``-11``), at least one each from twenty patients on.
    """
    patients = truth.patients["patient"].to_numpy()
    rng = make_rng(seed, "phantom", "samples")
    parts = [pd.DataFrame({"row": np.arange(len(patients)), "code": "01", "kind": "primary"})]
    for code, kind, share in (("06", "metastasis", _METASTATIC_SHARE), ("11", "normal", _NORMAL_SHARE)):
        count = max(round(share * len(patients)), int(len(patients) >= 20))
        rows = np.sort(rng.choice(len(patients), size=count, replace=False))
        parts.append(pd.DataFrame({"row": rows, "code": code, "kind": kind}))
    samples = pd.concat(parts, ignore_index=True)
    samples["patient"] = patients[samples["row"]]
    samples["sample"] = samples["patient"] + "-" + samples["code"]
    return samples[["sample", "patient", "row", "kind"]].sort_values("sample", ignore_index=True)


def omics_matrices(truth: Truth, spec: Phantom, seed: int) -> dict[str, pd.DataFrame]:
    """Matrices genes x samples, float64: expression, copy_number, methylation.

    ``expression`` is log2(RSEM + 1), ``copy_number`` log2 ratio, ``methylation`` beta in (0, 1). A patient who lacks a
    matrix (``spec.missing_share`` of them, each matrix but expression) has no column there; normal tissue has no copy
    number. An entry before it is scaled is signal (SD 1 on average) + ``spec.noise`` x normal + a shift of the site.
    """
    samples = omics_samples(truth, seed)
    factors = _sample_factors(truth, samples, seed)
    sites = truth.patients["site"].map({site: i for i, site in enumerate(SITES)}).to_numpy()[samples["row"]]
    matrices = {}
    for omic in OMICS:
        rng = make_rng(seed, "phantom", omic)
        batches = rng.normal(0.0, BATCH_SD, (len(SITES), len(truth.genes)))
        entries = (factors * truth.loadings[omic]) @ truth.loadings["genes"].T + batches[sites]
        entries += spec.noise * rng.standard_normal(entries.shape)
        there = _measured(samples, omic, spec.missing_share, seed)
        columns = pd.Index(samples["sample"][there], name="sample")
        values = _scaled(entries, omic, rng)[there].T
        matrices[omic] = pd.DataFrame(values, index=pd.Index(truth.genes, name="gene"), columns=columns)
    return matrices


def _sample_factors(truth: Truth, samples: pd.DataFrame, seed: int) -> np.ndarray:
    """Factors [samples, k]: the patient's, moved for a metastasis, those of the Normal subtype for normal tissue."""
    factors = truth.factors[samples["row"]].copy()
    rng = make_rng(seed, "phantom", "further samples")
    other = rng.standard_normal(factors.shape)
    metastasis, normal = (samples["kind"] == "metastasis").to_numpy(), (samples["kind"] == "normal").to_numpy()
    factors[metastasis] += _METASTASIS_SD * other[metastasis]
    people = population(factors.shape[1])
    factors[normal] = people.means[SUBTYPES.index("Normal")] + 0.5 * people.sds * other[normal]
    return factors


def _measured(samples: pd.DataFrame, omic: str, share: float, seed: int) -> np.ndarray:
    """Which samples [samples] of ``omic`` were measured."""
    patients = int(samples["row"].max()) + 1
    there = np.ones(len(samples), dtype=bool)
    if omic != "expression":
        lacking = make_rng(seed, "phantom", "missing", omic).permutation(patients)[: round(share * patients)]
        there &= ~samples["row"].isin(lacking).to_numpy()
    if omic == "copy_number":
        there &= (samples["kind"] != "normal").to_numpy()
    return there


def _scaled(entries: np.ndarray, omic: str, rng: np.random.Generator) -> np.ndarray:
    """Entries [samples, genes] on the scale of ``omic``: an increasing function per gene."""
    genes = entries.shape[1]
    if omic == "expression":
        return np.maximum(np.clip(rng.normal(9.0, 1.8, genes), 4.5, 14.0) + rng.uniform(0.6, 1.5, genes) * entries, 0.0)
    if omic == "copy_number":
        return np.asarray(np.clip(_COPY_NUMBER_CENTRE + _COPY_NUMBER_SD * entries, _LEAST, _MOST))
    # Promoters are mostly unmethylated or mostly methylated: two humps, as on the real arrays.
    centre = np.where(rng.random(genes) < 0.6, rng.normal(-2.0, 0.7, genes), rng.normal(1.4, 0.7, genes))
    return np.asarray(expit(centre + rng.uniform(0.5, 0.9, genes) * entries))
