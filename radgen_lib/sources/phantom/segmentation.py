"""The lesion of a phantom study as a DICOM Segmentation object (PS3.3 A.51), through highdicom."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from radgen_lib.sources.dicom_writing import clock, seconds_of_day
from radgen_lib.sources.phantom.dicom import freeze, quiet_libraries, uid

_MAKER = "radgen"


def lesion_segmentation(
    sources: list[Dataset], lesion: np.ndarray, *, series: str, number: int, description: str, seed: int
) -> Dataset:
    """Binary segmentation with one segment, the lesion, of the series that ``sources`` are the images of.

    ``sources`` are the single-frame images of one phase in the order of the slices of ``lesion`` (bool [z, y, x]), or
    one multi-frame image with as many frames; ``series`` is the UID of the new series. Only slices with lesion become
    frames. ValueError when ``lesion`` is empty. UIDs and times derive from the sources and the seed, so that equal
    arguments give equal bytes.
    """
    if not lesion.any():
        raise ValueError("segmentation: the lesion has no voxel")
    first = sources[0]
    stated = clock(seconds_of_day(str(first.StudyTime)) + 3600.0)
    segment = SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        tracking_id=f"{first.PatientID} lesion 1",
        tracking_uid=uid(seed, series, "tracking"),
        anatomic_regions=[codes.SCT.Breast],
    )
    with quiet_libraries():
        made: Dataset = hd.seg.Segmentation(
            source_images=sources,
            pixel_array=lesion.astype(np.uint8),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[segment],
            series_instance_uid=series,
            series_number=number,
            sop_instance_uid=uid(seed, series, "lesion"),
            instance_number=1,
            manufacturer=_MAKER,
            manufacturer_model_name="phantom",
            software_versions="1",
            device_serial_number="1",
            content_description="True lesion of the phantom",
            content_label="LESION",
            series_description=description,
            content_date=str(first.StudyDate),
            content_time=stated,
            series_date=str(first.StudyDate),
            series_time=stated,
        )
    freeze(made, date=str(first.StudyDate), time=stated, dimensions=uid(seed, series, "dimensions"))
    for keyword in ("PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified"):
        if keyword in first:
            made[keyword] = first[keyword]
    return made
