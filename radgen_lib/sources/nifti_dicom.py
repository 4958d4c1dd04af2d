"""A three-dimensional NIfTI file as MR images of one DICOM series, so that every later stage reads one form.

Attributes follow DICOM PS3.3 (MR Image IOD, A.4). What NIfTI does not tell (dates, scanner, sequence) stays empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from radgen_lib.sources.dicom_writing import clock, copied, named_uid, number, settled
from radgen_lib.sources.nifti_place import LEVELS, Place

# Times of day are this plus the stated seconds; no date is written.
BASE_SECONDS = 8 * 3600.0
_LONGEST_WHOLE = 1e15  # a decimal string has 16 letters
_UID = "radgen nifti"  # what the names of its UIDs begin with


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
        return named_uid(_UID, self.patient, self.study)

    @property
    def series_uid(self) -> str:
        """UID of the series, from its names alone."""
        return named_uid(_UID, self.patient, self.study, self.phase)


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
        image.SOPInstanceUID = named_uid(_UID, phase.patient, phase.study, phase.phase, index)
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
    header.FrameOfReferenceUID = named_uid(_UID, phase.patient, phase.study, "frame of reference")
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
