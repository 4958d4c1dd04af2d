"""The cohorts that come with radgen."""

from __future__ import annotations

from radgen_lib.core.config.cohort import Cohort, Imaging, Omics, Splits
from radgen_lib.core.config.phantom import Phantom

STUDY = "brca_tcga_pan_can_atlas_2018"


def shipped_cohorts() -> dict[str, Cohort]:
    """`phantom`, `tcga_brca_released`, `tcga_brca` and `duke`, at full size."""
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
            imaging=Imaging(source="idc", collection="tcga_brca", series="papers", shards=8),
            omics=Omics(source="cbioportal", study=STUDY),
        ),
        "duke": Cohort(
            kind="ingested",
            imaging=Imaging(source="idc", collection="duke_breast_cancer_mri", series="dynamic", shards=64),
        ),
    }
