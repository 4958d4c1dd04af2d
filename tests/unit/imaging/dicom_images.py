"""Small DICOM studies for tests: values and geometry given, files with names that say nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
PATIENT = "TCGA-AO-A03M"


def oblique(angle: float = 0.5, tilt: float = 0.3) -> tuple[float, ...]:
    """Orientation turned about two axes, to eight digits."""
    a = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    b = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    turned = a @ b
    return tuple(float(f"{v:.8f}") for v in (*turned[:, 0], *turned[:, 1]))


@dataclass
class Series:
    """One series to write: ``values`` integer [z, y, x]; slice k lies at origin + k x step along the normal."""

    values: np.ndarray
    uid: str = "1.2.3.1"
    study: str = "1.2.3"
    patient: str = PATIENT
    orientation: tuple[float, ...] = SAGITTAL
    origin: tuple[float, float, float] = (-60.0, -100.0, 90.0)
    spacing: tuple[float, float, float] = (3.0, 0.9, 0.8)
    shear: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tags: dict[str, Any] = field(default_factory=dict)
    skip: tuple[int, ...] = ()

    def images(self) -> list[Dataset]:
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        made = []
        for k, plane in enumerate(self.values):
            if k in self.skip:
                continue
            image = Dataset()
            image.file_meta = FileMetaDataset()
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, f"{self.uid}.{k + 1}"
            image.Modality, image.Manufacturer = "MR", "GE MEDICAL SYSTEMS"
            image.PatientID = image.PatientName = self.patient
            image.StudyInstanceUID, image.SeriesInstanceUID = self.study, self.uid
            image.StudyDate, image.StudyTime, image.SeriesNumber = "20010315", "090000", 7
            image.AcquisitionTime, image.InstanceNumber = "091000", k + 1
            image.MagneticFieldStrength, image.RepetitionTime, image.EchoTime = 1.5, 6.3, 3.1
            image.ImageType, image.SliceThickness = ["ORIGINAL", "PRIMARY", "OTHER"], self.spacing[0]
            image.FrameOfReferenceUID = f"{self.study}.9"
            place = np.add(self.origin, k * (self.spacing[0] * normal + np.array(self.shear)))
            image.ImagePositionPatient = [f"{v:.9f}"[:16] for v in place]
            image.ImageOrientationPatient = [f"{v:.10f}" for v in self.orientation]
            image.PixelSpacing = [self.spacing[1], self.spacing[2]]
            set_pixels(image, plane)
            for keyword, value in self.tags.items():
                setattr(image, keyword, value[k] if isinstance(value, list | np.ndarray) else value)
            made.append(image)
        return made


def set_pixels(image: Dataset, plane: np.ndarray) -> None:
    """Describe and store one plane of integers in native order."""
    image.Rows, image.Columns = plane.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = plane.dtype.itemsize * 8
    image.HighBit = image.BitsStored - 1
    image.PixelRepresentation = int(plane.dtype.kind == "i")
    image.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    image["PixelData"].VR = "OW"


def write(root: Path, images: list[Dataset], folder: str = "a", *, seed: int = 0) -> str:
    """Write images under names shuffled by ``seed``; returns the folder relative to ``root``."""
    names = np.random.default_rng(seed).permutation(len(images))
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number, image in zip(names, images, strict=True):
        image.save_as(root / folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def ledger(*rows: tuple[str, str, str], status: str = "ok", reason: str = "") -> pd.DataFrame:
    """Ledger rows of (folder, patient, series)."""
    table = pd.DataFrame(rows, columns=["folder", "patient", "series"])
    return table.assign(status=status, reason=reason)


def ramp(shape: tuple[int, int, int] = (6, 5, 4), *, start: int = 0, kind: str = "uint16") -> np.ndarray:
    """Different integers in every voxel."""
    return (np.arange(np.prod(shape)) + start).reshape(shape).astype(kind)
