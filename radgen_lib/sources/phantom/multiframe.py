"""One phase as a single multi-frame object, as some scanners and archives deliver it."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from radgen_lib.sources.phantom.dicom import file_meta, freeze, quiet_libraries, uid


def multiframe_image(slices: Sequence[Dataset], seed: int) -> Dataset:
    """Images of one phase as a Legacy Converted Enhanced MR object, with functional groups per frame.

    The frames lie in highdicom's order, which may be that of ``slices`` or the reverse: see :func:`is_reversed`.
    """
    first = slices[0]
    for image in slices:
        image.file_meta = file_meta(image)
    series, date = str(first.SeriesInstanceUID), str(first.StudyDate)
    with quiet_libraries():
        made: Dataset = hd.legacy.LegacyConvertedEnhancedMRImage(
            slices, series, int(first.SeriesNumber), uid(seed, series, "frames"), 1
        )
    if "ReferencedSeriesSequence" in made:
        del made.ReferencedSeriesSequence  # it would name a series that is nowhere
    made.SeriesDescription = first.SeriesDescription
    # highdicom drops fractions of seconds of the acquisition and takes other times from the clock.
    made.AcquisitionDateTime = f"{date}{first.AcquisitionTime}"
    for frame in made.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence[0].FrameAcquisitionDateTime = made.AcquisitionDateTime
    freeze(made, date=date, time=str(first.ContentTime), dimensions=uid(seed, series, "dimensions"))
    return made


def is_reversed(multiframe: Dataset, first: Dataset) -> bool:
    """Whether the first frame of an image made from slices is not the ``first`` of them."""
    position = multiframe.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    return not np.allclose([float(value) for value in position], [float(value) for value in first.ImagePositionPatient])
