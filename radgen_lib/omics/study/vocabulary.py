"""What a cell of a hospital's table may say onward: numbers in range and words of closed vocabularies, nothing else.

Anything can stand in a cell: a name in the column of races, a date in that of ages. Where identifiers are replaced,
every cell passes here first, and the reason why one does not pass never quotes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from radgen_lib.cohort.labels import OLDEST
from radgen_lib.cohort.tables import number
from radgen_lib.core.units import DAYS_PER_MONTH
from radgen_lib.omics.study import clinical_terms as terms
from radgen_lib.omics.study.decisions import MISSING_CELLS
from radgen_lib.omics.study.variant_classes import is_known

POOLED_AGE = 90.0  # ages above 89 identify (HIPAA, 45 CFR 164.514(b)(2)(i)(C)): one category "90 or older"
# Longer follow-up is not known; the numbers by which spreadsheets keep dates after 1959 are larger.
LONGEST_DAYS = 60 * 365.25
_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}
_STAGE = re.compile(r"STAGE (?:0|I{1,3}|IV|X|IS|TIS)(?:[ABC][1-3]?)?")
_T = re.compile(r"(?:Y?[PCR])?T(?:X|0|IS(?: ?\((?:DCIS|LCIS|PAGETS?|PD)\))?|1MI|[1-4][A-D]?[1-3]?)(?: ?\((?:M|\d)\))?")
_N = re.compile(r"(?:Y?[PCR])?N(?:X|0|1MI|[1-3][A-C]?)(?: ?\((?:I[+-]|MOL[+-]|SN|F)\))*")
_SUBTYPES = frozenset({*terms.SUBTYPES.values(), "claudin-low", "NC"})
_MENOPAUSE = re.compile(r"(pre|peri|post)(?:[ -]*menopaus[a-z]*)?(?![a-z])", re.IGNORECASE)
_RACES = frozenset(
    """
    white|caucasian|black|black or african american|african american|african|asian|east asian|south asian|
    south east asian|american indian|american indian or alaska native|native american|alaska native|indigenous|
    native hawaiian|native hawaiian or other pacific islander|native hawaiian or pacific islander|pacific islander|
    hispanic|latino|latina|hispanic or latino|not hispanic or latino|middle eastern|middle eastern or north african|
    north african|arab|mixed|multiple|multiracial|more than one race|two or more races|other|unknown|not reported|
    declined
""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
STATUSES = frozenset({"somatic", "germline", "loh", "none", "wildtype", "unknown"})
_ONE = r"(?:Ala|Arg|Asn|Asp|Cys|Gln|Glu|Gly|His|Ile|Leu|Lys|Met|Phe|Pro|Ser|Thr|Trp|Tyr|Val|Sec|Ter|[A-IK-NP-Z*])"
_PROTEIN = re.compile(
    rf"(?:p\.)?\(?(?:{_ONE}\d{{1,5}}(?:_{_ONE}\d{{1,5}})?(?:{_ONE}|=|\?|del|dup|(?:ins|delins){_ONE}{{1,12}}|ins\d{{1,3}}|"
    rf"{_ONE}?fs(?:(?:\*|Ter|X)(?:\d{{1,4}}|\?)?)?|_splice|{_ONE}?ext(?:\*|Ter)?-?\d{{0,4}})?|\?|=|0)\)?"
)
_AT = r"[-*]?\d{1,6}(?:[+-]\d{1,6})?"
_CODING = re.compile(
    rf"(?:(?:ENST\d{{11}}|NM_\d{{6,9}})(?:\.\d{{1,2}})?:)?c\.{_AT}(?:_{_AT})?"
    r"(?:[ACGT]+>[ACGT]+|del[ACGT]*|dup[ACGT]*|ins[ACGT]+|delins[ACGT]+|inv|=)"
)
_GENE = re.compile(r"[A-Z0-9]+(?:orf[0-9]+[A-Z]*)?(?:[-._@/][A-Z0-9]+)*@?|hsa-(?:mir|miR|let)-[0-9a-z-]{1,12}")
_LONG_NUMBER = re.compile(
    r"(?:LOC\d{6,9}|ENS[GT]\d{11}|A[A-Z]\d{6}|[BC][A-Z]\d{6}|[CR][A-Z]{1,2}\d{0,2}-\d{1,5}[A-Z]\d{1,2})(?:\.\d+)?"
)
_DATE = re.compile(r"\d{1,2}[-. /]?(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*(?:[-. /]?\d{2,4})?")


class Cell(NamedTuple):
    """What is written onward ("" for nothing), and why that is not what the file has ("" where it is)."""

    text: str
    fault: str = ""


def clinical_cell(column: str, text: str) -> Cell:
    """A cell of a clinical ``column`` (names of clinical_terms.COLUMNS) as it may be written onward."""
    text = text.strip()
    return Cell("") if text in MISSING_CELLS else _CELLS[column](text)


def _age(text: str) -> Cell:
    value = number(text)
    if value is None or not 0 <= value <= OLDEST:
        return Cell("", f"not an age between 0 and {OLDEST:g} years")
    if value > POOLED_AGE - 1:
        return Cell(f"{POOLED_AGE:g}", f"ages above {POOLED_AGE - 1:g} identify: pooled to {POOLED_AGE:g}")
    return Cell(repr(value))


def _time(unit: float) -> Callable[[str], Cell]:
    """Reader of a time in units of ``unit`` days."""

    def read(text: str) -> Cell:
        value = number(text)
        if value is None or value * unit > LONGEST_DAYS:
            return Cell("", f"not a number of {'days' if unit == 1 else 'months'} up to {LONGEST_DAYS / unit:.0f}")
        return Cell(repr(value)) if value > 0 else Cell("", "survival time not above 0")

    return read


def _code(known: frozenset[str]) -> Callable[[str], Cell]:
    def read(text: str) -> Cell:
        key = text.lower()
        return Cell(key) if key in known else Cell("", "unknown code")

    return read


def _event(text: str) -> Cell:
    value, fault = terms.event(text)
    return Cell("", "unknown code") if fault else Cell(f"{value:g}")


def _pattern(clean: Callable[[str], str], pattern: re.Pattern[str], what: str) -> Callable[[str], Cell]:
    def read(text: str) -> Cell:
        plain = clean(text)
        return Cell(plain) if pattern.fullmatch(plain) else Cell("", f"not {what}")

    return read


def _stage(text: str) -> str:
    plain = " ".join(text.upper().split()).removeprefix("STAGE ")
    return f"STAGE {_ROMAN.get(plain[:1], plain[:1])}{plain[1:]}"


def _with(letter: str) -> Callable[[str], str]:
    def clean(text: str) -> str:
        plain = " ".join(text.upper().split())
        return letter + plain if plain[:1].isdigit() else plain

    return clean


def _subtype(text: str) -> Cell:
    found = terms.subtype(text)
    found = "claudin-low" if found.lower().replace(" ", "-") == "claudin-low" else found
    return Cell(found) if found in _SUBTYPES else Cell("", "not an expression subtype (PAM50)")


def _race(text: str) -> Cell:
    plain = " ".join(re.sub(r"[^a-z]+", " ", text.lower()).split())
    return Cell(plain.upper()) if plain in _RACES else Cell("", "not a usual word for race")


def _menopause(text: str) -> Cell:
    found = _MENOPAUSE.match(text)
    return Cell(found[1].lower()) if found else Cell("", "not pre, peri or post")


_RECEPTOR = _code(terms.POSITIVE | terms.NEGATIVE | terms.UNDECIDED)
_CELLS: dict[str, Callable[[str], Cell]] = {
    "age": _age,
    "stage": _pattern(_stage, _STAGE, "a stage of AJCC"),
    "subtype": _subtype,
    "T": _pattern(_with("T"), _T, "a code of the tumour (T)"),
    "N": _pattern(_with("N"), _N, "a code of the nodes (N)"),
    "er": _RECEPTOR,
    "pr": _RECEPTOR,
    "her2": _code(terms.POSITIVE | terms.NEGATIVE | terms.UNDECIDED | frozenset(terms.IHC_SCORES)),
    "os_days": _time(1.0),
    "os_months": _time(DAYS_PER_MONTH),
    "os_event": _event,
    "race": _race,
    "menopause": _menopause,
}


def gene_symbol(text: str) -> str:
    """The symbols of a cell (several between semicolons) that have the form of one; "" where none has.

    Capital letters and digits, at least one letter, no date, no long number but in the names of clones and loci. A
    single word in capitals cannot be told from a symbol.
    """
    return ";".join(part for word in text.split(";") if _is_symbol(part := word.strip()))


def _is_symbol(text: str) -> bool:
    if not _GENE.fullmatch(text) or len(text) > 30 or not any(letter.isalpha() for letter in text):
        return False
    return not _DATE.fullmatch(text) and (not re.search(r"\d{5,}", text) or _LONG_NUMBER.fullmatch(text) is not None)


def variant(text: str) -> str:
    """A change of protein or coding sequence in the form of HGVS, "" for anything else."""
    return text if _PROTEIN.fullmatch(text) or _CODING.fullmatch(text) else ""


def variant_kind(text: str) -> str:
    """A class of variant that is known (or several); "Other" (not silent) for another one, "" for none."""
    plain = "" if text in MISSING_CELLS else text
    return plain if not plain or is_known(plain) else "Other"
