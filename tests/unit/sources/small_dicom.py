"""Small DICOM files for tests of image sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

ROOT = "1.2.826.0.1.3680043.8.498.77"


def uid(*parts: int) -> str:
    """A UID of these tests."""
    return ".".join([ROOT, *map(str, parts)])


def make_instance(patient: str, series: tuple[int, int], number: int, **changes: object) -> Dataset:
    """One slice of 8 x 8 voxels; ``series`` is (study, series)."""
    dataset = Dataset()
    values = {
        "PatientID": patient, "PatientName": "Test^Only", "StudyInstanceUID": uid(series[0]), "Modality": "MR",
        "SeriesInstanceUID": uid(*series), "SOPInstanceUID": uid(*series, number), "SOPClassUID": MRImageStorage,
        "SeriesDescription": "Ax Vibrant MULTIPHASE", "Manufacturer": "GE MEDICAL SYSTEMS",
        "ManufacturerModelName": "SIGNA EXCITE", "InstanceNumber": number, "StudyDate": "20010203", "Rows": 8,
        "Columns": 8, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "StudyID": "1", "AccessionNumber": "",
        **changes,
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = (np.arange(64, dtype="<u2") + number).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def write_series(folder: Path, patient: str, series: tuple[int, int], count: int, **changes: object) -> list[Path]:
    """Write ``count`` slices as ``<folder>/<number>.dcm``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in range(1, count + 1)]
    for number, path in enumerate(paths, start=1):
        make_instance(patient, series, number, **changes).save_as(path, enforce_file_format=True)
    return paths
