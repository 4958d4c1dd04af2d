"""Configuration of cohorts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from radgen_lib.core.config.base import Block
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.config.sound import imaging_faults, omics_faults


class Splits(Block):
    """How patients are split; written once as a file that every fit reads."""

    folds: Annotated[int, Field(ge=2, le=28, description="Folds of the grouped design, by patient")] = 7
    repeats: Annotated[int, Field(ge=1, le=50, description="Times the grouped folds are drawn again")] = 5
    endpoint_folds: Annotated[int, Field(ge=2, le=20, description="Folds over patients without MRI, per endpoint")] = 5
    endpoint_repeats: Annotated[int, Field(ge=1, le=50, description="Times those folds are drawn again")] = 10
    trainings: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description="Times generators are trained on the published single split, from a seed each; from 3 on its "
            "image metrics have an interval over trainings",
        ),
    ] = 3
    sites: Annotated[
        dict[str, list[str]], Field(description="Groups of sites held out once each; the first part of a patient's id")
    ] = {"AO_AR": ["AO", "AR"], "E2": ["E2"]}


class Imaging(Block):
    """Where DICOM series come from, and what is made of them."""

    source: Annotated[
        Literal["phantom", "idc", "nbia", "dicomweb", "folder"],
        Field(description="idc: public bucket; nbia: TCIA's REST service; dicomweb: a PACS; folder: files at hand"),
    ] = "idc"
    collection: Annotated[str | None, Field(description="Collection of idc and nbia, e.g. tcga_brca")] = None
    series: Annotated[
        Literal["all", "papers", "dynamic"],
        Field(description="all MR; the 187 series of the cGAN and CPDM papers; T1 dynamic series by description"),
    ] = "dynamic"
    phases: Annotated[
        Literal["contrast", "all"],
        Field(
            description="contrast: pre and post phases become volumes, one index phase a study system B's image; all: "
            "subtractions and localisers too, each an image, as the papers did"
        ),
    ] = "contrast"
    location: Annotated[str | None, Field(description="Folder of `folder`, address of `dicomweb`")] = None
    endpoint: Annotated[str | None, Field(description="Another address than the public one, for idc (S3) and nbia")] = (
        None
    )
    patients: Annotated[list[str] | None, Field(description="Only these patients; null: all")] = None
    shards: Annotated[int, Field(ge=1, le=500, description="Jobs that fetching and reading are divided into")] = 1
    volume: Annotated[
        list[int], Field(min_length=3, max_length=3, description="Slices, rows, columns of a volume for training")
    ] = [32, 128, 128]
    projection: Annotated[Literal["mean", "max"], Field(description="How slices become system B's image")] = "mean"
    bias_correction: Annotated[bool, Field(description="N4 before anything is measured")] = False
    registration: Annotated[
        Literal["none", "rigid", "bspline"], Field(description="Post-contrast phases onto the pre-contrast one")
    ] = "none"
    nifti: Annotated[bool, Field(description="Write each volume as NIfTI too, for people")] = False
    pseudonyms: Annotated[
        bool, Field(description="Replace identifiers by keyed hashes (for files that are not public)")
    ] = False


class Omics(Block):
    """Where molecular tables come from."""

    source: Annotated[
        Literal["phantom", "cbioportal", "folder"],
        Field(description="cbioportal: a study by name; folder: a study folder at hand"),
    ] = "cbioportal"
    study: Annotated[str | None, Field(description="Study of cBioPortal, e.g. brca_tcga_pan_can_atlas_2018")] = None
    location: Annotated[str | None, Field(description="Folder or tarball of `folder`")] = None
    expression: Annotated[
        Literal["auto", "linear", "log2"],
        Field(description="Scale of the expression matrix: found out (the decision is logged), or said"),
    ] = "auto"
    copy_number: Annotated[
        Literal["log2", "discrete"], Field(description="Copy number that is preferred where a study has several kinds")
    ] = "log2"
    methylation: Annotated[
        Literal["m_value", "beta"],
        Field(
            description="Scale of methylation in the tensor: mean M = log2(beta / (1 - beta)) of the probes, or beta"
        ),
    ] = "m_value"
    probes: Annotated[
        Literal["promoter_first", "promoter", "all"],
        Field(
            description="Probes of a gene whose mean is taken. promoter_first: those that the file describes as "
            "promoter, and all of a gene that has none, or of a file that describes none; promoter: no other ones"
        ),
    ] = "promoter_first"
    genes: Annotated[
        Literal["intersection", "union"],
        Field(description="Genes of the tensor: those that all omics have, or that any has (missing elsewhere)"),
    ] = "intersection"
    max_missing: Annotated[
        float, Field(ge=0, lt=1, description="A gene missing in a larger share of an omic's patients is left out")
    ] = 0.5
    rest: Annotated[
        list[Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*/)?[A-Za-z0-9][A-Za-z0-9_-]*$")]],
        Field(
            description="Clinical attributes that the study lacks, asked of cBioPortal's REST service: ATTRIBUTE of "
            "`study`, or of another one, e.g. brca_tcga/ER_STATUS_BY_IHC"
        ),
    ] = []
    endpoint: Annotated[str | None, Field(description="Another address of that service than the public one")] = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Study and name of each attribute of ``rest``."""
        pairs = [item.rpartition("/") for item in self.rest]
        return [(study or str(self.study), attribute) for study, _, attribute in pairs]

    @model_validator(mode="after")
    def _attributes_are_told_apart(self) -> Omics:
        if self.study is None and any("/" not in item for item in self.rest):
            raise ValueError(f"omics.rest = {self.rest}: an attribute without its study. Allowed: study/ATTRIBUTE")
        names = [attribute for _, attribute in self.asked]
        if len(set(names)) < len(names):
            raise ValueError(f"omics.rest = {self.rest}: an attribute stands twice. Allowed: each once, from one study")
        return self


class Cohort(Block):
    """One cohort; all cohorts run through the same rules."""

    kind: Annotated[
        Literal["released", "ingested"],
        Field(description="released: what the authors of CPDM released; ingested: DICOM series and a molecular study"),
    ] = "released"
    max_excluded_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Stop when a larger share of series, phases, patients, or rows of a table is lost to faults",
        ),
    ] = 0.2
    splits: Annotated[Splits, Field(description="Splits by patient")] = Splits()
    imaging: Annotated[Imaging | None, Field(description="Image series of an ingested cohort")] = None
    omics: Annotated[Omics | None, Field(description="Molecular study of an ingested cohort; null: none")] = None
    clinical: Annotated[
        str | None,
        Field(
            description="Clinical table (CSV, TSV, XLSX, or an entry of the registry) before the study's; null: none"
        ),
    ] = None
    subgroups: Annotated[
        str | None,
        Field(description="Table of ER+/HER2+ subgroups: a file or an entry of the registry; null: none"),
    ] = None
    phantom: Annotated[Phantom | None, Field(description="Sizes of a phantom cohort")] = None

    @property
    def takes_papers(self) -> bool:
        """Whether its images are those of the papers' list of series, so that no other may be tested in their name."""
        return self.imaging is not None and self.imaging.series == "papers"

    @model_validator(mode="after")
    def _blocks_agree(self) -> Cohort:
        if self.kind == "released" and (self.imaging or self.omics or self.phantom):
            raise ValueError("kind = 'released': takes no imaging, omics or phantom block. Allowed: kind: ingested")
        if self.kind == "ingested" and self.imaging is None:
            raise ValueError("kind = 'ingested': imaging is missing. Say where the series come from")
        sources = {block.source for block in (self.imaging, self.omics) if block is not None}
        if ("phantom" in sources) != (self.phantom is not None):
            raise ValueError("phantom: a phantom block and a source `phantom` need each other")
        if self.omics and self.omics.rest and self.imaging and self.imaging.pseudonyms:
            raise ValueError("omics.rest: a public service knows no patients of yours. Allowed: pseudonyms: false")
        if self.subgroups and (self.kind == "released" or (self.imaging and self.imaging.pseudonyms)):
            raise ValueError("subgroups: for an ingested cohort under public names. Allowed: null, pseudonyms: false")
        faults = [
            *(imaging_faults(self.imaging) if self.imaging else ()),
            *(omics_faults(self.omics) if self.omics else ()),
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self
