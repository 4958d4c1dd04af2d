"""The cohort made of what ingestion read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.cohort.flow import flow
from radgen_lib.cohort.ingested import read_ingested
from radgen_lib.cohort.labels import read_subgroup
from radgen_lib.cohort.published import PUBLISHED_TEST, STEP
from radgen_lib.cohort.released import write_cohort
from radgen_lib.cohort.selection import SELECTION_COLUMNS, Selection
from radgen_lib.core.config.cohort import Cohort, Imaging, Omics
from radgen_lib.core.errors import DataError

GENES = ["TP53", "ESR1"]
PATIENTS = ["PHAN-S1-0001", "PHAN-S1-0002", "PHAN-S2-0003", "PHAN-S2-0004"]
COHORT = Cohort(
    kind="ingested", imaging=Imaging(source="folder", location="here"), omics=Omics(source="folder", location="here")
)


def phase(patient: str, number: int, name: str, row: int, **other: object) -> dict[str, object]:
    usual = {
        "volume": f"{patient}/{number}/{name}",
        "patient": patient,
        "series": f"1.2.{number}.{name}",
        "study_number": number,
        "side": "",
        "phase": name,
        "view": "sagittal",
        "index_phase": name == "post1",
        "row": row,
        "kept": row >= 0,
        "reason": "" if row >= 0 else "2 slices are missing",
    }
    return {**usual, **other}


def write_shard(folder: Path, phases: list[dict[str, object]], volumes: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    pd.DataFrame(phases).to_parquet(folder / "phases.parquet")
    np.save(folder / "volumes.npy", volumes.astype(np.float16))
    row = ("series", "series", "1.2.3", "ledger", "", True, "")
    pd.DataFrame([row], columns=list(SELECTION_COLUMNS)).to_parquet(folder / "selection.parquet")
    return folder


def write_omics(folder: Path) -> Path:
    folder.mkdir(parents=True)
    tensor = np.full((4, 3, 2), 0.5, dtype=np.float32)
    tensor[:, :, 1] = np.log2(np.arange(12).reshape(4, 3) + 1.0)
    tensor[3, 0, 1] = np.nan
    np.save(folder / "tensor.npy", tensor)
    (folder / "tensor_omics.json").write_text(json.dumps(["copy_number", "expression"]))
    (folder / "tensor_scales.json").write_text(json.dumps({"expression": "log2(x+1)", "copy_number": "log2 ratio"}))
    pd.DataFrame({"gene": ["ESR1", "MYC", "TP53"]}).to_parquet(folder / "tensor_genes.parquet")
    pd.DataFrame({"patient": PATIENTS}).to_parquet(folder / "tensor_patients.parquet")
    clinical = {"patient": PATIENTS[:3], "age": [50.0, np.nan, 61.0], "stage": ["I", None, "II"], "subtype": "LumA"}
    survival = {"er": [1.0, 0.0, np.nan], "os_days": [100.0, 0.0, 900.0], "os_event": [1.0, 1.0, 0.0]}
    pd.DataFrame({**clinical, **survival}).to_parquet(folder / "clinical.parquet")
    mutated = {"patient": PATIENTS, "mut_TP53": [1.0, 0.0, np.nan, 0.0], "mut_PIK3CA": 0.0, "mut_CDH1": 0.0}
    pd.DataFrame(mutated).to_parquet(folder / "mutated.parquet")
    pd.DataFrame(columns=list(SELECTION_COLUMNS)).to_parquet(folder / "selection.parquet")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[list[Path], Path]:
    volumes = np.stack([np.full((2, 4, 4), level) for level in (0.1, 0.5, 3.0)])
    first = [
        phase(PATIENTS[0], 1, "pre", 0, index_phase=False),
        phase(PATIENTS[0], 1, "post1", 1),
        phase(PATIENTS[0], 2, "post1", 2),
    ]
    second = [
        phase(PATIENTS[2], 1, "post1", 0, view="axial"),
        phase(PATIENTS[3], 1, "post1", 1),
    ]
    shards = [write_shard(tmp_path / "shard-0", first, volumes), write_shard(tmp_path / "shard-1", second, volumes)]
    return shards, write_omics(tmp_path / "omics")


def test_images_are_projections_of_index_phases_of_sagittal_studies(folders: tuple[list[Path], Path]) -> None:
    cohort = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT)
    assert cohort.series["series"].tolist() == [f"{PATIENTS[0]}/1/post1", f"{PATIENTS[0]}/2/post1"]
    assert cohort.images.dtype == np.uint8 and cohort.images.shape == (2, 4, 4)
    assert cohort.images[0, 0, 0] == round(0.5 * 255) and cohort.images[1, 0, 0] == 255
    reasons = cohort.selection.loc[~cohort.selection["kept"]].set_index("id")["reason"]
    assert reasons[f"{PATIENTS[2]}/1/post1"].startswith("axial")
    assert reasons[f"{PATIENTS[3]}/1/post1"] == "no usable expression of the patient"
    assert reasons[PATIENTS[1]] == "no survival time above zero"


def test_values_are_those_of_the_study(folders: tuple[list[Path], Path], tmp_path: Path) -> None:
    cohort = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT)
    np.testing.assert_allclose(cohort.genes15[GENES].to_numpy(), [[2, 0], [5, 3], [8, 6]], rtol=1e-5, atol=1e-6)
    patients = cohort.patients.set_index("patient")
    assert patients["n_images"].tolist() == [2, 0, 0]
    assert patients["site"].tolist() == ["S1", "S1", "S2"]
    assert patients.loc[PATIENTS[1], ["os_days", "os_event"]].isna().all()
    assert patients.loc[PATIENTS[1], "stage"] == ""
    write_cohort(cohort, tmp_path / "written")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "written" / "patients.parquet"), cohort.patients)
    steps = flow(cohort.selection).set_index("step")
    assert steps.loc["image", "entered"] == 4 and steps.loc["image", "kept_patients"] == 1


def test_unknown_gene_is_one_line(folders: tuple[list[Path], Path]) -> None:
    with pytest.raises(DataError, match=r"no gene 'TP35' .*TP53.*cpdm\.genes"):
        read_ingested(folders[0], folders[1], genes=["TP35"], cohort=COHORT)


def test_too_much_lost_stops_the_run(folders: tuple[list[Path], Path], tmp_path: Path) -> None:
    lost = [phase(PATIENTS[1], 1, "post1", -1), phase(PATIENTS[1], 1, "pre", -1, index_phase=False)]
    shard = write_shard(tmp_path / "lost", lost, np.zeros((0, 2, 4, 4)))
    with pytest.raises(DataError, match=r"2 of 7 phases \(29%\).*max_excluded_share = 0\.2.*2 slices are missing"):
        read_ingested([*folders[0], shard], folders[1], genes=GENES, cohort=COHORT)
    tolerant = COHORT.model_copy(update={"max_excluded_share": 0.5})
    assert len(read_ingested([*folders[0], shard], folders[1], genes=GENES, cohort=tolerant).images) == 2


def test_no_image_left_is_one_line(folders: tuple[list[Path], Path]) -> None:
    with pytest.raises(DataError, match="no sagittal phase"):
        read_ingested(folders[0][1:], folders[1], genes=GENES, cohort=COHORT)


def test_expression_on_another_scale_is_refused(folders: tuple[list[Path], Path]) -> None:
    (folders[1] / "tensor_scales.json").write_text(json.dumps({"expression": "other"}))
    with pytest.raises(DataError, match=r"scale 'other'.*omics\.expression"):
        read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT)


def test_every_volume_can_be_an_image_and_says_its_phase(folders: tuple[list[Path], Path], tmp_path: Path) -> None:
    imaging = Imaging(source="folder", location="here", phases="all")
    cohort = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT.model_copy(update={"imaging": imaging}))
    notes = cohort.series.set_index("series")["note"]
    assert notes[f"{PATIENTS[0]}/1/pre"] == "study 1, pre, mean projection"
    assert notes[f"{PATIENTS[0]}/2/post1"].endswith("scaled by itself: no pre-contrast phase")
    assert len(notes) == 3


@pytest.mark.parametrize("hidden", [False, True])
def test_a_cohort_of_the_papers_says_which_of_their_test_series_are_here(
    folders: tuple[list[Path], Path], tmp_path: Path, hidden: bool
) -> None:
    """Under pseudonyms the UIDs have gone before the cohort is made, and no series can be claimed."""
    uids = {1: "S-" + "0" * 16, 33: "S-" + "1" * 16} if hidden else {k: PUBLISHED_TEST[k].series for k in (1, 33)}
    phases = [
        phase(PATIENTS[0], 1, "subtraction", 0, series=uids[33]),
        phase(PATIENTS[1], 1, "localiser", 1, series="1.2.3"),
        phase(PATIENTS[2], 1, "pre", -1, series=uids[1]),
    ]
    shard = write_shard(tmp_path / "papers", phases, np.ones((2, 2, 4, 4)))
    imaging = Imaging(source="idc", collection="tcga_brca", series="papers", phases="all", pseudonyms=hidden)
    papers = COHORT.model_copy(update={"imaging": imaging, "max_excluded_share": 0.5})
    cohort = read_ingested([shard], folders[1], genes=GENES, cohort=papers)
    assert cohort.series["series_uid"].tolist() == [uids[33], "1.2.3"]
    rows = cohort.selection[cohort.selection["step"] == STEP].set_index("row")
    assert rows["id"].tolist() == [test.patient for test in PUBLISHED_TEST.values()]
    assert rows.index[rows["kept"]].tolist() == ([] if hidden else ["33"])
    reason = "series bear pseudonyms: nobody can tell which it is" if hidden else "no usable image of the series"
    assert set(rows.loc[~rows["kept"], "reason"]) == {reason}
    others = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT)
    assert STEP not in set(others.selection["step"])


def test_subgroups_are_joined_by_patient(
    folders: tuple[list[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "subgroups.csv"
    dotted = [name.replace("-", ".") for name in PATIENTS]
    lines = [f'"{dotted[0]}","Subgroup1"', f'"{dotted[1]}","Subgroup3"', f'"{dotted[2]}.1","Subgroup2"']
    # The fourth has no usable expression and the fifth is nobody of the study: both are ignored, the sixth is no name.
    table.write_text("\n".join([*lines, f"{dotted[3]},Subgroup1", "TCGA.A2.A04X,Subgroup1", "nobody,Subgroup1"]))
    with caplog.at_level(logging.INFO, logger="radgen"):
        cohort = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT, subgroups=table)
    assert "subgroups.csv: 2 of 6 rows are of patients who are not in the cohort" in caplog.text
    labels = cohort.patients.set_index("patient")["subgroup"]
    assert labels[PATIENTS[0]] == 1 and np.isnan(labels[PATIENTS[1]]) and labels[PATIENTS[2]] == 0
    rows = cohort.selection[cohort.selection["step"] == "label subgroup"].set_index("row")
    assert rows["kept"].to_dict() == {"1": True, "2": False, "3": True, "6": False}
    assert rows.loc["2", "reason"] == "unknown code 'Subgroup3' of subgroup; known: Subgroup1, Subgroup2"
    assert rows.loc["6", "reason"].startswith("'nobody' is not a TCGA identifier")


def test_a_table_of_other_patients_leaves_no_subgroup(folders: tuple[list[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "others.csv").write_text("TCGA.A2.A04X,Subgroup1\n")
    others = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT, subgroups=tmp_path / "others.csv")
    without = read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT)
    assert others.patients["subgroup"].isna().all() and others.patients["subgroup"].dtype == np.float64
    pd.testing.assert_frame_equal(others.patients, without.patients)
    pd.testing.assert_frame_equal(others.selection, without.selection)


def test_a_ragged_table_of_subgroups_is_one_line(folders: tuple[list[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("TCGA.A2.A04X,Subgroup1\nTCGA.A2.A04Y\n")
    with pytest.raises(DataError, match=r"ragged\.csv.*row 2.*1 cells where 2"):
        read_ingested(folders[0], folders[1], genes=GENES, cohort=COHORT, subgroups=tmp_path / "ragged.csv")


def test_the_registered_subgroups_name_123_patients(mirror: Path) -> None:
    selection = Selection()
    labels = read_subgroup(mirror / "Kylelhc_BC_RadiogenomicCPDM/data/TCGABRCA_HER2+ER+_subtypes.csv", selection)
    assert labels.value_counts().to_dict() == {1.0: 63, 0.0: 60} and selection.frame()["kept"].all()
