"""Mutations of a study: the variants, and for each driver gene who has a non-silent one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.cohort.selection import Selection
from radgen_lib.cohort.tables import near_names
from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.aliases import current_symbol
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.samples import SampleIndex, choose_samples
from radgen_lib.omics.study.text import rows
from radgen_lib.omics.study.variant_classes import effect_of

MUTATION_COLUMNS = ("patient", "gene", "variant", "kind", "silent")
_NO_MUTATION = frozenset({"wildtype", "none", "loh"})
# Why a sound row is left out: it says itself that it is no mutation.
_PLANNED = (_STATUS, _NO_CLASS) = ("mutation status is", "its class is no mutation of a gene")
# What is read of a MAF -> names of its column, in upper case; earlier names win.
COLUMNS = {
    "gene": ("HUGO_SYMBOL", "GENE", "GENE_SYMBOL", "HUGO"),
    "kind": ("VARIANT_CLASSIFICATION", "MUTATION_TYPE", "VARIANT_CLASS"),
    "sample": ("TUMOR_SAMPLE_BARCODE", "SAMPLE_ID", "TUMOUR_SAMPLE_BARCODE", "SAMPLE"),
    "entrez": ("ENTREZ_GENE_ID",),
    "status": ("MUTATION_STATUS",),
    "variant": ("HGVSP_SHORT", "PROTEIN_CHANGE", "AMINO_ACID_CHANGE", "HGVSP", "HGVSC"),
}
_NEEDED = ("gene", "kind", "sample")


class _Call(NamedTuple):
    sample: str
    gene: str
    variant: str
    kind: str


def read_mutations(
    path: Path, index: SampleIndex, selection: Selection, log: Decisions, *, sequenced: Sequence[str] | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Variants of a MAF file, its columns found by their names in any order, and the sequenced patients.

    Returns the table (patient, gene, variant, kind, silent; sorted) and patient -> sample of everybody who was
    sequenced: the samples of ``sequenced`` (the study's case list) and those with a variant; without a list only the
    latter, which the log says. Variants of samples that do not stand for their patient are left out. What a class means
    says :mod:`radgen_lib.omics.study.variant_classes`; one that it lacks counts as non-silent and is a row of the log.
    Raises DataError when a needed column is absent.
    """
    calls = list(_calls(path, log))
    strange = Counter(call.kind for call in calls if effect_of(call.kind) == "unknown")
    told = "the class is not known, variants: "
    faults = [(kind[:40], "counts as non-silent", f"{told}{count}") for kind, count in sorted(strange.items())]
    log.extend("mutation", path, faults)
    names = list(dict.fromkeys([*(sequenced or ()), *(call.sample for call in calls)]))
    if sequenced is None:
        reason = "the study has no list of sequenced samples; a tumour without any variant counts as not sequenced"
        log.add("mutation", path, "sequenced patients", "those with a variant", reason, count=len(names))
    chosen = {patient: names[place] for patient, place in
              choose_samples(names, index, selection, step="mutations", source=path).items()}  # fmt: skip
    patients = {sample: patient for patient, sample in chosen.items()}
    found = [
        (patients[call.sample], call.gene, call.variant, call.kind, effect_of(call.kind) == "silent")
        for call in calls
        if call.sample in patients
    ]
    table = pd.DataFrame(found, columns=list(MUTATION_COLUMNS)).astype({"silent": bool})
    return table.drop_duplicates().sort_values(list(MUTATION_COLUMNS), ignore_index=True), chosen


def driver_table(
    mutations: pd.DataFrame, sequenced: Collection[str], patients: Sequence[str], drivers: Sequence[str],
    table: str, log: Decisions,
) -> pd.DataFrame:  # fmt: skip
    """Columns patient and mut_<GENE>: 1 any non-silent variant, 0 sequenced without one, NaN not sequenced."""
    known = set(mutations["gene"])
    there = set(sequenced)
    columns: dict[str, object] = {"patient": list(patients)}
    for gene in drivers:
        current = current_symbol(gene)[0]
        hit = set(mutations.loc[(mutations["gene"] == current) & ~mutations["silent"], "patient"])
        columns[f"mut_{gene}"] = np.array([float(p in hit) if p in there else np.nan for p in patients])
        if current not in known:
            reason = f"no variant of it in the file ({near_names(gene, known) if known else 'it holds none'})"
            log.add("driver gene", table, gene, "0 for all sequenced patients", reason, count=len(there))
    absent = [patient for patient in patients if patient not in there]
    if absent and drivers:
        log.extend("driver gene", table, [(p, "missing (NaN)", "the patient was not sequenced") for p in absent])
    return pd.DataFrame(columns)


def _calls(path: Path, log: Decisions) -> Iterator[_Call]:
    """The usable variants of a file; others become rows of the log."""
    stream = rows(path, log)
    line, header = next(stream, (1, []))
    if not header:
        raise data_error(path.name, "is empty", "Fetch the study again, or leave the mutations out")
    places = _places(path, line, header)
    faults: list[tuple[str, str, str]] = []
    kept = 0
    for number, cells in stream:
        if len(cells) < len(header):
            cells = cells + [""] * (len(header) - len(cells))  # trailing empty cells are often not written
        call, fault = _call(cells, places, len(header))
        if fault:
            faults.append((f"line {number} {call.gene} {call.sample}".rstrip(), "variant left out", fault))
        else:
            kept += 1
            yield call
    log.extend("mutation", path, faults)
    log.tally(path, "rows", kept, [fault for _, _, fault in faults if not fault.startswith(_PLANNED)])


def _places(path: Path, line: int, header: Sequence[str]) -> dict[str, int]:
    upper = [name.upper() for name in header]
    found = {what: next((upper.index(name) for name in names if name in upper), -1) for what, names in COLUMNS.items()}
    absent = [COLUMNS[what][0].title() for what in _NEEDED if found[what] < 0]
    if absent:
        problem = f"no column {', '.join(absent)}; it has {', '.join(header[:8])}"
        raise data_error(path.name, problem, "Fetch the study again, or leave the mutations out", row=line)
    return found


def _call(cells: Sequence[str], places: dict[str, int], width: int) -> tuple[_Call, str]:
    def cell(what: str) -> str:
        place = places[what]
        text = cells[place].strip() if 0 <= place < len(cells) else ""
        return "" if text in MISSING_CELLS else text

    gene, _ = current_symbol(cell("gene"), cell("entrez"))
    call = _Call(cell("sample"), gene, cell("variant"), cell("kind"))
    if len(cells) > width:
        return call, f"{len(cells)} cells where {width} are expected"
    if not (call.gene and call.sample and call.kind):
        absent = [name for name, text in zip(("sample", "gene", "variant", "kind"), call, strict=True) if not text]
        return call, "no " + " and no ".join(name for name in absent if name != "variant")
    status = cell("status").lower()
    if status in _NO_MUTATION:
        return call, f"{_STATUS} {status}"
    return call, _NO_CLASS if effect_of(call.kind) == "no variant" else ""
