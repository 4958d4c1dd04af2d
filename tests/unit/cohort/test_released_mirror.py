"""The facts of the real released files (skipped where they are not at hand)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from radgen_lib.cohort.endpoints import endpoint_labels
from radgen_lib.cohort.flow import flow
from radgen_lib.cohort.published import PUBLISHED_TEST, published_test
from radgen_lib.cohort.released import ReleasedCohort, read_released
from radgen_lib.cohort.splits import check_splits, image_splits
from radgen_lib.core.config.cpdm import GENES
from tests.released_files import NAMES


@pytest.fixture(scope="module")
def real(mirror: Path) -> ReleasedCohort:
    files = {name: mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / file for name, file in NAMES.items()}
    files["clinical"] = (
        mirror / "sneha-bioinfo-project_tcga-brca-survival-analysis" / "data" / "data_clinical_patient.txt"
    )
    return read_released(files, genes=GENES, max_excluded_share=0.0)


@pytest.fixture(scope="module")
def imaged(real: ReleasedCohort) -> pd.DataFrame:
    return real.patients[real.patients["n_images"] > 0]


def _step(real: ReleasedCohort, step: str) -> pd.Series:
    return flow(real.selection).set_index("step").loc[step]


def test_images_and_patients(real: ReleasedCohort, imaged: pd.DataFrame) -> None:
    assert len(real.series) == 58
    assert real.images.shape == (58, 128, 128)
    assert len(imaged) == 28
    assert imaged["site"].value_counts().to_dict() == {"E2": 18, "AO": 5, "AR": 5}
    assert imaged["n_images"].value_counts().to_dict() == {1: 18, 2: 4, 3: 1, 5: 2, 6: 2, 7: 1}
    assert imaged.loc[imaged["site"] == "AO", "n_images"].sum() == 29
    assert real.series.loc[real.series["note"] != "", "image_index"].tolist() == [2, 9, 14, 22, 28]
    assert 0 < real.images.mean() < 128


def test_expression(real: ReleasedCohort) -> None:
    assert len(real.genes15) == 1091
    step = _step(real, "expression")
    assert (step["entered"], step["kept"]) == (1102 + 1904, 1091)
    assert step["reasons"] == "1904 x METABRIC sample, not TCGA; 11 x second sample of the patient"
    second = real.selection[real.selection["reason"] == "second sample of the patient"]
    assert second["id"].str[:12].nunique() == 6


def test_factors_are_those_of_61_patients_with_two_extreme_columns(real: ReleasedCohort) -> None:
    assert len(real.factors17) == 61
    assert real.factors17["F16"].mean() == pytest.approx(57.2, abs=0.1)
    assert real.factors17["F17"].mean() == pytest.approx(-7.4, abs=0.1)
    values = real.factors17.drop(columns="patient").to_numpy()
    assert (values.argmax(axis=1) == 15).all()
    assert (values.argmin(axis=1) == 16).all()


def test_labels(real: ReleasedCohort) -> None:
    assert _step(real, "label er")["kept"] == 708
    assert _step(real, "label her2")["kept"] == 466
    # Two of the 708 have no expression, and seven of the 1,069 with mutation calls.
    assert real.patients["er"].value_counts().to_dict() == {1.0: 542, 0.0: 164}
    assert real.patients["subgroup"].value_counts().to_dict() == {1.0: 63, 0.0: 60}
    assert _step(real, "label mut_TP53")["kept"] == 1069
    assert real.patients["mut_TP53"].notna().sum() == 1062
    # 981 patients of the clinical file have a subtype; three of them have no expression.
    assert _step(real, "clinical")["kept"] == 1084
    assert (real.patients["subtype"] != "").sum() == 978


def test_labels_of_the_imaged(imaged: pd.DataFrame) -> None:
    assert imaged["er"].value_counts().to_dict() == {1.0: 23, 0.0: 5}
    assert imaged["her2"].value_counts().to_dict() == {0.0: 13, 1.0: 3}
    assert imaged["her2"].isna().sum() == 12
    assert imaged[["mut_TP53", "mut_PIK3CA", "mut_CDH1"]].sum().tolist() == [13, 6, 6]
    assert imaged["subtype"].value_counts().to_dict() == {
        "BRCA_LumA": 18, "BRCA_LumB": 5, "BRCA_Basal": 4, "BRCA_Normal": 1,
    }  # fmt: skip


def test_survival(real: ReleasedCohort, imaged: pd.DataFrame) -> None:
    step = _step(real, "survival")
    assert step["entered"] == 1101
    # Four rows lack status and time; a fifth has a death without time.
    assert step["reasons"] == (
        "12 x survival time is zero; 5 x survival time is missing; 1 x survival time is negative"
    )
    assert _step(real, "survival check")["reasons"] == "1 x no usable time in the first survival table"
    assert imaged["os_event"].sum() == 0
    labels = endpoint_labels(real.patients, "survival_subgroup")
    assert (len(labels), labels.sum()) == (119, 16)
    assert real.patients["os_days"].max() == pytest.approx(8605, abs=1)  # calendar days; the table says 8,481


def test_published_test_series_are_those_of_the_released_index(real: ReleasedCohort) -> None:
    rows = real.series.set_index("image_index").loc[list(PUBLISHED_TEST)]
    found = zip(rows["patient"], rows["series_uid"], strict=True)
    assert dict(zip(rows.index, found, strict=True)) == PUBLISHED_TEST
    assert sorted(PUBLISHED_TEST) == sorted(published_test(real.series, stand_in=False))


def test_published_split_crosses_as_the_register_says(real: ReleasedCohort) -> None:
    splits = image_splits(real.patients, real.series, folds=7, repeats=1, seed=1)
    crossings = check_splits(splits, split_unit="image").set_index("design")
    split = crossings.loc["published_split"].set_index("patient")
    assert split["train_images"].to_dict() == {
        "TCGA-AO-A03M": 5, "TCGA-AO-A12E": 6, "TCGA-AO-A12G": 5, "TCGA-AR-A1AX": 1,
    }  # fmt: skip
    sizes = splits[(splits["design"] == "published_folds") & (splits["role"] == "test")]["fold"].value_counts()
    assert sorted(sizes) == [3] * 2 + [4] * 13
    assert set(crossings.index) == {"published_split", "published_folds"}
