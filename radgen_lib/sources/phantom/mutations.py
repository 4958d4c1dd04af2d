"""Somatic mutations of the phantom as a MAF table: drivers of the truth, other genes at their rates, silent ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.symbols import entrez_ids
from radgen_lib.sources.phantom.truth import Truth

DRIVERS = ("TP53", "PIK3CA", "CDH1")
UNSEQUENCED_SHARE = 0.02
# Share of TCGA-BRCA tumours with a non-silent mutation, about; here independent of every factor.
_RATES = {
    "GATA3": 0.12, "MAP3K1": 0.08, "KMT2C": 0.08, "PTEN": 0.05, "NCOR1": 0.05, "NF1": 0.04, "MAP2K4": 0.04,
    "ARID1A": 0.04, "FOXA1": 0.03, "TBX3": 0.03, "CBFB": 0.02, "RUNX1": 0.04, "AKT1": 0.025, "ERBB2": 0.03,
    "PIK3R1": 0.03, "RB1": 0.02, "SF3B1": 0.02, "CTCF": 0.02, "KRAS": 0.01, "BRCA1": 0.02,
}  # fmt: skip
_SILENT_RATE, _PASSENGER_RATE = 0.8, 1.5
_CLASSES = (
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "Splice_Site",
    "In_Frame_Del",
)
_CLASS_SHARES = (0.62, 0.12, 0.12, 0.07, 0.05, 0.02)
_DRIVER_SHARES = {
    "TP53": (0.62, 0.12, 0.12, 0.06, 0.07, 0.01),
    "PIK3CA": (0.96, 0.0, 0.0, 0.0, 0.0, 0.04),
    "CDH1": (0.07, 0.33, 0.32, 0.18, 0.10, 0.0),
}
_HOT = {
    "TP53": ("p.R175H", "p.R248Q", "p.R273H", "p.Y220C", "p.R248W"),
    "PIK3CA": ("p.H1047R", "p.E545K", "p.E542K", "p.H1047L", "p.N345K"),
}
_PLACES = {"TP53": ("17", 7577000), "PIK3CA": ("3", 178936000), "CDH1": ("16", 68844000)}
_AMINO = np.array(list("ARNDCEQGHILKMFPSTWYV"))
_BASES = np.array(list("ACGT"))
MAF_COLUMNS = (
    "Hugo_Symbol", "Entrez_Gene_Id", "Center", "NCBI_Build", "Chromosome", "Start_Position", "End_Position", "Strand",
    "Consequence", "Variant_Classification", "Variant_Type", "Reference_Allele", "Tumor_Seq_Allele1",
    "Tumor_Seq_Allele2", "Tumor_Sample_Barcode", "Matched_Norm_Sample_Barcode", "Mutation_Status", "HGVSc",
    "HGVSp_Short", "t_ref_count", "t_alt_count", "n_ref_count", "n_alt_count",
)  # fmt: skip
_CONSEQUENCES = {
    "Missense_Mutation": "missense_variant", "Nonsense_Mutation": "stop_gained", "Silent": "synonymous_variant",
    "Frame_Shift_Del": "frameshift_variant", "Frame_Shift_Ins": "frameshift_variant",
    "Splice_Site": "splice_acceptor_variant", "In_Frame_Del": "inframe_deletion",
}  # fmt: skip


def sequenced_patients(truth: Truth, seed: int) -> np.ndarray:
    """Which patients [n] were sequenced; the others have no row and are not in the list of sequenced samples."""
    rng = make_rng(seed, "phantom", "unsequenced")
    return np.asarray(rng.permutation(len(truth.patients)) >= round(UNSEQUENCED_SHARE * len(truth.patients)))


def mutation_table(truth: Truth, seed: int) -> pd.DataFrame:
    """Mutations of the primary tumours with the columns of a MAF file (MAF_COLUMNS), all as text.

    TP53, PIK3CA and CDH1 carry a non-silent mutation exactly where the truth says so, among sequenced patients;
    silent ones fall on any gene, those three included.
    """
    rng = make_rng(seed, "phantom", "mutations")
    sequenced = np.flatnonzero(sequenced_patients(truth, seed))
    genes = np.array(truth.genes, dtype=object)
    parts = []
    for gene in DRIVERS:
        carriers = sequenced[truth.patients[f"mut_{gene}"].to_numpy()[sequenced] == 1]
        parts.append(_events(carriers, gene, rng.choice(_CLASSES, len(carriers), p=_DRIVER_SHARES[gene])))
    for gene, rate in _RATES.items():
        carriers = sequenced[rng.random(len(sequenced)) < rate]
        parts.append(_events(carriers, gene, rng.choice(_CLASSES, len(carriers), p=_CLASS_SHARES)))
    for rate, pool, silent in (
        (_PASSENGER_RATE, genes[~np.isin(genes, DRIVERS)], False),
        (_SILENT_RATE, genes, True),
    ):
        rows = np.repeat(sequenced, rng.poisson(rate, len(sequenced)))
        kinds = np.full(len(rows), "Silent") if silent else rng.choice(_CLASSES, len(rows), p=_CLASS_SHARES)
        parts.append(_events(rows, rng.choice(pool, len(rows)), kinds))
    parts.append(_events(_carriers_of_silent(truth, sequenced), "TP53", "Silent"))
    events = pd.concat(parts, ignore_index=True).sort_values(["row", "gene", "kind"], kind="stable", ignore_index=True)
    return _as_maf(events, truth, rng)


def _carriers_of_silent(truth: Truth, sequenced: np.ndarray) -> np.ndarray:
    """One patient whose TP53 has a silent mutation only: the case that tells silent from mutated."""
    wild = sequenced[truth.patients["mut_TP53"].to_numpy()[sequenced] == 0]
    return wild[:1]


def _events(rows: np.ndarray, gene: object, kind: object) -> pd.DataFrame:
    return pd.DataFrame({"row": rows}).assign(gene=gene, kind=kind)


def _as_maf(events: pd.DataFrame, truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    n = len(events)
    kind = events["kind"].astype(str)
    deletion, insertion = kind.str.endswith("_Del").to_numpy(), kind.str.endswith("_Ins").to_numpy()
    number = events["gene"].map(dict(zip(truth.genes, entrez_ids(truth.genes), strict=True)))
    start = rng.integers(1_000_000, 200_000_000, n)
    known = events["gene"].map(lambda gene: _PLACES.get(str(gene), ("", 0)))
    start = np.where([bool(place[0]) for place in known], [place[1] for place in known] + start % 900, start)
    reference = rng.integers(0, 4, n)
    first, second = _BASES[reference], _BASES[(reference + rng.integers(1, 4, n)) % 4]
    depth, share = rng.integers(30, 200, n), rng.uniform(0.08, 0.55, n)
    alternative = np.maximum(np.rint(depth * share).astype(int), 3)
    sample = truth.patients["patient"].to_numpy()[events["row"]]
    columns = {
        "Hugo_Symbol": events["gene"], "Entrez_Gene_Id": number.fillna(""), "Center": ".", "NCBI_Build": "GRCh37",
        "Chromosome": [place[0] for place in known], "Start_Position": start, "End_Position": start, "Strand": "+",
        "Consequence": kind.map(_CONSEQUENCES), "Variant_Classification": kind,
        "Variant_Type": np.where(deletion, "DEL", np.where(insertion, "INS", "SNP")),
        "Reference_Allele": np.where(insertion, "-", first), "Tumor_Seq_Allele1": np.where(insertion, "-", first),
        "Tumor_Seq_Allele2": np.where(deletion, "-", second), "Tumor_Sample_Barcode": sample + "-01",
        "Matched_Norm_Sample_Barcode": "", "Mutation_Status": "", "HGVSc": "", "HGVSp_Short": _proteins(events, rng),
        "t_ref_count": depth, "t_alt_count": alternative, "n_ref_count": rng.integers(30, 120, n), "n_alt_count": 0,
    }  # fmt: skip
    return pd.DataFrame(columns)[list(MAF_COLUMNS)].astype(str)


def _proteins(events: pd.DataFrame, rng: np.random.Generator) -> list[str]:
    """Change of the protein, hot spots where the gene has them."""
    before, after = rng.integers(0, 20, len(events)), rng.integers(1, 20, len(events))
    places, hot = rng.integers(2, 400, len(events)), rng.random(len(events))
    found = []
    rows = zip(events["gene"], events["kind"], before, after, places, hot, strict=True)
    for gene, kind, old, shift, place, chance in rows:
        spots = _HOT.get(gene, ())
        amino = _AMINO[old]
        if kind == "Missense_Mutation" and spots and chance < 0.7:
            found.append(spots[int(chance / 0.7 * len(spots))])
        elif kind == "Missense_Mutation":
            found.append(f"p.{amino}{place}{_AMINO[(old + shift) % 20]}")
        elif kind == "Silent":
            found.append(f"p.{amino}{place}=")
        else:
            ending = {"Nonsense_Mutation": "*", "In_Frame_Del": "del", "Splice_Site": "_splice"}.get(kind, "fs*12")
            found.append(f"p.{'X' if kind == 'Splice_Site' else amino}{place}{ending}")
    return found
