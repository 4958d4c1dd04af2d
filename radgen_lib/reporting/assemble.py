"""All figures of a cohort's report, from the files of its results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.analyses.subgroup_points import subgroup_points
from radgen_lib.cohort.flow import flow
from radgen_lib.reporting import figures as draw
from radgen_lib.reporting.facts import RIGOROUS, RunFacts
from radgen_lib.reporting.gather import (
    frechet_bars,
    gather_training,
    image_columns,
    joined_counts,
    pair_images,
)
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.response_figure import variable_response

Names = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Material:
    """Files and tables that figures are made of; per protocol where the field says so.

    runs: protocol -> ``[condition, generator, chunk]``; samples, indexes, features, training: protocol -> paths in the
    same order; curves, pairs: protocol -> tables; rows: result rows of every analysis.
    """

    rows: pd.DataFrame
    selection: pd.DataFrame
    patients: pd.DataFrame
    series: pd.DataFrame
    images: np.ndarray
    runs: Mapping[str, Names]
    samples: Mapping[str, Sequence[str]]
    indexes: Mapping[str, Sequence[str]]
    features: Mapping[str, Sequence[str]]
    training: Mapping[str, Sequence[str]]
    curves: Mapping[str, pd.DataFrame]
    pairs: Mapping[str, pd.DataFrame]


def headline_protocol(facts: RunFacts) -> str:
    """The protocol whose figures stand for the run: rigorous where it is run, else the first."""
    return RIGOROUS if RIGOROUS in facts.protocols else facts.protocols[0]


def make_figures(material: Material, facts: RunFacts) -> dict[str, bytes]:
    """Every figure of the page, by name (the names that :meth:`radgen_lib.core.layout.Layout.figures` promises)."""
    counted = joined_counts(flow(material.selection), material.patients)
    made: dict[str, bytes] = {"cohort_flow": draw.cohort_flow(counted)}
    for name in facts.protocols:
        columns, patients = image_columns(
            material.runs[name], material.samples[name], material.indexes[name], material.images, material.series
        )
        made[f"image_grid_{name}"] = draw.image_grid(columns, patients)
    made["training_curves"] = draw.training_curves(gather_training(material.runs, material.training))
    made["frechet_reference"] = draw.frechet_reference(frechet_bars(material.rows))
    for task in facts.system["prediction"]["tasks"]:
        made[f"auroc_forest_{task}"] = _forest(material.rows, facts, task)
    made["kaplan_meier"] = _survival(material, facts)
    made["subgroup_pca"] = _clusters(material, facts)
    made["variable_response"] = variable_response(material.rows)
    for name in facts.protocols:
        found = pair_images(material.pairs[name], material.runs[name], material.samples[name], material.images)
        made[f"nearest_pairs_{name}"] = draw.nearest_pairs(*found)
    return made


def _forest(rows: pd.DataFrame, facts: RunFacts, task: str) -> bytes:
    """Arms of one endpoint: radiomics and the first classifier, tested on synthetic images, primary generators."""
    classifier = facts.system["prediction"]["classifiers"][0]
    mine = rows[(rows["item"] == "B.TB") & (rows["task"] == task) & (rows["metric"] == "auroc")]
    mine = mine[(mine["extractor"] == "radiomics") & (mine["model"] == classifier) & (mine["condition"] == "genes15")]
    primary = mine["protocol"].map({name: facts.switch(name, "primary") for name in facts.protocols})
    controls = mine["arm"].isin(["untrained", "noise"]) | (mine["generator"] == "")
    mine = mine[controls | (mine["generator"] == primary)]
    real = mine[mine["design"].str.endswith("real")]
    tested = mine[~mine["design"].str.endswith("real")]
    chosen = tested if tested["value"].notna().any() else real
    return draw.auroc_forest(chosen, title=f"{task}, {classifier}, radiomics")


def _survival(material: Material, facts: RunFacts) -> bytes:
    name = headline_protocol(facts)
    table, primary = material.curves[name], str(facts.switch(name, "primary"))
    mine = table[
        (table["arm"] == "synthetic") & (table["generator"] == primary)
        & (table["extractor"] == "radiomics") & (table["task"] == "survival")
    ] if len(table) else table  # fmt: skip
    groups = {str(group): part for group, part in mine.groupby("group", sort=True)} if len(mine) else {}
    return draw.kaplan_meier_figure(groups, title=f"Out-of-fold risk groups, {label('generator', primary)} ({name})")


def _clusters(material: Material, facts: RunFacts) -> bytes:
    name = headline_protocol(facts)
    parts = []
    for (condition, generator, _), features, index in zip(
        material.runs[name], material.features[name], material.indexes[name], strict=True
    ):
        if condition == "genes15" and generator == facts.switch(name, "primary"):
            drawn = pd.read_parquet(index, columns=["row", "fold", "kind", "patient"])
            values = pd.read_parquet(features)
            parts.append(drawn.merge(values[["row", *values.columns.difference(drawn.columns, sort=False)]], on="row"))
    if not parts:
        return draw.subgroup_pca(pd.DataFrame())
    # Chunks first come together, as where the clusters are scored: the fold shown must be the fold scored.
    found = subgroup_points(pd.concat(parts, ignore_index=True), material.patients)
    group = np.where(found.labels == 1, "Subgroup 1", "Subgroup 2")
    points = pd.DataFrame(found.points, columns=["pc1", "pc2"]).assign(group=group)
    return draw.subgroup_pca(points, explained=found.explained.tolist())
