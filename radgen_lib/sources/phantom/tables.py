"""Tables of the phantom beside its images: study folder, Duke-style tables, gene sets, the truth of every image."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import write_parquet
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.dicom_troubles import TROUBLE_COLUMNS, trouble_rows
from radgen_lib.sources.phantom.duke_tables import write_duke_tables
from radgen_lib.sources.phantom.gene_sets import GENE_SETS_FILE, write_gene_sets
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.patients import ImagedPatient, each_patient, imaged_patients
from radgen_lib.sources.phantom.protocol import StudyPlan
from radgen_lib.sources.phantom.study import write_study
from radgen_lib.sources.phantom.table_troubles import plant_table_troubles
from radgen_lib.sources.phantom.truth import draw_truth, write_truth

_TABLE_EXPECTED = {
    "clinical_without_headers": "table kept: the rows that begin with # are optional",
    "mutations_unknown_columns": "table kept: columns are found by name, the unknown one is left out",
    "windows_line_ends": "table kept: line ends of any kind",
    "not_utf8": "table kept: read as Latin-1, with a note",
    "gene_rows_twice": "gene kept: one of its rows, by the rule of the decision log",
    "sample_in_one_omic": "sample kept or left out by the rule of the decision log, with a row",
    "empty_matrix": "omic refused: no rows; the others go on",
    "duplicated_matrix": "omic reported: the same numbers under two names",
    "sample_swap": "samples reported: they disagree with their other omics",
}
BOX_COLUMNS = ("slice_first", "slice_last", "row_first", "row_last", "col_first", "col_last")


def image_truth(patient: ImagedPatient) -> pd.DataFrame:
    """What is true of the images of one patient, one row a phase of each study.

    Columns: patient, study_number, study and series (UIDs), phase, seconds (after the first phase), voxels and
    volume_mm3 of the lesion's mask, its box (first and last slice, row and column from 0, both inside; -1 without a
    lesion), the kinetic parameters the images were made with (per minute and shares; NaN without a lesion),
    diameter_mm at the study, and shift_z_mm, shift_y_mm, shift_x_mm since the first phase along the array's axes.
    """
    return pd.DataFrame([row for study in patient.studies() for row in _study_rows(patient, study)])


def _study_rows(patient: ImagedPatient, study: StudyPlan) -> Iterator[dict[str, object]]:
    acquisition = patient.acquired(study.number)
    present = bool(acquisition.lesion.any())
    common = {
        "volume_mm3": float(acquisition.lesion.sum() * np.prod(acquisition.spacing)),
        "voxels": int(acquisition.lesion.sum()),
        **dict(zip(BOX_COLUMNS, lesion_box(acquisition.lesion), strict=True)),
        "diameter_mm": patient.diameter_mm(study.number) if present else float("nan"),
        **{name: acquisition.kinetics.get(name, float("nan")) for name in ("ktrans", "kep", "vp")},
        **acquisition.kinetics,
    }
    for number, phase in enumerate(acquisition.phases):
        yield {
            "patient": study.name, "study_number": study.number, "study": str(study.header.StudyInstanceUID),
            "series": study.holding(number).uid, "phase": phase.label, "seconds": phase.seconds, **common,
            **{f"shift_{axis}_mm": mm for axis, mm in zip("zyx", phase.shift_mm, strict=True)},
        }  # fmt: skip


def lesion_box(lesion: np.ndarray) -> tuple[int, ...]:
    """First and last slice, row and column (from 0, both inside) of a mask [z, y, x]; six times -1 for an empty one."""
    places = np.nonzero(lesion)
    if not len(places[0]):
        return (-1,) * 6
    return tuple(int(edge) for axis in places for edge in (axis.min(), axis.max()))


def planted_troubles(patients: list[ImagedPatient], slices: int) -> pd.DataFrame:
    """Every image fault of the cohort: trouble, patient, series, where, expected; phases have ``slices`` slices."""
    found = [trouble_rows(each.trouble, each.studies()[0], slices) for each in patients if each.trouble is not None]
    return pd.concat([_no_troubles(), *found], ignore_index=True)


def duke_boxes(images: pd.DataFrame) -> pd.DataFrame:
    """Boxes of the lesions at the first study, counted from 1, both ends inside, as in the Duke collection."""
    first = images[(images["study_number"] == 1) & (images["phase"] == "pre") & (images["voxels"] > 0)]
    columns = {
        f"{end}_{long}": first[f"{short}_{place}"] + 1
        for long, short in (("row", "row"), ("column", "col"), ("slice", "slice"))
        for end, place in (("start", "first"), ("end", "last"))
    }
    return pd.DataFrame({"patient": first["patient"], **columns}).reset_index(drop=True)


def write_phantom_tables(spec: Phantom, seed: int, folder: Path, *, jobs: int = 1) -> None:
    """Write ``study/`` (cBioPortal), ``tables/`` (Duke style, gene sets), ``truth/`` and the planted faults.

    The truth has the files of :func:`write_truth`, ``lesions_images.parquet`` (see :func:`image_truth`) and
    ``troubles.parquet`` (trouble, patient, series, where, expected; no patient for faults of tables). Every file
    appears whole; a later call writes all of them again, with equal bytes for equal arguments whatever ``jobs``.
    """
    truth = draw_truth(spec, seed)
    patients = imaged_patients(truth, spec, seed)
    images = pd.concat(each_patient(image_truth, patients, jobs, "truth of the phantom's images"), ignore_index=True)
    shutil.rmtree(folder / "study", ignore_errors=True)  # a fault of earlier settings may be a file of its own
    write_study(truth, omics_matrices(truth, spec, seed), folder / "study", seed=seed)
    tables = plant_table_troubles(folder / "study", spec.troubles, seed)
    write_duke_tables(truth, duke_boxes(images), folder / "tables")
    write_gene_sets(truth, folder / "tables" / GENE_SETS_FILE, seed=seed)
    write_truth(truth, folder / "truth", noise=spec.noise)
    write_parquet(folder / "truth" / "lesions_images.parquet", images)
    troubles = pd.concat([planted_troubles(patients, spec.shape[0]), _table_rows(tables)], ignore_index=True)
    write_parquet(folder / "truth" / "troubles.parquet", troubles)


def _table_rows(planted: pd.DataFrame) -> pd.DataFrame:
    """Faults of tables in the columns of those of images."""
    rows = [
        (row["trouble"], "", "", f"{row['file']}: {row['where']}", _TABLE_EXPECTED[row["trouble"]])
        for row in planted.to_dict("records")
    ]
    return pd.concat([_no_troubles(), pd.DataFrame(rows, columns=list(TROUBLE_COLUMNS))], ignore_index=True)


def _no_troubles() -> pd.DataFrame:
    return pd.DataFrame(columns=list(TROUBLE_COLUMNS), dtype=object)
