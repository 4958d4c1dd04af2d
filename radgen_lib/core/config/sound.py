"""Settings that cannot work, found before any job starts: what is wrong with a cohort's sources, and with names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radgen_lib.core.config.cohort import Imaging, Omics

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Names of rules and folders: a cohort of that name would stand in their way.
_RULES = (
    "adherence", "all", "clinical_tables", "cohort_from_ingestion", "cohort_tables", "cpdm", "data_page",
    "factor_comparison", "factor_labels", "factor_meaning", "factor_page", "factor_rank", "factor_splits",
    "factor_stability", "factor_tensor", "fetch_images", "fetch_rest", "fetch_source", "fidelity", "figures",
    "fit_factors", "gather_factors", "leakage", "leakage_ablation", "losses", "memorisation", "page", "paper_tables",
    "phantom_images", "phantom_tables", "prediction", "published_factors", "read_images", "read_omics",
    "real_features", "reference", "sample_features", "sample_images", "splits", "survival", "survival_search",
    "system_c_flow", "tables", "train_generator",
)  # fmt: skip
TAKEN = frozenset(_RULES)


def imaging_faults(imaging: Imaging) -> Iterator[str]:
    """What an imaging block lacks for its source, or asks that no image can give."""
    slices, rows, columns = imaging.volume
    if min(slices, rows, columns) < 4 or rows != columns:
        yield (
            f"imaging.volume = {imaging.volume}: slices, rows and columns of at least 4 are allowed, rows equal to "
            "columns (system B's images are square)"
        )
    if imaging.source in ("folder", "dicomweb") and not imaging.location:
        yield f"imaging.source = {imaging.source!r}: location is missing. Say which folder, or the address of the PACS"
    if imaging.source in ("idc", "nbia") and not imaging.collection:
        yield f"imaging.source = {imaging.source!r}: collection is missing, e.g. tcga_brca"
    if imaging.pseudonyms and imaging.patients:
        yield (
            "imaging.patients: names patients, and the configuration is stored with the results, while "
            "imaging.pseudonyms hides them. Allowed: one of both; put the chosen patients into a folder of their own"
        )


def omics_faults(omics: Omics) -> Iterator[str]:
    """What an omics block lacks for its source."""
    if omics.source == "folder" and not omics.location:
        yield "omics.source = 'folder': location is missing. Say which folder or tarball"
    if omics.source == "cbioportal" and not omics.study:
        yield "omics.source = 'cbioportal': study is missing, e.g. brca_tcga_pan_can_atlas_2018"


def name_faults(what: str, names: Iterable[str]) -> Iterator[str]:
    """Names that cannot be a folder, or that a rule has already."""
    for name in names:
        if not NAME.fullmatch(name):
            yield f"{what}.{name!r}: a name becomes a folder. Allowed: letters, digits, _ and -"
        elif what == "cohorts" and name in TAKEN:
            yield f"cohorts.{name}: a rule has this name already. Choose another"
