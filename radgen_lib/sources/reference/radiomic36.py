"""36 radiomic features of TCGA breast tumours (University of Chicago), checked by the identities between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.sources.reference.cells import read_text
from radgen_lib.sources.reference.schema import Check, Column, Reference, Schema, validate

# Code -> (name in the file, lowest, highest value). K kinetics, E enhancement variance, T texture, G geometry,
# M margin, S size (mm, mm2, mm3); times in s.
_UP, _UNIT = (0.0, math.inf), (0.0, 1.0)
RADIOMIC_FEATURES: dict[str, tuple[str, tuple[float, float]]] = {
    "K1": ("Maximum enhancement (K1)", _UP), "K2": ("Time to peak (K2)", _UP), "K3": ("Uptake rate (K3)", _UP),
    "K4": ("Washout rate (K4)", _UP), "K5": ("Curve shape index (K5)", (-1.0, math.inf)), "K6": ("E1 (K6)", _UP),
    "K7": ("Signal Enhancement Ratio (SER) (K7)", _UP), "E1": ("Maximum enhancement-variance (E1)", _UP),
    "E2": ("Enhancement-Variance Time to Peak (E2)", _UP), "E3": ("Enhancement-variance Increasing Rate (E3)", _UP),
    "E4": ("Enhancement-variance Decreasing Rate (E4)", _UP), "T1": ("Contrast (T1)", _UP),
    "T2": ("Correlation (T2)", (-1.0, 1.0)), "T3": ("Difference Entropy (T3)", _UP),
    "T4": ("Difference Variance (T4)", _UP), "T5": ("Energy (T5)", _UNIT), "T6": ("Entropy (T6)", _UP),
    "T7": ("Homogeneity (T7)", _UNIT), "T8": ("IMC1 (T8)", (-1.0, 0.0)), "T9": ("IMC2 (T9)", _UNIT),
    "T10": ("Maximum Correlation Coefficient (T10)", _UNIT), "T11": ("Sum Average (T11)", _UP),
    "T12": ("Sum Entropy (T12)", _UP), "T13": ("Sum Variance (T13)", _UP), "T14": ("Variance (T14)", _UP),
    "G1": ("Sphericity (G1)", _UNIT), "G2": ("Irregularity (G2)", _UNIT), "M1": ("Margin Sharpness (M1)", _UP),
    "M2": ("Variance of Margin Sharpness (M2)", _UP),
    "M3": ("Variance of Radial Gradient Histogram (vRGH) (M3)", _UP), "S1": ("Size/Lesion volume (S1)", _UP),
    "S2": ("Effective Diameter (S2)", _UP), "S3": ("Surface Area (S3)", _UP),
    "G3": ("Surface Area to Volume ratio (G3)", _UP), "S4": ("Volume of most enhancing voxels (S4)", _UP),
    "S5": ("Maximum Diameter (S5)", _UP),
}  # fmt: skip
# The file prints seven significant digits.
_TOLERANCE = 2e-6


def _same(code: str, formula: Callable[[pd.DataFrame], pd.Series]) -> Callable[[pd.DataFrame], pd.Series]:
    def holds(table: pd.DataFrame) -> pd.Series:
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = formula(table).to_numpy()
        close = np.isclose(table[code].to_numpy(), expected, rtol=_TOLERANCE, atol=1e-9)
        return pd.Series(close, index=table.index)

    return holds


IDENTITIES = (
    Check("K3 is not K1 / K2", _same("K3", lambda t: t["K1"] / t["K2"])),
    Check("K7 is not 1 / (1 + K5)", _same("K7", lambda t: 1 / (1 + t["K5"]))),
    Check("K6 is above K1", lambda t: t["K6"] <= t["K1"]),
    Check("E3 is not E1 / E2", _same("E3", lambda t: t["E1"] / t["E2"])),
    Check("T2 is not 1 - T1 / (2 T14)", _same("T2", lambda t: 1 - t["T1"] / (2 * t["T14"]))),
    Check("T13 is not 4 T14 - T1", _same("T13", lambda t: 4 * t["T14"] - t["T1"])),
    Check("S2 is not the diameter of a ball of volume S1", _same("S2", lambda t: np.cbrt(6 * t["S1"] / np.pi))),
    Check("G2 is not 1 - pi S2^2 / S3", _same("G2", lambda t: 1 - np.pi * t["S2"] ** 2 / t["S3"])),
    Check("G3 is not S3 / S1", _same("G3", lambda t: t["S3"] / t["S1"])),
)
SCHEMA = Schema(
    unit="patient",
    columns=(
        Column("CLID", "patient", "patient"),
        *(Column(name, code, low=low, high=high) for code, (name, (low, high)) in RADIOMIC_FEATURES.items()),
    ),
    key=("patient",),
    checks=IDENTITIES,
    rows=91,
)


def read_radiomic_features(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: ``patient`` and 36 features named by their codes (RADIOMIC_FEATURES tells the names).

    Li H et al., NPJ Breast Cancer 2016;2:16012. A patient whose features break one of IDENTITIES (volume and
    diameter, enhancement and rate, variances of the co-occurrence matrix) is a fault, so that a wrong digit in one of
    the features involved is found. ``whole`` asks for 91 patients. Raises DataError for faults of structure.
    """
    return validate(read_text(path), SCHEMA, path, whole=whole)
