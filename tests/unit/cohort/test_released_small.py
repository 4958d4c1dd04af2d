"""The reader on made-up files of the released formats, and what it does with each planted fault."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from radgen_lib.cohort.released import FILES, ReleasedCohort, read_released, write_cohort
from radgen_lib.cohort.schema import check_patients
from radgen_lib.core.config.cpdm import GENES
from radgen_lib.core.errors import DataError
from radgen_lib.sources.registry import load_registry
from tests.released_files import NAMES, ROW_FAULTS, STRUCTURE_FAULTS, write_registry, write_released

Read = Callable[..., ReleasedCohort]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(*faults: str, share: float = 0.2, genes: tuple[str, ...] = GENES) -> ReleasedCohort:
        return read_released(write_released(tmp_path / "in", faults=faults), genes=genes, max_excluded_share=share)

    return run


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> ReleasedCohort:
    files = write_released(tmp_path_factory.mktemp("clean"))
    return read_released(files, genes=GENES, max_excluded_share=0.2)


def _reasons(cohort: ReleasedCohort, step: str) -> list[str]:
    table = cohort.selection
    return table.loc[(table["step"] == step) & ~table["kept"], "reason"].tolist()


def test_clean_cohort(clean: ReleasedCohort) -> None:
    assert len(clean.patients) == 72
    assert clean.patients["n_images"].sum() == len(clean.series) == 18
    assert (clean.patients["n_images"] > 0).sum() == 12
    assert set(clean.patients.loc[clean.patients["n_images"] > 0, "site"]) == {"AO", "AR", "E2"}
    assert clean.images.shape == (18, 128, 128)
    assert clean.images.dtype == np.uint8
    assert clean.images[clean.series["image_index"]].reshape(18, -1).any(axis=1).all()
    assert set(clean.series["view"]) == {"sagittal"}
    assert set(clean.series["note"]) == {""}
    assert list(clean.genes15.columns) == ["patient", *GENES]
    assert list(clean.factors17.columns) == ["patient", *(f"F{i:02d}" for i in range(1, 18))]
    assert clean.genes15["patient"].is_unique
    assert clean.genes15.notna().all(axis=None)


def test_duplicated_samples_keep_the_first_listed(clean: ReleasedCohort) -> None:
    table = clean.selection[clean.selection["reason"] == "second sample of the patient"]
    assert table["id"].str[-2:].tolist() == [".2", ".1", ".2"]
    assert table["source"].unique().tolist() == ["allGeneExprs.csv"]


def test_odd_survival_times_are_rows_and_never_values(clean: ReleasedCohort) -> None:
    found = pd.Series(_reasons(clean, "survival")).value_counts().to_dict()
    assert found == {"survival time is zero": 2, "survival time is negative": 1, "survival time is missing": 1}
    assert clean.patients["os_days"].notna().sum() == 68
    assert (clean.patients["os_days"].dropna() > 0).all()
    assert _reasons(clean, "survival check") == ["no usable time in the first survival table"] * 4


def test_her2_words(clean: ReleasedCohort) -> None:
    assert clean.patients["her2"].isin([0.0, 1.0]).sum() == 72 - len(_reasons(clean, "label her2"))
    assert all(reason.startswith("her2 is not known (") for reason in _reasons(clean, "label her2"))


def test_labels_carry_signal(clean: ReleasedCohort) -> None:
    expression = np.log2(clean.genes15.set_index("patient")["TNNI2"] + 1)
    table = clean.patients.set_index("patient")
    both = table["subgroup"].dropna()
    means = expression.loc[both.index].groupby(both).mean()
    assert means[1.0] > means[0.0] + 0.3


def test_written_cohort_reads_back_and_repeats_to_the_byte(clean: ReleasedCohort, tmp_path: Path) -> None:
    write_cohort(clean, tmp_path / "a")
    write_cohort(clean, tmp_path / "b")
    for name in ("patients", "series", "selection", "genes15", "factors17"):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a" / f"{name}.parquet"), getattr(clean, name))
    images = np.load(tmp_path / "a" / "images.npy", mmap_mode="r", allow_pickle=False)
    np.testing.assert_array_equal(images, clean.images)
    digests = [{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / d).iterdir()} for d in "ab"]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 6


@pytest.mark.parametrize(
    ("fault", "step", "reason", "lost_series"),
    [
        ("no_expression", "series", "patient without usable expression", 1),
        ("text_in_expression", "expression", "LTB is 'high', not a number", 0),
        ("negative_expression", "expression", "CYBA is negative (-0.5)", 0),
        ("unknown_label", "label er", "unknown code '7' of er; known: 0, 1", 0),
        ("unknown_label", "label her2", "unknown code 'Maybe' of her2; known: Negative, Positive", 0),
        ("unknown_label", "label subgroup", "unknown code 'Subgroup9' of subgroup; known: Subgroup1, Subgroup2", 0),
        ("unknown_label", "label mut_TP53", "unknown code 'x' of mut_TP53; known: 0, 1", 0),
        ("bad_survival", "survival", "survival time is 'soon'", 0),
        ("factor_text", "factors17", "F01 is '#REF!', not a number", 0),
        ("broken_png", "image", "image cannot be decoded (OSError)", 1),
        ("small_png", "image", "image is 64 x 64, not 128 x 128", 1),
        ("coloured_png", "image", "colour channels are not equal", 1),
        ("foreign_row", "label er", "'PATIENT.7' is not a TCGA identifier (TCGA-XX-XXXX, with dots or dashes)", 0),
    ],
)
def test_faults_of_a_row_become_rows(read: Read, fault: str, step: str, reason: str, lost_series: int) -> None:
    assert fault in ROW_FAULTS
    cohort = read(fault)
    assert reason in _reasons(cohort, step)
    assert len(cohort.series) == 18 - lost_series
    assert cohort.images.shape[0] == 18
    lost = sorted(set(range(18)) - set(cohort.series["image_index"]))
    assert not cohort.images[lost].any()
    check_patients(cohort.patients)


def test_an_imaged_patient_without_expression_stays_with_its_factors(read: Read) -> None:
    cohort = read("no_expression")
    row = cohort.patients.set_index("patient").loc["TCGA-E2-A011"]
    assert (row["n_images"], row["has_genes15"], row["has_factors17"]) == (0, False, True)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("png_count", r"SidePNG128\.zip: holds 17 PNG images but SideViewBTF\.csv lists 18 series"),
        ("png_number", r"are not numbered 0 to 17"),
        ("truncated_zip", r"SidePNG128\.zip"),
        ("zip_outside", r"SidePNG128\.zip.*outside"),
        ("missing_column", r"all_genes\.csv: no column 'TP53'"),
        ("double_header", r"allGeneExprs\.csv, row 1: the header holds 'TNNI2' more than once"),
        ("empty_file", r"CliniUnOpHer2\.csv: is empty"),
        ("not_utf8", r"CliniUnOpHer2\.csv, row 74: is not UTF-8"),
        ("conflict_markers", r"all_genes\.csv, row 5: 1 cells where 8 are expected"),
        ("most_series_lost", r"13 of 18 image series \(72%\).*max_excluded_share = 0\.2.*without usable expression"),
    ],
)
def test_faults_of_structure_stop_with_one_line(read: Read, fault: str, message: str) -> None:
    assert fault in STRUCTURE_FAULTS or fault == "most_series_lost"
    with pytest.raises(DataError, match=message) as caught:
        read(fault)
    assert "\n" not in str(caught.value)


def test_the_allowed_share_is_the_configured_one(read: Read) -> None:
    assert len(read("most_series_lost", share=0.75).series) == 5


def test_unknown_gene_names_it_and_its_neighbours(read: Read) -> None:
    with pytest.raises(DataError, match=r"no gene 'TNNI3' \(near matches: TNNI2\)\. Correct cpdm\.genes"):
        read(genes=("TNNI3", "CD6"))


def test_other_genes_are_taken_in_the_order_asked(read: Read) -> None:
    assert list(read(genes=("CD6", "TNNI2")).genes15.columns) == ["patient", "CD6", "TNNI2"]


def test_a_file_missing_from_the_mapping_is_named(tmp_path: Path) -> None:
    files = write_released(tmp_path)
    del files["clinical"]
    with pytest.raises(DataError, match="no file for clinical"):
        read_released(files, genes=GENES, max_excluded_share=0.2)


def test_factors_that_differ_within_a_patient(tmp_path: Path) -> None:
    files = write_released(tmp_path)
    lines = files["btf_features"].read_text().splitlines()
    lines[1] = lines[1][:-1] + str((int(lines[1][-1]) + 1) % 10)
    files["btf_features"].write_text("\r\n".join(lines) + "\r\n")
    cohort = read_released(files, genes=GENES, max_excluded_share=0.2)
    assert _reasons(cohort, "factors17") == ["factors differ from the first series of the patient"]


def test_second_survival_table_is_only_a_check(tmp_path: Path) -> None:
    files = write_released(tmp_path)
    before = read_released(files, genes=GENES, max_excluded_share=0.2).patients
    lines = files["survival_b"].read_text().splitlines()
    name, time, status = lines[1].split(",")
    lines[1] = f"{name},{int(time) + 40},{status}"
    name, time, status = lines[2].split(",")
    lines[2] = f"{name},{time},{1 - int(status)}"
    files["survival_b"].write_text("\n".join(lines) + "\n")
    cohort = read_released(files, genes=GENES, max_excluded_share=0.2)
    pd.testing.assert_frame_equal(cohort.patients, before)
    assert _reasons(cohort, "survival check")[:2] == [
        "time differs from the first survival table, which is used",
        "status differs from the first survival table, which is used",
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("er", 2.0), ("os_days", 0.0), ("os_event", 0.5), ("age", 130.0), ("site", "XX"),
        ("patient", "TCGA.A1.B000"), ("n_images", -1), ("stage", None), ("has_genes15", False),
    ],
)  # fmt: skip
def test_check_patients_names_column_and_patient(clean: ReleasedCohort, column: str, value: object) -> None:
    broken = clean.patients.copy()
    broken["has_factors17"] = False
    broken[column] = broken[column].astype(object)
    broken.at[0, column] = value
    expected = "row TCGA.A1.B000: patient" if column == "patient" else f"row TCGA-A1-B000: {column}"
    with pytest.raises(DataError, match=expected):
        check_patients(broken)


def test_check_patients_refuses_other_columns(clean: ReleasedCohort) -> None:
    with pytest.raises(DataError, match="smoker"):
        check_patients(clean.patients.assign(smoker=1))
    with pytest.raises(DataError, match="order"):
        check_patients(clean.patients[clean.patients.columns[::-1]])


def test_small_files_have_the_names_and_quirks_of_the_released_ones(tmp_path: Path) -> None:
    files = write_released(tmp_path)
    assert set(files) == set(FILES) == set(NAMES)
    assert not files["subgroups"].read_bytes().endswith(b"\n")
    assert files["survival_b"].read_bytes().startswith(b",time,status\r\n")
    assert files["survival_a"].read_bytes().startswith(b'"","OS_STATUS","OS_MONTHS"\n')
    assert {p.name: p.read_bytes() for p in files.values()} == {
        p.name: p.read_bytes() for p in write_released(tmp_path / "again").values()
    }


def test_registry_has_true_checksums_unless_asked(tmp_path: Path) -> None:
    files = write_released(tmp_path / "mirror")
    entries = yaml.safe_load(write_registry(tmp_path, files, wrong_checksum="clinical").read_text())["sources"]
    assert set(entries) == set(NAMES)
    for name, entry in entries.items():
        content = (tmp_path / entry["mirror_path"]).read_bytes()
        right = hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert right == (name != "clinical")
        assert entry["bytes"] == len(content)


def test_registry_is_one_that_radgen_reads(tmp_path: Path) -> None:
    sources = load_registry(write_registry(tmp_path, write_released(tmp_path / "mirror")))
    assert set(sources) == set(FILES)
    assert sources["side_png"].mirror_path == "mirror/SidePNG128.zip"


def test_the_shipped_registry_names_every_file_of_the_cohort() -> None:
    shipped = load_registry()
    assert {name: shipped[name].filename for name in FILES} == NAMES


def test_unknown_fault_of_the_fixture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no_such_fault"):
        write_released(tmp_path, faults=["no_such_fault"])
