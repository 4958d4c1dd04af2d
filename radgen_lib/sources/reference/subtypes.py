"""Receptors, intrinsic subtype and genomic risk scores of TCGA patients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.sources.reference.cells import read_text
from radgen_lib.sources.reference.schema import Check, Column, Reference, Schema, validate

_NO, _YES, _UNKNOWN = 0.0, 1.0, math.nan
_RECEPTOR = {
    "Positive": _YES, "Negative": _NO, "Equivocal": _UNKNOWN, "Indeterminate": _UNKNOWN, "Not Performed": _UNKNOWN,
    "Performed but Not Available": _UNKNOWN, "Not Available": _UNKNOWN,
}  # fmt: skip
_EQUIVOCAL = {word: float(word == "Equivocal") for word in _RECEPTOR}
_SUBTYPE = {
    "Luminal A": "LumA", "Luminal B": "LumB", "Basal-like": "Basal", "HER2-enriched": "Her2", "Normal-like": "Normal",
}  # fmt: skip
_GROUPS = {"low": "low", "med": "intermediate", "high": "high"}

RECEPTORS = Schema(
    unit="patient",
    columns=(
        Column("ID", "patient", "patient"),
        Column("Gender", "sex", "words", words={"FEMALE": "female", "MALE": "male"}, missing=True),
        Column("Age", "age", "whole", low=0, high=120, missing=True),
        Column("ER", "er", "words", words=_RECEPTOR, missing=True),
        Column("PR", "pr", "words", words=_RECEPTOR, missing=True),
        Column("HER2", "her2", "words", words=_RECEPTOR, missing=True),
        Column("HER2", "her2_equivocal", "words", words=_EQUIVOCAL, missing=True),
        Column("PAM50", "subtype", "words", words=_SUBTYPE, missing=True),
    ),
    key=("patient",),
    rows=825,
    totals={"er": 601, "pr": 522, "her2": 114, "her2_equivocal": 10},
)

_CORRELATIONS = {"Basal": "basal", "Her2": "her2", "LumA": "luma", "LumB": "lumb", "Normal": "normal"}
# Risk of recurrence (Parker 2009) as a linear form of the correlations, scaled to 0-100: (form + 0.35) / 0.0085.
_ROR_S = {"basal": 0.04210193, "her2": 0.12466938, "luma": -0.35235561, "lumb": 0.14213283}
_ROR_P = {
    "basal": -0.0009299747, "her2": 0.0692289192, "luma": -0.0951505484, "lumb": 0.0493487685,
    "proliferation": 0.3385116381,
}  # fmt: skip


def _call_is_nearest(table: pd.DataFrame) -> pd.Series:
    columns = list(_CORRELATIONS.values())
    called = table["subtype"].map(_CORRELATIONS)
    nearest = table[columns].fillna(-np.inf).to_numpy().argmax(axis=1)
    return called == pd.Series(np.array(columns)[nearest], index=table.index)


def _score_is_form(table: pd.DataFrame, score: str, form: Mapping[str, float]) -> pd.Series:
    expected = (sum(weight * table[name] for name, weight in form.items()) + 0.35) / 0.0085
    return (table[score] - expected).abs() < 1e-4


def _group_is_score(table: pd.DataFrame) -> pd.Series:
    """Thresholds of Paik S et al., N Engl J Med 2004;351:2817-2826: below 18, 18 to 30, 31 and above."""
    cut = pd.cut(table["oncotype"], [-np.inf, 18, 31, np.inf], right=False, labels=["low", "intermediate", "high"])
    return cut.astype(object) == table["oncotype_group"]


SCORES = Schema(
    unit="patient",
    columns=(
        Column("CLID", "patient", "patient"),
        Column("Pam50.Call", "subtype", "words", words={name: name for name in _CORRELATIONS}),
        Column("ROR-S Group", "ror_s_group", "words", words=_GROUPS),
        Column("ROR-P Group", "ror_p_group", "words", words=_GROUPS),
        Column(
            "GHI_RS_3Group", "oncotype_group", "words",
            words={"Low": "low", "Intermediate": "intermediate", "High": "high"},
        ),
        Column("GHI_RS Score", "oncotype", low=0, high=100),
        Column("Mammaprint", "mammaprint", "words", words={"NKI70_Good": "good", "NKI70_Bad": "poor"}),
        Column("NKI70", "nki70", low=-1, high=1),
        *(Column(f"UNC_{name.replace('Normal', 'Norm')}", to, low=-1, high=1) for name, to in _CORRELATIONS.items()),
        Column("UNC_ROR_S", "ror_s"),
        Column("UNC_Prolif", "proliferation"),
        Column("ROR_P", "ror_p"),
    ),
    key=("patient",),
    checks=(
        Check("the PAM50 call is not the subtype of the largest correlation", _call_is_nearest),
        Check("ROR-S does not follow from the correlations", lambda t: _score_is_form(t, "ror_s", _ROR_S)),
        Check("ROR-P does not follow from the correlations", lambda t: _score_is_form(t, "ror_p", _ROR_P)),
        Check("the Oncotype DX group is not that of the score", _group_is_score),
    ),
    rows=100,
)  # fmt: skip


def read_pam50_receptors(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: patient, sex, age (years), er, pr, her2 (1, 0, NaN), her2_equivocal (1, 0, NaN), subtype.

    The Cancer Genome Atlas Network, Nature 2012;490:61-70. Receptors that were not determined, indeterminate or
    equivocal are NaN. ``whole`` asks for 825 patients with 601 ER+, 522 PR+, 114 HER2+ and 10 equivocal. Raises
    DataError for faults of structure.
    """
    return validate(read_text(path), RECEPTORS, path, whole=whole)


def read_genomic_scores(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: PAM50 subtype and correlations, risk of recurrence, Oncotype DX, MammaPrint (70 genes).

    Li H et al., Radiology 2016;281:382-391 (research versions of the assays). A patient whose call, group or score
    does not follow from the other columns is a fault. ``whole`` asks for 100 patients. Raises DataError for faults of
    structure.
    """
    return validate(read_text(path), SCORES, path, whole=whole)
