"""Cells of the prediction table, and the folds that each is evaluated in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses.arms import Material, Partition, Tables, TestOn
from radgen_lib.analyses.runs import selection_note
from radgen_lib.core.config.cpdm import Prediction, Protocol
from radgen_lib.core.seeds import derive_seed

ITEM = "B.TB"
MINIMUM_TESTED = 3
HOLDOUT_SHARE = 0.1
CIRCULAR = "label is a function of the condition (B-W10); the 15 genes were chosen by survival"
# The published model answers the published number of this endpoint under every protocol, whatever its primary one.
PUBLISHED_GENERATOR, PUBLISHED_TASK = "cpdm", "subgroup"


@dataclass(frozen=True)
class Setting:
    """What all cells of one run share."""

    name: str
    protocol: Protocol
    prediction: Prediction
    seed: int


@dataclass(frozen=True)
class Cell:
    """One table cell with all its arms: condition, extractor, task, classifier and what it is tested on."""

    condition: str
    extractor: str
    task: str
    classifier: str
    test_on: TestOn

    def keys(self, setting: Setting) -> dict[str, Any]:
        """Key columns of the cell's rows, with the note that the protocol asks for."""
        folds = "holdout10" if setting.protocol.evaluation == "holdout10" else "out_of_fold"
        flagged = setting.protocol.circular_labels == "flag" and self.task == "subgroup"
        note = (
            CIRCULAR
            if flagged
            else selection_note(setting.protocol, self.condition, on_fitted=self.test_on == "synthetic")
        )
        return {
            "item": ITEM, "protocol": setting.name, "condition": self.condition, "extractor": self.extractor,
            "task": self.task, "model": self.classifier, "design": f"{folds}:test_on_{self.test_on}",
            "note": note,
        }  # fmt: skip

    def searched(self, prediction: Prediction) -> bool:
        """Whether settings are searched here (and generators beside the primary one are evaluated)."""
        return self.task in prediction.primary_tasks and self.classifier in prediction.primary_classifiers

    def evaluated(self, setting: Setting, generators: list[str]) -> list[str]:
        """Generators whose synthetic arm is evaluated here: all where settings are searched, else the needed ones."""
        if self.searched(setting.prediction):
            return generators
        wanted = {setting.protocol.primary, *([PUBLISHED_GENERATOR] if self.task == PUBLISHED_TASK else [])}
        return [name for name in generators if name in wanted]


def partitions(
    setting: Setting, tables: Tables, material: Material, cell: Cell, labels: pd.Series
) -> tuple[list[Partition], str]:
    """Folds of the cell, and the reason when there are none to use."""
    primary = setting.protocol.primary
    source = sets.source_fold(material, primary) or ""
    nested_real = cell.test_on == "real" and setting.protocol.evaluation == "nested_cv"
    if not source and not nested_real:
        return [], "no generator was trained on all training images (design full or published_split)"
    if cell.test_on == "real":
        candidates = material.real.index.intersection(labels.index)
    else:
        candidates = material.samples[primary, "synthetic", source].index.intersection(labels.index)
        candidates = candidates.difference(material.real.index)
    few = _too_few(labels.loc[candidates], cell.test_on)
    if few:
        return [], few
    if nested_real:
        # Later repeats may train generators for image metrics alone: only folds with images of the others count.
        grouped = sets.grouped_partitions(tables.splits, labels)
        found = [part for part in grouped if (primary, "synthetic", part.fold) in material.samples]
        if grouped and not found:
            return [], f"generator {primary} made no images of patients without MRI in the grouped folds"
    elif setting.protocol.evaluation == "holdout10":
        times, seed = setting.prediction.holdout_seeds, derive_seed(setting.seed, "tests", cell.task)
        found = sets.holdout_partitions(list(candidates), source, share=HOLDOUT_SHARE, times=times, seed=seed)
    else:
        found = sets.endpoint_partitions(tables.endpoint_splits, cell.task, source, candidates)
    found = [part for part in found if part.test]
    return found, "" if found else "no folds for this endpoint in the splits"


def _too_few(labels: pd.Series, on: TestOn) -> str:
    positives, negatives = int(labels.sum()), int((1 - labels).sum())
    if min(positives, negatives) >= MINIMUM_TESTED:
        return ""
    who = "imaged patients" if on == "real" else "patients with synthetic images"
    return f"{len(labels)} labelled {who}: {positives} positive, {negatives} negative"
