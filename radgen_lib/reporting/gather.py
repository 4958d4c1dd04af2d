"""From the files of a results folder to what tables and figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from radgen_lib.core.rows import RESULT_COLUMNS, result_frame, result_row
from radgen_lib.reporting.facts import PUBLISHED, RunFacts
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.published import published_values

Names = Sequence[Sequence[str]]
GRID_PATIENTS = 8


def gather_rows(files: Iterable[str | Path], root: Path) -> pd.DataFrame:
    """Result rows of all analyses with the column ``source``: the CSV they stand in too, relative to ``root``."""
    parts = []
    for file in files:
        shown = Path(file).resolve().relative_to(root.resolve()).with_suffix(".csv").as_posix()
        parts.append(pd.read_parquet(file).assign(source=shown))
    found = [part for part in parts if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*RESULT_COLUMNS, "source"])


def per_protocol(given: Mapping[str, object], key: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Protocol -> files of a job's inputs ``KEY_PROTOCOL``; one file may stand there as text, no file as nothing."""
    found: dict[str, list[str]] = {}
    for name in names:
        files = given.get(f"{key}_{name}", ())
        found[name] = [files] if isinstance(files, str) else [str(file) for file in cast(Iterable[object], files)]
    return found


def gather_training(runs: Mapping[str, Names], files: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Training figures of every job: protocol, condition, generator, fold, step, loss."""
    parts = []
    for protocol, names in runs.items():
        for (condition, generator, _), file in zip(names, files[protocol], strict=True):
            log = pd.read_csv(file)
            if {"step", "loss"} <= set(log.columns) and len(log):
                parts.append(log.assign(protocol=protocol, condition=condition, generator=generator))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def image_columns(
    names: Names, samples: Sequence[str], indexes: Sequence[str], images: np.ndarray, series: pd.DataFrame
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Real image and first held-out draw of each generator for up to :data:`GRID_PATIENTS` held-out patients.

    Under one condition (the first named). Returns columns (name -> float [n, H, W], NaN where not drawn), patients.
    """
    condition = names[0][0] if names else ""
    drawn: dict[str, dict[str, np.ndarray]] = {}
    for (given, generator, _), file, index_file in zip(names, samples, indexes, strict=True):
        if given != condition:
            continue
        index = pd.read_parquet(index_file)
        first = index[(index["kind"] == "heldout") & (index["draw"] == 0)].drop_duplicates("patient")
        stack = np.load(file, mmap_mode="r")
        found = drawn.setdefault(generator, {})
        for row, patient in zip(first["row"], first["patient"], strict=True):
            found.setdefault(str(patient), np.asarray(stack[row], dtype=np.float64))
    patients = sorted({patient for found in drawn.values() for patient in found})
    step = max(1, len(patients) // GRID_PATIENTS)
    patients = patients[::step][:GRID_PATIENTS]
    missing = np.full(images.shape[1:], np.nan)
    first_image = series.sort_values("image_index").drop_duplicates("patient").set_index("patient")["image_index"]
    columns = {"real": np.stack([images[first_image[p]] / 255.0 for p in patients])} if patients else {}
    for generator, found in drawn.items():
        if patients and found:
            columns[generator] = np.stack([np.clip(found.get(p, missing), 0, 1) for p in patients])
    return columns, patients


def pair_images(
    pairs: pd.DataFrame, names: Names, samples: Sequence[str], images: np.ndarray, most: int = 8
) -> tuple[np.ndarray, np.ndarray, list[float], list[str]]:
    """Synthetic images and their nearest training images of the closest pairs that no copying generator made."""
    none = np.empty((0, *images.shape[1:]))
    empty: tuple[np.ndarray, np.ndarray, list[float], list[str]] = (none, none.copy(), [], [])
    if not len(pairs):
        return empty
    # A generator that returns training images has distance zero by design; its pairs show nothing.
    chosen = pairs[pairs["rmse"] > 1e-3].sort_values(["rmse", "generator", "row"], kind="stable").head(most)
    if not len(chosen):
        return empty
    where = {
        (condition, generator, chunk): file for (condition, generator, chunk), file in zip(names, samples, strict=True)
    }
    synthetic = []
    for pair in chosen.itertuples():
        file = where[str(pair.condition), str(pair.generator), str(pair.chunk)]
        synthetic.append(np.clip(np.load(file, mmap_mode="r")[pair.row].astype(np.float64), 0, 1))
    training = images[chosen["training_image"].to_numpy()] / 255.0
    labels = [f"{p.generator}: {p.patient} / {p.training_patient}" for p in chosen.itertuples()]
    return np.stack(synthetic), training, chosen["rmse"].tolist(), labels


def frechet_bars(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the four published test images of each reference and each generator's published single split.

    Models are drawn on that split only, the mean of their draws; beside them the two published numbers.
    """
    mine = rows[(rows["item"] == "B.TD") & rows["value"].notna()]
    references = mine[mine["arm"] != "model"].drop_duplicates(["arm", "task", "metric"])
    bars = [
        {"name": label("arm", str(arm)), "value": part["value"].mean(), "kind": "reference"}
        for arm, part in references.groupby("arm", sort=True)
    ]
    models = mine[(mine["arm"] == "model") & (mine["metric"] == "pixelrow_frechet_mean")]
    models = models[models["design"] == "published_split"]
    for (protocol, condition, generator), part in models.groupby(["protocol", "condition", "generator"], sort=True):
        name = f"{label('generator', generator)}, {label('condition', condition)}"
        name += "" if protocol == PUBLISHED else f" ({label('protocol', protocol)})"
        bars.append({"name": name, "value": part["value"].mean(), "kind": "model"})
    if bars:
        printed = published_values("B")
        for row in printed[printed["row"] == "FID"].itertuples():
            place = "preprint" if row.item == "B.ABS1" else "article"
            bars.append({"name": f"printed in the {place}", "value": row.value, "kind": "published"})
    return pd.DataFrame(bars, columns=["name", "value", "kind"])


def cohort_rows(patients: pd.DataFrame, facts: RunFacts, source: str) -> pd.DataFrame:
    """Why the published count of synthetic patients has no counterpart here (B.ABS1, B.ABS2): a reason per protocol.

    The published 726 counts patients with the 17 factors; what can be counted here, patients with the 15 genes and no
    MRI, is another quantity and is told in the reason, never set beside 726.
    """
    eligible = int(((patients["n_images"] == 0) & patients["has_genes15"]).sum())
    most = facts.system["sampling"]["max_synthetic"]
    drew = eligible if most is None else min(int(most), eligible)
    unreleased = "726 = 754 patients with 17 factors less 28 with images; the table of 754 was never released"
    other = (
        f"another quantity: 726 counts patients with the 17 factors; here {eligible} patients have the 15 genes and no "
        f"image, of whom {drew} were given images"
    )
    keys: dict[str, Any] = {"item": "B.ABS2", "metric": "n_synthetic_patients"}
    rows = [result_row(**keys, protocol=p, reason=unreleased if p == PUBLISHED else other) for p in facts.protocols]
    return result_frame(rows).assign(source=source)


# Columns of the patient table behind steps of the selection that are about labels.
_LABEL_STEPS = {"survival": ("os_days", "os_event"), "label age": ("age",)}


def joined_counts(flow: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """``flow`` with ``used``: patients of a label step who also have the condition, None for every other step.

    Steps are decided per source; the analyses use patients who passed both the label's step and the condition's, and
    those are the rows of ``patients``.
    """
    used = []
    for step in flow["step"].astype(str):
        columns = _LABEL_STEPS.get(step, (step.removeprefix("label "),) if step.startswith("label ") else ())
        there = columns and set(columns) <= set(patients.columns)
        known = patients[list(columns)].notna().all(axis=1) & patients["has_genes15"] if there else None
        used.append(None if known is None else int(known.sum()))
    return flow.assign(used=pd.Series(used, index=flow.index, dtype=object))
