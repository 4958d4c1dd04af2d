"""From samples to patients: whose sample it is, what tissue it is, and which one stands for the patient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radgen_lib.cohort.ids import is_patient_id, patient_id
from radgen_lib.cohort.selection import Selection

# Two digits after a barcode's patient: the code tables of TCGA's barcodes.
_TYPE = re.compile(r"[A-Z]{4}[.-][A-Z0-9]{2}[.-][A-Z0-9]{4}[._-](\d\d)(?![0-9])")
_PRIMARY, _RECURRENT, _METASTATIC, _OUT = 0, 1, 2, 9
_RANKS = {
    "01": _PRIMARY, "03": _PRIMARY, "09": _PRIMARY, "02": _RECURRENT, "04": _RECURRENT, "05": _RECURRENT,
    "40": _RECURRENT, "06": _METASTATIC, "07": _METASTATIC, "08": _METASTATIC,
}  # fmt: skip
_WORDS = (("normal", _OUT), ("cell line", _OUT), ("xenograft", _OUT), ("metasta", _METASTATIC), ("recurr", _RECURRENT))
_NAMES = {_RECURRENT: "recurrent or second primary", _METASTATIC: "metastatic"}


class Sample(NamedTuple):
    """One sample: its patient, its rank (0 primary, 1 recurrent, 2 metastatic, 9 no tumour) and what it is."""

    patient: str
    rank: int
    tissue: str


class SampleIndex:
    """Patients and tissues of samples that the study's own sample file names; other samples speak by their barcode."""

    def __init__(self, patients: Mapping[str, str] | None = None, tissues: Mapping[str, str] | None = None) -> None:
        self._patients, self._tissues = dict(patients or {}), dict(tissues or {})

    def filled(self, other: SampleIndex) -> tuple[SampleIndex, int]:
        """This index with what only ``other`` says, and how many samples ``other`` gives to another patient."""
        clashes = sum(
            normal_patient(self._patients.get(name, patient)) != normal_patient(patient)
            for name, patient in other._patients.items()
        )
        return SampleIndex({**other._patients, **self._patients}, {**other._tissues, **self._tissues}), clashes

    def sample(self, name: str) -> Sample:
        """Patient, rank and tissue of a sample name; a name that is no barcode and is not listed is its own patient."""
        name = name.strip()
        patient = normal_patient(self._patients.get(name, name))
        code = _TYPE.match(name)
        if code:
            rank = _RANKS.get(code[1], _OUT)
            return Sample(patient, rank, f"sample type {code[1]}")
        tissue = self._tissues.get(name, "")
        rank = next((rank for word, rank in _WORDS if word in tissue.lower()), _PRIMARY)
        return Sample(patient, rank, tissue)


def normal_patient(text: str) -> str:
    """Normal form of a patient of a public collection; a local identifier as it is."""
    try:
        return patient_id(text)
    except ValueError:
        return text.strip()


def choose_samples(
    names: Sequence[str], index: SampleIndex, selection: Selection, *, step: str, source: Path
) -> dict[str, int]:
    """Patient -> position in ``names`` of the sample that stands for the patient, sorted by patient.

    Primary tumours go before recurrent and metastatic ones, then the first name in the alphabet; normal tissue, cell
    lines and names that stand twice are dropped. Every name becomes a row of ``selection``.
    """
    samples = [index.sample(name) for name in names]
    best: dict[str, int] = {}
    for position, sample in enumerate(samples):
        key = (sample.rank, names[position], position)
        earlier = best.get(sample.patient)
        if sample.rank != _OUT and (earlier is None or key < (samples[earlier].rank, names[earlier], earlier)):
            best[sample.patient] = position
    for position, (name, sample) in enumerate(zip(names, samples, strict=True)):
        if best.get(sample.patient) == position:
            selection.keep(step, "sample", name, source.name, position + 1)
            continue
        reason = _reason(names, samples, position, best)
        selection.drop(step, "sample", name, source.name, position + 1, reason=reason)
    return dict(sorted(best.items()))


def _reason(names: Sequence[str], samples: Sequence[Sample], position: int, best: Mapping[str, int]) -> str:
    sample = samples[position]
    if sample.rank == _OUT:
        return f"no tumour tissue ({sample.tissue})"
    chosen = best[sample.patient]
    if names[chosen] == names[position]:
        return "the name of the sample stands twice; the first column is used"
    kind = _NAMES.get(sample.rank, "further primary")
    return f"{kind} sample; {names[chosen]} stands for the patient"


def looks_like_patient(text: str) -> bool:
    """True for an identifier of a known collection in any spelling."""
    return is_patient_id(normal_patient(text))
