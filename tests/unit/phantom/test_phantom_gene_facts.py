"""Gene numbers and places of the phantom against published tables that hold the same facts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.omics.study.aliases import ALIASES, current_symbol
from radgen_lib.sources.phantom.mutations import PLACES
from radgen_lib.sources.phantom.symbols import real_genes
from radgen_lib.sources.reference.cells import read_r_object
from radgen_lib.sources.reference.genefu import read_genefu
from radgen_lib.sources.reference.multiomics import read_rnaseq_counts, read_tcga2012

GENEFU = "bhklab_genefu/data"
# Tables with symbols, and the column that holds them.
SYMBOLS = {
    "mod2": "probe", "sig.endoPredict": "symbol", "sig.gene70": "symbol", "sig.gene76": "symbol",
    "sig.genius": "symbol", "sig.ggi": "symbol", "sig.oncotypedx": "symbol",
}  # fmt: skip
# Modules of mod1 begin with the gene that they are called after; their other rows are probes.
PROTOTYPES = {"VEGF": "VEGFA", "STAT1": "STAT1", "ESR1": "ESR1", "ERBB2": "ERBB2", "AURKA": "AURKA"}
RENAMED = {"CDC2": "CDK1"}
KILOBASE = 1000


@pytest.fixture(scope="module")
def published(mirror: Path) -> dict[str, set[str]]:
    """Current symbol -> Entrez ids of the signature tables."""
    found: dict[str, set[str]] = defaultdict(set)

    def add(names: object, numbers: object) -> None:
        for name, number in pd.DataFrame({"name": names, "number": numbers}).dropna().itertuples(index=False):
            symbol = str(name)
            found[RENAMED.get(symbol, current_symbol(symbol)[0])].add(str(int(number)))

    for name, column in SYMBOLS.items():
        table = read_genefu(mirror / GENEFU / f"{name}.rda").table
        add(table[column].to_numpy(), table["entrez"].to_numpy())
    centroids = read_r_object(mirror / GENEFU / "pam50.rda")[1]["centroids.map"]  # type: ignore[index]
    add(centroids["probe"].to_numpy(), centroids["EntrezGene.ID"].to_numpy())
    modules = read_genefu(mirror / GENEFU / "mod1.rda").table.groupby("part").head(1).set_index("part")["entrez"]
    add(list(PROTOTYPES.values()), modules[list(PROTOTYPES)].to_numpy())
    return found


def test_gene_numbers_are_those_of_the_signature_tables(published: dict[str, set[str]]) -> None:
    listed = real_genes()["entrez"]
    listed = listed[listed != ""]
    known = listed[listed.index.isin(list(published))]
    assert len(known) == 176
    assert {gene: number for gene, number in known.items() if published[str(gene)] != {number}} == {}


def test_no_gene_has_the_number_of_another(published: dict[str, set[str]]) -> None:
    """Also numbers of genes that the tables do not hold: none of them is there under another name."""
    owner = {number: gene for gene, number in real_genes()["entrez"].items() if number}
    strangers = {(gene, owner[n]) for gene, numbers in published.items() for n in numbers if n in owner}
    assert {pair for pair in strangers if pair[0] != pair[1]} == set()


def test_gene_numbers_agree_with_the_table_of_withdrawn_symbols() -> None:
    number = {alias.symbol: alias.entrez for alias in ALIASES.values()}
    shared = real_genes().index.intersection(list(number))
    assert {"KMT2C", "ERBB2", "NDC80", "NUF2", "ORC6"} <= set(shared)
    for gene in shared:
        assert real_genes().loc[gene, "entrez"] in ("", number[gene])
    assert not set(ALIASES) & set(real_genes().index)


def test_places_begin_where_the_tumour_tables_say(mirror: Path) -> None:
    found = {}
    for folder in ("achambaz_tmle.npvi", "achambaz_tmle.npvi@47a556c"):
        table = read_tcga2012(mirror / folder / "data" / "tcga2012brca.rda").table
        levels = table.columns.to_frame(index=False).drop_duplicates("gene").set_index("gene")
        for gene in levels.index.intersection(list(PLACES)):
            found[gene] = levels.loc[gene, "chromosome"], int(levels.loc[gene, "position_kb"])
    assert set(found) == {"TP53", "MAP2K4", "RUNX1"}
    for gene, (chromosome, start) in found.items():
        place = PLACES[gene]
        assert chromosome == f"chr{place[0]}"
        # Ensembl's longest transcript of TP53 begins 6.6 kb before RefSeq's.
        assert abs(place[1] / KILOBASE - start) < 8, gene


def test_genes_of_chromosome_17(mirror: Path) -> None:
    path = mirror / "geneticsMiNIng_MLGenSig@history" / "Vignettes_BRCA_mRNAseq_chr17.rda"
    there = set(read_rnaseq_counts(path).table.index)
    said = {gene for gene, (chromosome, _, _) in PLACES.items() if chromosome == "17"}
    assert set(PLACES) & there == said == {"BRCA1", "ERBB2", "MAP2K4", "NCOR1", "NF1", "TP53"}


def test_places_are_whole_genes_that_do_not_overlap() -> None:
    for gene, (chromosome, first, last) in PLACES.items():
        assert chromosome in {str(n) for n in range(1, 23)} and 5_000 < last - first < 500_000, gene
    for chromosome in {place[0] for place in PLACES.values()}:
        ends = np.array(sorted(place[1:] for place in PLACES.values() if place[0] == chromosome))
        assert (ends[1:, 0] > ends[:-1, 1]).all()
