"""Frames of enhanced (multi-frame) MR objects, through their functional groups (DICOM PS3.3 C.7.6.16)."""

from __future__ import annotations

from typing import Any

from radgen_lib.imaging.dicom import fields as f
from radgen_lib.imaging.dicom import words

_CONVERTED = {
    "temporal": "TemporalPositionIdentifier", "acquisition": "AcquisitionNumber", "trigger": "TriggerTime",
    "tr": "RepetitionTime", "te": "EchoTime", "flip": "FlipAngle", "field_strength": "MagneticFieldStrength",
}  # fmt: skip


_GROUPS = (
    "FrameContentSequence", "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelValueTransformationSequence", "TemporalPositionSequence", "CardiacSynchronizationSequence",
    "MRTimingAndRelatedParametersSequence", "MREchoSequence", "MRImageFrameTypeSequence",
    "ContrastBolusUsageSequence", "FrameAnatomySequence",
)  # fmt: skip


def frame_rows(data: f.Elements, base: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a frame: ``base`` with what the shared and the frame's own functional groups say.

    Raises ValueError, its text the reason, when the groups are not there for every frame.
    """
    shared = f.first(data, "SharedFunctionalGroupsSequence")
    frames = f.items(data, "PerFrameFunctionalGroupsSequence")
    if len(frames) != base["frames"]:
        raise ValueError(f"multi-frame with functional groups for {len(frames)} of {base['frames']} frames")
    common = {name: f.first(shared, name) for name in _GROUPS}
    facts = base | _converted(shared, base["study_date"])
    return [_frame(facts, k, common, frame) for k, frame in enumerate(frames)]


def _frame(base: dict[str, Any], number: int, common: dict[str, f.Elements], own: f.Elements) -> dict[str, Any]:
    def group(name: str) -> f.Elements:
        return f.first(own, name) or common[name]

    content, measures = group("FrameContentSequence"), group("PixelMeasuresSequence")
    place, plane = group("PlanePositionSequence"), group("PlaneOrientationSequence")
    values, spacing = group("PixelValueTransformationSequence"), f.numbers(measures, "PixelSpacing", 2)
    offset = f.binary(group("TemporalPositionSequence"), "TemporalPositionTimeOffset")
    row = dict(base)
    row.update(
        frame=number,
        instance=float(number + 1),
        position=f.numbers(place, "ImagePositionPatient", 3),
        orientation=f.numbers(plane, "ImageOrientationPatient", 6),
    )
    day = base["study_date"]
    found: dict[str, Any] = {
        "spacing_row": spacing[0] if spacing else f.NONE,
        "spacing_col": spacing[1] if spacing else f.NONE,
        "slope": f.number(values, "RescaleSlope"),
        "intercept": f.number(values, "RescaleIntercept"),
        "temporal": f.binary(content, "TemporalPositionIndex"),
        "acquisition": f.binary(content, "FrameAcquisitionNumber"),
        "acquisition_time": f.moment_of(f.text(content, "FrameAcquisitionDateTime"), day),
        "content_time": f.moment_of(f.text(content, "FrameReferenceDateTime"), day),
        "trigger": _first_number(offset * 1000.0, _cardiac(group("CardiacSynchronizationSequence"))),
        "tr": f.number(group("MRTimingAndRelatedParametersSequence"), "RepetitionTime"),
        "flip": f.number(group("MRTimingAndRelatedParametersSequence"), "FlipAngle"),
        "te": f.binary(group("MREchoSequence"), "EffectiveEchoTime"),
        "image_type": f.text(group("MRImageFrameTypeSequence"), "FrameType").upper(),
        "contrast": _given(group("ContrastBolusUsageSequence")),
        "laterality": words.one_of(f.text(group("FrameAnatomySequence"), "FrameLaterality"), words.LATERALITY),
    }
    found |= _converted(own, day)
    # A group that is absent leaves what the file says as a whole.
    row.update({name: value for name, value in found.items() if value not in ("", None) and value == value})
    return row


def _converted(groups: f.Elements, day: float) -> dict[str, Any]:
    """What a legacy object, converted to an enhanced one, keeps of attributes that have no functional group."""
    found: dict[str, Any] = {}
    for name in ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence"):
        kept = f.first(groups, name)
        numbers = {column: f.number(kept, keyword) for column, keyword in _CONVERTED.items()}
        numbers["acquisition_time"] = f.moment(f.text(kept, "AcquisitionDate"), f.text(kept, "AcquisitionTime"), day)
        numbers["content_time"] = f.moment(f.text(kept, "ContentDate"), f.text(kept, "ContentTime"), day)
        found |= {column: value for column, value in numbers.items() if value == value}
        if f.text(kept, "ContrastBolusAgent"):
            found["contrast"] = f.text(kept, "ContrastBolusAgent").upper() not in f.NO_CONTRAST
    return found


def _cardiac(data: f.Elements) -> float:
    return f.binary(data, "NominalCardiacTriggerDelayTime")


def _first_number(*values: float) -> float:
    return next((value for value in values if value == value), f.NONE)


def _given(data: f.Elements) -> bool | None:
    said = f.text(data, "ContrastBolusAgentAdministered").upper()
    return {"YES": True, "NO": False}.get(said)
