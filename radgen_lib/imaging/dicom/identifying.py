"""Attributes that point at a person or a place: their names, and where they are found. Values are never kept.

The names are those of the basic confidentiality profile (DICOM PS3.15, table E.1-1) that are about people, places,
devices and orders, or free text about a patient. Left out are its UIDs, dates and times, which every file has (they
leave ingestion as days and seconds, and under pseudonyms), its descriptions of technique, and sex, age, size, weight.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from radgen_lib.imaging.dicom import fields as f
from radgen_lib.imaging.dicom.pixels import DECODE_FAULTS

IDENTIFYING = (
    "PatientName", "PatientBirthDate", "PatientBirthTime", "PatientBirthName", "PatientMotherBirthName",
    "PatientAddress", "PatientTelephoneNumbers", "PatientTelecomInformation", "OtherPatientIDs", "OtherPatientNames",
    "IssuerOfPatientID", "TypeOfPatientID", "PatientInstitutionResidence", "PatientReligiousPreference",
    "CountryOfResidence", "RegionOfResidence", "Occupation", "EthnicGroup", "ResponsiblePerson",
    "ResponsiblePersonRole", "ResponsibleOrganization", "ConfidentialityConstraintOnPatientDataDescription",
    "InsurancePlanIdentification", "MilitaryRank", "BranchOfService", "MedicalRecordLocator", "PatientComments",
    "AdditionalPatientHistory", "MedicalAlerts", "Allergies", "SpecialNeeds", "PatientState", "SmokingStatus",
    "PregnancyStatus", "LastMenstrualDate", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "ReferringPhysicianName", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers",
    "ConsultingPhysicianName", "PhysiciansOfRecord", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy",
    "RequestingPhysician", "RequestingService", "ScheduledPerformingPhysicianName", "OperatorsName",
    "HumanPerformerName", "HumanPerformerOrganization", "ContentCreatorName", "ReviewerName", "VerifyingObserverName",
    "VerifyingOrganization", "PersonName", "PersonAddress", "PersonTelephoneNumbers",
    "NamesOfIntendedRecipientsOfResults", "DistributionName", "DistributionAddress", "InterpretationAuthor",
    "InterpretationRecorder", "InterpretationTranscriber", "PhysicianApprovingInterpretation", "AccessionNumber",
    "StudyID", "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest", "OrderEnteredBy",
    "OrderEntererLocation", "OrderCallbackPhoneNumber", "OrderCallbackTelecomInformation", "RequestedProcedureID",
    "ScheduledProcedureStepID", "PerformedProcedureStepID", "AdmissionID", "IssuerOfAdmissionID",
    "IssuerOfServiceEpisodeID", "ServiceEpisodeID", "ServiceEpisodeDescription", "VisitComments",
    "CurrentPatientLocation", "RequestedProcedureLocation", "ScheduledProcedureStepLocation", "PerformedLocation",
    "StationName", "PerformedStationName", "ScheduledStationName", "PerformedStationAETitle", "ScheduledStationAETitle",
    "RetrieveAETitle", "DeviceSerialNumber", "DetectorID", "GantryID", "PlateID", "CassetteID", "GeneratorID",
    "DeviceUID", "ImageComments", "FrameComments", "StudyComments", "ImagePresentationComments",
    "RequestedProcedureComments", "CommentsOnThePerformedProcedureStep", "CommentsOnTheScheduledProcedureStep",
    "ImagingServiceRequestComments", "ReasonForTheImagingServiceRequest", "ReasonForStudy",
    "ReasonForTheRequestedProcedure", "AdmittingDiagnosesDescription", "DischargeDiagnosisDescription",
    "IdentifyingComments", "TextComments", "TextString", "ResultsComments", "InterpretationText", "Impressions",
    "ModifyingDeviceID", "ModifyingDeviceManufacturer", "CurrentObserverTrial",
)  # fmt: skip
# Sequences that are named as a whole when they have an item; of others, each item is looked into.
SEQUENCES = (
    "OtherPatientIDsSequence", "ReferencedPatientSequence", "ReferencedPatientAliasSequence",
    "PersonIdentificationCodeSequence", "AuthorObserverSequence", "ResultsDistributionListSequence",
    "IntendedRecipientsOfResultsIdentificationSequence", "IssuerOfPatientIDQualifiersSequence",
    "InstitutionCodeSequence", "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianIdentificationSequence",
    "PhysiciansOfRecordIdentificationSequence", "PerformingPhysicianIdentificationSequence",
    "PhysiciansReadingStudyIdentificationSequence", "RequestingPhysicianIdentificationSequence",
    "OperatorIdentificationSequence", "IssuerOfAccessionNumberSequence", "IssuerOfAdmissionIDSequence",
    "RequestAttributesSequence", "ActualHumanPerformersSequence", "ContentCreatorIdentificationCodeSequence",
    "PatientPrimaryLanguageCodeSequence", "PatientInsurancePlanCodeSequence", "AdmittingDiagnosesCodeSequence",
    "OriginalAttributesSequence", "ModifiedAttributesSequence", "ParticipantSequence", "VerifyingObserverSequence",
    "VerifyingObserverIdentificationCodeSequence", "CustodialOrganizationSequence",
)  # fmt: skip
_TAGS = {f.tag_of(keyword): keyword for keyword in IDENTIFYING}
TAGS = frozenset(_TAGS)
_NONE = "^ 0"  # a name of no parts, or noughts, stand where a value was removed
_DEEPEST = 8
_PRIVATE = "private"
_FAULTS = (*DECODE_FAULTS, InvalidDicomError, NotImplementedError, struct.error, zlib.error)


def identifying(data: f.Elements) -> str:
    """Names, joined by commas, of identifying attributes whose value is not empty and not the research code.

    ``data`` are elements of the top level, :data:`TAGS` among them; sequences are left to :func:`looked_into`.
    """
    there = TAGS & data.keys()
    if not there:
        return ""
    code = f.text(data, "PatientID")
    return ",".join(keyword for tag, keyword in _TAGS.items() if tag in there and _tells(f.text(data, keyword), code))


def _tells(value: str, code: str) -> bool:
    return value.strip(_NONE) != "" and value.strip("^ ") != code


def add_looked_into(rows: list[dict[str, Any]], folder: Path) -> None:
    """Complete ``identifying`` in the ``rows`` of a scan of ``folder`` by one file of each series, read as a whole.

    Added are names within items of sequences, sequences that are named themselves, and the number of private elements
    as ``<n> private elements``. It is the file with the smallest SOP instance UID: names of files do not matter.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row["series"]), []).append(row)
    for same in groups.values():
        first = min(same, key=lambda row: (row["sop"], row["file"]))
        found = looked_into(folder / first["file"])
        for row in same if found else ():
            row["identifying"] = ",".join(dict.fromkeys([*filter(None, row["identifying"].split(",")), *found]))


def looked_into(path: Path) -> list[str]:
    """Names of identifying attributes anywhere in a file, and of its private elements the number; [] if unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they repeat values of the tags
            data = pydicom.dcmread(path, stop_before_pixels=True)
            names = list(_walked(data, str(data.get("PatientID", "")), 0))
    except _FAULTS:
        return []
    count = names.count(_PRIVATE)
    found = sorted(set(names) - {_PRIVATE})
    return [*found, f"{count} private elements"] if count else found


def _walked(data: Dataset, code: str, depth: int) -> Iterator[str]:
    """Names in ``data`` and the items of its sequences; one that cannot be read tells nothing."""
    for tag in list(data.keys()):
        if tag.is_private:
            if not tag.is_private_creator:
                yield _PRIVATE
            continue
        keyword = keyword_for_tag(tag)
        if keyword.endswith("Sequence") and depth < _DEEPEST:
            items = list(data[tag].value or ())
            if items and keyword in SEQUENCES:
                yield keyword
            for item in items:
                yield from _walked(item, code, depth + 1)
        elif int(tag) in TAGS and _tells(str(data[tag].value or ""), code):
            yield keyword
