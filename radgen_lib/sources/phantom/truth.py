"""The truth of a phantom cohort, drawn once from the seed; everything written is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import write_parquet
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.associations import association_table, gene_associations
from radgen_lib.sources.phantom.factors import SUBTYPES, draw_factors, draw_subtypes, factor_names
from radgen_lib.sources.phantom.labels import draw_labels, draw_stages
from radgen_lib.sources.phantom.lesions import draw_lesions
from radgen_lib.sources.phantom.loadings import draw_loadings
from radgen_lib.sources.phantom.people import draw_people
from radgen_lib.sources.phantom.survival import draw_survival
from radgen_lib.sources.phantom.symbols import gene_symbols


@dataclass(frozen=True)
class Truth:
    """A phantom cohort without its measurements; rows of patients, factors and lesions go together.

    ``patients`` has one row a patient (imaged ones first), ``factors`` [patients, k] is standardised in the
    population, ``loadings`` is the CP model of the omics over ``genes``, ``associations`` states every effect.
    """

    patients: pd.DataFrame
    factors: np.ndarray
    lesions: pd.DataFrame
    loadings: dict[str, np.ndarray]
    genes: tuple[str, ...]
    associations: pd.DataFrame


def draw_truth(spec: Phantom, seed: int) -> Truth:
    """Draw the cohort of ``spec`` from ``seed``; the same two give the same truth on every machine.

    Imaged patients and the others have the same proportions of subtypes. Identifiers are ``PHAN-<site>-<number>``.
    """
    people = draw_people(spec, seed)
    subtypes = np.concatenate(
        [draw_subtypes(spec.patients, seed, "imaged"), draw_subtypes(spec.omics_only, seed, "omics only")]
    )
    factors = draw_factors(subtypes, spec.factors, make_rng(seed, "phantom", "factors"))
    lesions = draw_lesions(people, factors, seed)
    labels = draw_labels(factors, seed)
    stages = draw_stages(lesions["diameter_mm"].to_numpy(), labels["n_stage"], seed)
    patients = pd.concat([people, labels, stages, draw_survival(factors, seed)], axis=1)
    patients["pam50"] = np.array(SUBTYPES, dtype=object)[subtypes]
    genes = gene_symbols(spec.genes)
    return Truth(
        patients=patients,
        factors=factors,
        lesions=lesions,
        loadings=draw_loadings(genes, spec.factors, seed),
        genes=genes,
        associations=association_table(spec.factors),
    )


def write_truth(truth: Truth, folder: Path, *, noise: float | None = None) -> None:
    """Write the truth beside the cohort: patients, factors, lesions, loadings and the tables of what is true.

    Files: patients, factors, lesions, loadings, omic_weights, associations, gene_associations (expression) and
    attainable (for omics with noise of SD ``noise``; None: the default), each ``.parquet``. The pipeline never reads
    them; reports compare with them.
    """
    from radgen_lib.sources.phantom.attainable import attainable

    names = list(factor_names(truth.factors.shape[1]))
    factors = pd.DataFrame(truth.factors, columns=names)
    factors.insert(0, "patient", truth.patients["patient"])
    genes = pd.DataFrame(truth.loadings["genes"], columns=names)
    genes.insert(0, "gene", list(truth.genes))
    omics = [omic for omic in truth.loadings if omic != "genes"]
    weights = pd.DataFrame([truth.loadings[omic] for omic in omics], columns=names)
    weights.insert(0, "omic", omics)
    tables = {
        "patients": truth.patients, "factors": factors, "lesions": truth.lesions, "loadings": genes,
        "omic_weights": weights, "associations": truth.associations,
        "gene_associations": gene_associations(truth.loadings, truth.genes, "expression"),
        "attainable": attainable(truth, noise),
    }  # fmt: skip
    for name, table in tables.items():
        write_parquet(folder / f"{name}.parquet", table)
