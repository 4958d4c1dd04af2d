"""The cohort `released`: the files that the authors of CPDM released, as tables with one row a patient or series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.expression import read_expression, read_factors
from radgen_lib.cohort.ids import site_of
from radgen_lib.cohort.images import read_series
from radgen_lib.cohort.labels import read_clinical, read_labels
from radgen_lib.cohort.schema import PATIENT_COLUMNS, check_patients
from radgen_lib.cohort.selection import Selection, check_lost
from radgen_lib.cohort.survival import read_survival
from radgen_lib.core.atomic import write_array, write_parquet
from radgen_lib.core.errors import DataError

FILES = (
    "btf_features", "side_view_index", "side_png", "gene_expression", "mutations", "receptors", "subgroups",
    "survival_a", "survival_b", "clinical",
)  # fmt: skip
TABLES = ("patients", "series", "selection", "genes15", "factors17")


@dataclass(frozen=True)
class ReleasedCohort:
    """One cohort in memory.

    patients: one row a patient that has a condition (columns of :data:`~radgen_lib.cohort.schema.PATIENT_COLUMNS`);
    series: image_index, series (of an ingested cohort: the volume), series_uid (SeriesInstanceUID; its pseudonym where
    identifiers are hidden), patient, view, note, one row a usable image; selection: every decision with its reason;
    genes15 and factors17: patient and raw values; images: uint8 [n, 128, 128], row = image_index.
    """

    patients: pd.DataFrame
    series: pd.DataFrame
    selection: pd.DataFrame
    genes15: pd.DataFrame
    factors17: pd.DataFrame
    images: np.ndarray


def read_released(files: Mapping[str, Path], *, genes: Sequence[str], max_excluded_share: float) -> ReleasedCohort:
    """Read the released files (``files`` maps the names in :data:`FILES` to paths).

    Faults of a row become rows of the selection table with a reason. Raises DataError for faults of structure
    (a file absent, empty, not UTF-8, with missing or double columns; a gene that is not in the table; PNG count
    unlike the index) and when more than ``max_excluded_share`` of the image series are excluded.
    """
    absent = [name for name in FILES if name not in files]
    if absent:
        raise DataError(f"released cohort: no file for {', '.join(absent)}. Add them to the registry")
    selection = Selection()
    genes15 = read_expression(files["gene_expression"], genes, selection)
    factors17 = read_factors(files["btf_features"], selection)
    series, images = read_series(files["side_view_index"], files["side_png"], frozenset(genes15["patient"]), selection)
    _check_share(selection.frame(), len(images), max_excluded_share, files["side_view_index"])
    facts = [
        read_labels(files, selection),
        read_survival(files["survival_a"], files["survival_b"], selection),
        read_clinical(files["clinical"], selection),
    ]
    patients = _patient_table(genes15, factors17, series, facts, selection)
    check_patients(patients)
    return ReleasedCohort(patients, series, selection.frame(), genes15, factors17, images)


def _check_share(selection: pd.DataFrame, listed: int, allowed: float, index: Path) -> None:
    lost = selection[selection["step"].isin(["series", "image"]) & ~selection["kept"]]
    row = None if lost.empty else lost["row"].iloc[0]
    check_lost(lost["reason"], listed, allowed, index, what="image series", row=row)


def _patient_table(
    genes15: pd.DataFrame,
    factors17: pd.DataFrame,
    series: pd.DataFrame,
    facts: Sequence[pd.DataFrame],
    selection: Selection,
) -> pd.DataFrame:
    """Join everything on the patient; patients without any condition become rows of the selection table."""
    with_genes, with_factors = set(genes15["patient"]), set(factors17["patient"])
    known = with_genes | with_factors
    for patient in sorted(known.union(*(frame.index for frame in facts))):
        if patient in known:
            selection.keep("condition", "patient", patient, "all tables")
        else:
            selection.drop("condition", "patient", patient, "all tables", reason="no expression and no factors")
    index = pd.Index(sorted(known), name="patient")
    table = pd.concat([frame.reindex(index) for frame in facts], axis=1)
    table["site"] = [site_of(patient) for patient in index]
    table["n_images"] = series["patient"].value_counts().reindex(index, fill_value=0).astype(np.int64)
    table["has_genes15"] = index.isin(with_genes)
    table["has_factors17"] = index.isin(with_factors)
    text = ["stage", "subtype"]
    table[text] = table[text].fillna("").astype(object)
    return table.reset_index()[list(PATIENT_COLUMNS)]


def write_cohort(cohort: ReleasedCohort, folder: Path) -> None:
    """Write the tables as Parquet and the images as ``images.npy`` into ``folder``, each file atomically."""
    for name in TABLES:
        write_parquet(folder / f"{name}.parquet", getattr(cohort, name))
    write_array(folder / "images.npy", cohort.images)
