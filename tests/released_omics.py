"""A small made-up tensor in the format of the public TCGA 2012 tables, gene sets in that of KEGG's, and receptors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rdata
import xarray
from rdata.conversion.to_r import DEFAULT_CLASS_MAP, build_r_object
from rdata.parser import RObjectType

LAYERS = ("Y", "X", "W1", "W2")
GENES_A_FILE, SETS = 30, 6


def matrix_constructor(data: xarray.DataArray, converter: object) -> object:
    """R matrix with row and column names, which rdata's writer lacks."""
    names = [np.array(data.coords[axis].values, dtype="U") for axis in data.dims]
    attributes = converter.convert_to_r_attributes({"dim": np.array(data.shape), "dimnames": names})  # type: ignore[attr-defined]
    return build_r_object(RObjectType.REAL, value=np.ravel(data.values, order="F"), attributes=attributes)


def write_omics(folder: Path, patients: Sequence[str], *, seed: int = 0) -> dict[str, Path]:
    """Write both tables, the gene sets and the receptors into ``folder``; registry name -> file.

    Three latent factors move expression, copy number and methylation (two probes a gene, beta values) of all genes.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(patients), 3))
    files = {}
    for chromosome in ("chr17", "chr21"):
        genes = {f"{chromosome},{100 + 10 * i},G{chromosome[3:]}X{i:02d}": _gene(rng, x) for i in range(GENES_A_FILE)}
        rows = [f"{patient}-01" for patient in patients]
        value = {
            key: xarray.DataArray(layers, dims=("dim_0", "dim_1"), coords={"dim_0": rows, "dim_1": list(LAYERS)})
            for key, layers in genes.items()
        }
        files[f"tcga2012_{chromosome}"] = folder / f"{chromosome}.rda"
        constructors = {**DEFAULT_CLASS_MAP, xarray.DataArray: matrix_constructor}
        rdata.write_rda(files[f"tcga2012_{chromosome}"], {"tcga2012brca": value}, constructor_dict=constructors)
    files["kegg_gene_sets"] = folder / "sets.gmt"
    files["kegg_gene_sets"].write_text(_gene_sets(rng), encoding="utf-8")
    files["pam50_receptors"] = folder / "receptors.csv"
    files["pam50_receptors"].write_text(_receptors(patients), encoding="utf-8-sig")
    return files


def _receptors(patients: Sequence[str]) -> str:
    """Every word that the table of TCGA 2012 has for a receptor."""
    er = ("Positive", "Positive", "Negative", "Indeterminate", "Not Performed")
    her2 = ("Negative", "Positive", "Equivocal", "Not Available", "Negative", "")
    lines = ["ID,Gender,Age,ER,PR,HER2,PAM50"]
    for i, patient in enumerate(patients):
        lines.append(f"{patient},FEMALE,{40 + i % 40},{er[i % 5]},{er[(i + 1) % 5]},{her2[i % 6]},Luminal A")
    return "\n".join(lines) + "\n"


def _gene(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Layers [patients, 4] of one gene."""
    load = rng.normal(size=3) * (rng.random(3) < 0.6)
    signal, noise = x @ load, rng.normal(size=(len(x), 4))
    beta = 1 / (1 + np.exp(-0.7 * (-signal[:, None] + noise[:, 2:])))
    return np.column_stack([signal + noise[:, 0], 0.3 * signal + 0.2 * noise[:, 1], beta])


def _gene_sets(rng: np.random.Generator) -> str:
    """One column a set, padded with NA, as the file that is called GMT."""
    names = [f"G{c}X{i:02d}" for c in (17, 21) for i in range(GENES_A_FILE)]
    sets = [rng.choice(names, size=8 + k, replace=False).tolist() for k in range(SETS)]
    longest = max(map(len, sets))
    lines = ["\t".join(f"KEGG_MADE_UP_{k}" for k in range(SETS))]
    lines += ["\t".join(genes[i] if i < len(genes) else "NA" for genes in sets) for i in range(longest)]
    return "\n".join(lines) + "\n"
