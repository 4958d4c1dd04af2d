"""Where results lie: every path of the workflow, from the configuration alone."""

from __future__ import annotations

from dataclasses import dataclass

from radgen_lib.core.digest import code_digest
from radgen_lib.core.factor_layout import FactorLayout
from radgen_lib.core.plan import chunks, fold_names, protocol_folds, synthetic_folds
from radgen_lib.core.source_layout import SourceLayout
from radgen_lib.core.trainings import is_further

DRIVERS = ("TP53", "PIK3CA", "CDH1")
COHORT_FILES = ("patients", "series", "selection", "genes15", "factors17")
TABLES = ("B.ABS1", "B.ABS2", "B.TA", "B.TB", "B.TC", "B.TD", "B.F2", "S.ADH", "S.LEAK", "S.PRIV", "S.SIDE")
RUN_FILES = (
    "weights.safetensors", "training.csv", "samples.npy", "samples.parquet", "features.parquet", "features_status.csv",
)  # fmt: skip
SHARD_TABLES = ("series.parquet", "phases.parquet", "selection.parquet", "masks.parquet")
SHARD_FILES = (*SHARD_TABLES, "volumes.npy", "masks.npy", "contact_sheets.zip", "nifti", "card.json")
OMICS_FILES = (
    "tensor.npy", "tensor_patients.parquet", "tensor_genes.parquet", "tensor_omics.json", "tensor_scales.json",
    "clinical.parquet", "mutations.parquet", "mutated.parquet", "decisions.parquet", "losses.parquet",
    "quality.parquet", "selection.parquet", "card.json",
)  # fmt: skip
ROW_TABLES = ("kaplan_meier", "nearest_pairs", "predictions", "risks")
ANALYSES = ("fidelity", "prediction", "survival", "survival_search", "adherence", "memorisation", "leakage")


@dataclass(frozen=True)
class Run:
    """One training job: what it is conditioned on, the generator, the job's name and its folds."""

    condition: str
    generator: str
    chunk: str
    folds: tuple[str, ...]


@dataclass(frozen=True)
class Layout(SourceLayout):
    """Paths of one configuration."""

    def is_released(self, cohort: str) -> bool:
        """Whether the cohort is the files that the authors of CPDM released (else it is ingested)."""
        return self.config.cohorts[cohort].kind == "released"

    def has_cpdm(self, cohort: str) -> bool:
        """Whether system B applies: it needs a condition, so molecular data."""
        return self.is_released(cohort) or self.config.cohorts[cohort].omics is not None

    def runs(self, cohort: str, protocol: str) -> list[Run]:
        """All training jobs of a protocol, in a fixed order; the 17 published factors exist in released files only."""
        block = self.config.cpdm.protocols[protocol]
        jobs = {generator: self.jobs(cohort, protocol, generator) for generator in block.generators}
        return [
            Run(condition, generator, chunk, tuple(folds))
            for condition in block.conditions
            if condition != "factors17" or self.is_released(cohort)
            for generator in block.generators
            if condition != "factors" or generator in block.on_factors
            for chunk, folds in jobs[generator].items()
        ]

    def jobs(self, cohort: str, protocol: str, generator: str) -> dict[str, list[str]]:
        """Name of every training job of a generator -> its folds."""
        block = self.config.cpdm
        size = block.generators[generator].folds_per_job or block.folds_per_job
        return chunks(protocol_folds(self.config, cohort, protocol), size)

    def run_files(self, cohort: str, protocol: str, name: str) -> list[str]:
        """File ``name`` of every training job of a protocol, in the order of :meth:`runs`."""
        base = f"{self.config.results}/{cohort}/cpdm/{protocol}"
        return [f"{base}/{r.condition}/{r.generator}/{r.chunk}/{name}" for r in self.runs(cohort, protocol)]

    def rows(self, cohort: str) -> list[str]:
        """Result rows of every analysis under every protocol."""
        base = f"{self.config.results}/{cohort}/cpdm"
        files = [f"{base}/{p}/rows/{name}.parquet" for p in self.config.cpdm.protocols for name in ANALYSES]
        return [*files, f"{base}/rows/reference.parquet", f"{base}/rows/leakage_ablation.parquet"]

    def tables(self, cohort: str) -> list[str]:
        """The CSV of every table; none of a cohort that no system applies to."""
        if not self.has_cpdm(cohort):
            return []
        return [f"{self.config.results}/{cohort}/tables/{name}.csv" for name in TABLES]

    def report(self, cohort: str) -> str:
        """The page a person reads."""
        return f"{self.config.results}/{cohort}/report/index.html"

    def shard_files(self, cohort: str, name: str) -> list[str]:
        """File ``name`` of every shard of the images."""
        return [f"{self.config.results}/{cohort}/imaging/shard-{shard}/{name}" for shard in self.shards(cohort)]

    def omics_files(self, cohort: str) -> list[str]:
        """Every file that the molecular study becomes."""
        if self.config.cohorts[cohort].omics is None:
            return []
        return [f"{self.config.results}/{cohort}/omics/{name}" for name in OMICS_FILES]

    def omics_file(self, cohort: str, name: str) -> list[str]:
        """File ``name`` of the molecular study; none of a cohort without one."""
        return [file for file in self.omics_files(cohort) if file.endswith(f"/{name}")]

    def ingested(self, cohort: str) -> list[str]:
        """Every file that ingestion makes, its page included; none of a released cohort."""
        if self.is_released(cohort):
            return []
        shards = [file for name in SHARD_FILES for file in self.shard_files(cohort, name)]
        tables = [*self.omics_files(cohort), *self.clinical_files(cohort)]
        names = ["imaging/losses.csv", "imaging/losses.card.json", "report/data.card.json"]
        if self.has_system_c_flow(cohort):
            names += ["imaging/system_c_flow.csv", "imaging/system_c_flow.card.json"]
        beside = [f"{self.config.results}/{cohort}/{name}" for name in names]
        return [*self.ledgers(cohort), *shards, *tables, self.data_page(cohort), *beside]

    def clinical_files(self, cohort: str) -> list[str]:
        """What those tables become."""
        if not self.has_duke_tables(cohort):
            return []
        names = ("clinical.parquet", "boxes.parquet", "faults.parquet", "card.json")
        return [f"{self.config.results}/{cohort}/clinical/{name}" for name in names]

    def data_page(self, cohort: str) -> str:
        """The page that shows how the data of an ingested cohort was read."""
        return f"{self.config.results}/{cohort}/report/data.html"

    def drawn_folds(self, cohort: str, protocol: str, condition: str, generator: str, chunk: str) -> list[str]:
        """Folds of a job whose generators draw patients without MRI; the 17 factors have none (image metrics only)."""
        if condition == "factors17":
            return []
        folds = self.jobs(cohort, protocol, generator)[chunk]
        return synthetic_folds(folds, self.config.cpdm.sampling.synthetic_repeats)

    def shifted_folds(self, cohort: str, protocol: str, generator: str, chunk: str) -> list[str]:
        """Folds of a job whose generators draw shifted conditions: none but of the generators that test 6 is about."""
        wanted, block = self.config.cpdm.adherence, self.config.cpdm.protocols[protocol]
        if generator not in (block.primary, *wanted.response_generators):
            return []
        splits = self.config.cohorts[cohort].splits
        left_out = fold_names("grouped", splits)[splits.folds * wanted.response_repeats :]
        trainings = self.jobs(cohort, protocol, generator)[chunk]
        return [name for name in trainings if name not in left_out and not is_further(name)]

    def generator_digest(self, generator: str, stage: str) -> str:
        """Digest of the code behind one generator in one stage (``training``, ``plans``), imports included."""
        module = self.config.cpdm.generators[generator].class_path.split(":")[0]
        return code_digest(module, f"radgen_lib.generators.{stage}")

    def run_names(self, cohort: str, protocol: str) -> list[list[str]]:
        """``[condition, generator, chunk]`` of every training job, as plain values for params."""
        return [[run.condition, run.generator, run.chunk] for run in self.runs(cohort, protocol)]

    def figures(self, cohort: str) -> list[str]:
        """Every figure of the report, as a file of its own."""
        protocols = list(self.config.cpdm.protocols)
        names = ["cohort_flow.svg", *(f"image_grid_{name}.png" for name in protocols), "training_curves.svg"]
        names += ["frechet_reference.svg", *(f"auroc_forest_{t}.svg" for t in self.config.cpdm.prediction.tasks)]
        names += [
            "kaplan_meier.svg",
            "subgroup_pca.svg",
            "variable_response.svg",
            *(f"nearest_pairs_{name}.png" for name in protocols),
        ]
        return [f"{self.config.results}/{cohort}/figures/{name}" for name in names]

    def cards(self, cohort: str) -> list[str]:
        """The provenance card of every job, in a fixed order."""
        base = f"{self.config.results}/{cohort}"
        names = ("card.json", "samples.card.json", "features.card.json")
        runs = [f for p in self.config.cpdm.protocols for name in names for f in self.run_files(cohort, p, name)]
        real = [f"{base}/cpdm/{p}/real_features.card.json" for p in self.config.cpdm.protocols]
        rows = [f.removesuffix("parquet") + "card.json" for f in self.rows(cohort)]
        return [f"{base}/cohort/card.json", f"{base}/splits/card.json", *runs, *real, *rows]

    def analysed(self, cohort: str) -> list[str]:
        """Every file below the cohort's results but figures and report, so that whichever is lost is made again.

        Snakemake makes a lost file again only when a file that is asked for is missing too: a target names them all.
        """
        if not self.has_cpdm(cohort):
            return []
        base, protocols = f"{self.config.results}/{cohort}", list(self.config.cpdm.protocols)
        names = [f"cohort/{name}.parquet" for name in COHORT_FILES]
        names += ["cohort/images.npy", "cohort/patients.csv", "cohort/selection.csv"]
        names += ["splits/splits.parquet", "splits/endpoint_splits.parquet", "tables/card.json"]
        names += [f"cpdm/{p}/real_features{end}" for p in protocols for end in (".parquet", "_status.csv")]
        names += [f"cpdm/{p}/rows/{name}.parquet" for p in protocols for name in ROW_TABLES]
        runs = [file for p in protocols for name in RUN_FILES for file in self.run_files(cohort, p, name)]
        rows = [f"{file.removesuffix('.parquet')}.{end}" for file in self.rows(cohort) for end in ("parquet", "csv")]
        return [*(f"{base}/{name}" for name in names), *runs, *rows, *self.cards(cohort), *self.tables(cohort)]

    def everything(self, cohort: str) -> list[str]:
        """Every file below the cohort's results."""
        made = [*self.ingested(cohort), *FactorLayout(self.config).everything(cohort)]
        if not self.has_cpdm(cohort):
            return made
        names = ("report/config.yaml", "report/model_cards.md", "report/card.json", "figures/card.json")
        beside = [f"{self.config.results}/{cohort}/{name}" for name in names]
        return [*made, *self.analysed(cohort), *self.figures(cohort), *beside, self.report(cohort)]
