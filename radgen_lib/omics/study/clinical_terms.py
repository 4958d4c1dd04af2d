"""One table of column names and one of codes for clinical files, of a portal's study or of a hospital."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

# Column here -> names elsewhere, in upper case with underscores; earlier names win.
COLUMNS: dict[str, tuple[str, ...]] = {
    "patient": (
        "PATIENT_ID", "PATIENT", "PATIENT_IDENTIFIER", "BCR_PATIENT_BARCODE", "SUBJECT_ID", "SUBJECT", "CASE_ID", "ID",
    ),
    "sample": ("SAMPLE_ID", "SAMPLE", "SAMPLE_IDENTIFIER"),
    "sample_type": ("SAMPLE_TYPE", "SAMPLE_CLASS", "TISSUE_TYPE"),
    "age": (
        "AGE", "AGE_AT_DIAGNOSIS", "AGE_AT_INITIAL_PATHOLOGIC_DIAGNOSIS", "DIAGNOSIS_AGE", "AGE_YEARS",
        "AGE_AT_DIAGNOSIS_YEARS",
    ),
    "stage": (
        "AJCC_PATHOLOGIC_TUMOR_STAGE", "STAGE", "TUMOR_STAGE", "PATHOLOGIC_STAGE", "AJCC_STAGE", "PATHOLOGICAL_STAGE",
        "NEOPLASM_DISEASE_STAGE_AMERICAN_JOINT_COMMITTEE_ON_CANCER_CODE",
    ),
    "subtype": ("SUBTYPE", "PAM50", "PAM50_SUBTYPE", "PAM50MRNA", "INTRINSIC_SUBTYPE", "CLAUDIN_SUBTYPE"),
    "T": (
        "PATH_T_STAGE", "AJCC_TUMOR_PATHOLOGIC_PT", "T_STAGE", "PT_STAGE", "PT", "T",
        "AMERICAN_JOINT_COMMITTEE_ON_CANCER_TUMOR_STAGE_CODE",
    ),
    "N": (
        "PATH_N_STAGE", "AJCC_NODES_PATHOLOGIC_PN", "N_STAGE", "PN_STAGE", "PN", "N",
        "NEOPLASM_DISEASE_LYMPH_NODE_STAGE_AMERICAN_JOINT_COMMITTEE_ON_CANCER_CODE",
    ),
    "er": (
        "ER_STATUS_BY_IHC", "ER_STATUS", "ER_IHC", "ER", "ESTROGEN_RECEPTOR_STATUS",
        "BREAST_CARCINOMA_ESTROGEN_RECEPTOR_STATUS",
    ),
    "pr": (
        "PR_STATUS_BY_IHC", "PR_STATUS", "PR_IHC", "PR", "PGR", "PROGESTERONE_RECEPTOR_STATUS",
        "BREAST_CARCINOMA_PROGESTERONE_RECEPTOR_STATUS",
    ),
    "her2": ("HER2_STATUS", "IHC_HER2", "HER2_STATUS_BY_IHC", "HER2_IHC", "HER2", "HER2_FISH_STATUS"),
    "os_days": ("OS_DAYS", "OVERALL_SURVIVAL_DAYS", "OS_TIME_DAYS", "SURVIVAL_DAYS"),
    "os_months": ("OS_MONTHS", "OVERALL_SURVIVAL_MONTHS"),
    "os_event": ("OS_STATUS", "OVERALL_SURVIVAL_STATUS", "OS_EVENT", "VITAL_STATUS"),
    "race": ("RACE", "RACE_CATEGORY"),
    "menopause": ("MENOPAUSE_STATUS", "MENOPAUSAL_STATUS", "MENOPAUSE", "INFERRED_MENOPAUSAL_STATE"),
}  # fmt: skip
POSITIVE = frozenset({"positive", "pos", "1", "1.0", "+", "yes", "3+", "amplified"})
NEGATIVE = frozenset({"negative", "neg", "0", "0.0", "no", "1+", "0+", "not amplified"})
UNDECIDED = frozenset({"equivocal", "indeterminate", "2+", "borderline", "not evaluated", "[not evaluated]"})
# Scores of HER2 immunohistochemistry: 0 and 1+ negative, 2+ undecided, 3+ positive (ASCO/CAP).
IHC_SCORES: dict[str, float] = {
    "0": 0.0, "0.0": 0.0, "0+": 0.0, "1": 0.0, "1.0": 0.0, "1+": 0.0, "2": float("nan"), "2.0": float("nan"),
    "2+": float("nan"), "3": 1.0, "3.0": 1.0, "3+": 1.0,
}  # fmt: skip
_IHC_NAMES = frozenset({"IHC_HER2", "HER2_IHC"})
_IHC_ONLY = frozenset({"2", "2.0", "2+", "3", "3.0", "3+", "0+", "1+"})
DEAD = frozenset({"deceased", "dead", "1", "1.0", "yes", "death"})
ALIVE = frozenset({"living", "alive", "0", "0.0", "no", "censored"})
SUBTYPES = {
    "luma": "LumA", "luminala": "LumA", "lumb": "LumB", "luminalb": "LumB", "her2": "Her2", "her2enriched": "Her2",
    "basal": "Basal", "basallike": "Basal", "normal": "Normal", "normallike": "Normal",
}  # fmt: skip


def column_key(name: str) -> str:
    """A column name in upper case with single underscores: ``Overall Survival (Months)`` -> OVERALL_SURVIVAL_MONTHS."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper().replace("+", "POS")).strip("_")


def known_columns(names: list[str]) -> dict[str, int]:
    """Column here -> position in ``names``, by the table of names."""
    keys = [column_key(name) for name in names]
    found = {what: next((keys.index(key) for key in known if key in keys), -1) for what, known in COLUMNS.items()}
    return {what: place for what, place in found.items() if place >= 0}


def is_ihc(name: str, cells: Iterable[str]) -> bool:
    """Whether a column of HER2 holds scores 0 to 3+: by its name, or by a cell that is no code of yes and no."""
    return column_key(name) in _IHC_NAMES or any(cell.strip().lower() in _IHC_ONLY for cell in cells)


def her2_score(text: str) -> tuple[float, str]:
    """As :func:`receptor`, for a column of immunohistochemistry: 0 and 1 negative, 2 undecided, 3 positive."""
    key = text.strip().lower()
    if key not in IHC_SCORES:
        return receptor(text)
    value = IHC_SCORES[key]
    return value, f"score {key} is neither positive nor negative" if math.isnan(value) else ""


def receptor(text: str) -> tuple[float, str]:
    """(1, 0 or NaN; reason of a NaN) of a receptor's status; of HER2 scores see :func:`her2_score`."""
    key = text.strip().lower()
    if key in POSITIVE:
        return 1.0, ""
    if key in NEGATIVE:
        return 0.0, ""
    return float(
        "nan"
    ), f"{text[:40]} is neither positive nor negative" if key in UNDECIDED else f"unknown code {text[:40]!r}"


def event(text: str) -> tuple[float, str]:
    """(1 death, 0 censored or NaN; reason of a NaN) of a survival status such as ``1:DECEASED``."""
    key = text.rpartition(":")[2].strip().lower()
    if key in DEAD:
        return 1.0, ""
    if key in ALIVE:
        return 0.0, ""
    return float("nan"), f"unknown code {text[:40]!r}"


def subtype(text: str) -> str:
    """Expression subtype as LumA, LumB, Her2, Basal or Normal; any other text as it is."""
    plain = text.strip().removeprefix("BRCA_")
    return SUBTYPES.get(re.sub(r"[^a-z0-9]", "", plain.lower()), plain)


def menopause(text: str) -> str:
    """``pre``, ``peri`` or ``post`` from any text that begins with one of them; other text as it is."""
    found = re.match(r"(?i)(pre|peri|post)", text.strip())
    return found[1].lower() if found else text.strip()


def stage(text: str) -> str:
    """Stage in upper case, as the portal writes it: ``IIA`` and ``Stage IIA`` become ``STAGE IIA``."""
    plain = text.strip().upper()
    return f"STAGE {plain}" if re.fullmatch(r"(?:0|I{1,3}|IV|X)[ABC]?", plain) else plain
