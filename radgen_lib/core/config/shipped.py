"""The cohorts that come with radgen."""

from __future__ import annotations

from radgen_lib.core.config.cohort import Cohort, Imaging, Omics, Splits
from radgen_lib.core.config.phantom import Phantom

STUDY = "brca_tcga_pan_can_atlas_2018"


def shipped_cohorts() -> dict[str, Cohort]:
    """The cohorts at full size.

    `tcga_brca` holds the 187 series of the papers, each an image whatever its phase (most are subtractions), as they
    used them; `tcga_brca_dynamic` all 137 patients with their dynamic series, one first post-contrast image a study.
    """
    return {
        "phantom": Cohort(
            kind="ingested",
            phantom=Phantom(),
            imaging=Imaging(source="phantom", volume=[16, 64, 64], registration="rigid", nifti=True),
            omics=Omics(source="phantom"),
            splits=Splits(sites={"S1": ["S1"], "S2": ["S2"], "S3": ["S3"]}),
        ),
        "tcga_brca_released": Cohort(),
        "tcga_brca": Cohort(
            kind="ingested",
            imaging=Imaging(source="idc", collection="tcga_brca", series="papers", phases="all", shards=8),
            omics=Omics(source="cbioportal", study=STUDY),
            clinical="receptors",
            subgroups="subgroups",
        ),
        "tcga_brca_dynamic": Cohort(
            kind="ingested",
            imaging=Imaging(source="idc", collection="tcga_brca", series="dynamic", shards=16),
            omics=Omics(source="cbioportal", study=STUDY),
            clinical="receptors",
            subgroups="subgroups",
        ),
        "duke": Cohort(
            kind="ingested",
            imaging=Imaging(source="idc", collection="duke_breast_cancer_mri", series="dynamic", shards=64),
        ),
    }
