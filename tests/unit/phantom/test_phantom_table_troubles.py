"""Faults planted in the phantom's tables: each where it is said to be, and nothing else changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom, Trouble
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.study import write_study
from radgen_lib.sources.phantom.table_troubles import LONELY_SAMPLE, TABLE_TROUBLES, plant_table_troubles
from radgen_lib.sources.phantom.truth import draw_truth

SEED = 5


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = Phantom(patients=24, omics_only=36, genes=60)
    truth = draw_truth(spec, SEED)
    folder = tmp_path_factory.mktemp("clean") / "study"
    write_study(truth, omics_matrices(truth, spec, SEED), folder, seed=SEED)
    return folder


@pytest.fixture
def study(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "study"))


def _changed(clean: Path, study: Path) -> set[str]:
    names = {path.name for folder in (clean, study) for path in folder.glob("*.txt")}
    return {
        name
        for name in names
        if not (clean / name).exists() or (clean / name).read_bytes() != (study / name).read_bytes()
    }


def _matrix(path: Path, keys: int = 2) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t")
    return table.set_index(table.columns[0]).iloc[:, keys - 1 :]


def test_every_table_trouble_is_one_of_the_configuration() -> None:
    assert set(TABLE_TROUBLES) <= set(get_args(Trouble))
    assert len(TABLE_TROUBLES) == 9


@pytest.mark.parametrize("trouble", TABLE_TROUBLES)
def test_only_the_named_file_changes(clean: Path, study: Path, trouble: str) -> None:
    planted = plant_table_troubles(study, [trouble], SEED)
    assert list(planted.columns) == ["trouble", "file", "where"]
    assert list(planted["trouble"]) == [trouble]
    extra = {"meta_linear_cna.txt"} if trouble == "duplicated_matrix" else set()
    assert _changed(clean, study) == {planted["file"][0], *extra}
    assert planted["where"][0]


@pytest.mark.parametrize("trouble", TABLE_TROUBLES)
def test_same_seed_same_bytes(clean: Path, study: Path, tmp_path: Path, trouble: str) -> None:
    again = Path(shutil.copytree(clean, tmp_path / "again"))
    one, two = plant_table_troubles(study, [trouble], 1), plant_table_troubles(again, [trouble], 1)
    assert one.equals(two)
    assert (study / one["file"][0]).read_bytes() == (again / two["file"][0]).read_bytes()


def test_faults_of_images_are_not_planted_here(clean: Path, study: Path) -> None:
    assert plant_table_troubles(study, ["gantry_tilt", "not_dicom"], SEED).empty
    assert not _changed(clean, study)


def test_clinical_without_headers(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["clinical_without_headers"], SEED)
    name = "data_clinical_patient.txt"
    before = (clean / name).read_text(encoding="utf-8").splitlines()
    assert (study / name).read_text(encoding="utf-8").splitlines() == before[4:]


def test_mutations_unknown_columns(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["mutations_unknown_columns"], SEED)
    before = pd.read_csv(clean / "data_mutations.txt", sep="\t", dtype=str, keep_default_na=False)
    after = pd.read_csv(study / "data_mutations.txt", sep="\t", dtype=str, keep_default_na=False)
    assert list(after.columns[:-1]) != list(before.columns)
    assert after.columns[-1] == "PHANTOM_NOTE"
    pd.testing.assert_frame_equal(after[before.columns], before)


def test_windows_line_ends(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["windows_line_ends"], SEED)
    name = "data_clinical_sample.txt"
    content = (study / name).read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") > 60
    assert content.replace(b"\r\n", b"\n") == (clean / name).read_bytes()


def test_not_utf8(clean: Path, study: Path) -> None:
    where = plant_table_troubles(study, ["not_utf8"], SEED)["where"][0]
    content = (study / "data_clinical_patient.txt").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    lines = content.split(b"\n")
    bad = [i + 1 for i, line in enumerate(lines) if b"\xf1" in line]
    assert len(bad) == 1
    assert f"row {bad[0]}," in where
    assert where.endswith(lines[bad[0] - 1].split(b"\t")[0].decode())
    before = (clean / "data_clinical_patient.txt").read_bytes().split(b"\n")
    assert sum(one != two for one, two in zip(before, lines, strict=True)) == 1


def test_gene_rows_twice(clean: Path, study: Path) -> None:
    where = plant_table_troubles(study, ["gene_rows_twice"], SEED)["where"][0]
    name = "data_mrna_seq_v2_rsem.txt"
    before, after = _matrix(clean / name), _matrix(study / name)
    pd.testing.assert_frame_equal(after.iloc[:-1], before)
    gene = str(after.index[-1])
    assert where.startswith(f"{gene}: rows ")
    assert where.endswith(f" and {len(after) + 1}")
    np.testing.assert_allclose(after.iloc[-1], before.loc[gene] * 1.5, atol=1e-3)


def test_sample_in_one_omic(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["sample_in_one_omic"], SEED)
    name = "data_log2_cna.txt"
    before, after = _matrix(clean / name), _matrix(study / name)
    assert list(after.columns) == [*before.columns, LONELY_SAMPLE]
    pd.testing.assert_frame_equal(after[before.columns], before)
    others = [path for path in study.rglob("*.txt") if path.name != name]
    assert not [path.name for path in others if LONELY_SAMPLE in path.read_text(encoding="utf-8")]


def test_empty_matrix(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["empty_matrix"], SEED)
    name = "data_methylation_hm27_hm450_merged.txt"
    assert (study / name).read_bytes() == (clean / name).read_bytes().split(b"\n")[0] + b"\n"


def test_duplicated_matrix_has_a_profile_of_its_own(clean: Path, study: Path) -> None:
    plant_table_troubles(study, ["duplicated_matrix"], SEED)
    assert (study / "data_linear_cna.txt").read_bytes() == (clean / "data_log2_cna.txt").read_bytes()
    lines = (study / "meta_linear_cna.txt").read_text(encoding="utf-8").splitlines()
    keys = dict(line.split(": ", 1) for line in lines)
    assert keys["data_filename"] == "data_linear_cna.txt"
    assert (keys["stable_id"], keys["datatype"]) == ("linear_CNA", "CONTINUOUS")
    assert keys["genetic_alteration_type"] == "COPY_NUMBER_ALTERATION"


def test_sample_swap(clean: Path, study: Path) -> None:
    where = plant_table_troubles(study, ["sample_swap"], SEED)["where"][0]
    name = "data_methylation_hm27_hm450_merged.txt"
    before, after = _matrix(clean / name, 4), _matrix(study / name, 4)
    one, other = where.split(" and ")
    assert list(before.columns) == list(after.columns)
    rest = [column for column in before if column not in (one, other)]
    pd.testing.assert_frame_equal(before[rest], after[rest])
    np.testing.assert_array_equal(before[one], after[other])
    np.testing.assert_array_equal(before[other], after[one])
    subtype = pd.read_csv(clean / "data_clinical_patient.txt", sep="\t", comment="#").set_index("PATIENT_ID")["SUBTYPE"]
    assert {subtype[one[:-3]], subtype[other[:-3]]} == {"BRCA_Basal", "BRCA_LumA"}


def test_a_swap_survives_an_empty_methylation_file(clean: Path, study: Path) -> None:
    planted = plant_table_troubles(study, ["sample_swap", "empty_matrix"], SEED).set_index("trouble")
    assert planted.loc["sample_swap", "file"] == "data_log2_cna.txt"
    one, other = planted.loc["sample_swap", "where"].split(" and ")
    before, after = _matrix(clean / "data_log2_cna.txt"), _matrix(study / "data_log2_cna.txt")
    np.testing.assert_array_equal(before[one], after[other])


def test_all_together_keep_their_marks(study: Path) -> None:
    planted = plant_table_troubles(study, list(TABLE_TROUBLES), SEED)
    assert set(planted["trouble"]) == set(TABLE_TROUBLES)
    clinical = (study / "data_clinical_patient.txt").read_bytes()
    assert b"\xf1" in clinical
    assert not clinical.startswith(b"#")
    place = planted.set_index("trouble").loc["not_utf8", "where"]
    line = int(place.split(",")[0].removeprefix("row "))
    assert b"\xf1" in clinical.split(b"\n")[line - 1]
    assert LONELY_SAMPLE in (study / "data_linear_cna.txt").read_text(encoding="utf-8").split("\n")[0]


def test_a_study_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="data_clinical_patient"):
        plant_table_troubles(tmp_path, ["clinical_without_headers"], SEED)
