"""What the audits read: the samples of one generator, and the folds of a design."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

REPEAT = re.compile(r"r(\d+)f\d+")


@dataclass(frozen=True)
class AuditRun:
    """Samples of one (condition, generator): row i of ``index`` and of ``features`` describes ``samples[i]``.

    index: columns of samples.parquet (fold, kind, patient, condition_patient, draw, and for kind "response" factor
    and shift). samples: [n, H, W]. features: columns ``<extractor>:<name>``. Raises ValueError when lengths differ.
    """

    condition: str
    generator: str
    index: pd.DataFrame
    samples: np.ndarray
    features: pd.DataFrame

    def __post_init__(self) -> None:
        lengths = {len(self.index), len(self.samples), len(self.features)}
        if len(lengths) != 1:
            raise ValueError(
                f"run {self.condition}/{self.generator}: index {len(self.index)}, samples {len(self.samples)} and "
                f"features {len(self.features)} rows differ"
            )

    def rows(self, kind: str, fold: str) -> np.ndarray:
        """Positions of one kind of sample of one fold, in order, int [m]."""
        return np.flatnonzero((self.index["kind"] == kind) & (self.index["fold"] == fold))


def join_parts(
    condition: str,
    generator: str,
    parts: Mapping[str, tuple[pd.DataFrame, np.ndarray, pd.DataFrame]],
    kinds: Collection[str] = ("heldout", "response"),
) -> AuditRun:
    """Join the jobs of one generator, keeping only samples of ``kinds``.

    ``parts`` maps the job's name to its samples.parquet, samples.npy (may be memory-mapped: only the wanted rows are
    read) and features.parquet. The joined index keeps ``chunk`` (job) and ``row`` (row in that job's samples.npy).
    """
    indexes, samples, features = [], [], []
    for chunk, (index, images, table) in parts.items():
        keep = index[index["kind"].isin(list(kinds))]
        indexes.append(keep.assign(chunk=chunk))
        samples.append(np.asarray(images[keep["row"].to_numpy()]))
        features.append(table.set_index("row").loc[keep["row"]])
    return AuditRun(
        condition,
        generator,
        pd.concat(indexes, ignore_index=True),
        np.concatenate(samples),
        pd.concat(features, ignore_index=True),
    )


@dataclass(frozen=True)
class Fold:
    """One fold: its name, the repeat it belongs to, and the image indexes of both sides."""

    name: str
    repeat: str
    train: np.ndarray
    test: np.ndarray


def design_folds(splits: pd.DataFrame) -> dict[str, list[Fold]]:
    """Folds by design, in the order of ``splits.parquet`` (design, fold, image_index, patient, role)."""
    designs: dict[str, list[Fold]] = {}
    for (design, name), rows in splits.groupby(["design", "fold"], sort=False):
        found = REPEAT.fullmatch(str(name))
        sides = {role: np.sort(part["image_index"].to_numpy()) for role, part in rows.groupby("role")}
        empty = np.empty(0, dtype=int)
        fold = Fold(str(name), found[1] if found else "", sides.get("train", empty), sides.get("test", empty))
        designs.setdefault(str(design), []).append(fold)
    return designs


def held_out_images(fold: Fold, folds: Sequence[Fold]) -> np.ndarray:
    """Image indexes that any fold of the same repeat holds out, sorted."""
    return np.unique(np.concatenate([other.test for other in folds if other.repeat == fold.repeat]))


def crossing_note(splits: pd.DataFrame, design: str) -> str:
    """Text for the note of every row of ``design`` in which patients stand on both sides of a fold, else ""."""
    sides = splits[splits["design"] == design].groupby(["fold", "patient"])["role"].nunique()
    crossing = set(sides[sides > 1].index.get_level_values("patient"))
    return f"{len(crossing)} test patients also train the generator" if crossing else ""
