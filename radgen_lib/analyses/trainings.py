"""Image fidelity over several trainings of the published single split (rows of B.TA beside those of one training).

The papers trained once, and the numbers of the single split are of its first training here too. These rows say how far
another seed of training and drawing would have moved them; the test images are the same in every training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.feature_distance import distance_values
from radgen_lib.analyses.fidelity import ITEM, pair_table, pixel_means
from radgen_lib.analyses.resampling import trainings_band
from radgen_lib.analyses.runs import Run, known_extractors, missing_extractors, selection_note
from radgen_lib.core.config.cpdm import Protocol
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.trainings import SINGLE_SPLIT, TRAININGS, split_of

DESIGN = "published_split"
Row = dict[str, Any]
Values = dict[tuple[str, str], float]  # by extractor ("" for pixels) and metric


def training_rows(
    images: np.ndarray,
    real_features: pd.DataFrame,
    runs: Iterable[Run],
    splits: pd.DataFrame,
    *,
    name: str,
    protocol: Protocol,
) -> pd.DataFrame:
    """Mean over the trainings of the single split with its range, per condition, generator and metric.

    No row of a generator that was trained once. images, real_features and splits: as in
    :func:`radgen_lib.analyses.fidelity.fidelity_rows`; the first training counts as one of them.
    """
    rows: list[Row] = []
    if DESIGN not in protocol.designs:
        return result_frame(rows)
    runs = list(runs)
    missing = missing_extractors(runs)
    spaces = [extractor for extractor in known_extractors(runs) if extractor not in missing]
    tested = splits[(splits["fold"] == SINGLE_SPLIT) & (splits["role"] == "test")]
    found: dict[tuple[str, str], dict[str, Values]] = {}
    for run in runs:
        for training in sorted(set(run.index["fold"].map(str))):
            if split_of(training) == SINGLE_SPLIT:
                one = as_single_split(run, training)
                values = _values(images, real_features, one, splits, spaces, protocol)
                found.setdefault((run.condition, run.generator), {})[training] = values
    for (condition, generator), trainings in found.items():
        keys = {"item": ITEM, "protocol": name, "condition": condition, "generator": generator, "design": TRAININGS}
        note = selection_note(protocol, condition)
        if len(trainings) > 1:
            rows += _rows(list(trainings.values()), keys, note, tested)
    return result_frame(rows)


def as_single_split(run: Run, training: str) -> Run:
    """The samples of one training under the name of the fold that it repeats."""
    index = run.index[run.index["fold"] == training]
    features = run.features[run.features["row"].isin(index["row"])]
    return replace(run, index=index.assign(fold=SINGLE_SPLIT), features=features)


def _values(
    images: np.ndarray, real_features: pd.DataFrame, run: Run, splits: pd.DataFrame, spaces: list[str],
    protocol: Protocol,
) -> Values:  # fmt: skip
    pairs = pair_table(images, run, splits, clamp=protocol.clamp_images)
    if pairs.empty:
        return {}
    values: Values = {("", metric): value for metric, value in pixel_means(pairs, protocol).items()}
    for extractor in spaces:
        known = distance_values(real_features, run.featured(), splits, DESIGN, extractor)
        values |= {(extractor, metric): value for metric, value in known.items()}
    return values


def _rows(trainings: list[Values], keys: dict[str, str], note: str, tested: pd.DataFrame) -> list[Row]:
    rows = []
    people, count = tested["patient"].nunique(), len(tested)
    for extractor, metric in dict.fromkeys(key for one in trainings for key in one):
        values = np.array([one.get((extractor, metric), np.nan) for one in trainings])
        row: Row = {**keys, "extractor": extractor, "metric": metric, "n": people}
        if not np.isfinite(values).all():
            lost = int((~np.isfinite(values)).sum())
            rows.append(result_row(**row, reason=f"{lost} of {len(values)} trainings gave no value"))
            continue
        told = ", ".join(f"{value:.4g}" for value in values)
        texts = (f"trainings {told}; SD {values.std(ddof=1):.3g}; the same {count} test images in each", note)
        rows.append(result_row(**row, **trainings_band(values), note="; ".join(text for text in texts if text)))
    return rows
