"""One omic of a study as a matrix patients x genes, on the scale that the analyses use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from radgen_lib.cohort.selection import Selection
from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.decisions import Choices, Decisions, Expression
from radgen_lib.omics.study.genes import current_symbols, enough_values, one_row_a_gene
from radgen_lib.omics.study.matrix import Rows, read_header, read_rows
from radgen_lib.omics.study.meta import Profile
from radgen_lib.omics.study.methylation import ProbeMean, probe_genes
from radgen_lib.omics.study.samples import SampleIndex, choose_samples
from radgen_lib.omics.study.scale import LOG2, OTHER, expression_scale
from radgen_lib.omics.tensor_table import OmicMatrix

_SKETCH_BYTES = 1 << 21
_NO_BETA = 0.2  # a larger share of cells outside 0..1: another scale, not faults of cells


@dataclass(frozen=True)
class ReadProfile:
    """A matrix, and the sample that stands for each of its patients, in the same order."""

    matrix: OmicMatrix
    samples: tuple[str, ...]


def read_profile(
    profile: Profile,
    index: SampleIndex,
    choices: Choices,
    selection: Selection,
    log: Decisions,
    *,
    sketch: bool = False,
) -> ReadProfile:
    """Read the matrix that ``profile`` names, one row a patient and one column a gene.

    ``sketch`` reads only the first two megabytes and leaves the values as they are: enough to compare a profile that
    is not used with those that are. Raises DataError for a matrix without rows, tumour samples or usable genes.
    """
    path = profile.path
    header = read_header(path, log, profile.properties)
    chosen = choose_samples(header.samples, index, selection, step=profile.kind, source=path)
    if not chosen:
        raise data_error(path.name, "no column is a tumour sample", "Look into the selection table", row=header.line)
    size = {"size": _SKETCH_BYTES} if sketch else {}
    stream: Iterator[Rows] = read_rows(path, header, list(chosen.values()), log, **size)
    if sketch:
        stream = islice(stream, 1)
    reader = _probes if profile.kind == "methylation" else _rows
    genes, values = reader(profile, stream, len(chosen), choices, log)
    scale = ""
    if not sketch:
        genes, values = _finished(profile, genes, values, choices, log)
        scale = _scaled(profile, values, choices, log)
    matrix = OmicMatrix(profile.kind, tuple(chosen), tuple(genes), values, scale)
    return ReadProfile(matrix, tuple(header.samples[place] for place in chosen.values()))


def _rows(
    profile: Profile, stream: Iterator[Rows], patients: int, choices: Choices, log: Decisions
) -> tuple[list[str], np.ndarray]:
    symbols: list[str] = []
    entrez: list[str] = []
    parts = [np.empty((patients, 0), dtype=np.float32)]
    for rows in stream:
        symbols += rows.symbols
        entrez += rows.entrez
        parts.append(rows.values)
    genes = current_symbols(symbols, entrez, profile.path, log)
    nameless = sum(not gene for gene in genes)
    log.tally(profile.path, "rows", -nameless, ["no gene symbol"] * nameless)  # the stream counted them as kept
    values = np.concatenate(parts, axis=1)
    kept = one_row_a_gene(genes, values, profile.path, log)
    return [genes[i] for i in kept], values if len(kept) == len(genes) else values[:, kept]


def _probes(
    profile: Profile, stream: Iterator[Rows], patients: int, choices: Choices, log: Decisions
) -> tuple[list[str], np.ndarray]:
    means = ProbeMean(patients, choices)
    for rows in stream:
        names = current_symbols(rows.symbols, rows.entrez, profile.path, log)
        means.add([_current(name) for name in names], rows.descriptions, rows.values)
    _tell_probes(means, choices, profile, log)
    return means.genes, means.means()


def _tell_probes(means: ProbeMean, choices: Choices, profile: Profile, log: Decisions) -> None:
    """Which probes stand for the genes; raises DataError for a matrix that holds no beta."""
    path = profile.path
    if means.impossible > _NO_BETA * means.cells:
        problem = f"{100 * means.impossible / means.cells:.3g} % of its values lie outside 0..1: no beta"
        raise data_error(path.name, problem, "Give beta (of M-values 2^M / (2^M + 1)), or leave the matrix out")
    if choices.probes == "promoter" and not means.genes:
        problem = "describes no probe as promoter"
        raise data_error(path.name, problem, "Set omics.probes: promoter_first or all, or leave the matrix out")
    others = sum(gene not in means.promoter for gene in means.genes)
    if choices.probes == "promoter_first" and others:
        decision = "all rows of the gene" if means.promoter else "all rows: the file describes no promoter"
        log.add("methylation", path, "genes without a promoter probe", decision, "choice probes", count=others)
    several = sum(number > 1 for number in means.probes)
    if several:
        reason = f"{sum(means.probes)} probes of {len(means.probes)} genes"
        log.add("methylation", path, "several probes of a gene", "mean of the probes", reason, count=several)
    if means.impossible:
        reason = "beta below 0 or above 1 has no M-value"
        log.add("methylation", path, "cells", "missing", reason, count=means.impossible)


def _current(symbol: str) -> list[str]:
    # Names between semicolons are looked up one by one; a single one was looked up already.
    from radgen_lib.omics.study.aliases import current_symbol

    names = probe_genes(symbol)
    return names if len(names) < 2 else [found for name in names if (found := current_symbol(name)[0])]


def _finished(
    profile: Profile, genes: list[str], values: np.ndarray, choices: Choices, log: Decisions
) -> tuple[list[str], np.ndarray]:
    """Genes with enough values; the cells that are missing are counted."""
    path = profile.path
    if not genes:
        raise data_error(path.name, "holds no row of a gene", "Fetch the study again, or leave the matrix out")
    missing = int(np.isnan(values).sum())
    if missing:
        reason = f"of {values.size} cells of {len(genes)} genes"
        log.add("missing", path, "cells", "missing", reason, count=missing)
    empty = int(np.isnan(values).all(axis=1).sum())
    log.tally(path, "samples", len(values) - empty, ["none of its cells holds a number"] * empty)
    good = enough_values(genes, values, choices, path, log)
    # What `max_missing` leaves out was asked for; a gene without any number was not.
    blank = int(np.isnan(values).all(axis=0).sum())
    log.tally(path, "genes", len(genes) - blank, ["none of its cells holds a number"] * blank)
    if not good.any():
        raise data_error(path.name, "no gene has enough values", "Look into the decisions, or leave the matrix out")
    if not good.all():
        genes, values = [gene for gene, keep in zip(genes, good, strict=True) if keep], values[:, good]
    return genes, values


def _scaled(profile: Profile, values: np.ndarray, choices: Choices, log: Decisions) -> str:
    """Put values on the scale of the analyses, in place, and name it."""
    if profile.kind == "expression":
        return log_expression(values, profile, log, choices.expression)
    if profile.kind == "methylation":
        return choices.methylation
    return "discrete" if profile.datatype == "DISCRETE" else "log2 ratio"


def log_expression(values: np.ndarray, profile: Profile, log: Decisions, chosen: Expression = "auto") -> str:
    """Turn linear expression into log2(x + 1), in place, and return the scale: "log2(x+1)" or "other".

    What the values are is told by :func:`~radgen_lib.omics.study.scale.expression_scale`.
    """
    found = expression_scale(values, chosen)
    if found.kind != "linear":
        log.add("expression", profile.path, "all cells", "left as it is", found.reason, count=values.size)
        return LOG2 if found.kind == "log2" else OTHER
    below = values < 0
    if below.any():
        reason = "a batch correction moved it below 0 on the linear scale"
        log.add("expression", profile.path, "cells below 0", "count as 0", reason, count=int(below.sum()))
        values[below] = 0
    np.log1p(values, out=values)
    values *= np.float32(1 / np.log(2))
    log.add("expression", profile.path, "all cells", "log2(x + 1)", found.reason, count=values.size)
    return LOG2
