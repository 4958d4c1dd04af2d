"""Gene sets, radiomic features, infiltration scores and subtypes as text tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.sources.reference.cells import read_text
from radgen_lib.sources.reference.genesets import read_gene_sets
from radgen_lib.sources.reference.infiltration import TIMER_CELLS, read_timer
from radgen_lib.sources.reference.radiomic36 import RADIOMIC_FEATURES, read_radiomic_features
from radgen_lib.sources.reference.subtypes import read_genomic_scores, read_pam50_receptors
from radgen_lib.sources.registry import load_registry


def real(mirror: Path, entry: str) -> Path:
    return mirror / str(load_registry()[entry].mirror_path)


def write(path: Path, table: pd.DataFrame, separator: str = ",") -> Path:
    table.to_csv(path, index=False, sep=separator)
    return path


def features(n: int = 3) -> pd.DataFrame:
    """Features of balls and ellipsoids with made-up kinetics, all identities kept."""
    rng = np.random.default_rng(5)
    f = pd.DataFrame({code: rng.uniform(0.2, 0.8, n) for code in RADIOMIC_FEATURES})
    f["K2"], f["E2"], f["T8"] = 90.0, 120.0, -0.1
    f["T14"], f["T1"] = 70 + f["T14"], 30 + f["T1"]
    f["K3"], f["K7"], f["E3"], f["K6"] = f["K1"] / f["K2"], 1 / (1 + f["K5"]), f["E1"] / f["E2"], f["K1"] * 0.9
    f["T2"], f["T13"] = 1 - f["T1"] / (2 * f["T14"]), 4 * f["T14"] - f["T1"]
    f["S1"] = 1000 * f["S1"]
    f["S2"] = np.cbrt(6 * f["S1"] / np.pi)
    f["S3"] = 1.5 * np.pi * f["S2"] ** 2
    f["G2"], f["G3"] = 1 - 1 / 1.5, f["S3"] / f["S1"]
    named = f.rename(columns={code: name for code, (name, _) in RADIOMIC_FEATURES.items()})
    named.insert(0, "CLID", [f"TCGA-AO-A0{i:02d}" for i in range(n)])
    return named


def receptors() -> pd.DataFrame:
    rows = [
        ["TCGA-A1-0001", "FEMALE", "66", "Positive", "Negative", "Equivocal", "Luminal A"],
        ["TCGA-A1-0002", "MALE", "NA", "Negative", "Indeterminate", "Positive", "NA"],
    ]
    return pd.DataFrame(rows, columns=["ID", "Gender", "Age", "ER", "PR", "HER2", "PAM50"])


def timer() -> pd.DataFrame:
    return pd.DataFrame({"": ["TCGA.3C.AALI", "TCGA.3C.AALK"], **{cell: [0.1, 1.3] for cell in TIMER_CELLS}})


# Text files in general.


def test_marks_and_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.csv", receptors())
    windows = tmp_path / "windows.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    pd.testing.assert_frame_equal(
        read_pam50_receptors(windows, whole=False).table, read_pam50_receptors(plain, whole=False).table
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"t\.csv: is empty"),
        (b"\n\n", r"t\.csv: is empty"),
        (b"a,b\n1,2,3\n", r"t\.csv, row 2: 3 cells where 2 are expected"),
        (b"a,b\n1,2\n\n3\n", r"t\.csv, row 4: 1 cells where 2 are expected"),
        (b"a,a\n1,2\n", r"t\.csv, row 1: the header holds 'a' more than once"),
        (b"a,b\n1,\xe9\n", r"t\.csv, row 2: is not UTF-8 text\. Save the file as UTF-8"),
        (b'a,b\n1,"2\n', r"t\.csv, row 2: is not a table"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_text(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_timer(tmp_path / "none.csv")


def test_rows_are_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(',b\n\n1,"two\nlines"\n3,4\n')
    cells = read_text(path)
    assert list(cells.columns) == ["ID", "b"] and list(cells.index) == [4, 5]


# Gene sets.


def sets_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_gene_sets_in_columns(tmp_path: Path) -> None:
    text = "KEGG_A_B\tKEGG_C\tNA\nTP53\tTP53\tNA\nHLA-A\tNA\tNA\nNA\tESR1\tNA\n"
    for content in (text, text.replace("\n", "\r\n")):
        table, faults = read_gene_sets(sets_file(tmp_path / "sets.gmt", content), whole=False)
        assert table.values.tolist() == [
            ["KEGG_A_B", "TP53"],
            ["KEGG_A_B", "HLA-A"],
            ["KEGG_C", "TP53"],
            ["KEGG_C", "ESR1"],
        ]
        assert faults.empty


def test_faults_of_genes(tmp_path: Path) -> None:
    path = sets_file(tmp_path / "sets.gmt", "KEGG_A\tKEGG_B\nTP53\tESR1\nTP53\ta gene\n")
    table, faults = read_gene_sets(path, whole=False)
    assert table["gene"].tolist() == ["TP53", "ESR1"]
    assert faults[["id", "row", "reason"]].values.tolist() == [
        ["KEGG_A/TP53", "3", "stands twice in the set"], ["KEGG_B/a gene", "3", "is no gene symbol"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("KEGG_A\tKEGG_B\nTP53\tNA\n", "gene set KEGG_B has no gene"),
        ("KEGG_A\tgenes\nTP53\tESR1\n", "column 'genes' is not named like a gene set"),
        ("KEGG_A\tNA\nTP53\tESR1\n", "column 'NA' is not named like a gene set"),
        ("KEGG_A\thttp://x\tTP53\tESR1\nKEGG_B\thttp://y\tTP53\tERBB2\n", "column 'http://x' is not named"),
        ("KEGG_A\tKEGG_A\nTP53\tESR1\n", "the header holds 'KEGG_A' more than once"),
        ("KEGG_A\tKEGG_B\nTP53\tESR1\n", "holds 2 gene sets, 186 are expected"),
    ],
)
def test_files_that_are_no_gene_sets(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_gene_sets(sets_file(tmp_path / "sets.gmt", text))


def test_real_gene_sets(mirror: Path) -> None:
    table, faults = read_gene_sets(real(mirror, "kegg_gene_sets"))
    assert faults.empty and table["set"].nunique() == 186 and table["gene"].nunique() == 5245
    sizes = table.groupby("set").size()
    assert (sizes.min(), sizes.max()) == (10, 389)
    assert {"MAPK1", "MAPK3"} <= set(table.loc[table["set"] == "KEGG_MAPK_SIGNALING_PATHWAY", "gene"])


# Radiomic features.


def test_radiomic_features_are_named_by_code(tmp_path: Path) -> None:
    table, faults = read_radiomic_features(write(tmp_path / "r.csv", features()), whole=False)
    assert faults.empty and list(table) == ["patient", *RADIOMIC_FEATURES] and len(RADIOMIC_FEATURES) == 36


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("K3", "K3 is not K1 / K2"), ("K7", r"K7 is not 1 / \(1 \+ K5\)"), ("E3", "E3 is not E1 / E2"),
        ("T1", "T2 is not 1 - T1"), ("T13", "T13 is not 4 T14 - T1"), ("S1", "S2 is not the diameter"),
        ("S3", "G2 is not 1 - pi"), ("G3", "G3 is not S3 / S1"),
    ],
)  # fmt: skip
def test_one_wrong_digit_is_found(tmp_path: Path, code: str, reason: str) -> None:
    table = features()
    table.loc[1, RADIOMIC_FEATURES[code][0]] *= 1.001
    kept, faults = read_radiomic_features(write(tmp_path / "r.csv", table), whole=False)
    assert kept["patient"].tolist() == ["TCGA-AO-A000", "TCGA-AO-A002"]
    assert len(faults) == 1 and faults["row"][0] == "3" and pd.Series(faults["reason"]).str.match(reason).all()


def test_other_faults_of_radiomic_features(tmp_path: Path) -> None:
    table = features(5).astype(object)
    table.loc[1, "CLID"] = "TCGA-AO-A000"
    table.loc[2, "Energy (T5)"] = "high"
    table.loc[3, "Sphericity (G1)"] = 1.5
    table.loc[4, "E1 (K6)"] = 2 * table.loc[4, "Maximum enhancement (K1)"]
    kept, faults = read_radiomic_features(write(tmp_path / "r.csv", table), whole=False)
    assert len(kept) == 1
    assert sorted(faults["reason"]) == [
        "'1.5' is not in [0, 1]", "'high' is not a number", "K6 is above K1", "is there already",
    ]  # fmt: skip


def test_structure_of_radiomic_features(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 3 rows, 91 are expected"):
        read_radiomic_features(write(tmp_path / "r.csv", features()))
    with pytest.raises(DataError, match=r"no column 'Entropy \(T6\)'"):
        read_radiomic_features(write(tmp_path / "s.csv", features().drop(columns="Entropy (T6)")), whole=False)


def test_real_radiomic_features_keep_every_identity(mirror: Path) -> None:
    table, faults = read_radiomic_features(real(mirror, "radiomic_features"))
    assert faults.empty and table.shape == (91, 37) and table["patient"].is_unique
    row = table.set_index("patient").loc["TCGA-AO-A03M"]
    assert (row["K1"], row["S1"], row["S5"]) == (1.602573, 3139.654, 27.60382)


def test_a_changed_digit_of_the_real_features_is_found(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "radiomics.csv"
    text = real(mirror, "radiomic_features").read_text()
    assert text.count("3139.654") == 1
    path.write_text(text.replace("3139.654", "3139.664"))
    table, faults = read_radiomic_features(path)
    assert len(table) == 90 and faults["id"].tolist() == ["TCGA-AO-A03M"]


# TIMER.


def test_timer_scores(tmp_path: Path) -> None:
    table, faults = read_timer(write(tmp_path / "t.csv", timer()), whole=False)
    assert faults.empty and table["patient"].tolist() == ["TCGA-3C-AALI", "TCGA-3C-AALK"]
    assert table["t_cell_cd8"].tolist() == [0.1, 1.3]
    with pytest.raises(DataError, match="holds 2 rows, 123 are expected"):
        read_timer(tmp_path / "t.csv")


def test_faults_of_timer(tmp_path: Path) -> None:
    table = timer()
    table.loc[1, "Macrophage"] = -0.1
    kept, faults = read_timer(write(tmp_path / "t.csv", table), whole=False)
    assert len(kept) == 1 and faults["column"].tolist() == ["Macrophage"]


def test_real_timer(mirror: Path) -> None:
    table, faults = read_timer(real(mirror, "timer"))
    assert faults.empty and table.shape == (123, 7) and table["patient"].str.match("TCGA-..-....$").all()
    assert table["dendritic_cell"].max() > 1  # not a fraction


# Receptors, subtypes and scores.


def test_receptors_and_subtype(tmp_path: Path) -> None:
    table, faults = read_pam50_receptors(write(tmp_path / "p.csv", receptors()), whole=False)
    assert faults.empty
    first, second = table.iloc[0], table.iloc[1]
    assert (first["er"], first["pr"], first["her2_equivocal"], first["subtype"]) == (1, 0, 1, "LumA")
    assert math.isnan(first["her2"]) and math.isnan(second["pr"]) and math.isnan(second["age"])
    assert (second["her2"], second["her2_equivocal"], second["sex"]) == (1, 0, "male")


@pytest.mark.parametrize(
    ("column", "cell"),
    [("ER", "maybe"), ("Age", "old"), ("Age", "200"), ("PAM50", "LumC"), ("Gender", "x"), ("ID", "1")],
)
def test_faults_of_receptors(tmp_path: Path, column: str, cell: str) -> None:
    table = receptors()
    table.loc[1, column] = cell
    kept, faults = read_pam50_receptors(write(tmp_path / "p.csv", table), whole=False)
    assert len(kept) == 1 and faults["column"].tolist() == [column] and faults["row"].tolist() == ["3"]


def test_real_receptors(mirror: Path, tmp_path: Path) -> None:
    path = real(mirror, "pam50_receptors")
    table, faults = read_pam50_receptors(path)
    assert faults.empty and len(table) == 825
    assert table["subtype"].value_counts().to_dict() == {"LumA": 231, "LumB": 127, "Basal": 98, "Her2": 58, "Normal": 8}
    other = tmp_path / "TC_Pam50.csv"
    other.write_bytes(path.read_bytes().replace(b"Negative,Negative,Negative", b"Positive,Negative,Negative", 1))
    with pytest.raises(DataError, match="the sum of er is 602, the source states 601"):
        read_pam50_receptors(other)


def test_real_scores(mirror: Path) -> None:
    table, faults = read_genomic_scores(real(mirror, "genomic_scores"))
    assert faults.empty and len(table) == 100
    assert table["subtype"].value_counts().to_dict() == {"LumA": 61, "LumB": 13, "Basal": 13, "Her2": 8, "Normal": 5}
    assert table["mammaprint"].value_counts().to_dict() == {"good": 81, "poor": 19}
    assert table["oncotype_group"].value_counts().to_dict() == {"high": 74, "low": 18, "intermediate": 8}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("TCGA-AO-A03M,LumA", "TCGA-AO-A03M,LumB", "the PAM50 call is not"),
        ("31.72235063", "31.72335063", "ROR-S does not follow"),
        ("29.73883921", "29.73983921", "ROR-P does not follow"),
        ("TCGA-AO-A03M,LumA,med,med,High,100", "TCGA-AO-A03M,LumA,med,med,Low,100", "the Oncotype DX group"),
        ("TCGA-AO-A03M,LumA,med,med,High,100", "TCGA-AO-A03M,LumA,med,med,High,101", "'101' is not in"),
    ],
)
def test_what_contradicts_itself_in_the_scores(mirror: Path, tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = real(mirror, "genomic_scores").read_text()
    assert text.count(old) == 1
    path = tmp_path / "scores.csv"
    path.write_text(text.replace(old, new))
    table, faults = read_genomic_scores(path)
    assert len(table) == 99 and faults["id"].tolist() == ["TCGA-AO-A03M"] and faults["reason"][0].startswith(reason)


def test_scores_of_made_up_patients(tmp_path: Path) -> None:
    row = {
        "CLID": "TCGA-AO-A001", "Pam50.Call": "Basal", "ROR-S Group": "high", "ROR-P Group": "high",
        "GHI_RS_3Group": "Intermediate", "GHI_RS Score": 18, "Mammaprint": "NKI70_Bad", "NKI70": -0.5,
        "UNC_Basal": 1.0, "UNC_Her2": 0.0, "UNC_LumA": -1.0, "UNC_LumB": 0.0, "UNC_Norm": 0.0,
        "UNC_ROR_S": (0.04210193 + 0.35235561 + 0.35) / 0.0085, "UNC_Prolif": 0.0,
        "ROR_P": (-0.0009299747 + 0.0951505484 + 0.35) / 0.0085,
    }  # fmt: skip
    other = {**row, "CLID": "TCGA-AO-A002", "GHI_RS Score": 31}
    table, faults = read_genomic_scores(write(tmp_path / "s.csv", pd.DataFrame([row, other])), whole=False)
    assert table["patient"].tolist() == ["TCGA-AO-A001"] and table["oncotype_group"].tolist() == ["intermediate"]
    assert faults["reason"].tolist() == ["the Oncotype DX group is not that of the score"]
