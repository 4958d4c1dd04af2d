"""What kind of images a part is, before its place in time matters: dynamic, or none of the contrast phases."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import pandas as pd

from radgen_lib.imaging.dicom.split import Part
from radgen_lib.imaging.dicom.words import SEQUENCES

Kind = Literal["dynamic", "subtraction", "localiser", "derived", "other"]
MIN_SLICES = 4
_FEW_SLICES = 24
_EVEN_SHARE = 0.6
_LONG_ECHO_MS, _LONG_REPETITION_MS = 20.0, 200.0
_WORD = r"(?<![a-z]){}(?![a-z])"


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(_WORD.format(f"(?:{pattern})") for pattern in patterns))


def _meanings(**patterns: str) -> dict[str, re.Pattern[str]]:
    """Meaning -> pattern: a clause names the meaning, never the text that was found."""
    return {meaning.replace("_", " "): _words(pattern) for meaning, pattern in patterns.items()}


_LOCALISER = _words(r"loc(?:ali[sz]ers?)?", r"scout", r"survey", r"3[ -]?(?:pl|plane)", r"localizer|localiser")
_DERIVED = _meanings(
    mip=r"mips?", adc=r"e?adc", mpr=r"mpr|mpvr", reformatted=r"reformat(?:ted)?", projection=r"projections?",
    rotation=r"rotat\w*", map=r"maps?", cad=r"cad", wash_in_or_out=r"wash-?(?:in|out)", time_to_peak=r"ttp",
    colour=r"colou?r", fusion=r"fusion", screen_save=r"screen ?save", processed_images=r"processed images?",
)  # fmt: skip
_DERIVED_TYPE = {
    "MIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "ADC", "EADC", "MPR", "REFORMATTED", "SCREEN SAVE", "T2 MAP",
    "T1 MAP", "PARAMETRIC", "FIT", "TTP", "AVERAGE",
}  # fmt: skip
_SUBTRACTION = _words(r"subs?", r"subtract(?:ions?|ed)?", r"subtr")
_SUBTRACTION_TYPE = {"SUB", "SUBTRACT", "SUBTRACTION"}
_OTHER = _meanings(
    t2=r"t2\w*", stir=r"stir|tirm|ti?rim", diffusion=r"dwi|dti|diff(?:usion)?|b0", echo_planar=r"ep2?d?i?",
    flair=r"flair", haste=r"haste", proton_density=r"pd", calibration=r"cal(?:ibration)?", spectroscopy=r"spectro\w*",
    phase_map=r"phase map", field_map=r"fieldmap", silicone=r"silicone",
)  # fmt: skip
_OTHER_TYPE = {"DIFFUSION", "TRACEW", "PHASE", "P", "FAT", "OUT_PHASE", "IN_PHASE", "OP", "IP", "F"}
POST = _words(
    r"post", r"gad\w*", r"gd", r"\+ ?c", r"post ?contrast", r"(?:1st|2nd|3rd|[4-9]th) (?:pass|post)", r"ph\d+"
)
PRE = _words(r"pre", r"pre ?contrast", r"non ?contrast", r"mask", r"unenh\w*", r"nativ\w*")


class Verdict(NamedTuple):
    """A kind with the clause that gives the evidence; the clause holds no free text of the tags."""

    kind: Kind
    decision: str


def words_of(part: Part) -> str:
    """Description of the series, lower case, with its separators as spaces; for decisions only."""
    said = str(part.rows["description"].iloc[0]).lower()
    # GE names a subtraction by its terms, e.g. (769/2/1)-(769/1/1).
    said = re.sub(r"\)\s*-\s*\(", " subtraction ", said)
    return re.sub(r"[_,;:()/\\]+", " ", said)


def classify(part: Part) -> Verdict:
    """The kind of a part, from image type, geometry, timing parameters and, last, the words of its description."""
    row, words = part.rows.iloc[0], words_of(part)
    types = {value.strip() for value in str(row["image_type"]).split("\\")[2:]}
    checks = (
        _localiser(part, str(row["image_type"]), words),
        _subtraction(types, words),
        _derived(row, types, words),
        _other(row, types, words),
    )
    return next((verdict for verdict in checks if verdict is not None), Verdict("dynamic", ""))


def _localiser(part: Part, image_type: str, words: str) -> Verdict | None:
    if "LOCALIZER" in image_type:
        return Verdict("localiser", "image type LOCALIZER")
    whole = len(part.rows) / part.share
    if part.orientations > 1 and part.largest <= _EVEN_SHARE and whole <= _FEW_SLICES:
        return Verdict("localiser", f"{part.orientations} orientations in a series of {whole:.0f} images")
    if _LOCALISER.search(words) and part.places <= 2 * _FEW_SLICES:
        return Verdict("localiser", f"description of a localiser, {part.places} slices")
    return None


def _subtraction(types: set[str], words: str) -> Verdict | None:
    if types & _DERIVED_TYPE or _said(_DERIVED, words):
        return None  # a projection of a subtraction is derived
    if types & _SUBTRACTION_TYPE:
        return Verdict("subtraction", "image type of a subtraction")
    return Verdict("subtraction", "description of a subtraction") if _SUBTRACTION.search(words) else None


def _derived(row: pd.Series, types: set[str], words: str) -> Verdict | None:
    if row["samples"] != 1 or not str(row["photometric"]).startswith("MONOCHROME"):
        return Verdict("derived", "colour image")
    if found := sorted(types & _DERIVED_TYPE):
        return Verdict("derived", f"image type {found[0]}")
    said = _said(_DERIVED, words)
    return Verdict("derived", f"description says {said}") if said else None


def _other(row: pd.Series, types: set[str], words: str) -> Verdict | None:
    if found := sorted(types & _OTHER_TYPE):
        return Verdict("other", f"image type {found[0]}")
    if row["te"] >= _LONG_ECHO_MS:
        return Verdict("other", f"echo time of {row['te']:.3g} ms: not T1-weighted")
    if row["tr"] >= _LONG_REPETITION_MS:
        return Verdict("other", f"repetition time of {row['tr']:.4g} ms: not a fast gradient echo")
    sequence = set(str(row["sequence"]).split("\\"))
    if "EP" in sequence or sequence == {"SE"}:
        return Verdict("other", f"scanning sequence {'+'.join(sorted(sequence & SEQUENCES))}: not a gradient echo")
    said = _said(_OTHER, words)
    return Verdict("other", f"description says {said}") if said else None


def _said(meanings: dict[str, re.Pattern[str]], words: str) -> str:
    """The first meaning that a description has, "" for none."""
    return next((meaning for meaning, pattern in meanings.items() if pattern.search(words)), "")
