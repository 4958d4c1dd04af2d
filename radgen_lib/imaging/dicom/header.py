"""The header of one DICOM file as rows: one a file, or one a frame of a multi-frame file."""

from __future__ import annotations

import logging
import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException

from radgen_lib.imaging.dicom import fields as f
from radgen_lib.imaging.dicom import words
from radgen_lib.imaging.dicom.frames import frame_rows
from radgen_lib.imaging.dicom.identifying import TAGS, identifying
from radgen_lib.imaging.dicom.pixels import (
    DEFLATED,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    NATIVE,
    PixelPlace,
    can_decode,
    find_pixels,
    fragments_complete,
    frame_bytes,
)  # fmt: skip

_USED = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate",
    "ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "AcquisitionDateTime", "Modality",
    "Manufacturer", "SeriesDescription", "ManufacturerModelName", "PatientID", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastBolusStartTime",
    "ScanningSequence", "RepetitionTime", "EchoTime", "MagneticFieldStrength", "FlipAngle",
    "SpacingBetweenSlices", "TriggerTime", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
    "TemporalPositionIdentifier", "TemporalResolution", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ImageLaterality", "Laterality",
)  # fmt: skip
_TAGS = {*map(f.tag_of, _USED), *TAGS}
_PIXELS = 0x7FE00000
logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings repeat values of the tags
_PARSE_FAULTS = (
    OSError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError, TypeError, IndexError, struct.error,
    zlib.error, AssertionError, BytesLengthException,
)  # fmt: skip


class HeaderFault(Exception):
    """A file that cannot be used: why, free of identifiers; ``rows`` of its MR images, where its header is whole."""

    def __init__(self, reason: str, patient: str = "", series: str = "", rows: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(reason)
        self.patient, self.series, self.rows = patient, series, rows


def read_header(path: Path) -> list[dict[str, Any]]:
    """Rows of a DICOM file (columns: :data:`radgen_lib.imaging.dicom.scan.COLUMNS` but folder and file).

    Pixel data is not read; only whether all of it is there. Raises HeaderFault for what is no readable MR image (or
    segmentation, kind "SEG").
    """
    try:
        with open(path, "rb") as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break the standard; fields.py decides what they mean
            if handle.read(132)[128:] != b"DICM":
                raise HeaderFault("not a DICOM file")
            data, syntax = _elements(handle)
            return _rows(data, syntax, handle, os.fstat(handle.fileno()).st_size)
    except _PARSE_FAULTS as error:
        raise HeaderFault(f"truncated or damaged header ({type(error).__name__})") from error


def _elements(handle: BinaryIO) -> tuple[f.Elements, str]:
    """Elements before the pixel data, where ``handle`` then stands, and the transfer syntax."""
    meta = f.read_elements(handle, implicit=False, little=True, stop=0x00030000, only=None)
    syntax = f.text(meta, "TransferSyntaxUID") or IMPLICIT_LITTLE
    if syntax == DEFLATED:
        handle.seek(0)
        inflated = pydicom.dcmread(handle, stop_before_pixels=True)
        return {int(tag): element for tag, element in inflated.items()}, syntax
    start = handle.tell()
    peek = handle.read(6)
    handle.seek(start)
    # Some writers state an explicit syntax and write implicit elements; the letters of the first one tell.
    implicit = syntax == IMPLICIT_LITTLE or not peek[4:6].isupper()
    little = syntax != EXPLICIT_BIG
    data = f.read_elements(handle, implicit=implicit, little=little, stop=_PIXELS, only=_TAGS)
    return data, IMPLICIT_LITTLE if implicit and syntax in NATIVE else syntax


def _rows(data: f.Elements, syntax: str, handle: BinaryIO, size: int) -> list[dict[str, Any]]:
    patient, series = f.text(data, "PatientID"), f.text(data, "SeriesInstanceUID")
    modality = f.text(data, "Modality")
    if not f.text(data, "SOPInstanceUID") or not series or not modality:
        raise HeaderFault("truncated or damaged header (no modality or identifiers)", patient, series)
    if modality not in ("MR", "SEG"):
        raise HeaderFault(f"not MR (modality {words.one_of(modality, words.MODALITIES)})", patient, series)
    base = _base(data, syntax)
    place, fault = PixelPlace(-1, -1), f"unreadable transfer syntax ({words.transfer_syntax(syntax)})"
    if can_decode(syntax):
        place, fault = _pixels(base, handle, size)
    base.update(pixel_offset=place.offset, pixel_bytes=place.length, file_bytes=size)
    if fault == "no pixel data" and _ends_inside(data, size):
        raise HeaderFault("truncated: the file ends in its header", patient, series)
    if fault and modality == "SEG":
        raise HeaderFault(f"segmentation: {fault}", patient, series)
    try:
        rows = _images(data, base)
    except ValueError as error:
        raise HeaderFault(fault or str(error), patient, series) from error
    if fault:
        raise HeaderFault(fault, patient, series, [row for row in rows if row["position"] and row["orientation"]])
    return rows


def _images(data: f.Elements, base: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a frame of a multi-frame image, else one; raises ValueError when groups of the frames are not there."""
    single = base["frames"] == 1 and not f.items(data, "PerFrameFunctionalGroupsSequence")
    return [base] if single or base["kind"] == "SEG" else frame_rows(data, base)


def _pixels(base: dict[str, Any], handle: BinaryIO, size: int) -> tuple[PixelPlace, str]:
    """Place of the pixel data and what is wrong with it, or ""."""
    if base["transfer_syntax"] == DEFLATED:
        return PixelPlace(-1, -1), ""  # the deflated stream has no places; decoding it tells
    place = find_pixels(handle, base["transfer_syntax"])
    if place is None:
        return PixelPlace(-1, -1), "no pixel data"
    if place.length < 0:
        whole = fragments_complete(handle, place, size)
        return place, "" if whole else "truncated: compressed pixel data ends early"
    need = frame_bytes(base["rows"], base["columns"], base["bits_allocated"]) * base["frames"] * base["samples"]
    if place.offset + place.length > size:
        return place, f"truncated: {max(size - place.offset, 0)} of {place.length} bytes of pixel data"
    if base["rows"] < 1 or base["columns"] < 1 or place.length == 0:
        return place, "no pixel data"
    return place, "" if place.length >= need else f"pixel data of {place.length} bytes where the header needs {need}"


def _ends_inside(data: f.Elements, size: int) -> bool:
    """Whether the last element that was read is shorter than it says."""
    return any(
        isinstance(element, RawDataElement)
        and element.length != 0xFFFFFFFF
        and element.value_tell + element.length > size
        for element in data.values()
    )


def _base(data: f.Elements, syntax: str) -> dict[str, Any]:
    """What holds for the whole file; of a multi-frame file, what its frames may replace."""
    day = f.day_of(f.text(data, "StudyDate"))
    spacing = f.numbers(data, "PixelSpacing", 2)
    count = f.number(data, "NumberOfFrames")
    slope, intercept = f.number(data, "RescaleSlope"), f.number(data, "RescaleIntercept")
    maker = words.vendor(f.text(data, "Manufacturer"))
    bits = f.whole(data, "BitsAllocated")
    stored = f.whole(data, "BitsStored", bits)
    acquired = f.moment(f.text(data, "AcquisitionDate"), f.text(data, "AcquisitionTime"), day)
    return {
        "frame": 0,
        "patient": f.text(data, "PatientID"),
        "study": f.text(data, "StudyInstanceUID"),
        "series": f.text(data, "SeriesInstanceUID"),
        "sop": f.text(data, "SOPInstanceUID"),
        "kind": f.text(data, "Modality"),
        "modality": f.text(data, "Modality"),
        "instance": f.number(data, "InstanceNumber"),
        "orientation": f.numbers(data, "ImageOrientationPatient", 6),
        "position": f.numbers(data, "ImagePositionPatient", 3),
        "spacing_row": spacing[0] if spacing else f.NONE,
        "spacing_col": spacing[1] if spacing else f.NONE,
        "rows": f.whole(data, "Rows"),
        "columns": f.whole(data, "Columns"),
        "bits_allocated": bits,
        "bits_stored": stored,
        "high_bit": f.whole(data, "HighBit", stored - 1),
        "signed": f.whole(data, "PixelRepresentation", 0) == 1,
        "slope": 1.0 if slope != slope else slope,
        "intercept": 0.0 if intercept != intercept else intercept,
        "samples": f.whole(data, "SamplesPerPixel", 1),
        "photometric": words.one_of(f.text(data, "PhotometricInterpretation"), words.PHOTOMETRIC),
        "acquisition": f.number(data, "AcquisitionNumber"),
        "temporal": f.number(data, "TemporalPositionIdentifier"),
        "temporal_resolution": f.number(data, "TemporalResolution"),
        "trigger": f.number(data, "TriggerTime"),
        "acquisition_time": acquired if acquired == acquired else f.moment_of(f.text(data, "AcquisitionDateTime"), day),
        "content_time": f.moment(f.text(data, "ContentDate"), f.text(data, "ContentTime"), day),
        "series_time": f.moment(f.text(data, "SeriesDate"), f.text(data, "SeriesTime"), day),
        "study_date": day,
        "study_time": f.seconds_of(f.text(data, "StudyTime")),
        "contrast": _contrast(data),
        "image_type": f.text(data, "ImageType").upper(),
        "description": f.text(data, "SeriesDescription"),
        "series_number": f.number(data, "SeriesNumber"),
        "manufacturer": maker,
        "model": words.model(f.text(data, "ManufacturerModelName"), maker),
        "field_strength": f.number(data, "MagneticFieldStrength"),
        "tr": f.number(data, "RepetitionTime"),
        "te": f.number(data, "EchoTime"),
        "flip": f.number(data, "FlipAngle"),
        "sequence": f.text(data, "ScanningSequence").upper(),
        "transfer_syntax": syntax,
        "frames": int(count) if count == count and count >= 1 else 1,
        "frame_of_reference": f.text(data, "FrameOfReferenceUID"),
        "identifying": identifying(data),
        "laterality": words.one_of(f.text(data, "ImageLaterality") or f.text(data, "Laterality"), words.LATERALITY),
    }


def _contrast(data: f.Elements) -> bool:
    """Whether the tags say that contrast agent was given by then."""
    if f.text(data, "ContrastBolusAgent").upper() not in f.NO_CONTRAST or f.items(data, "ContrastBolusAgentSequence"):
        return True
    given = (f.number(data, "ContrastBolusVolume"), f.number(data, "ContrastBolusTotalDose"))
    return any(amount > 0 for amount in given) or f.text(data, "ContrastBolusStartTime") != ""
