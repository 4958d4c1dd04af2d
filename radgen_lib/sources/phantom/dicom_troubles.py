"""Faults of image files, planted one by one into the phantom: each in another patient, each written down."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pydicom.dataset import Dataset

from radgen_lib.core.errors import ConfigError
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.dicom_writing import copied
from radgen_lib.sources.phantom.image_faults import PLANTS, Files, file_name, touched_slices
from radgen_lib.sources.phantom.protocol import SeriesPlan, StudyPlan

TROUBLE_COLUMNS = ("trouble", "patient", "series", "where", "expected")
# What ingestion must make of each; the first two words are the verdict.
EXPECTED = {
    "truncated_dicom": "file refused: shorter than it says; its phase is refused for the slice it lacks",
    "not_dicom": "file refused: not DICOM; its series goes on",
    "two_patients_in_one_series": "series refused: two patients",
    "series_twice": "series kept: once",
    "mixed_orientations": "series refused: several orientations",
    "missing_slices": "series refused: slices are missing",
    "duplicated_slices": "series kept: each slice once",
    "no_pixel_data": "series refused: no pixel data",
    "patient_id_disagrees": "series refused: PatientID is not the folder's patient",
    "identifying_attributes": "series kept: the names of the attributes are reported, their values are not written",
    "gantry_tilt": "series refused: slices are sheared; or kept after resampling along the true normal",
    "uneven_spacing": "series refused: uneven distances between slices",
    "phases_in_one_series": "series kept: its phases told apart by TriggerTime alone",
    "compressed": "series kept: pixels are those of the uncompressed phantom",
    "multiframe": "series kept: frames read as slices",
    "signed_rescaled": "series kept: rescaled values are those of the plain phantom",
}
STUDY_WIDE = ("identifying_attributes", "phases_in_one_series", "compressed", "multiframe", "signed_rescaled")


def assign_troubles(troubles: Sequence[str], patients: Sequence[str], seed: int) -> dict[str, str]:
    """Which imaged patient has which image fault; faults of tables are left out.

    ConfigError when there are more faults than ``patients``: each goes into another patient, so that what ingestion
    says of one is never mixed with another.
    """
    wanted = [name for name in dict.fromkeys(troubles) if name in EXPECTED]
    if len(wanted) > len(patients):
        raise ConfigError(
            f"phantom.troubles: {len(wanted)} image faults for {len(patients)} patients with MRI. "
            "Raise phantom.patients or list fewer"
        )
    order = make_rng(seed, "phantom troubles").permutation(len(patients))
    return {patients[place]: name for place, name in zip(order, wanted, strict=False)}


def is_hit(trouble: str | None, study: StudyPlan, series: SeriesPlan) -> bool:
    """Whether a series of a study carries the fault of its patient.

    Faults of a way of writing touch all dynamic series of the first study. The others touch one, the second
    post-contrast phase (the last where there is but one), so that the first one can still be used.
    """
    if trouble is None or study.number != 1 or not series.phases:
        return False
    posts = int(study.patient["n_posts"])
    return trouble in STUDY_WIDE or min(2, posts) in series.phases


def plant(trouble: str, files: Files, study: StudyPlan, series: SeriesPlan) -> Files:
    """The files of a series with the fault in them; ``files`` (name -> MR image) stays as it is."""
    clean = {name: copied(image) for name, image in files.items() if isinstance(image, Dataset)}
    return PLANTS[trouble](clean, study, series)


def trouble_rows(trouble: str, study: StudyPlan, slices: int) -> pd.DataFrame:
    """Where a fault is, one row per series it touches: trouble, patient, series, where, expected."""
    first, count = touched_slices(trouble, study, slices)
    files = ", ".join(file_name(first + step) for step in range(count))
    where = {
        "truncated_dicom": files, "not_dicom": "IM-9999.dcm", "series_twice": "a second folder with the same files",
        "two_patients_in_one_series": files, "mixed_orientations": files, "missing_slices": files,
        "duplicated_slices": f"copies of {files}", "uneven_spacing": f"from {file_name(first)} on",
    }  # fmt: skip
    rows = [
        (trouble, study.name, series.uid, where.get(trouble, "all files"), EXPECTED[trouble])
        for series in study.series
        if is_hit(trouble, study, series)
    ]
    return pd.DataFrame(rows, columns=list(TROUBLE_COLUMNS))
