"""Signature tables of the genefu package (Gendoo DMA et al., Bioinformatics 2016;32:1097-1099), one shape for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.cells import plain_frame, read_r_object
from radgen_lib.sources.reference.schema import AGAIN, Check, Column, Reference, Schema, validate

_PROBE, _ENTREZ, _WEIGHT, _SYMBOL = "probe", "EntrezGene.ID", "coefficient", "NCBI.gene.symbol"
_USUAL = {_PROBE: "probe", _ENTREZ: "entrez", _WEIGHT: "weight"}
_NAMED = {**_USUAL, _SYMBOL: "symbol"}
_ANNOTATED = {_PROBE: "probe", _ENTREZ: "entrez", _SYMBOL: "symbol"}
_SYMBOLS = {"symbol": "symbol", "probe.affy": "probe", _ENTREZ: "entrez", "weight": "weight"}


@dataclass(frozen=True)
class Layout:
    """How one R object holds its signature: ``names`` of its columns and what they become, ``part`` of each row.

    ``frame``: one data frame, whose column ``part`` (its values through ``parts``) tells the parts; ``frames``: one
    data frame a part; ``texts``: one text matrix of three columns a part; ``centroids``: a matrix gene x subtype.
    """

    shape: Literal["frame", "frames", "texts", "centroids"]
    rows: int
    names: Mapping[str, str] = field(default_factory=lambda: _USUAL)
    part: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    key: str = "probe"
    more: Mapping[str, str] = field(default_factory=dict)
    grades: bool = False


LAYOUTS: dict[str, Layout] = {
    "mod1": Layout("frames", 913),
    "mod2": Layout("frames", 663),
    "pam50": Layout("centroids", 250),
    "pam50.robust": Layout("centroids", 250),
    "pam50.scale": Layout("centroids", 250),
    "scmgene.robust": Layout("texts", 3),
    "scmod1.robust": Layout("texts", 726),
    "scmod2.robust": Layout("texts", 661),
    "sig.tamr13": Layout("texts", 239),
    "sig.genius": Layout("frames", 314, _NAMED),
    "sig.pik3cags": Layout("frame", 278),
    "sig.gene70": Layout(
        "frame", 70, {**_ANNOTATED, "correlation": "weight"}, more={"average.good.prognosis.profile": "good_profile"}
    ),
    "sig.gene76": Layout(
        "frame", 76, {**_ANNOTATED, "std.cox.coefficient": "weight"}, "er", {"1": "ER+", "0": "ER-"},
        more={"cox.p.value": "p"},
    ),
    "sig.ggi": Layout("frame", 128, {**_ANNOTATED, "grade": "weight"}, grades=True),
    "sig.oncotypedx": Layout("frame", 21, _SYMBOLS, "group", key="symbol"),
    "sig.endoPredict": Layout("frame", 11, _SYMBOLS, "group", key="symbol", more={"a": "a", "b": "b"}),
}  # fmt: skip
# The model keeps its genes in one member and the mixture in others.
_MEMBERS = {"texts": "mod", "centroids": "centroids"}
_REFERENCE_PARTS = ("reference", "REFERENCE")


def signature_schema(layout: Layout) -> Schema:
    """Schema of the tidy table of one layout."""
    columns = (
        Column("part", "part", "text", missing=True),
        Column("probe", "probe", "text", missing=layout.key != "probe"),
        Column("symbol", "symbol", "text", missing=layout.key != "symbol"),
        Column("entrez", "entrez", "whole", low=1, missing=True),
        # The gene that a module of Wirapati grows from has an infinite weight.
        Column("weight", "weight", missing=True, endless=True)
        if not layout.grades
        else Column("weight", "weight", "words", words={"1": -1.0, "3": 1.0}),
        *(Column(to, to, missing=True) for to in layout.more.values()),
    )
    weighted = Check("it has no weight", lambda t: t["weight"].notna() | t["part"].isin(_REFERENCE_PARTS))
    return Schema("gene", columns, ("part", layout.key), (weighted,), rows=layout.rows)


def read_genefu(path: Path, *, whole: bool = True) -> Reference:
    """One row a gene (or probe) of a part of the signature: part, probe, symbol, entrez (NaN unknown), weight.

    ``part`` is the module, subtype or group, None where the signature has one alone. ``weight`` is the coefficient,
    the centroid's value, the correlation with prognosis (70 genes), or -1 and +1 for low and high grade (grade index);
    it is NaN for reference genes and infinite for the gene from which a module of mod2 grows. Some files have columns
    of their own at the end: ``good_profile``, ``p``, ``a``, ``b``. ``whole`` asks for the published number of rows.
    Raises DataError for a file whose object is none of LAYOUTS or does not hold what it should.
    """
    name, value = read_r_object(path)
    if name not in LAYOUTS:
        raise data_error(path, f"holds {name!r}, no known signature", f"Known: {', '.join(LAYOUTS)}")
    layout = LAYOUTS[name]
    member = _MEMBERS.get(layout.shape, "")
    if isinstance(value, dict) and member in value:
        value = {str(key): part for key, part in value.items()}[member]
    cells = _cells(value, layout, path, name)
    return validate(cells, signature_schema(layout), path, whole=whole)


def read_genefu_mixture(path: Path) -> pd.DataFrame:
    """The three Gaussians of a subtype model: index component, columns proportion, mean_* and variance_* of modules.

    Desmedt C et al., Clin Cancer Res 2008;14:5158-5165; variances are those of the scaled module scores. Raises
    DataError where the file holds no such model, proportions do not sum to 1, or a variance is not above 0.
    """
    name, value = read_r_object(path)
    parameters: Any = value.get("parameters") if isinstance(value, dict) else None
    try:
        mean, sigma = parameters["mean"], np.asarray(parameters["variance"]["Sigma"], dtype=np.float64)
        modules = [str(module) for module in mean.coords["dim_0"].values]
        table = pd.DataFrame({"proportion": np.asarray(parameters["pro"], dtype=np.float64)})
        for i, module in enumerate(modules):
            table[f"mean_{module}"], table[f"variance_{module}"] = mean.values[i].astype(float), sigma[i, i]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise data_error(path, f"{name} holds no mixture of subtypes", AGAIN) from error
    variances = table.filter(like="variance_").to_numpy()
    if abs(table["proportion"].sum() - 1) > 1e-6 or not (variances > 0).all():
        raise data_error(path, f"the proportions or variances of {name} are impossible", AGAIN)
    return table.rename_axis("component")


def _cells(value: Any, layout: Layout, path: Path, name: str) -> pd.DataFrame:
    try:
        if layout.shape == "frame":
            tables = {"": plain_frame(value)}
        elif layout.shape == "frames":
            tables = {str(part): plain_frame(frame) for part, frame in value.items()}
        elif layout.shape == "texts":
            tables = {str(part): _text_matrix(matrix) for part, matrix in value.items()}
        else:
            tables = _centroids(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise data_error(path, f"{name} is not of the kind {layout.shape!r} that genefu has", AGAIN) from error
    if not tables:
        raise data_error(path, f"{name} has no part", AGAIN)
    return pd.concat([_tidy(part, table, layout, path) for part, table in tables.items()])


def _tidy(part: str, table: pd.DataFrame, layout: Layout, path: Path) -> pd.DataFrame:
    names = {**layout.names, **layout.more}
    absent = [column for column in (*names, layout.part) if column and column not in table]
    if absent:
        raise data_error(path, f"no column {', '.join(map(repr, absent))}; it has {', '.join(table)}", AGAIN)
    if layout.part:
        parts = table[layout.part].map(lambda cell: layout.parts.get(str(cell), str(cell)))
    else:
        parts = pd.Series(part or None, index=table.index, dtype=object)
    tidy = table[list(names)].rename(columns=names).assign(part=parts)
    return tidy.reindex(columns=["part", "probe", "symbol", "entrez", "weight", *layout.more.values()])


def _text_matrix(matrix: object) -> pd.DataFrame:
    """Three columns of a text matrix, which R stores one after the other."""
    cells = np.asarray(matrix, dtype=object).reshape(3, -1).T
    return pd.DataFrame(cells, columns=list(_USUAL), index=pd.Index([str(cell) for cell in cells[:, 0]]))


def _centroids(matrix: Any) -> dict[str, pd.DataFrame]:
    values = np.asarray(matrix, dtype=float)
    genes, subtypes = (matrix.coords[axis].values for axis in ("dim_0", "dim_1"))
    index = pd.Index([str(gene) for gene in genes])
    return {
        str(subtype): pd.DataFrame({_PROBE: index, _ENTREZ: None, _WEIGHT: values[:, i]}, index=index, dtype=object)
        for i, subtype in enumerate(subtypes)
    }
