"""Patient identifiers: the one place where the spellings of the sources become one form.

TCGA and the phantom write ``PROJECT-XX-XXXX`` (XX: the hospital) and append sample and series; Duke writes
``Breast_MRI_NNN``; a pseudonym of ingestion is ``P-`` and twelve hexadecimal digits.
"""

from __future__ import annotations

import re

_BARCODE = re.compile(r"(TCGA|PHAN)[.-]([A-Z0-9]{2})[.-]([A-Z0-9]{4})(?:[._-].*)?", re.DOTALL)
_PATIENT = re.compile(r"(?:TCGA|PHAN)-[A-Z0-9]{2}-[A-Z0-9]{4}")
_DUKE = re.compile(r"Breast_MRI_[0-9]{3}")
_PSEUDONYM = re.compile(r"P-[0-9a-f]{12}")


def patient_id(text: str) -> str:
    """Return the patient (``TCGA-XX-XXXX``) of any spelling of a patient, sample or series.

    Takes dots or dashes between the parts and drops what follows the patient: sample type (``-01A``), suffix of a
    second sample (``.1``, ``.2``) or series (``_1.3.6...``). Duke's identifiers and pseudonyms are returned as they
    are. Raises ValueError for anything else.
    """
    text = text.strip()
    if _DUKE.fullmatch(text) or _PSEUDONYM.fullmatch(text):
        return text
    found = _BARCODE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a TCGA identifier (TCGA-XX-XXXX, with dots or dashes)")
    return "-".join(found.groups())


def is_patient_id(text: str) -> bool:
    """True when ``text`` is a patient in normal form."""
    return any(form.fullmatch(text) is not None for form in (_PATIENT, _DUKE, _PSEUDONYM))


def is_research_code(text: str) -> bool:
    """Whether :func:`patient_id` takes ``text``: a public code in any spelling, or a pseudonym."""
    try:
        patient_id(text)
    except ValueError:
        return False
    return True


def site_of(patient: str) -> str:
    """Two-letter code of the hospital (tissue source site) of a patient in any spelling; "" where the id has none."""
    normal = patient_id(patient)
    return normal[5:7] if _PATIENT.fullmatch(normal) else ""


def series_uid(text: str) -> str:
    """SeriesInstanceUID of ``TCGA-XX-XXXX_<uid>``; raises ValueError when it is not of that form."""
    patient, _, uid = text.strip().partition("_")
    patient_id(patient)
    if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)+", uid):
        raise ValueError(f"{text!r} is not TCGA-XX-XXXX_<series UID>")
    return uid
