"""The phantom's study folder: laid out as the portal lays out one, and true to the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.molecular import omics_matrices, omics_samples
from radgen_lib.sources.phantom.mutations import DRIVERS, MAF_COLUMNS, mutation_table, sequenced_patients
from radgen_lib.sources.phantom.study import STUDY, methylation_probes, write_study
from radgen_lib.sources.phantom.truth import Truth, draw_truth

SPEC = Phantom(patients=40, omics_only=120, genes=80)
SEED = 9


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(SPEC, SEED)


@pytest.fixture(scope="module")
def matrices(truth: Truth) -> dict[str, pd.DataFrame]:
    return omics_matrices(truth, SPEC, SEED)


@pytest.fixture(scope="module")
def folder(truth: Truth, matrices: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("study")
    write_study(truth, matrices, target, seed=SEED)
    return target


def _read(path: Path, **options: object) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, **options)  # type: ignore[call-overload]


def _keys(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text(encoding="utf-8").splitlines())


def test_every_meta_file_names_a_file_and_every_file_has_one(folder: Path) -> None:
    metas = {path.name: _keys(path) for path in folder.glob("meta_*.txt")}
    assert metas.pop("meta_study.txt")["cancer_study_identifier"] == STUDY
    named = {keys["data_filename"] for keys in metas.values()}
    assert named == {path.name for path in folder.glob("data_*.txt")}
    for name, keys in metas.items():
        assert keys["cancer_study_identifier"] == STUDY
        assert keys["data_filename"] == name.replace("meta_", "data_")
        assert {"genetic_alteration_type", "datatype"} <= set(keys)


@pytest.mark.parametrize(
    ("name", "stable_id", "kind", "datatype"),
    [
        ("mrna_seq_v2_rsem", "rna_seq_v2_mrna", "MRNA_EXPRESSION", "CONTINUOUS"),
        ("cna", "gistic", "COPY_NUMBER_ALTERATION", "DISCRETE"),
        ("log2_cna", "log2CNA", "COPY_NUMBER_ALTERATION", "LOG2-VALUE"),
        ("mutations", "mutations", "MUTATION_EXTENDED", "MAF"),
        ("methylation_hm27_hm450_merged", "methylation_hm27_hm450_merge", "GENERIC_ASSAY", "LIMIT-VALUE"),
    ],
)
def test_profiles_are_the_portals(folder: Path, name: str, stable_id: str, kind: str, datatype: str) -> None:
    keys = _keys(folder / f"meta_{name}.txt")
    assert (keys["stable_id"], keys["genetic_alteration_type"], keys["datatype"]) == (stable_id, kind, datatype)
    assert keys["profile_name"]


@pytest.mark.parametrize("name", ["data_clinical_patient.txt", "data_clinical_sample.txt"])
def test_clinical_files_have_four_marked_rows_and_the_names(folder: Path, name: str) -> None:
    lines = [line.split("\t") for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    assert [line[0].startswith("#") for line in lines[:6]] == [True] * 4 + [False] * 2
    assert {len(line) for line in lines} == {len(lines[4])}
    assert set(lines[2][1:]) <= {"STRING", "NUMBER"}
    assert all(cell.lstrip("#").isdigit() for cell in lines[3])
    assert lines[4][0] == "PATIENT_ID"


def test_clinical_names_are_those_of_the_real_file(folder: Path, mirror: Path) -> None:
    real = mirror / "sneha-bioinfo-project_tcga-brca-survival-analysis" / "data" / "data_clinical_patient.txt"
    known = _read(real, comment="#", nrows=3)
    own = _read(folder / "data_clinical_patient.txt", comment="#", nrows=3)
    added = set(own) - set(known)
    assert added == {"ER_STATUS_BY_IHC", "PR_STATUS_BY_IHC", "HER2_STATUS", "MENOPAUSE_STATUS"}
    whole, drawn = _read(real, comment="#"), _read(folder / "data_clinical_patient.txt", comment="#")
    for column in ("SUBTYPE", "RACE", "OS_STATUS", "SEX", "ETHNICITY", "PATH_T_STAGE", "PATH_N_STAGE"):
        assert set(drawn[column]) <= set(whole[column]), column
    assert set(drawn["AJCC_PATHOLOGIC_TUMOR_STAGE"]) <= set(whole["AJCC_PATHOLOGIC_TUMOR_STAGE"])


def test_clinical_values_are_the_truth_or_a_code_that_hides_it(folder: Path, truth: Truth) -> None:
    read = _read(folder / "data_clinical_patient.txt", comment="#").set_index("PATIENT_ID")
    patients = truth.patients.set_index("patient")
    assert list(read.index) == list(patients.index)
    np.testing.assert_allclose(read["OS_MONTHS"].astype(float) * 30.4375, patients["os_days"], atol=1e-4)
    assert ((read["OS_STATUS"] == "1:DECEASED") == (patients["os_event"] == 1)).all()
    for column, label in (("ER_STATUS_BY_IHC", "er"), ("PR_STATUS_BY_IHC", "pr"), ("HER2_STATUS", "her2")):
        known = read[column].isin(["Positive", "Negative"])
        assert 0.7 < known.mean() < 1
        assert ((read[column] == "Positive")[known] == (patients[label] == 1)[known]).all()
    assert {"Equivocal", "[Not Evaluated]"} & set(read["HER2_STATUS"])
    for column, label in (("T", "t_detail"), ("N", "n_detail"), ("M", "m_stage")):
        assert (read[f"PATH_{column}_STAGE"] == patients[label]).all()
    assert (read["AJCC_PATHOLOGIC_TUMOR_STAGE"] == patients["stage"]).all()
    assert ((read["ICD_O_3_HISTOLOGY"] == "8520/3") == (patients["lobular"] == 1)).all()
    subtype = read["SUBTYPE"]
    assert 0 < (subtype == "").sum() < 25
    assert (subtype[subtype != ""].str[5:] == patients["pam50"][subtype != ""]).all()


def test_samples_file(folder: Path, truth: Truth) -> None:
    read, samples = _read(folder / "data_clinical_sample.txt", comment="#"), omics_samples(truth, SEED)
    assert list(read["SAMPLE_ID"]) == list(samples["sample"])
    assert set(read["SAMPLE_TYPE"]) == {"Primary", "Metastasis", "Solid Tissue Normal"}
    grade = truth.patients.set_index("patient")["grade"]
    assert (read["GRADE"].str[1].astype(int).to_numpy() == grade[read["PATIENT_ID"]].to_numpy()).all()


def test_expression_is_linear(folder: Path, matrices: dict[str, pd.DataFrame]) -> None:
    read = pd.read_csv(folder / "data_mrna_seq_v2_rsem.txt", sep="\t")
    assert list(read.columns[:2]) == ["Hugo_Symbol", "Entrez_Gene_Id"]
    expected = matrices["expression"]
    assert list(read["Hugo_Symbol"]) == list(expected.index)
    assert list(read.columns[2:]) == list(expected.columns)
    values = read.iloc[:, 2:].to_numpy(dtype=float)
    assert values.min() >= 0
    assert values.max() > 1000
    np.testing.assert_allclose(np.log2(values + 1), expected.to_numpy(), atol=1e-3)
    assert dict(zip(read["Hugo_Symbol"], read["Entrez_Gene_Id"], strict=True))["TP53"] == 7157


def test_discrete_copy_number_is_the_binned_log_ratio(folder: Path, matrices: dict[str, pd.DataFrame]) -> None:
    discrete = pd.read_csv(folder / "data_cna.txt", sep="\t").iloc[:, 2:].to_numpy()
    log2 = pd.read_csv(folder / "data_log2_cna.txt", sep="\t").iloc[:, 2:].to_numpy()
    np.testing.assert_allclose(log2, matrices["copy_number"].to_numpy(), atol=5.1e-4)
    assert set(np.unique(discrete)) == {-2, -1, 0, 1, 2}
    for value, low, high in ((-2, -9, -0.9), (-1, -0.9, -0.3), (0, -0.3, 0.3), (1, 0.3, 0.9), (2, 0.9, 9)):
        inside = log2[discrete == value]
        assert inside.min() >= low - 0.001
        assert inside.max() <= high + 0.001


def test_methylation_probes(folder: Path, matrices: dict[str, pd.DataFrame]) -> None:
    read = pd.read_csv(folder / "data_methylation_hm27_hm450_merged.txt", sep="\t")
    assert list(read.columns[:4]) == ["ENTITY_STABLE_ID", "NAME", "DESCRIPTION", "TRANSCRIPT_ID"]
    assert read["ENTITY_STABLE_ID"].is_unique
    assert read["ENTITY_STABLE_ID"].str.fullmatch(r"cg\d{8}").all()
    gene = read["NAME"].str.split(";").str[0]
    assert set(gene) == set(matrices["methylation"].index)
    assert set(gene.value_counts()) == {1, 2, 3}
    values = read.iloc[:, 4:].to_numpy(dtype=float)
    assert 0 < np.isnan(values).mean() < 0.02
    assert 0 < np.nanmin(values) < np.nanmax(values) < 1
    first = read[~gene.duplicated()].set_index("NAME").iloc[:, 3:]
    expected = matrices["methylation"].loc[first.index, first.columns]
    assert np.nanmax(np.abs(first.to_numpy(dtype=float) - expected.to_numpy())) < 2e-4


def test_probes_of_a_gene_agree_in_order(matrices: dict[str, pd.DataFrame]) -> None:
    probes = methylation_probes(matrices["methylation"], SEED)
    twice = probes[probes["NAME"] == probes["NAME"].value_counts().index[0]].iloc[:, 4:].astype(float)
    assert len(twice) == 3
    assert twice.T.corr(method="spearman").to_numpy().min() > 0.9


def test_some_probes_name_two_genes() -> None:
    beta = pd.DataFrame(np.full((400, 2), 0.4), index=[f"G{i}" for i in range(400)], columns=["a", "b"])
    double = methylation_probes(beta, 1)["NAME"].str.contains(";")
    assert 1 <= double.sum() < 30


def test_case_lists(folder: Path, truth: Truth, matrices: dict[str, pd.DataFrame]) -> None:
    lists = {path.stem: _keys(path) for path in (folder / "case_lists").iterdir()}
    assert lists["cases_cna"]["case_list_ids"].split("\t") == list(matrices["copy_number"].columns)
    sequenced = truth.patients["patient"][sequenced_patients(truth, SEED)] + "-01"
    assert lists["cases_sequenced"]["stable_id"] == f"{STUDY}_sequenced"
    assert lists["cases_sequenced"]["case_list_ids"].split("\t") == list(sequenced)
    assert len(sequenced) == 157


def test_drivers_are_mutated_exactly_where_the_truth_says(folder: Path, truth: Truth) -> None:
    read = _read(folder / "data_mutations.txt")
    assert tuple(read.columns) == MAF_COLUMNS
    heard = read[read["Variant_Classification"] != "Silent"]
    sequenced = sequenced_patients(truth, SEED)
    for gene in DRIVERS:
        carriers = {name[:-3] for name in heard.loc[heard["Hugo_Symbol"] == gene, "Tumor_Sample_Barcode"]}
        expected = truth.patients["patient"][(truth.patients[f"mut_{gene}"] == 1) & sequenced]
        assert carriers == set(expected)


def test_silent_mutations_fall_on_a_driver_of_a_patient_without_another(truth: Truth) -> None:
    table = mutation_table(truth, SEED)
    silent = table[(table["Variant_Classification"] == "Silent") & (table["Hugo_Symbol"] == "TP53")]
    wild = set(truth.patients["patient"][truth.patients["mut_TP53"] == 0] + "-01")
    assert wild & set(silent["Tumor_Sample_Barcode"])
    assert silent["HGVSp_Short"].str.endswith("=").all()


def test_mutations_are_plausible(truth: Truth) -> None:
    table = mutation_table(truth, SEED)
    hot = table[(table["Hugo_Symbol"] == "PIK3CA") & (table["Variant_Classification"] == "Missense_Mutation")]
    assert hot["HGVSp_Short"].isin(["p.H1047R", "p.E545K", "p.E542K", "p.H1047L", "p.N345K"]).mean() > 0.4
    assert set(table["Variant_Type"]) == {"SNP", "DEL", "INS"}
    assert (table["Variant_Type"][table["Variant_Classification"].str.endswith("_Ins")] == "INS").all()
    depth, alternative = table["t_ref_count"].astype(int), table["t_alt_count"].astype(int)
    assert (alternative >= 3).all()
    assert ((alternative / (depth + alternative)) < 0.6).all()
    snp = table[table["Variant_Type"] == "SNP"]
    assert (snp["Reference_Allele"] != snp["Tumor_Seq_Allele2"]).all()
    assert (table[table["Hugo_Symbol"] == "TP53"]["Chromosome"] == "17").all()


def test_alleles_and_places_are_those_of_a_maf(truth: Truth) -> None:
    table = mutation_table(truth, SEED)
    known = table[table["Chromosome"] != ""]
    unknown = table[table["Chromosome"] == ""]
    assert len(known) > 100 and len(unknown) > 50
    assert (unknown[["Start_Position", "End_Position"]] == "").all().all()
    assert not set(known["Hugo_Symbol"]) & set(unknown["Hugo_Symbol"])
    for gene, chromosome, first, last in (
        ("TP53", "17", 7571720, 7590868), ("PIK3CA", "3", 178866311, 178952497), ("CDH1", "16", 68771195, 68869444),
    ):  # fmt: skip
        rows = known[known["Hugo_Symbol"] == gene]
        assert len(rows) and set(rows["Chromosome"]) == {chromosome}
        assert rows["Start_Position"].astype(int).min() >= first and rows["End_Position"].astype(int).max() <= last
    for kind, rows in known.groupby("Variant_Type"):
        extent = rows["End_Position"].astype(int) - rows["Start_Position"].astype(int) + 1
        size = rows["Reference_Allele"].str.len()
        assert (extent == (2 if kind == "INS" else size)).all()  # between two bases; the bases that are lost; the base
    lost = table.loc[table["Variant_Type"] == "DEL", "Reference_Allele"].str.len()
    gained = table.loc[table["Variant_Type"] == "INS", "Tumor_Seq_Allele2"].str.len()
    in_frame = table["Variant_Classification"] == "In_Frame_Del"
    assert in_frame.any() and (lost[in_frame[lost.index]] == 3).all()
    assert (lost[~in_frame[lost.index]] % 3 != 0).all() and (gained % 3 != 0).all()
    assert lost.nunique() > 2 and set("".join(table["Reference_Allele"])) == set("ACGT-")


def test_few_patients_are_not_sequenced(truth: Truth) -> None:
    there = sequenced_patients(truth, SEED)
    missing = set(truth.patients["patient"][~there] + "-01")
    assert len(missing) == 3
    assert not missing & set(mutation_table(truth, SEED)["Tumor_Sample_Barcode"])


def test_same_bytes_again_and_others_for_another_seed(
    folder: Path, truth: Truth, matrices: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    write_study(truth, matrices, tmp_path / "again", seed=SEED)
    write_study(truth, matrices, tmp_path / "other", seed=SEED + 1)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.txt"))
    assert len(files) == 8 + 7 + 5
    assert files == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()
    )
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    mutations = "data_mutations.txt"
    assert (folder / mutations).read_bytes() != (tmp_path / "other" / mutations).read_bytes()


def test_text_is_plain(folder: Path) -> None:
    for path in folder.rglob("*.txt"):
        content = path.read_bytes()
        assert b"\r" not in content
        content.decode("ascii")
        assert content.endswith(b"\n")
