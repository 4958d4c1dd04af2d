"""Closed vocabularies for text elements of a header whose values are written onward.

Anybody can type anything into such an element, a name or a hospital number too. What is no word of these lists is
never written.
"""

from __future__ import annotations

import re

from pydicom.uid import UID

OTHER = "other"


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How a manufacturer is written onward, and the word that tells it.
_VENDORS = (
    ("GE MEDICAL SYSTEMS", r"\bge\b|general electric"),
    ("SIEMENS", r"\bsiemens\b"),
    ("PHILIPS", r"\bphilips\b"),
    ("TOSHIBA", r"\btoshiba\b"),
    ("CANON", r"\bcanon\b"),
    ("HITACHI", r"\bhitachi\b"),
    ("FUJIFILM", r"\bfuji(?:film)?\b"),
)
# Families of MR scanners and the additions to their names.
_MODELS = _listed("""
    signa optima discovery genesis artist architect pioneer voyager premier creator explorer excite hdx hdxt hde
    twinspeed echospeed infinity magnetom avanto aera skyra verio trio triotim trio-tim espree sonata symphony
    symphonytim harmony essenza vida prisma prisma_fit sola lumina altea vision biograph biograph_mmr mmr terra
    amira sempra spectra free.max free.star cima.x fit tim dot achieva intera gyroscan ingenia ambition elition
    panorama multiva ingenuity prodiva evo dstream omega hp nova pulsar vantage titan galan orian elan excelart
    atlas powered focus echelon oval smart oasis aperto airis altaire lucent phantom plus pro se xr xl cx r x s
""")
_CODE = re.compile(r"(?:[1-7](?:\.\d{1,2})?T|MR ?\d{3}w?|\d(?:\.\d)?)", re.IGNORECASE)
MODALITIES = _listed("""
    AR AU BI BMD CD CR CT CTPROTOCOL DD DG DOC DX ECG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LS MG MR M3D NM
    OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PLAN PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD
    RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XC
""")
PHOTOMETRIC = frozenset({"PALETTE COLOR"}) | _listed("""
    MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT XYB HSV ARGB CMYK
""")
LATERALITY = frozenset({"R", "L", "U", "B"})
SEQUENCES = frozenset({"SE", "IR", "GR", "EP", "RM"})


def vendor(text: str) -> str:
    """Manufacturer by one spelling; "other" for one that is not known, "" for none."""
    plain = text.lower().replace("_", " ")
    found = next((name for name, pattern in _VENDORS if re.search(pattern, plain)), OTHER)
    return found if plain.strip() else ""


def model(text: str, manufacturer: str) -> str:
    """The words of a scanner's name that are known; "" when none is, or when :func:`vendor` knows no maker."""
    if manufacturer in ("", OTHER) or len(text) > 64:
        return ""
    return " ".join(word for word in text.split() if word.lower() in _MODELS or _CODE.fullmatch(word))


def one_of(text: str, known: frozenset[str]) -> str:
    """``text`` where it is in a vocabulary, "other" where not, "" where empty."""
    return text if text in known or not text else OTHER


def transfer_syntax(text: str) -> str:
    """A transfer syntax as it is where the standard has it, "not a known one" where not."""
    known = re.fullmatch(r"[0-9.]{1,64}", text) and UID(text).name != text
    return text if known else "not a known one"
