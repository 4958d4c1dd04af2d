"""Molecular tables of TCGA breast tumours as R objects: three layers of the same genes, and RNA-seq counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.cells import read_r_object
from radgen_lib.sources.reference.schema import AGAIN, Faults, Reference, patient_code

OMICS = ("expression", "copy_number", "methylation")
COLUMN_LEVELS = ("chromosome", "position_kb", "gene", "layer")
TCGA2012_PATIENTS = 463
# Genes of the two versions of the file.
TCGA2012_GENES = {"chr17": 150, "chr21": 125}
RNASEQ_SHAPE = (730, 736)
_GENE = re.compile(r"(chr[0-9XY]{1,2}),([0-9]+),([A-Za-z0-9][A-Za-z0-9._-]*)")
_PROBES = re.compile(r"W[0-9]*")
_RANGES = {"expression": (-np.inf, np.inf), "copy_number": (-10.0, 10.0), "methylation": (0.0, 1.0)}
_PRIMARY = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}-01[A-Z](-.*)?")


class Tensor(NamedTuple):
    """``values`` [patients, genes, OMICS] with NaN for missing, its patients, and one row a gene of the second axis."""

    values: np.ndarray
    patients: tuple[str, ...]
    genes: pd.DataFrame


def read_tcga2012(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient (index), one column a layer of a gene: COLUMN_LEVELS, float, NaN for missing.

    Layers are expression (log ratio), copy_number (log2 ratio) and methylation_1.. (beta value in [0, 1], one a probe);
    position in kilobases. Data of The Cancer Genome Atlas Network, Nature 2012;490:61-70. A gene without expression or
    copy number, with patients of its own, or there already, is a fault of the gene; a value outside its range one of
    the cell, which is emptied. ``whole`` asks for 463 patients and the number of genes of the chromosome. Raises
    DataError for an object of another kind.
    """
    name, value = read_r_object(path)
    if not isinstance(value, dict) or not all(getattr(matrix, "ndim", 0) == 2 for matrix in value.values()):
        raise data_error(path, f"{name} is not a list of one matrix a gene", AGAIN)
    faults = Faults("gene", path)
    blocks: dict[str, pd.DataFrame] = {}
    patients: pd.Index | None = None
    for key, matrix in value.items():
        block, reason = _gene_block(str(key), matrix, patients)
        gene = str(key).rpartition(",")[2]
        reason = reason or ("is there already" if gene in blocks else "")
        if block is None or reason:
            faults.add(str(key)[:60], str(key)[:60], "", reason)
            continue
        patients = block.index
        blocks[gene] = block
    if not blocks:
        raise data_error(path, "holds no usable gene", AGAIN)
    table = _in_range(pd.concat(blocks.values(), axis=1), faults)
    if whole:
        _check_tcga2012(table, len(value), path)
    return Reference(table, faults.frame())


def tcga2012_tensor(tables: Sequence[pd.DataFrame]) -> Tensor:
    """Tables of :func:`read_tcga2012` side by side as one tensor of the patients whom all hold, in the first's order.

    Methylation of a gene is the mean of its probes that are there. Raises ValueError for a gene that stands in two
    tables.
    """
    table = pd.concat(tables, axis=1, join="inner")
    genes = table.columns.droplevel("layer")
    order = genes.drop_duplicates()
    if len(set(order.get_level_values("gene"))) != sum(len(t.columns.unique("gene")) for t in tables):
        raise ValueError("a gene stands in more than one table")
    layers = table.columns.get_level_values("layer")
    values = np.full((len(table), len(order), len(OMICS)), np.nan)
    for k, omic in enumerate(OMICS):
        part = table.loc[:, layers.str.startswith(omic)]
        mean = part.T.groupby(level="gene", sort=False).mean().T
        values[:, :, k] = mean.reindex(columns=order.get_level_values("gene")).to_numpy()
    described = order.to_frame(index=False)
    probes = pd.Series(layers.str.startswith("methylation"), index=genes.get_level_values("gene"))
    described["probes"] = described["gene"].map(probes.groupby(level=0).sum())
    return Tensor(values, tuple(table.index), described)


def read_rnaseq_counts(path: Path, *, whole: bool = True) -> Reference:
    """RNA-seq counts (RSEM, rounded), one row a gene (index), one column a patient, whole numbers from 0.

    Samples that are no primary tumour, a second sample of a patient, genes that stand twice and genes with a cell that
    is no count are faults. ``whole`` asks for 730 genes of 736 patients. Raises DataError for an object that is no
    data frame.
    """
    name, frame = read_r_object(path)
    if not isinstance(frame, pd.DataFrame):
        raise data_error(path, f"{name} is not a data frame", AGAIN)
    if whole and frame.shape != RNASEQ_SHAPE:
        raise data_error(
            path, f"holds {frame.shape[0]} genes of {frame.shape[1]} samples, 730 of 736 are expected", AGAIN
        )
    faults = Faults("gene", path)
    patients = _primary_samples(frame, faults)
    counts = frame.iloc[:, list(patients)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    good = np.isfinite(counts) & (counts >= 0) & (counts % 1 == 0)
    genes: dict[str, int] = {}
    for i, label in enumerate(map(str, frame.index)):
        reason = "is there already" if label in genes else ""
        if not good[i].all():
            j = int(np.argmin(good[i]))
            reason = f"{list(patients.values())[j]}: {counts[i, j]:g} is not a count"
        if reason:
            faults.add(label, i + 1, "", reason)
        else:
            genes[label] = i
    if not genes or not patients:
        raise data_error(path, "holds no usable gene of a primary tumour", AGAIN)
    values = counts[list(genes.values())].astype(np.int64)
    table = pd.DataFrame(
        values, index=pd.Index(genes, name="gene"), columns=pd.Index(patients.values(), name="patient")
    )
    return Reference(table, faults.frame())


def _primary_samples(frame: pd.DataFrame, faults: Faults) -> dict[int, str]:
    """Position of the first primary tumour of each patient, and the patient."""
    kept: dict[int, str] = {}
    for j, barcode in enumerate(map(str, frame.columns)):
        patient = patient_code(barcode)
        if patient is None or not _PRIMARY.fullmatch(barcode):
            faults.add(barcode[:40], "", barcode[:40], "is no primary tumour of a TCGA patient")
        elif patient in kept.values():
            faults.add(barcode[:40], "", barcode[:40], "is a second sample of the patient")
        else:
            kept[j] = patient
    return kept


def _gene_block(key: str, matrix: object, patients: pd.Index | None) -> tuple[pd.DataFrame | None, str]:
    """Values of one gene by patient, or None, and the reason why it cannot be used, or ""."""
    found = _GENE.fullmatch(key)
    if found is None:
        return None, "is not named chromosome,position,gene"
    coords = getattr(matrix, "coords", {})
    if "dim_0" not in coords or "dim_1" not in coords:
        return None, "its rows and columns have no names"
    layers = [str(layer) for layer in coords["dim_1"].values]
    odd = [layer for layer in layers if layer not in ("Y", "X") and not _PROBES.fullmatch(layer)]
    if odd or layers[:2] != ["Y", "X"]:
        return None, f"its layers are {', '.join(layers)}, not Y, X and W1, W2, ..."
    index = pd.Index([patient_code(str(sample)) or "" for sample in coords["dim_0"].values], name="patient")
    if "" in index or not index.is_unique or (patients is not None and not index.equals(patients)):
        return None, "its patients are not those of the other genes"
    names = ["expression", "copy_number", *(f"methylation_{i}" for i in range(1, len(layers) - 1))]
    chromosome, position, gene = found.groups()
    columns = pd.MultiIndex.from_tuples(
        [(chromosome, int(position), gene, layer) for layer in names], names=COLUMN_LEVELS
    )
    return pd.DataFrame(np.asarray(matrix, dtype=float), index=index, columns=columns), ""


def _in_range(table: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """The table with values outside the range of their layer emptied."""
    layers = [str(layer) for layer in table.columns.get_level_values("layer")]
    ranges = [_RANGES[next(omic for omic in OMICS if layer.startswith(omic))] for layer in layers]
    low, high = np.array(ranges).T
    values = table.to_numpy(dtype=float)
    bad = ~np.isnan(values) & ~((values >= low) & (values <= high) & np.isfinite(values))
    for i, j in np.argwhere(bad):
        reason = f"{values[i, j]:g} is not in [{low[j]:g}, {high[j]:g}]"
        gene, patient = table.columns[j][COLUMN_LEVELS.index("gene")], table.index[i]
        faults.add(f"{gene}/{patient}", patient, layers[j], reason, kept=True)
    return table.mask(bad)


def _check_tcga2012(table: pd.DataFrame, genes: int, path: Path) -> None:
    chromosomes = table.columns.unique("chromosome")
    expected = sum(TCGA2012_GENES.get(str(name), -1) for name in chromosomes)
    if len(table) != TCGA2012_PATIENTS or genes != expected:
        problem = f"holds {genes} genes of {', '.join(chromosomes)} and {len(table)} patients"
        raise data_error(path, f"{problem}, {expected} and {TCGA2012_PATIENTS} are expected", AGAIN)
