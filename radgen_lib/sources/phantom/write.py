"""The phantom cohort on disk: DICOM per patient, resumable, and the tables of the study and of the truth beside it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset

from radgen_lib.core.atomic import write_json
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.ledger import folder_size, ledger_frame, series_folder, shard_of
from radgen_lib.sources.phantom.acquisition import Acquisition, moved
from radgen_lib.sources.phantom.dicom import encode
from radgen_lib.sources.phantom.dicom_troubles import is_hit, plant
from radgen_lib.sources.phantom.image_faults import Files, file_name
from radgen_lib.sources.phantom.multiframe import is_reversed, multiframe_image
from radgen_lib.sources.phantom.patients import ImagedPatient, each_patient, imaged_patients
from radgen_lib.sources.phantom.protocol import SeriesPlan, StudyPlan
from radgen_lib.sources.phantom.segmentation import lesion_segmentation
from radgen_lib.sources.phantom.series import series_images
from radgen_lib.sources.phantom.tables import write_phantom_tables
from radgen_lib.sources.phantom.truth import draw_truth

__all__ = ["write_patient", "write_phantom", "write_phantom_tables"]

_JOURNAL = ".series.json"
_COPY = "-copy"


def write_phantom(
    spec: Phantom, seed: int, folder: Path, *, shard: int = 0, shards: int = 1, jobs: int = 1
) -> pd.DataFrame:
    """Write the DICOM series of a shard's patients below ``folder`` and return their ledger (origin "phantom").

    One patient after the other (``jobs`` at once, in processes), so that memory does not grow with the cohort. A
    series appears by a rename when it is whole; a later call with the same arguments writes only what is not there,
    and returns the same ledger. A patient whose truth or settings changed is written anew. SIGTERM ends it after the
    patient in work and raises StopRequested. Equal arguments give equal bytes, whatever ``jobs``.
    """
    everyone = imaged_patients(draw_truth(spec, seed), spec, seed)
    mine = [patient for patient in everyone if shard_of(patient.name, shards) == shard]
    found = each_patient(partial(write_patient, folder=folder), mine, jobs, "phantom patients")
    return ledger_frame(row for rows in found for row in rows)


def write_patient(patient: ImagedPatient, folder: Path) -> list[dict[str, object]]:
    """Write what is not yet there of one patient, and return its rows of the ledger.

    A journal in the patient's folder holds what is complete; a journal of other settings, or none, starts afresh.
    """
    journal = folder / "dicom" / patient.name / _JOURNAL
    digest = patient.digest()
    facts = _facts(journal, digest)
    if not facts and journal.parent.exists():
        shutil.rmtree(journal.parent)
    rows: list[dict[str, object]] = []
    for study in patient.studies():
        acquisition: Acquisition | None = None
        for series in _delivered(patient, study):
            where = series_folder(study.name, str(study.header.StudyInstanceUID), series.folder)
            known = facts.get(where)
            if known is None or folder_size(folder / where) != (known["n_files"], known["bytes"]):
                acquisition = acquisition or patient.acquired(study.number)
                known = _write_series(series_files(patient, study, series, acquisition), folder / where)
                facts[where] = known
                write_json(journal, {"digest": digest, "series": facts})
            rows.append(_ledger_row(study, series, where, known))
    return rows


def _facts(journal: Path, digest: str) -> dict[str, dict[str, Any]]:
    """Complete series by folder, from a journal of the same settings; else nothing."""
    if not journal.is_file():
        return {}
    kept = json.loads(journal.read_text(encoding="utf-8"))
    return dict(kept["series"]) if kept["digest"] == digest else {}


def _delivered(patient: ImagedPatient, study: StudyPlan) -> Iterator[SeriesPlan]:
    """The folders of a study: its series, and once more the one that is delivered twice."""
    for series in study.series:
        yield series
        if patient.trouble == "series_twice" and is_hit(patient.trouble, study, series):
            yield replace(series, folder=series.uid + _COPY)


def series_files(patient: ImagedPatient, study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Files:
    """File name -> content of one series, with the patient's fault where it is this series that carries it."""
    if series.name == "lesion":
        return {file_name(0): _segmentation(patient, study, series, acquisition)}
    files: Files = {file_name(place): image for place, image in enumerate(series_images(study, series, acquisition))}
    if patient.trouble is not None and is_hit(patient.trouble, study, series):
        return plant(patient.trouble, files, study, series)
    return files


def _seen_lesion(acquisition: Acquisition, phase: int) -> np.ndarray:
    """The lesion where a phase shows it, that is moved with the phase; as it is where too few voxels would be left."""
    shift = [mm / size for mm, size in zip(acquisition.phases[phase].shift_mm, acquisition.spacing, strict=True)]
    seen = moved(acquisition.lesion.astype(np.float32), (shift[0], shift[1], shift[2])) >= 0.5
    return seen if seen.any() else acquisition.lesion


def _segmentation(patient: ImagedPatient, study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Dataset:
    """Segmentation of the lesion that refers to the images of the first post-contrast phase."""
    source = study.holding(1)
    lesion, place = _seen_lesion(acquisition, 1), source.phases.index(1)
    slices = len(lesion)
    sources = series_images(study, source, acquisition)[place * slices : (place + 1) * slices]
    if patient.trouble == "multiframe" and is_hit(patient.trouble, study, source):
        image = multiframe_image(sources, study.seed)
        lesion = lesion[::-1] if is_reversed(image, sources[0]) else lesion
        sources = [image]
    return lesion_segmentation(
        sources, lesion, series=series.uid, number=series.number,
        description=series.description, seed=study.seed,
    )  # fmt: skip


def _write_series(files: Files, target: Path) -> dict[str, Any]:
    """Write a series folder whole or not at all; what the ledger says of it.

    Files are not flushed to the disk one by one: the journal compares counts and bytes, and they can be made again.
    """
    work = target.with_name(f".{target.name}.part")
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    digests, size = [], 0
    for name, content in files.items():
        encoded = content if isinstance(content, bytes) else encode(content)
        (work / name).write_bytes(encoded)
        digests.append(hashlib.sha256(encoded).hexdigest())
        size += len(encoded)
    if target.exists():
        shutil.rmtree(target)
    os.replace(work, target)
    sha256 = hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
    return {"n_files": len(files), "bytes": size, "sha256": sha256}


def _ledger_row(study: StudyPlan, series: SeriesPlan, where: str, known: dict[str, Any]) -> dict[str, object]:
    return {
        "patient": study.name, "study": str(study.header.StudyInstanceUID), "series": series.uid, "folder": where,
        "n_files": known["n_files"], "bytes": known["bytes"], "expected_files": known["n_files"],
        "expected_bytes": known["bytes"], "origin": "phantom", "status": "ok", "reason": "", "sha256": known["sha256"],
    }  # fmt: skip
