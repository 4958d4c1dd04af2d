"""What is in the series of a phantom study: dynamic phases, localiser, T2 and subtraction images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from scipy import ndimage

from radgen_lib.sources.dicom_writing import clock, copied, number, seconds_of_day
from radgen_lib.sources.phantom.dicom import Geometry, describe_pixels, images
from radgen_lib.sources.phantom.protocol import SeriesPlan, StudyPlan

if TYPE_CHECKING:
    from radgen_lib.sources.phantom.acquisition import Acquisition, PhaseImage

# Seconds from the start of the study to the pre-contrast phase, and to the series that are no phase.
_START = {"localiser": 30.0, "t2": 180.0, "dynamic": 600.0, "subtraction": 1500.0}
_AGENT = "Gadopentetate dimeglumine"


def geometry_of(acquisition: Acquisition) -> Geometry:
    """Geometry of the acquired phases."""
    depth, row, col = acquisition.spacing
    return Geometry(acquisition.origin, tuple(acquisition.orientation), acquisition.slice_step, row, col, depth)


def series_images(study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> list[Dataset]:
    """All images of a series but the segmentation, in order of their InstanceNumber."""
    makers: dict[str, Callable[[StudyPlan, SeriesPlan, Acquisition], Iterator[Dataset]]] = {
        "localiser": _localiser, "t2": _t2, "subtraction": _subtraction,
    }  # fmt: skip
    return list(makers.get(series.name, _dynamic)(study, series, acquisition))


def _header(study: StudyPlan, series: SeriesPlan, start: float) -> Dataset:
    """Header of a series that starts ``start`` seconds after the study."""
    header = copied(study.header)
    header.SeriesInstanceUID = series.uid
    header.SeriesNumber = series.number
    header.SeriesDescription = header.ProtocolName = series.description
    header.SeriesTime = header.AcquisitionTime = clock(seconds_of_day(header.StudyTime) + start)
    # One breast in a sagittal volume, both in an axial one.
    header.ImageLaterality = str(study.patient["laterality"]) if str(study.patient["view"]) == "sagittal" else "B"
    header.AcquisitionNumber = 1
    header.InstanceNumber = 1
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    return header


def _gradient_echo(header: Dataset, acquisition: Acquisition) -> Dataset:
    header.ScanningSequence = "GR"
    header.SequenceVariant = ["SK", "SP"]
    header.ScanOptions = "FS"
    header.MRAcquisitionType = "3D"
    header.RepetitionTime = number(acquisition.tr_ms)
    header.EchoTime = number(acquisition.te_ms)
    header.FlipAngle = number(acquisition.flip_deg)
    header.EchoTrainLength = 1
    return header


def _dynamic(study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Iterator[Dataset]:
    """Images of the phases of a series, phase after phase."""
    pre = acquisition.phases[0].values
    first = 1
    for phase in series.phases:
        taken = acquisition.phases[phase]
        header = _gradient_echo(_header(study, series, _START["dynamic"]), acquisition)
        _time_of_phase(header, series, phase, taken)
        describe_pixels(header, pre)  # one window for the study, so that enhancement shows
        header.InstanceNumber = first
        yield from images(header, taken.values, geometry_of(acquisition), name=taken.label, seed=study.seed)
        first += len(taken.values)


def _time_of_phase(header: Dataset, series: SeriesPlan, phase: int, taken: PhaseImage) -> None:
    """Times, numbers and contrast of a phase.

    No TriggerTime: PS3.3 has it for gated scans alone, though GE writes it in dynamic series too; see the fault
    "phases_in_one_series".
    """
    header.AcquisitionTime = clock(seconds_of_day(header.SeriesTime) + taken.seconds)
    if len(series.phases) > 1:
        header.AcquisitionNumber = phase + 1
        header.TemporalPositionIdentifier = phase + 1
        header.NumberOfTemporalPositions = len(series.phases)
    else:
        header.SeriesTime = header.AcquisitionTime
    if phase:
        header.ContrastBolusAgent = _AGENT
        header.ContrastBolusRoute = "IV"


def _subtraction(study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Iterator[Dataset]:
    """First post-contrast phase minus the one before contrast, negative differences as 0."""
    header = _gradient_echo(_header(study, series, _START["subtraction"]), acquisition)
    header.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SUBTRACT"]
    header.DerivationDescription = "First post-contrast phase minus pre-contrast phase"
    header.AcquisitionTime = clock(seconds_of_day(header.StudyTime) + _START["dynamic"] + acquisition.phases[1].seconds)
    header.ContrastBolusAgent = _AGENT
    header.ContrastBolusRoute = "IV"
    difference = acquisition.phases[1].values.astype(np.int32) - acquisition.phases[0].values
    values = np.maximum(difference, 0).astype(np.uint16)
    return images(header, values, geometry_of(acquisition), name=series.name, seed=study.seed)


def _t2(study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Iterator[Dataset]:
    """Spin-echo images of the same slices: compressed grey values, the lesion a little brighter than the gland."""
    header = _spin_echo(_header(study, series, _START["t2"]), repetition=4000.0, echo=102.0)
    pre = acquisition.phases[0].values.astype(np.float32)
    values = np.sqrt(ndimage.gaussian_filter(pre, (0.0, 0.6, 0.6)) / max(float(pre.max()), 1.0)) * 900.0
    values *= np.where(acquisition.lesion, 1.25, 1.0)
    return images(header, values.astype(np.uint16), geometry_of(acquisition), name=series.name, seed=study.seed)


def _spin_echo(header: Dataset, *, repetition: float, echo: float) -> Dataset:
    header.ScanningSequence = "SE"
    header.SequenceVariant = "SK"
    header.ScanOptions = ""
    header.MRAcquisitionType = "2D"
    header.RepetitionTime = number(repetition)
    header.EchoTime = number(echo)
    header.FlipAngle = "90"
    header.EchoTrainLength = 16
    return header


def _localiser(study: StudyPlan, series: SeriesPlan, acquisition: Acquisition) -> Iterator[Dataset]:
    """Three slices in each of three orientations, at half the in-plane resolution."""
    header = _spin_echo(_header(study, series, _START["localiser"]), repetition=800.0, echo=20.0)
    describe_pixels(header, acquisition.phases[0].values)
    del header.Rows, header.Columns
    volume, whole = acquisition.phases[0].values.astype(np.float32), geometry_of(acquisition)
    for turn, axis in enumerate((0, 1, 2)):
        values, geometry = _cuts(volume, whole, axis)
        header.Rows, header.Columns = values.shape[1:]
        header.InstanceNumber = 1 + 3 * turn
        yield from images(header, values, geometry, name=f"localiser {axis}", seed=study.seed)


def _cuts(volume: np.ndarray, whole: Geometry, axis: int) -> tuple[np.ndarray, Geometry]:
    """Three planes of ``volume`` [z, y, x] across ``axis``, with square pixels twice as large, and where they lie."""
    sizes = (float(np.linalg.norm(whole.step)), whole.row, whole.col)
    ways = [np.array(whole.point(*unit)) - np.array(whole.origin) for unit in np.eye(3)]
    down, along = [other for other in range(3) if other != axis]
    pixel = 2.0 * min(sizes[down], sizes[along])
    quarter = volume.shape[axis] // 4  # at least 1: no side has fewer than 4 voxels
    planes = np.take(volume, [quarter, 2 * quarter, 3 * quarter], axis=axis)
    planes = np.moveaxis(planes, axis, 0)
    counts = [max(4, int(volume.shape[side] * sizes[side] / pixel)) for side in (down, along)]
    grids = [np.arange(count) * pixel / sizes[side] for count, side in zip(counts, (down, along), strict=True)]
    places = np.stack(np.meshgrid(*grids, indexing="ij"))
    values = np.stack([ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in planes])
    unit = [way / np.linalg.norm(way) for way in ways]
    gap = quarter * ways[axis]
    start = np.array(whole.origin) + gap
    where = Geometry(
        (float(start[0]), float(start[1]), float(start[2])),
        tuple(float(value) for value in (*unit[along], *unit[down])),
        (float(gap[0]), float(gap[1]), float(gap[2])),
        pixel, pixel, sizes[axis],
    )  # fmt: skip
    return values.astype(np.uint16), where
