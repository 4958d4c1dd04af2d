"""Faults in the files of one series: functions from its clean images to the files that are written instead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from scipy import ndimage

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.dicom_writing import copied, number, seconds_of_day
from radgen_lib.sources.phantom.dicom import encode, file_meta, quiet_libraries, uid
from radgen_lib.sources.phantom.multiframe import multiframe_image
from radgen_lib.sources.phantom.protocol import SeriesPlan, StudyPlan

Files = dict[str, Dataset | bytes]
_SYNTAXES = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
_TILT = np.tan(np.radians(12.0))
IDENTIFYING = {
    "PatientName": "Example^Erika^Maria", "PatientBirthDate": "19500214", "PatientAddress": "1 Example Street",
    "InstitutionName": "Example General Hospital", "ReferringPhysicianName": "Example^Doctor",
    "OperatorsName": "Example^Operator", "AccessionNumber": "EX0012345",
}  # fmt: skip


def file_name(place: int) -> str:
    """Name of the file at a place from 0."""
    return f"IM-{place + 1:04d}.dcm"


def touched_slices(trouble: str, study: StudyPlan, slices: int) -> tuple[int, int]:
    """First slice touched, never at an end of the stack, and how many."""
    rng = make_rng(study.seed, "phantom trouble", trouble, study.name)
    single = trouble in ("truncated_dicom", "uneven_spacing")
    return int(rng.integers(1, max(slices - 2, 2))), 1 if single else 2


def _touched(trouble: str, files: dict[str, Dataset], study: StudyPlan) -> list[str]:
    first, count = touched_slices(trouble, study, len(files))
    return [file_name(first + step) for step in range(count)]


def _truncated(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """One file lacks the last part of its pixels, as after a broken transfer."""
    cut = {
        name: (whole := encode(files[name]))[: len(whole) - len(files[name].PixelData) // 2]
        for name in _touched("truncated_dicom", files, study)
    }
    return {**files, **cut}


def _not_dicom(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    return {**files, "IM-9999.dcm": b"<html><body><h1>503 Service Unavailable</h1></body></html>\n"}


def _two_patients(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    for name in _touched("two_patients_in_one_series", files, study):
        files[name].PatientID = files[name].PatientName = _other(study.name)
    return dict(files)


def _other(patient: str) -> str:
    """A research code that no patient of the phantom has."""
    return f"PHAN-S9-{patient[-4:]}"


def _twice(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    return dict(files)  # the second folder is part of the plan of what is written


def _mixed(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    for name in _touched("mixed_orientations", files, study):
        cosines = [str(value) for value in files[name].ImageOrientationPatient]
        normal = np.cross([float(value) for value in cosines[:3]], [float(value) for value in cosines[3:]])
        files[name].ImageOrientationPatient = [*(number(float(value)) for value in normal), *cosines[3:]]
    return dict(files)


def _missing(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    lost = _touched("missing_slices", files, study)
    return {name: image for name, image in files.items() if name not in lost}


def _duplicated(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Two slices stand twice, under a new instance number and UID."""
    more: Files = {}
    for step, name in enumerate(_touched("duplicated_slices", files, study)):
        copy = copied(files[name])
        copy.InstanceNumber = len(files) + 1 + step
        copy.SOPInstanceUID = uid(study.seed, str(copy.SOPInstanceUID), "copy")
        more[file_name(len(files) + step)] = copy
    return {**files, **more}


def _no_pixels(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    for image in files.values():
        del image.PixelData
    return dict(files)


def _disagrees(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    for image in files.values():
        image.PatientID = image.PatientName = _other(study.name)
    return dict(files)


def _identifying(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Attributes that name a person, all invented, and no statement that they were removed."""
    for image in files.values():
        for keyword, value in IDENTIFYING.items():
            setattr(image, keyword, value)
        image.PatientIdentityRemoved = "NO"
        del image.DeidentificationMethod
    return dict(files)


def _tilted(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Every slice a little further down its columns, and its content moved back: anatomy stays where it was."""
    middle = (len(files) - 1) / 2
    for place, image in enumerate(files.values()):
        shift = float(_TILT) * float(image.SpacingBetweenSlices) * (place - middle)
        down = [float(value) for value in image.ImageOrientationPatient[3:]]
        position = [float(value) for value in image.ImagePositionPatient]
        image.ImagePositionPatient = [number(start + shift * way) for start, way in zip(position, down, strict=True)]
        moved = ndimage.shift(_pixels(image), (-shift / float(image.PixelSpacing[0]), 0.0), order=1, mode="nearest")
        image.PixelData = moved.astype("<u2").tobytes()
    return dict(files)


def _uneven(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """From one slice on, all lie 0.4 of a step further."""
    images = list(files.values())
    steps = np.diff([[float(value) for value in image.ImagePositionPatient] for image in images[:2]], axis=0)[0]
    first, _ = touched_slices("uneven_spacing", study, len(images))
    for image in images[first:]:
        position = [float(value) + 0.4 * step for value, step in zip(image.ImagePositionPatient, steps, strict=True)]
        image.ImagePositionPatient = [number(value) for value in position]
    return dict(files)


def _one_series(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Numbered slice by slice, with all phases of a place in a row, and only TriggerTime to tell them apart, as GE."""
    images, phases = list(files.values()), len(series.phases)
    slices, start = len(images) // phases, seconds_of_day(images[0].SeriesTime)
    ordered = [images[phase * slices + place] for place in range(slices) for phase in range(phases)]
    for place, image in enumerate(ordered):
        image.TriggerTime = number(1000.0 * (seconds_of_day(image.AcquisitionTime) - start))
        image.InstanceNumber, image.AcquisitionNumber = place + 1, 1
        image.AcquisitionTime, image.ContentTime = image.SeriesTime, images[0].ContentTime
        del image.TemporalPositionIdentifier, image.NumberOfTemporalPositions
    return {file_name(place): image for place, image in enumerate(ordered)}


def _compressed(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Each phase in another of three lossless syntaxes: RLE, JPEG-LS, JPEG 2000."""
    syntax = _SYNTAXES[series.phases[0] % len(_SYNTAXES)]
    with quiet_libraries():
        for image in files.values():
            image.file_meta = file_meta(image)
            image.compress(syntax, generate_instance_uid=False)
    return dict(files)


def _multiframe(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    return {file_name(0): multiframe_image(list(files.values()), study.seed)}


def _signed(files: dict[str, Dataset], study: StudyPlan, series: SeriesPlan) -> Files:
    """Signed stored values; RescaleSlope x stored + RescaleIntercept is the plain value, exactly."""
    for image in files.values():
        # Plain values lie in [0, 2 x 16383): half a unit per step and 64 at zero keep them whole and within 16 bits.
        stored = 2 * (_pixels(image).astype(np.int64) - 64)
        image.PixelData = np.clip(stored, -32768, 32767).astype("<i2").tobytes()
        image.PixelRepresentation = 1
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = "0.5", "64", "US"
    return dict(files)


def _pixels(image: Dataset) -> np.ndarray:
    return np.frombuffer(image.PixelData, dtype="<u2").reshape(image.Rows, image.Columns)


PLANTS: dict[str, Callable[[dict[str, Dataset], StudyPlan, SeriesPlan], Files]] = {
    "truncated_dicom": _truncated, "not_dicom": _not_dicom, "two_patients_in_one_series": _two_patients,
    "series_twice": _twice, "mixed_orientations": _mixed, "missing_slices": _missing,
    "duplicated_slices": _duplicated, "no_pixel_data": _no_pixels, "patient_id_disagrees": _disagrees,
    "identifying_attributes": _identifying, "gantry_tilt": _tilted, "uneven_spacing": _uneven,
    "phases_in_one_series": _one_series, "compressed": _compressed, "multiframe": _multiframe,
    "signed_rescaled": _signed,
}  # fmt: skip
