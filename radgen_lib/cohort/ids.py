"""Patient identifiers: the one place where the spellings of the sources become ``TCGA-XX-XXXX``."""

from __future__ import annotations

import re

_BARCODE = re.compile(r"TCGA[.-]([A-Z0-9]{2})[.-]([A-Z0-9]{4})(?:[._-].*)?", re.DOTALL)
_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")


def patient_id(text: str) -> str:
    """Return ``TCGA-XX-XXXX`` for any spelling of a patient, sample or series in the released files.

    Takes dots or dashes between the parts and drops what follows the patient: sample type (``-01A``), suffix of a
    second sample (``.1``, ``.2``) or series (``_1.3.6...``). Raises ValueError for anything else.
    """
    found = _BARCODE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a TCGA identifier (TCGA-XX-XXXX, with dots or dashes)")
    return f"TCGA-{found.group(1)}-{found.group(2)}"


def is_patient_id(text: str) -> bool:
    """True when ``text`` is already in the normal form ``TCGA-XX-XXXX``."""
    return _PATIENT.fullmatch(text) is not None


def site_of(patient: str) -> str:
    """Two-letter code of the hospital (tissue source site) of a patient in any spelling."""
    return patient_id(patient)[5:7]


def series_uid(text: str) -> str:
    """SeriesInstanceUID of ``TCGA-XX-XXXX_<uid>``; raises ValueError when it is not of that form."""
    patient, _, uid = text.strip().partition("_")
    patient_id(patient)
    if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)+", uid):
        raise ValueError(f"{text!r} is not TCGA-XX-XXXX_<series UID>")
    return uid
