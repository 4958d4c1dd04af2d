"""Tables of people whose identifiers are replaced: no cell, title or file name comes out but what vocabularies hold."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.clinical_terms import COLUMNS
from radgen_lib.omics.study.local import read_any_study
from radgen_lib.omics.study.read import Study
from radgen_lib.omics.study.vocabulary import clinical_cell, gene_symbol, variant, variant_kind
from radgen_lib.omics.study.write import write_omics

PEOPLE = ("H0001", "H0002", "H0003", "H0004")
# What clerks put into cells; each in lower case too.
CANARIES = ("Huber", "Anna", "1950-03-12", "12.03.1950", "12.03.2019", "19500312", "Klinik", "H0001", "H0004", "H0777")


def hidden(patient: str) -> str:
    return "P-" + "".join(chr(ord("a") + (ord(letter) * 7) % 26) for letter in patient)


def canary(column: str) -> str:
    words = {
        "age": "1950-03-12", "stage": "IIA SEEN BY HUBER 12.03.2019", "T": "T2 Huber", "N": "N1 (Klinik)",
        "subtype": "LumA (Dr. Huber)", "er": "positive (Dr. Huber 12.03.2019)", "pr": "Anna", "her2": "3+ Huber",
        "os_days": "19500312", "os_months": "12.03.1950", "os_event": "1:Huber", "race": "Anna Huber",
        "menopause": "Preisinger Huber",
    }  # fmt: skip
    return words[column]


def said_of(folder: Path, study: Study, logged: str) -> str:
    """Everything that is written or logged: all files, tables unpacked."""
    write_omics(study, folder / "out")
    parts = [logged]
    for path in sorted((folder / "out").iterdir()):
        parts += [path.name, path.read_bytes().decode("latin-1")]
        if path.suffix == ".parquet":
            parts.append(pd.read_parquet(path).to_csv())
    return "\n".join(parts)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with a canary in every cell, title and comment that can hold text."""
    folder = tmp_path / "omics"
    folder.mkdir()
    for omic, unit in (("expression", 900.0), ("copy_number", 0.5), ("methylation", 0.2)):
        rows = [f"{gene},{unit},{unit / 2},{unit / 3},{unit / 4}" for gene in ("TP53", "CDH1", "ESR1", "MLL2")]
        rows += ["GATA3,Anna Huber,1,1950-03-12,0.5", "Huber Anna,1,1,1,1", "H0004,1,1,1,1", "1950-03-12,1,1,1,1"]
        rows += ["12-Mar,1,1,1,1", "?|Huber,1,1,1,1", "FOXA1,1,Klinik", "MYC,1,2,3,4,Huber", "19500312,1,1,1,1"]
        text = f"# Klinik Huber\ngene,{','.join(PEOPLE)}\n" + "\n".join(rows) + "\n"
        (folder / f"{omic}.csv").write_text(text)
    (folder / "mutations.tsv").write_text(
        "Patient\tVariant_Classification\tGene\tHGVSp_Short\tMutation_Status\tReported by Huber\n"
        "H0001\tMissense_Mutation\tTP53\tp.R175H\tSomatic\tAnna\nH0002\tHuber\tTP53\tHuber 12.03.2019\tAnna\t\n"
        "H0003\tSilent\tAnna Huber\tp.Huber\tHuber\t\nH0777\tSilent\t1950-03-12\tc.19500312\t\t\nH0003\t\tH0004\t\n"
        "H0002\tSilent\tCDH1\tp.A1=\tHuber\tx\tHuber\ty\n"
    )
    (folder / "sequenced.txt").write_text("Patient ID seen by Huber\nH0001\tAnna Huber\nH0002\nH0003\n")
    columns = [column for column in COLUMNS if column not in ("patient", "sample", "sample_type")]
    titles = ["ID", *(COLUMNS[column][0] for column in columns), "Huber", "born 12.03.1950"]
    cells = [[patient, *(canary(column) for column in columns), "Anna", "1950-03-12"] for patient in PEOPLE]
    cells[3] = ["H0004", *("" for _ in columns), "", ""]
    cells += [["H0001", *("Anna" for _ in titles[1:])], ["", *("Huber" for _ in titles[1:])], ["H0002", "Klinik"]]
    (folder / "clinical.csv").write_text("\n".join(";".join(row) for row in [titles, *cells]) + "\n")
    (folder / "Anna Huber 1950.txt").write_text("Huber")
    return folder


def without_hidden(text: str) -> str:
    for patient in (*PEOPLE, "H0777"):
        text = text.replace(hidden(patient), "")
    return text.lower()


def test_no_canary_leaves_the_tables(tables: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    elsewhere = tmp_path / "Liste Huber 12.03.2019.xlsx"
    pd.DataFrame({"Patient": PEOPLE, "Age": ["61", "Huber", "95", "89"], "Huber": "Anna"}).to_excel(
        elsewhere, index=False
    )
    study = read_any_study(tables, drivers=("TP53", "CDH1"), rename=hidden, clinical=elsewhere)
    text = without_hidden(said_of(tmp_path, study, caplog.text))
    found = [word for word in CANARIES if word.lower() in text]
    assert not found and "line 3" in text and str(tmp_path).lower() not in text
    assert study.matrices[0].genes == ("TP53", "CDH1", "ESR1", "KMT2D", "GATA3")  # the rest goes on
    clinical = study.clinical.set_index("patient")
    assert clinical.loc[hidden("H0001"), "age"] == 61 and clinical.loc[hidden("H0003"), "age"] == 90
    assert (clinical[["stage", "T", "N", "subtype", "race", "menopause"]] == "").all(axis=None)
    mutated = study.mutations.set_index(["patient", "gene"])["kind"]
    assert mutated[hidden("H0002"), "TP53"] == "Other" and mutated[hidden("H0001"), "TP53"] == "Missense_Mutation"


def test_the_search_would_find_them(tables: Path, tmp_path: Path) -> None:
    """The same tables under public codes are quoted, so the test above can fail."""
    for path in tables.glob("*.*"):
        path.write_text(re.sub(r"H0(\d\d\d)", r"TCGA-AO-A\1", path.read_text()).replace("TCGA-AO-A004,1,1", "X,1,1"))
    (tables / "sequenced.txt").unlink()  # its title is no title, so would be a patient
    text = without_hidden(said_of(tmp_path, read_any_study(tables, drivers=("TP53",)), ""))
    assert {word for word in CANARIES if word.lower() in text} >= {"Huber", "Anna", "1950-03-12", "Klinik"}


def test_every_fault_has_line_kind_and_count(tables: Path) -> None:
    decisions = read_any_study(tables, drivers=("TP53",), rename=hidden).decisions
    emptied = decisions[decisions["decision"] == "left empty"]
    age = emptied[emptied["step"] == "clinical age"]
    assert age["item"].tolist() == ["line 2", "line 3", "line 4", "line 6", "line 7"]
    assert set(age["reason"]) == {"not an age between 0 and 120 years"}
    told = set(emptied["step"])
    assert {f"clinical {column}" for column in ("stage", "T", "N", "race", "subtype", "menopause", "er")} <= told
    lost = decisions[decisions["decision"] == "no symbol"]
    assert lost["count"].tolist() == [6, 6, 6] or set(lost["count"]) == {6}
    cells = decisions[(decisions["step"] == "matrix") & (decisions["table"] == "expression.csv")]
    assert "line 7 GATA3 " + hidden("H0001") in cells["item"].tolist()
    assert set(cells["reason"]) == {"the cell holds no number", "3 cells where 5 are expected",
                                    "6 cells where 5 are expected"}  # fmt: skip
    kinds = decisions[decisions["item"] == "cells of kind"]
    assert kinds[["decision", "count"]].to_numpy().tolist() == [["written as Other", 1]]


def test_names_of_a_portals_files_and_profiles_stay_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    meta = "genetic_alteration_type: {}\ndatatype: {}\nstable_id: Huber\ndata_filename: {}\n"
    (folder / "meta_Huber.txt").write_text(meta.format("MRNA_EXPRESSION", "CONTINUOUS", "Anna Huber.txt"))
    (folder / "meta_lost.txt").write_text(meta.format("METHYLATION", "CONTINUOUS", "Anna lost.txt"))
    (folder / "meta_none.txt").write_text(meta.format("Huber", "Anna", "x"))
    (folder / "Anna Huber.txt").write_text("Hugo_Symbol\tEntrez_Gene_Id\tH0001\nTP53\t19500312\t1\nMLL2\t19500312\t\n")
    study = read_any_study(folder, drivers=(), rename=hidden)
    text = without_hidden(said_of(tmp_path, study, caplog.text))
    assert study.matrices[0].genes == ("TP53",) and not [word for word in CANARIES if word.lower() in text]
    (folder / "meta_none.txt").write_bytes(b"\xff\xfeH")
    with pytest.raises(DataError, match="a meta file or case list cannot be read"):
        read_any_study(folder, drivers=(), rename=hidden)


def test_patients_in_the_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "expression.csv").write_text(",TP53,ESR1,CD6\nHUBER,1,2,3\n")
    with pytest.raises(DataError, match=r"its columns are genes\. .*transpose") as fault:
        read_any_study(tmp_path, drivers=(), rename=hidden)
    assert "HUBER" not in str(fault.value)


@pytest.mark.parametrize(
    ("column", "text", "written"),
    [
        ("stage", "IIA", "STAGE IIA"), ("stage", "Stage iii c", ""), ("stage", "2b", "STAGE IIB"),
        ("stage", "STAGE X", "STAGE X"), ("stage", "0", "STAGE 0"), ("stage", "5", ""),
        ("T", "pT1c", "PT1C"), ("T", "2", "T2"), ("T", "Tis (DCIS)", "TIS (DCIS)"), ("T", "T5", ""),
        ("T", "T1mi", "T1MI"),
        ("N", "n0 (i-)", "N0 (I-)"), ("N", "ypN1a", "YPN1A"), ("N", "N1 (Klinik)", ""), ("N", "N3C", "N3C"),
        ("subtype", "BRCA_LumA", "LumA"), ("subtype", "claudin low", "claudin-low"), ("subtype", "Anna", ""),
        ("race", "Black or African American", "BLACK OR AFRICAN AMERICAN"), ("race", "white", "WHITE"),
        ("race", "White Huber", ""), ("menopause", "Post (prior bilateral ovariectomy)", "post"),
        ("menopause", "peri-menopausal", "peri"), ("menopause", "premenopausal", "pre"), ("menopause", "Preuss", ""),
        ("er", "Positive", "positive"), ("er", "2+", "2+"), ("er", "3", ""), ("her2", "3", "3"),
        ("os_event", "1:DECEASED", "1"), ("os_event", "alive", "0"), ("os_days", "43536", ""), ("os_days", "0", ""),
        ("os_days", "1500.5", "1500.5"), ("os_months", "720", "720.0"), ("os_months", "721", ""), ("race", "NA", ""),
        ("age", "89", "89.0"), ("age", "89.5", "90"), ("age", "104", "90"), ("age", "1950", ""), ("age", "-1", ""),
    ],
)  # fmt: skip
def test_vocabularies(column: str, text: str, written: str) -> None:
    cell = clinical_cell(column, text)
    assert cell.text == written
    assert bool(cell.fault) == (text != "NA" and (written == "" or (column == "age" and written == "90")))


@settings(max_examples=150, deadline=None)
@given(column=st.sampled_from([name for name in COLUMNS if "sample" not in name and name != "patient"]),
       text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))  # fmt: skip
def test_no_fault_quotes_a_cell(column: str, text: str) -> None:
    """Whatever stands in a cell: what comes out is stable, and a reason is one of few sentences."""
    cell = clinical_cell(column, text)
    again = clinical_cell(column, cell.text)
    assert again.text == cell.text
    faults = {clinical_cell(column, word).fault for word in ("Huber, Anna 1950-03-12", "-1", "99999999", "90", "")}
    assert cell.fault in faults


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("TP53", "TP53"), ("C11orf30", "C11orf30"), ("HLA-DRB1", "HLA-DRB1"), ("LOC100130426", "LOC100130426"),
        ("hsa-mir-21", "hsa-mir-21"), ("A1BG;Huber;WRAP53", "A1BG;WRAP53"), ("Huber", ""), ("12.03.1950", ""),
        ("12-MAR-2019", ""), ("3-SEP", ""), ("H004711", ""), ("19500312", ""), ("HUBER ANNA", ""), ("?|123", ""),
        ("ENSG00000141510", "ENSG00000141510"), ("AC012345.1", "AC012345.1"), ("NKX2-1", "NKX2-1"), ("", ""),
    ],
)  # fmt: skip
def test_gene_symbols(text: str, kept: str) -> None:
    assert gene_symbol(text) == kept


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("p.R175H", True), ("p.Arg175His", True), ("p.X125_splice", True), ("p.E285K", True), ("p.*394Qext*2", True),
        ("p.S241Ffs*6", True), ("p.G245Vfs", True), ("p.L194=", True), ("p.A10_D12del", True), ("p.K5delinsNN", True),
        ("c.524G>A", True), ("ENST00000269305.4:c.524G>A", True), ("c.375+1G>T", True), ("c.19500312A>G", False),
        ("p.Huber", False), ("seen 12.03.2019", False), ("p.(R175H)", True), ("p.Q317*", True), ("p.?", True),
    ],
)  # fmt: skip
def test_variants(text: str, good: bool) -> None:
    assert variant(text) == (text if good else "")
    assert [variant_kind(word) for word in ("Silent", "", "Huber", "stop_gained")] == [
        "Silent",
        "",
        "Other",
        "stop_gained",
    ]


def test_scores_keep_their_column(tmp_path: Path) -> None:
    """The name HER2_IHC is needed to read 1 as negative, so it passes the conversion."""
    (tmp_path / "clinical.csv").write_text("Patient,HER2 IHC,T\nH0001,1,T1\nH0002,0,T2\nH0003,x,T3\n")
    study = read_any_study(tmp_path, drivers=(), rename=hidden)
    assert study.clinical.set_index("patient")["her2"].reindex(map(hidden, PEOPLE[:2])).tolist() == [0, 0]
    assert json.loads(study.clinical["T"].to_json(orient="values")) == ["T1", "T2", "T3"]
