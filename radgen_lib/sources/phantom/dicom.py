"""MR images of the phantom as DICOM objects, with the attributes and the wording of the vendors.

Attributes follow DICOM PS3.3 (MR Image IOD, A.4); the de-identification ones are those of The Cancer Imaging Archive.
"""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.dicom_writing import clock, copied, named_uid, number, seconds_of_day, settled

# What The Cancer Imaging Archive states: basic profile with clean options, longitudinal dates modified.
METHOD = "DCM:113100/113101/113105/113107/113108/113109/113111"
Triple = tuple[float, float, float]


def uid(seed: int, *names: object) -> str:
    """A UID that depends on ``seed`` and ``names`` alone."""
    return named_uid("radgen phantom", seed, *names)


@dataclass(frozen=True)
class Geometry:
    """Where a stack of slices lies in the patient, all in mm (LPS axes).

    ``origin`` is the centre of the first voxel of slice 0, ``orientation`` the direction cosines along a row and along
    a column (ImageOrientationPatient), ``step`` the way from a slice to the next, ``row`` and ``col`` the distances
    between rows and between columns, ``thickness`` that of a slice.
    """

    origin: Triple
    orientation: tuple[float, ...]
    step: Triple
    row: float
    col: float
    thickness: float

    def position(self, slice_index: int) -> Triple:
        """ImagePositionPatient of a slice."""
        x, y, z = (start + slice_index * step for start, step in zip(self.origin, self.step, strict=True))
        return x, y, z

    def point(self, z: float, y: float, x: float) -> Triple:
        """Place of a voxel index (slice, row, column)."""
        along_row, along_column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        place = np.array(self.origin) + z * np.array(self.step) + y * self.row * along_column + x * self.col * along_row
        return float(place[0]), float(place[1]), float(place[2])


def vendor(manufacturer: str) -> str:
    """ "SIEMENS" or "GE": the one whose habits and wording are used for a manufacturer."""
    return "SIEMENS" if manufacturer.upper().startswith("SIEMENS") else "GE"


def study_header(patient: pd.Series, *, study: int, seed: int) -> Dataset:
    """What all objects of a study have in common: patient, study, scanner, and how they were de-identified.

    ``patient`` is a row of the truth's patients, ``study`` counts from 1. Dates are drawn from the patient (the second
    study 60 to 400 days after the first), so that intervals are kept as in shifted dates.
    """
    name = str(patient["patient"])
    rng = make_rng(seed, "phantom dates", name)
    days = int(rng.integers(0, 2000)) + sum(int(gap) for gap in rng.integers(60, 400, size=study - 1))
    date = f"{datetime.date(1999, 1, 4) + datetime.timedelta(days):%Y%m%d}"
    time = clock(float(make_rng(seed, "phantom hours", name, study).integers(8 * 3600, 17 * 3600)))
    siemens = vendor(str(patient["manufacturer"])) == "SIEMENS"
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID = MRImageStorage
    header.StudyDate = header.SeriesDate = date
    header.StudyTime = header.SeriesTime = time
    header.AccessionNumber = ""
    header.Modality = "MR"
    header.Manufacturer = "SIEMENS" if siemens else "GE MEDICAL SYSTEMS"
    header.ReferringPhysicianName = ""
    header.StudyDescription = "MRI BREAST WITH AND WITHOUT CONTRAST"
    header.ManufacturerModelName = _model(str(patient["scanner"]), siemens)
    header.SoftwareVersions = "syngo MR B17" if siemens else "12"
    header.DeviceSerialNumber = "0"
    header.PatientName = header.PatientID = name
    header.PatientBirthDate = ""
    header.PatientSex = "F"
    header.PatientAge = f"{min(max(round(float(patient['age'])), 0), 999):03d}Y"
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = METHOD
    header.LongitudinalTemporalInformationModified = "MODIFIED"
    header.BodyPartExamined = "BREAST"
    header.MagneticFieldStrength = number(float(patient["field_strength"]))
    header.PatientPosition = "FFP" if not siemens else "HFP"
    header.StudyInstanceUID = uid(seed, name, study)
    header.StudyID = ""
    header.FrameOfReferenceUID = uid(seed, name, study, "frame of reference")
    header.PositionReferenceIndicator = ""
    header.BurnedInAnnotation = "NO"
    return header


def _model(scanner: str, siemens: bool) -> str:
    """Model name out of "GE Signa 1.5T"."""
    words = [word for word in scanner.split() if word.upper() not in ("GE", "SIEMENS", "MEDICAL", "SYSTEMS")]
    words = [word for word in words if not (word.upper().endswith("T") and word[:1].isdigit())]
    return " ".join(words) or ("Avanto" if siemens else "SIGNA EXCITE")


def describe_pixels(header: Dataset, values: np.ndarray) -> None:
    """Set the pixel description and a window that shows ``values`` [z, y, x], uint16, well."""
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows, header.Columns = values.shape[-2:]
    header.BitsAllocated = 16
    header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 0
    top = max(int(np.percentile(values, 99.5)), 2)
    header.WindowCenter = str(top // 2)
    header.WindowWidth = str(top)


def images(header: Dataset, values: np.ndarray, geometry: Geometry, *, name: str, seed: int) -> Iterator[Dataset]:
    """One MR image per slice of ``values`` (uint16 [z, y, x]), from a ``header`` that holds all but the slice.

    ``name`` tells the stack from others of its series. Reads the number of the first image from the header's
    InstanceNumber. Needs AcquisitionTime in the header; ContentTime follows it by the reconstruction.
    """
    template = copied(header)
    first = int(template.InstanceNumber)
    if "WindowCenter" not in template:
        describe_pixels(template, values)
    template.ImageOrientationPatient = [number(value) for value in geometry.orientation]
    template.PixelSpacing = [number(geometry.row), number(geometry.col)]
    template.SliceThickness = number(geometry.thickness)
    template.SpacingBetweenSlices = number(float(np.linalg.norm(geometry.step)))
    template.ContentDate = template.AcquisitionDate = template.StudyDate
    template.ContentTime = clock(seconds_of_day(template.AcquisitionTime) + 30.0)
    template = settled(template)
    across = np.cross(geometry.orientation[:3], geometry.orientation[3:])
    for index, plane in enumerate(values):
        position = geometry.position(index)
        image = copied(template)
        image.SOPInstanceUID = uid(seed, template.SeriesInstanceUID, name, index)
        image.InstanceNumber = first + index
        image.ImagePositionPatient = [number(value) for value in position]
        image.SliceLocation = number(float(np.dot(across, position)))
        image.add_new("PixelData", "OW", np.ascontiguousarray(plane, dtype="<u2").tobytes())
        yield image


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Without what highdicom and the encoders tell of every object, and its warning of a one-word person's name.

    A research code has no parts between carets, and is meant so.
    """
    loggers = [logging.getLogger(name) for name in ("highdicom", "openjpeg")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The string .* is unlikely to represent the intended person name")
        try:
            for logger in loggers:
                logger.setLevel(logging.WARNING)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def freeze(made: Dataset, *, date: str, time: str, dimensions: str) -> None:
    """Replace what highdicom takes from the clock, or draws at random, by ``date``, ``time`` and the UID given."""
    made.InstanceCreationDate, made.InstanceCreationTime = date, time
    for equipment in made.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = date + time
    for holder in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        holder.DimensionOrganizationUID = dimensions


def file_meta(image: Dataset, syntax: UID = ExplicitVRLittleEndian) -> FileMetaDataset:
    """File meta information of ``image``, without versions of packages, so that bytes do not change with them."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID("2.25.316903263206205352405906373029146170113")
    meta.ImplementationVersionName = "RADGEN PHANTOM"
    return meta


def encode(image: Dataset) -> bytes:
    """``image`` as a DICOM file; explicit little endian unless its file meta information names another syntax."""
    syntax = getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", ExplicitVRLittleEndian)
    image.file_meta = file_meta(image, syntax)
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
