"""Where the factors of the omics lie: paths below R/{cohort}/factors/, from the configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.config.model import Config
from radgen_lib.core.plan import chunks, factor_folds

TENSOR_AXES = ("tensor_patients.parquet", "tensor_genes.parquet", "tensor_omics.json")
TENSOR_FILES = ("tensor.npy", *TENSOR_AXES, "decisions.parquet", "selection.parquet", "card.json")
FIT_FILES = ("factors.parquet", "fits.parquet", "traces.parquet", "choices.parquet")
GATHERED = (*FIT_FILES, "conditions.parquet")
RESULTS = ("stability", "rank", "comparison", "genes", "enrichment", "associations")
FACTOR_TABLES = ("F.FIT", "F.CMP", "F.ASSOC", "F.SETS", "F.GENES", "F.STAB", "F.RANK")
FACTOR_FIGURES = (
    "factor_loadings.svg", "factor_stability.svg", "factor_traces.svg", "factor_calibration.svg",
    "factor_comparison.svg", "factor_associations.svg", "factor_rank.svg",
)  # fmt: skip
RELEASED_TENSOR = ("tcga2012_chr17", "tcga2012_chr21")
GENE_SETS = "kegg_gene_sets"
RELEASED_RECEPTORS = "pam50_receptors"
_FIT = (
    "max_genes", "components", "method", "chains", "burn_in", "draws", "thin", "max_sweeps", "tolerance", "noise",
    "sparsity",
)  # fmt: skip
# Rule -> the keys of `factors` that its job reads. A change of any other key is no reason to run it again: a side curve
# must not bring back fits of days, and through them the training of generators.
KEYS_READ = {
    "fit_factors": _FIT,
    "factor_stability": (*_FIT, "seeds"),
    "factor_rank": (*(key for key in _FIT if key != "components"), "hidden_share", "rank_grid"),
    "factor_comparison": ("components", "method", "hidden_share", "peers", "published"),
}


def factor_settings(block: Factors, rule: str) -> dict[str, Any]:
    """The keys of ``block`` that the job of ``rule`` reads, as plain values for ``Factors.part``; KeyError: no such."""
    tree = block.model_dump(by_alias=True)
    return {key: tree[key] for key in KEYS_READ[rule]}


@dataclass(frozen=True)
class FactorLayout:
    """Paths of the factorisation under one configuration."""

    config: Config

    def applies(self, cohort: str) -> bool:
        """Whether the cohort has several omics: what the portal gave, or the public tensor of a released cohort."""
        block = self.config.cohorts[cohort]
        return block.kind == "released" or block.omics is not None

    def base(self, cohort: str) -> str:
        """Folder of all that is below."""
        return f"{self.config.results}/{cohort}/factors"

    def jobs(self, cohort: str) -> dict[str, list[str]]:
        """Job name -> the folds it fits."""
        return chunks(factor_folds(self.config, cohort), self.config.factors.folds_per_job)

    def sources(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """Files that the tensor is built from."""
        if self.config.cohorts[cohort].kind == "released":
            return [f"{self.config.downloads}/{name}/{filenames[name]}" for name in RELEASED_TENSOR]
        names = ("tensor.npy", "tensor_patients.parquet", "tensor_genes.parquet", "tensor_omics.json")
        return [f"{self.config.results}/{cohort}/omics/{name}" for name in (*names, "tensor_scales.json")]

    def gene_sets(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """File of gene sets for the enrichment; a phantom brings its own."""
        if self.config.cohorts[cohort].phantom is not None:
            return [f"{self.config.downloads}/{cohort}/tables"]
        return [f"{self.config.downloads}/{GENE_SETS}/{filenames[GENE_SETS]}"]

    def receptors(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """Table of receptors that knows more patients of the public tensor than the cohort's own; else none."""
        if self.config.cohorts[cohort].kind != "released":
            return []
        return [f"{self.config.downloads}/{RELEASED_RECEPTORS}/{filenames[RELEASED_RECEPTORS]}"]

    def fits(self, cohort: str, name: str) -> list[str]:
        """File ``name`` of every fitting job."""
        return [f"{self.base(cohort)}/rigorous/jobs/{job}/{name}" for job in self.jobs(cohort)]

    def whole(self, cohort: str) -> str:
        """Model that was fitted on every patient of the tensor."""
        job = next(job for job, folds in self.jobs(cohort).items() if "full" in folds)
        return f"{self.base(cohort)}/rigorous/jobs/{job}/models"

    def truth(self, cohort: str) -> list[str]:
        """A phantom's planted factors, against which recovery is scored; nothing is fitted with them."""
        phantom = self.config.cohorts[cohort].phantom is not None
        return [f"{self.config.downloads}/{cohort}/truth"] if phantom else []

    def conditions(self, cohort: str) -> str:
        """Factors of each fold as a table that generators are conditioned on."""
        return f"{self.base(cohort)}/rigorous/conditions.parquet"

    def wanted(self, cohort: str, protocol: str, name: str = "conditions.parquet") -> list[str]:
        """File ``name`` of the gathered fits, where a protocol conditions generators on them."""
        used = "factors" in self.config.cpdm.protocols[protocol].conditions
        return [f"{self.base(cohort)}/rigorous/{name}"] if used else []

    def tables(self, cohort: str) -> list[str]:
        """The CSV of every table."""
        if not self.applies(cohort):
            return []
        return [f"{self.config.results}/{cohort}/tables/{name}.csv" for name in FACTOR_TABLES]

    def figures(self, cohort: str) -> list[str]:
        """Every figure, as a file of its own."""
        if not self.applies(cohort):
            return []
        return [f"{self.config.results}/{cohort}/figures/{name}" for name in FACTOR_FIGURES]

    def page(self, cohort: str) -> str:
        """The page a person reads."""
        return f"{self.config.results}/{cohort}/report/factors.html"

    def everything(self, cohort: str) -> list[str]:
        """Every file that the factorisation makes; none of a cohort without omics."""
        if not self.applies(cohort):
            return []
        base = self.base(cohort)
        files = [f"{base}/{name}" for name in (*TENSOR_FILES, "splits.parquet", "splits.card.json")]
        files += [f for name in (*FIT_FILES, "card.json", "models") for f in self.fits(cohort, name)]
        files += [f"{base}/rigorous/{name}" for name in (*GATHERED, "card.json")]
        files += [f"{base}/as_published/{name}" for name in ("factors.parquet", "fits.parquet", "card.json")]
        files += [f"{base}/{name}.parquet" for name in (*RESULTS, "coverage", "labels", "labels_selection")]
        files += [f"{base}/{name}.card.json" for name in ("labels", "stability", "rank", "comparison", "meaning")]
        page = self.page(cohort)
        return [*files, *self.tables(cohort), *self.figures(cohort), page.replace(".html", ".card.json"), page]
