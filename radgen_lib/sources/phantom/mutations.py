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
PLACES = {
    "TP53": ("17", 7571720, 7590868), "PIK3CA": ("3", 178866311, 178952497), "CDH1": ("16", 68771195, 68869444),
    "GATA3": ("10", 8096667, 8117164), "MAP3K1": ("5", 56110900, 56191978), "KMT2C": ("7", 151832010, 152133090),
    "PTEN": ("10", 89623195, 89728532), "NCOR1": ("17", 15933408, 16118874), "NF1": ("17", 29421945, 29704695),
    "MAP2K4": ("17", 11924135, 12047148), "ARID1A": ("1", 27022522, 27108601), "FOXA1": ("14", 38058757, 38064325),
    "TBX3": ("12", 115108059, 115121969), "CBFB": ("16", 67063050, 67134958), "RUNX1": ("21", 36160098, 36421595),
    "AKT1": ("14", 105235686, 105262080), "ERBB2": ("17", 37844393, 37884915), "PIK3R1": ("5", 67511584, 67597649),
    "RB1": ("13", 48877883, 49056026), "SF3B1": ("2", 198256698, 198299771), "CTCF": ("16", 67596310, 67673088),
    "KRAS": ("12", 25358180, 25403854), "BRCA1": ("17", 41196312, 41277500),
}  # fmt: skip
"""Chromosome, first and last base of genes (RefSeq transcripts on GRCh37); variants of other genes say no place."""
_FRAME_SHIFTS, _IN_FRAME = (1, 2, 4, 5), 3  # bases lost or gained
_SHIFT_SHARES = (0.6, 0.2, 0.15, 0.05)
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
    number = events["gene"].map(dict(zip(truth.genes, entrez_ids(truth.genes), strict=True)))
    variant = _variants(kind, rng)
    depth, share = rng.integers(30, 200, n), rng.uniform(0.08, 0.55, n)
    alternative = np.maximum(np.rint(depth * share).astype(int), 3)
    sample = truth.patients["patient"].to_numpy()[events["row"]]
    columns = {
        "Hugo_Symbol": events["gene"], "Entrez_Gene_Id": number.fillna(""), "Center": ".", "NCBI_Build": "GRCh37",
        **_places(events["gene"], variant, rng), "Strand": "+", "Consequence": kind.map(_CONSEQUENCES),
        "Variant_Classification": kind, "Variant_Type": variant["type"], "Reference_Allele": variant["reference"],
        "Tumor_Seq_Allele1": variant["reference"], "Tumor_Seq_Allele2": variant["changed"],
        "Tumor_Sample_Barcode": sample + "-01",
        "Matched_Norm_Sample_Barcode": "", "Mutation_Status": "", "HGVSc": "", "HGVSp_Short": _proteins(events, rng),
        "t_ref_count": depth, "t_alt_count": alternative, "n_ref_count": rng.integers(30, 120, n), "n_alt_count": 0,
    }  # fmt: skip
    return pd.DataFrame(columns)[list(MAF_COLUMNS)].astype(str)


def _variants(kind: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Columns type (SNP, DEL, INS), reference and changed (alleles, "-" for none), one row an event.

    A frame shift loses or gains a number of bases that three does not divide; a deletion in frame loses three.
    """
    n = len(kind)
    deletion, insertion = kind.str.endswith("_Del").to_numpy(), kind.str.endswith("_Ins").to_numpy()
    shift = rng.choice(_FRAME_SHIFTS, n, p=_SHIFT_SHARES)
    length = np.where(kind.str.startswith("In_Frame").to_numpy(), _IN_FRAME, shift)
    letters = rng.integers(0, 4, (n, max(_FRAME_SHIFTS)))
    other = _BASES[(letters[:, 0] + rng.integers(1, 4, n)) % 4]
    runs = ["".join(row[:size]) for row, size in zip(_BASES[letters], length, strict=True)]
    columns = {
        "type": np.where(deletion, "DEL", np.where(insertion, "INS", "SNP")),
        "reference": np.where(insertion, "-", np.where(deletion, runs, _BASES[letters[:, 0]])),
        "changed": np.where(deletion, "-", np.where(insertion, runs, other)),
    }
    return pd.DataFrame(columns, index=kind.index)


def _places(genes: pd.Series, variant: pd.DataFrame, rng: np.random.Generator) -> dict[str, list[str]]:
    """Chromosome, start and end as a MAF has them: an insertion lies between two bases, a deletion is its bases."""
    ends = np.where(variant["type"] == "INS", 1, variant["reference"].str.len() - 1)
    rows = []
    for gene, further, chance in zip(genes, ends, rng.random(len(genes)), strict=True):
        chromosome, first, last = PLACES.get(str(gene), ("", 0, 0))
        start = first + int(chance * (last - first - further))
        rows.append((chromosome, str(start), str(start + further)) if chromosome else ("", "", ""))
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        name: list(values)
        for name, values in zip(("Chromosome", "Start_Position", "End_Position"), columns, strict=True)
    }


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
