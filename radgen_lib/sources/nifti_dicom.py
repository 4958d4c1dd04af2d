"""A three-dimensional NIfTI file as MR images of one DICOM series, so that every later stage reads one form.

Attributes follow DICOM PS3.3 (MR Image IOD, A.4). What NIfTI does not tell (dates, scanner, sequence) stays empty.
"""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from radgen_lib.sources.phantom.dicom import clock, copied, number, settled

# Times of day are this plus the stated seconds; no date is written.
BASE_SECONDS = 8 * 3600.0
LEVELS = 65535
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_SKEW = 1e-3
_THINNEST_MM, _FARTHEST_MM = 1e-3, 1e6
_LONGEST_WHOLE = 1e15  # a decimal string has 16 letters
_MILLIMETRES = ("mm", "unknown")
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError,
               nib.spatialimages.HeaderDataError)  # fmt: skip


class NiftiFault(Exception):
    """A NIfTI file that cannot be used; the text says what is wrong and what to do, without names."""


@dataclass(frozen=True)
class Place:
    """Where a volume lies, in DICOM's axes (LPS, mm).

    ``shape`` counts columns, rows and slices (the three axes of the file); the columns of ``direction`` (3 x 3) are
    unit vectors along them, ``spacing`` their steps, ``origin`` is the middle of the first voxel.
    """

    shape: tuple[int, int, int]
    direction: np.ndarray
    spacing: tuple[float, float, float]
    origin: np.ndarray


@dataclass(frozen=True)
class Phase:
    """What the user's table tells of one file; ``position`` is 1 for pre-contrast, k + 1 for post-contrast k.

    ``study_number`` orders the studies of a patient from 1; ``seconds`` after the pre-contrast phase may be NaN.
    """

    patient: str
    study: str
    phase: str
    position: int
    study_number: int
    seconds: float

    @property
    def study_uid(self) -> str:
        """UID of the study, from its names alone."""
        return _uid(self.patient, self.study)

    @property
    def series_uid(self) -> str:
        """UID of the series, from its names alone."""
        return _uid(self.patient, self.study, self.phase)


def _uid(*names: object) -> str:
    """A UID under 2.25. (from a UUID, PS3.5 B.2) that depends on ``names`` alone."""
    text = "\x1f".join(["radgen nifti", *map(str, names)])
    return f"2.25.{uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5).int}"


def open_nifti(path: Path) -> tuple[Any, Place]:
    """The image (values not read yet) and its place. Raises NiftiFault when it is no volume with a place."""
    try:
        image: Any = nib.load(path)
        codes = int(image.header["sform_code"]), int(image.header["qform_code"])
        unit, affine = image.header.get_xyzt_units()[0], np.asarray(image.affine, dtype=np.float64)
    except FileNotFoundError as error:
        raise NiftiFault("the file is not there. Correct the column file") from error
    except (*_UNREADABLE, KeyError) as error:
        raise NiftiFault(f"the file cannot be read as NIfTI ({type(error).__name__}). Write it again") from error
    shape = image.shape[:3] if image.shape[3:] == (1,) else image.shape
    if len(shape) != 3:
        raise NiftiFault(f"the file has {len(shape)} dimensions, not 3. Write each phase as a file of its own")
    if not 0 < min(shape) <= max(shape) <= LEVELS:
        raise NiftiFault(f"an axis has {min(shape)} or {max(shape)} voxels, not 1 to {LEVELS}. Write it again")
    if codes == (0, 0):
        raise NiftiFault("no valid affine (sform_code and qform_code are 0). Write it with its place in the patient")
    if unit not in _MILLIMETRES:
        raise NiftiFault(f"the affine is in units of {unit}. Write it in mm")
    return image, _place(shape, affine)


def _place(shape: tuple[int, int, int], affine: np.ndarray) -> Place:
    axes, origin = _LPS_TO_RAS @ affine[:3, :3], _LPS_TO_RAS @ affine[:3, 3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or spacing.min() < _THINNEST_MM:
        raise NiftiFault("no valid affine (not finite, or an axis without length). Write it with its place")
    if np.abs(origin).max() + (spacing * shape).sum() > _FARTHEST_MM:
        raise NiftiFault("no valid affine (farther away than a kilometre). Write it in mm")
    direction = axes / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SKEW:
        raise NiftiFault("the affine is sheared: its axes are not at right angles. Resample it to a straight grid")
    return Place(shape, direction, (float(spacing[0]), float(spacing[1]), float(spacing[2])), origin)


def read_values(image: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Values [columns, rows, slices] as the file scales them. Raises NiftiFault when they are no finite numbers."""
    try:
        values = np.asarray(image.dataobj)
    except _UNREADABLE as error:
        raise NiftiFault(f"the values cannot be read ({type(error).__name__}). Write the file again") from error
    if values.dtype.kind not in "iuf":
        raise NiftiFault("the voxels are colours or complex numbers. Write one real number a voxel")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise NiftiFault(f"{count} voxels are not finite. Replace them, for instance by 0")
    if max(abs(float(values.min())), abs(float(values.max()))) > float(np.finfo(np.float32).max) / 2:
        raise NiftiFault("values are larger than 32 bits hold. Scale them")
    return values.reshape(shape)


def rescaling(values: np.ndarray) -> tuple[str, str]:
    """Slope and intercept, as decimal strings of DICOM, that put ``values`` into 0 ... 65535.

    Whole numbers that span at most 65535 keep their values exactly. Others are rounded to 65536 levels of their
    range: an error of at most half a step, (max - min) / 65535 / 2.
    """
    low, high = values.min().item(), values.max().item()
    whole = values.dtype.kind != "f" or bool((values == np.rint(values)).all())
    if whole and high - low <= LEVELS and abs(low) < _LONGEST_WHOLE:
        return "1", str(int(low) if low < 0 or high > LEVELS else 0)
    slope = (float(high) - float(low)) / LEVELS
    return (format_number_as_ds(slope) if slope > 0 else "1"), format_number_as_ds(float(low))


def images(phase: Phase, place: Place, values: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """SOP instance UID and file of each slice (third axis) of ``values`` [columns, rows, slices], in their order."""
    slope, intercept = rescaling(values)
    template = settled(_header(phase, place, slope, intercept))
    across = np.cross(place.direction[:, 0], place.direction[:, 1])
    for index in range(place.shape[2]):
        position = place.origin + index * place.spacing[2] * place.direction[:, 2]
        image = copied(template)
        image.SOPInstanceUID = _uid(phase.patient, phase.study, phase.phase, index)
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [number(float(value)) for value in position]
        image.SliceLocation = number(float(across @ position))
        plane = (values[:, :, index].T.astype(np.float64) - float(intercept)) / float(slope)
        stored = np.clip(np.rint(plane), 0, LEVELS).astype("<u2")
        image.add_new("PixelData", "OW", stored.tobytes())
        yield str(image.SOPInstanceUID), _encoded(image)


def _header(phase: Phase, place: Place, slope: str, intercept: str) -> Dataset:
    """All that the slices of a series share."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    header.SOPClassUID, header.Modality = MRImageStorage, "MR"
    # No date: days between studies stay unknown. The time only keeps the studies of a patient in their order.
    header.StudyDate, header.StudyTime = "", clock(float(phase.study_number))
    header.PatientID = phase.patient
    header.StudyInstanceUID, header.SeriesInstanceUID = phase.study_uid, phase.series_uid
    header.FrameOfReferenceUID = _uid(phase.patient, phase.study, "frame of reference")
    header.SeriesNumber = header.AcquisitionNumber = header.TemporalPositionIdentifier = phase.position
    if phase.position > 1:
        header.ContrastBolusAgent = "UNSPECIFIED"
    if phase.seconds == phase.seconds:
        header.AcquisitionTime = header.ContentTime = clock(BASE_SECONDS + phase.seconds)
    header.ScanningSequence, header.SequenceVariant = "RM", "NONE"
    for keyword in (
        "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientBirthDate", "PatientSex", "StudyID",
        "Manufacturer", "ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength", "RepetitionTime",
        "PositionReferenceIndicator", "PatientPosition", "Laterality",
    ):  # fmt: skip
        setattr(header, keyword, None)
    header.ImageOrientationPatient = [number(float(value)) for value in place.direction[:, :2].T.ravel()]
    header.PixelSpacing = [number(place.spacing[1]), number(place.spacing[0])]
    header.SliceThickness = header.SpacingBetweenSlices = number(place.spacing[2])
    header.Columns, header.Rows = place.shape[:2]
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = slope, intercept, "US"
    return header


def _encoded(image: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("2.25.270695996825855179949881587723571202391")
    meta.ImplementationVersionName = "RADGEN NIFTI"
    image.file_meta = meta
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
