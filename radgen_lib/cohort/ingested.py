"""The cohort `ingested`: what was read from DICOM series and a molecular study, as the tables of a released cohort."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.expression import FACTORS
from radgen_lib.cohort.ids import site_of
from radgen_lib.cohort.images import SERIES_COLUMNS
from radgen_lib.cohort.labels import read_subgroup
from radgen_lib.cohort.losses import check_share
from radgen_lib.cohort.published import tell_published_test
from radgen_lib.cohort.released import ReleasedCohort
from radgen_lib.cohort.schema import PATIENT_COLUMNS, check_patients
from radgen_lib.cohort.selection import Selection
from radgen_lib.cohort.tables import near_names
from radgen_lib.core.config.cohort import Cohort
from radgen_lib.core.errors import data_error

VIEW = "sagittal"
# Stored values are relative to the 99.5th percentile of the pre-contrast phase; these become white.
WHITE = {"mean": 1.0, "max": 2.0}
LOG_SCALE = "log2(x+1)"
_CLINICAL = ("er", "pr", "her2", "os_days", "os_event", "age")
_TEXT = ("stage", "subtype")


def read_ingested(
    shards: Sequence[Path], omics: Path, *, genes: Sequence[str], cohort: Cohort, subgroups: Path | None = None
) -> ReleasedCohort:
    """Join image shards and the omics folder that ingestion wrote, and the table of ER+/HER2+ ``subgroups``.

    System B reads one image a study: the projection of the index phase (first post-contrast) of sagittal studies, on
    the grid of ``imaging.volume``, uint8, black = 0, white = the fixed level :data:`WHITE`; with ``imaging.phases:
    all`` every volume is an image, as in the papers. The note of an image names its phase, and says where its scale is
    its own because the study has no pre-contrast phase. Of a cohort of the papers' series the selection says which of
    their four test series are here. Patients are those with all
    ``genes`` in the expression table; expression is given on its linear scale. There are no 17 published factors.
    Raises DataError for a gene that the study does not hold, when no image is left, and when more than
    ``max_excluded_share`` of the dynamic phases were lost.
    """
    selection = Selection()
    genes15 = _expression(omics, genes, selection)
    phases = _phases(shards)
    check_share(phases, cohort.max_excluded_share, shards[0] / "phases.parquet")
    every = cohort.imaging is not None and cohort.imaging.phases == "all"
    chosen = _choose(phases, frozenset(genes15["patient"]), selection, every)
    if chosen.empty:
        raise data_error(
            shards[0] / "phases.parquet",
            "no sagittal phase of a patient with expression is left",
            "See the reasons in the tables of results/*/imaging, and correct the files or the settings",
        )
    series, images = _project(chosen, phases, shards, cohort)
    if cohort.imaging is not None and cohort.takes_papers:
        tell_published_test(series, selection, hidden=cohort.imaging.pseudonyms)
    names = frozenset(genes15["patient"])
    subgroup = read_subgroup(subgroups, selection, names) if subgroups is not None else pd.Series(dtype=np.float64)
    patients = _patient_table(genes15, series, omics, subgroup, selection)
    check_patients(patients)
    read = [pd.read_parquet(folder / "selection.parquet") for folder in (*shards, omics)]
    decisions = pd.concat([*read, selection.frame()], ignore_index=True).astype({"kept": bool})
    factors = pd.DataFrame({"patient": pd.Series(dtype=object), **{name: pd.Series(dtype=float) for name in FACTORS}})
    return ReleasedCohort(patients, series, decisions, genes15, factors, images)


def _expression(omics: Path, genes: Sequence[str], selection: Selection) -> pd.DataFrame:
    """Expression of the genes on its linear scale (the tensor holds log2(x+1)), one row a patient."""
    names = pd.read_parquet(omics / "tensor_genes.parquet")["gene"].tolist()
    layers = json.loads((omics / "tensor_omics.json").read_text())
    scale = json.loads((omics / "tensor_scales.json").read_text())["expression"]
    if scale != LOG_SCALE:
        raise data_error(
            omics / "tensor_scales.json",
            f"expression is on the scale {scale!r}, and system B needs it linear, or as {LOG_SCALE}",
            "Give counts, RSEM or TPM instead of ratios or z-scores, or say the scale in omics.expression",
        )
    where = {gene: position for position, gene in enumerate(names)}
    for gene in genes:
        if gene not in where:
            raise data_error(
                omics / "tensor_genes.parquet",
                f"no gene {gene!r} ({near_names(gene, names)})",
                "Correct cpdm.genes in the configuration",
            )
    tensor = np.load(omics / "tensor.npy", mmap_mode="r", allow_pickle=False)
    values = np.exp2(np.asarray(tensor[:, [where[g] for g in genes], layers.index("expression")], dtype=np.float64)) - 1
    table = pd.DataFrame(np.maximum(values, 0), columns=list(genes))
    table.insert(0, "patient", pd.read_parquet(omics / "tensor_patients.parquet")["patient"].to_numpy())
    whole = table[list(genes)].notna().all(axis=1)
    for row in table.loc[~whole].itertuples():
        selection.drop("expression", "patient", row.patient, "tensor.npy", reason="a gene of the condition is missing")
    for patient in table.loc[whole, "patient"]:
        selection.keep("expression", "patient", patient, "tensor.npy")
    return table[whole].sort_values("patient", ignore_index=True)


def _phases(shards: Sequence[Path]) -> pd.DataFrame:
    parts = [pd.read_parquet(folder / "phases.parquet").assign(shard=k) for k, folder in enumerate(shards)]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _choose(phases: pd.DataFrame, conditioned: frozenset[str], selection: Selection, every: bool) -> pd.DataFrame:
    """Phases that become images (index phases, or every one); each that does not is a row of the selection table."""
    kept = []
    order = phases.sort_values(["patient", "study_number", "volume"])
    for phase in order[every | order["index_phase"].astype(bool)].itertuples():
        reason = str(phase.reason) if not phase.kept else ""
        if not reason and phase.view != VIEW:
            reason = f"{phase.view} acquisition; system B reads sagittal ones"
        if not reason and phase.patient not in conditioned:
            reason = "no usable expression of the patient"
        if reason:
            selection.drop("image", "series", phase.volume, "phases.parquet", reason=reason)
        else:
            selection.keep("image", "series", phase.volume, "phases.parquet")
            kept.append(phase.Index)
    return order.loc[kept]


def _project(
    chosen: pd.DataFrame, phases: pd.DataFrame, shards: Sequence[Path], cohort: Cohort
) -> tuple[pd.DataFrame, np.ndarray]:
    how = cohort.imaging.projection if cohort.imaging is not None else "mean"
    stores = {k: np.load(shards[k] / "volumes.npy", mmap_mode="r", allow_pickle=False) for k in set(chosen["shard"])}
    side = next(iter(stores.values())).shape[-1]
    pre = phases[(phases["phase"] == "pre") & phases["kept"].astype(bool)]
    with_pre = set(zip(pre["patient"], pre["study_number"], pre["side"], strict=True))
    with_pre |= {(patient, study, None) for patient, study, _ in with_pre}  # for what is no phase of a side
    images = np.empty((len(chosen), side, side), dtype=np.uint8)
    rows = []
    for position, phase in enumerate(chosen.itertuples()):
        volume = np.asarray(stores[phase.shard][phase.row], dtype=np.float32)
        flat = volume.mean(axis=0) if how == "mean" else volume.max(axis=0)
        images[position] = np.rint(np.clip(flat / WHITE[how], 0, 1) * 255).astype(np.uint8)
        note = f"study {phase.study_number}, {phase.phase}, {how} projection"
        of_side = phase.side if re.fullmatch(r"pre(-\d+)?|post\d+(-\d+)?", phase.phase) else None
        scaled = (phase.patient, phase.study_number, of_side) in with_pre
        note += "" if scaled else "; scaled by itself: no pre-contrast phase"
        rows.append((position, phase.volume, phase.series, phase.patient, phase.view, note))
    return pd.DataFrame(rows, columns=list(SERIES_COLUMNS)).astype({"image_index": np.int64}), images


def _patient_table(
    genes15: pd.DataFrame, series: pd.DataFrame, omics: Path, subgroup: pd.Series, selection: Selection
) -> pd.DataFrame:
    index = pd.Index(genes15["patient"], name="patient")
    clinical = pd.read_parquet(omics / "clinical.parquet").set_index("patient").reindex(index)
    mutated = pd.read_parquet(omics / "mutated.parquet").set_index("patient").reindex(index)
    table = pd.DataFrame(index=index)
    for name in _CLINICAL:
        table[name] = clinical[name].astype(np.float64) if name in clinical else np.nan
    timed = (table["os_days"] > 0) & table["os_event"].notna()
    for patient in index[~timed]:
        selection.drop("survival", "patient", patient, "clinical.parquet", reason="no survival time above zero")
    table.loc[~timed, ["os_days", "os_event"]] = np.nan
    for name in _TEXT:
        table[name] = clinical[name].fillna("").astype(object) if name in clinical else ""
    table["subgroup"] = subgroup.reindex(index).astype(np.float64)
    for name in [column for column in PATIENT_COLUMNS if column.startswith("mut_")]:
        table[name] = mutated[name].astype(np.float64) if name in mutated else np.nan
    table["site"] = [site_of(patient) for patient in index]
    table["n_images"] = series["patient"].value_counts().reindex(index, fill_value=0).astype(np.int64)
    table["has_genes15"], table["has_factors17"] = True, False
    return table.reset_index()[list(PATIENT_COLUMNS)]
