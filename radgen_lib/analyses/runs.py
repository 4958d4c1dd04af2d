"""What the analyses read of a generator: its samples, who they stand for, and their features."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.core.config.cpdm import Protocol
from radgen_lib.core.errors import DataError
from radgen_lib.core.trainings import SINGLE_SPLIT, TRAININGS, is_further

# Under B-W10 this stands on every row that images made from the 15 genes enter, whatever the endpoint.
FITTED_FACTORS = "the factors were fitted, without any label, on the tested patients too (see F.CMP for unseen ones)"
SELECTED_GENES = "the 15 genes were chosen by survival of TCGA-BRCA patients (B-W10)"
EXTRACTORS = ("radiomics", "vgg16", "resnet50", "inception", "radimagenet")
_FOLD_NAMES = (
    ("published_split", re.compile(SINGLE_SPLIT)),
    ("published_folds", re.compile(r"image-\d+")),
    ("grouped", re.compile(r"r(\d+)f\d+")),
    ("site", re.compile(r"site-.+")),
    ("full", re.compile(r"full")),
)


@dataclass(frozen=True)
class Run:
    """Samples of one generator under one condition (one chunk of folds is enough; chunks are put together).

    samples: float16 [n, H, W], may be memory-mapped; index: row, fold, kind, patient, condition_patient, draw, seed;
    features: row and ``<extractor>:<name>`` columns; status: extractor, status, reason.
    """

    condition: str
    generator: str
    samples: np.ndarray
    index: pd.DataFrame
    features: pd.DataFrame
    status: pd.DataFrame

    def featured(self) -> pd.DataFrame:
        """Index and features side by side; DataError when a sample has no features or twice."""
        rows = self.index["row"]
        if rows.duplicated().any() or set(rows) != set(self.features["row"]) or len(rows) != len(self.features):
            raise DataError(
                f"features of generator {self.generator} ({self.condition}): rows differ from the samples' index. "
                "Delete the features table and run again"
            )
        return self.index.merge(self.features, on="row", validate="one_to_one")


def selection_note(protocol: Protocol, condition: str, *, on_fitted: bool = False) -> str:
    """Note on how the condition's variables were chosen, where the protocol asks for it, else ``""``.

    ``on_fitted``: the tested patients are without MRI, so the factors of the generators' folds were fitted on them too.
    """
    if condition == "factors" and on_fitted:
        return FITTED_FACTORS
    return SELECTED_GENES if protocol.circular_labels == "flag" and condition == "genes15" else ""


def design_of(fold: str) -> str:
    """Design that a fold's name belongs to (``r0f3`` -> ``grouped``); ValueError for a name of no design.

    A further training of the single split is no fold of that split: it has a design of its own.
    """
    if is_further(fold):
        return TRAININGS
    for design, pattern in _FOLD_NAMES:
        if pattern.fullmatch(fold):
            return design
    raise ValueError(f"fold {fold!r} belongs to no design")


def repeat_of(fold: str) -> int:
    """Repeat that a fold belongs to: 2 for ``r2f0``; 0 for designs without repeats."""
    found = re.fullmatch(r"r(\d+)f\d+", fold)
    return int(found.group(1)) if found else 0


def extractor_columns(table: pd.DataFrame, extractor: str) -> list[str]:
    """Feature columns of one extractor, in the table's order."""
    return [c for c in table.columns if c.startswith(f"{extractor}:")]


def featured_runs(runs: Iterable[Run]) -> dict[tuple[str, str], pd.DataFrame]:
    """Index with features by (condition, generator), chunks of the same generator one below the other."""
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for run in runs:
        parts.setdefault((run.condition, run.generator), []).append(run.featured())
    return {key: pd.concat(tables, ignore_index=True) for key, tables in parts.items()}


def missing_extractors(runs: Iterable[Run]) -> dict[str, str]:
    """Extractor -> reason, for each extractor that failed or has no weights in any of the runs."""
    reasons: dict[str, str] = {}
    for run in runs:
        bad = run.status[run.status["status"] != "ok"]
        for extractor, status, reason in zip(bad["extractor"], bad["status"], bad["reason"], strict=True):
            text = "" if pd.isna(reason) else str(reason)
            reasons.setdefault(str(extractor), f"{status}: {text}" if text and text != status else str(status))
    return reasons


def known_extractors(runs: Iterable[Run]) -> list[str]:
    """Extractors named by any run's status or features, in the fixed order of EXTRACTORS."""
    named: set[str] = set()
    for run in runs:
        named |= set(run.status["extractor"]) | {c.split(":", 1)[0] for c in run.features.columns if ":" in c}
    return [e for e in EXTRACTORS if e in named]


def finite_columns(columns: Iterable[str], *tables: pd.DataFrame) -> tuple[list[str], int]:
    """Columns that are finite in every row of every table, and how many were left out."""
    names = list(columns)
    keep = np.ones(len(names), dtype=bool)
    for table in tables:
        keep &= np.isfinite(table[names].to_numpy(dtype=float)).all(axis=0)
    return [n for n, k in zip(names, keep, strict=True) if k], int((~keep).sum())
