"""Where the sources of a cohort lie: paths below the downloads, from the configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from radgen_lib.core.config.model import Config
from radgen_lib.core.errors import ConfigError

SYSTEM_C = ("idc", "tcga_brca", "dynamic")
DUKE = "duke_breast_cancer_mri"
DUKE_TABLES = ("duke_clinical", "duke_boxes")
PAPER_SERIES = "btf_features"


@dataclass(frozen=True)
class SourceLayout:
    """Paths of what is fetched, written as a phantom, or lies in a folder of the user."""

    config: Config

    def shards(self, cohort: str) -> list[str]:
        """Names of the shards of an ingested cohort's images."""
        imaging = self.config.cohorts[cohort].imaging
        return [] if imaging is None else [str(shard) for shard in range(imaging.shards)]

    def ledgers(self, cohort: str) -> list[str]:
        """What was fetched or written, one table a shard."""
        return [f"{self.config.downloads}/{cohort}/ledger-{shard}.parquet" for shard in self.shards(cohort)]

    def series_list(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """File that lists the series to fetch, where the cohort's are those of the papers."""
        imaging = self.config.cohorts[cohort].imaging
        if imaging is None or imaging.series != "papers":
            return []
        return [f"{self.config.downloads}/{PAPER_SERIES}/{filenames[PAPER_SERIES]}"]

    def own_images(self, cohort: str) -> str | None:
        """The user's folder that a cohort's series are read from; None for every other source."""
        imaging = self.config.cohorts[cohort].imaging
        return imaging.location if imaging is not None and imaging.source == "folder" else None

    def own_study(self, cohort: str) -> str | None:
        """The user's folder or tarball that a cohort's molecular study is read from; None for every other source."""
        omics = self.config.cohorts[cohort].omics
        return omics.location if omics is not None and omics.source == "folder" else None

    def own_masks(self, cohort: str) -> str:
        """The folder that users put masks into, beside the store of series; it need not be there."""
        return f"{self.config.downloads}/{cohort}/masks"

    def phantom_disk_mb(self, cohort: str) -> int:
        """Disk that one shard of a phantom's images takes: two bytes a voxel and 2 kB of header a slice, half spare."""
        if (phantom := self.config.cohorts[cohort].phantom) is None:
            return 0
        slices, rows, columns = phantom.shape
        phases = (phantom.post_phases + 3) * (1 + phantom.second_study_share)
        total = 1.5 * phantom.patients * phases * slices * (2 * rows * columns + 2048)
        return 1 + int(total / 1e6 / len(self.shards(cohort)))

    def study(self, cohort: str, filenames: Mapping[str, str]) -> str:
        """Folder or archive of a cohort's molecular study; ``filenames``: of the registry's entries, by name."""
        omics = self.config.cohorts[cohort].omics
        if omics is None:
            raise ConfigError(f"cohorts.{cohort}.omics: is missing, so there is no study to read")
        if omics.source == "phantom":
            return f"{self.config.downloads}/{cohort}/study"
        if omics.source == "folder":
            return str(omics.location)
        if omics.study is None or omics.study not in filenames:
            raise ConfigError(
                f"cohorts.{cohort}.omics.study = {omics.study!r}: not in the registry. Add an entry of that name"
            )
        return f"{self.config.downloads}/{omics.study}/{filenames[omics.study]}"

    def clinical(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """The clinical table that goes before the study's: a file, or an entry of the registry."""
        return self._table(self.config.cohorts[cohort].clinical, filenames)

    def subgroups(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """The table of ER+/HER2+ subgroups: a file, or an entry of the registry."""
        return self._table(self.config.cohorts[cohort].subgroups, filenames)

    def _table(self, path: str | None, filenames: Mapping[str, str]) -> list[str]:
        if path is None:
            return []
        return [f"{self.config.downloads}/{path}/{filenames[path]}" if path in filenames else path]

    def registry_files(self, cohort: str, filenames: Mapping[str, str]) -> list[str]:
        """Every file of the registry that an ingested cohort is made from, sorted; the user's own are left out."""
        block = self.config.cohorts[cohort]
        tables = self.duke_tables(cohort, filenames) if self.has_duke_tables(cohort) else {}
        used = [*self.series_list(cohort, filenames), *self.clinical(cohort, filenames), *tables.values()]
        used += [self.study(cohort, filenames)] if block.omics is not None else []
        used += self.subgroups(cohort, filenames)
        known = {f"{self.config.downloads}/{name}/{file}" for name, file in filenames.items()}
        return sorted(known & set(used))

    def rest(self, cohort: str) -> list[str]:
        """The table of what the portal's REST service said of the attributes that the study lacks."""
        omics = self.config.cohorts[cohort].omics
        return [f"{self.config.downloads}/{cohort}/rest.tsv"] if omics is not None and omics.rest else []

    def has_system_c_flow(self, cohort: str) -> bool:
        """Whether the cohort is the dynamic series of TCGA-BRCA in the public index, from which system C drew."""
        imaging = self.config.cohorts[cohort].imaging
        return imaging is not None and (imaging.source, imaging.collection, imaging.series) == SYSTEM_C

    def has_duke_tables(self, cohort: str) -> bool:
        """Whether the cohort brings clinical features and lesion boxes in the form of the Duke collection."""
        block = self.config.cohorts[cohort]
        return block.phantom is not None or (block.imaging is not None and block.imaging.collection == DUKE)

    def duke_tables(self, cohort: str, filenames: Mapping[str, str]) -> dict[str, str]:
        """Where those tables lie: a phantom's own, else the registry's."""
        if self.config.cohorts[cohort].phantom is not None:
            return {"folder": f"{self.config.downloads}/{cohort}/tables"}
        return {name: f"{self.config.downloads}/{name}/{filenames[name]}" for name in DUKE_TABLES}
