"""Which reader reads which entry of the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from radgen_lib.core.errors import ConfigError
from radgen_lib.sources.reference.duke import BOXES, clinical_schema, read_duke_boxes, read_duke_clinical
from radgen_lib.sources.reference.genefu import LAYOUTS, read_genefu, signature_schema
from radgen_lib.sources.reference.genesets import read_gene_sets
from radgen_lib.sources.reference.infiltration import CIBERSORT, TIMER, read_cibersort, read_timer
from radgen_lib.sources.reference.multiomics import read_rnaseq_counts, read_tcga2012
from radgen_lib.sources.reference.radiomic36 import SCHEMA as RADIOMICS
from radgen_lib.sources.reference.radiomic36 import read_radiomic_features
from radgen_lib.sources.reference.schema import Reference, Schema
from radgen_lib.sources.reference.subtypes import RECEPTORS, SCORES, read_genomic_scores, read_pam50_receptors

Reader = Callable[..., Reference]


def _genefu_entry(name: str) -> str:
    """Entry of the registry of an R object: ``sig.endoPredict`` is genefu_endopredict."""
    return "genefu_" + name.removeprefix("sig.").replace(".", "_").lower()


_GENEFU = {_genefu_entry(name): layout for name, layout in LAYOUTS.items()}
READERS: dict[str, Reader] = {
    "kegg_gene_sets": read_gene_sets,
    **dict.fromkeys(_GENEFU, read_genefu),
    "radiomic_features": read_radiomic_features,
    "genomic_scores": read_genomic_scores,
    "cibersort": read_cibersort,
    "timer": read_timer,
    "pam50_receptors": read_pam50_receptors,
    "tcga2012_chr17": read_tcga2012,
    "tcga2012_chr21": read_tcga2012,
    "rnaseq_chr17": read_rnaseq_counts,
    "duke_clinical": read_duke_clinical,
    "duke_boxes": read_duke_boxes,
}


def schemas() -> dict[str, Schema]:
    """Schema of every entry that is a table of rows; the others are matrices, described by their readers."""
    return {
        **{entry: signature_schema(layout) for entry, layout in _GENEFU.items()},
        "radiomic_features": RADIOMICS, "genomic_scores": SCORES, "cibersort": CIBERSORT, "timer": TIMER,
        "pam50_receptors": RECEPTORS, "duke_clinical": clinical_schema(), "duke_boxes": BOXES,
    }  # fmt: skip


def read_reference(entry: str, path: Path, *, whole: bool = True) -> Reference:
    """Read the file ``path`` of one ``entry`` of the registry with its reader, and check it.

    ``whole`` also asks for the numbers of rows and the sums that the source states. Raises ConfigError for an entry
    that is no reference table, DataError for a file of another structure.
    """
    if entry not in READERS:
        raise ConfigError(f"{entry}: is no reference table. Known: {', '.join(READERS)}")
    return READERS[entry](path, whole=whole)
