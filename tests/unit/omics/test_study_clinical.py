"""Clinical tables and mutations: tolerant of names and forms, strict about values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.cohort.selection import Selection
from radgen_lib.core.errors import DataError
from radgen_lib.core.units import DAYS_PER_MONTH
from radgen_lib.omics.study import clinical_terms as terms
from radgen_lib.omics.study.clinical import CLINICAL_COLUMNS, clinical_values, fill_gaps, read_clinical_table
from radgen_lib.omics.study.clinical_files import read_text_table
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.mutations import driver_table, read_mutations
from radgen_lib.omics.study.samples import SampleIndex

PORTAL = (
    "#Patient Identifier\tSubtype\tDiagnosis Age\tOverall Survival Status\tOverall Survival (Months)\n"
    "#text\ttext\tyears\ttext\tmonths\n#STRING\tSTRING\tNUMBER\tSTRING\tNUMBER\n#1\t1\t1\t1\t1\n"
)
COLUMNS = "PATIENT_ID\tSUBTYPE\tAGE\tOS_STATUS\tOS_MONTHS\n"
BODY = "TCGA-A1-A0SB\tBRCA_LumA\t70\t1:DECEASED\t10\nTCGA-BH-A18V\tBRCA_Her2\t\t0:LIVING\t4.5\n"


def save(folder: Path, text: str | bytes, name: str = "c.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class TestForms:
    @pytest.mark.parametrize("text", [PORTAL + COLUMNS + BODY, COLUMNS + BODY, PORTAL + BODY])
    def test_with_and_without_header_rows(self, tmp_path, text):
        table = read_clinical_table(save(tmp_path, text))
        assert list(table.columns) == list(CLINICAL_COLUMNS)
        assert table["patient"].tolist() == ["TCGA-A1-A0SB", "TCGA-BH-A18V"]
        assert table["subtype"].tolist() == ["LumA", "Her2"]
        assert table["os_days"].tolist() == [10 * DAYS_PER_MONTH, 4.5 * DAYS_PER_MONTH]
        assert table["os_event"].tolist() == [1.0, 0.0]
        assert table["age"].iloc[0] == 70
        assert np.isnan(table["age"].iloc[1])

    def test_windows_and_latin1(self, tmp_path):
        log = Decisions()
        text = (PORTAL + COLUMNS + BODY).replace("\n", "\r\n").replace("BRCA_Her2", "Her2 \xe9")
        table = read_clinical_table(save(tmp_path, text.encode("latin-1")), log)
        assert len(table) == 2
        found = log.frame().query("step == 'text'")
        assert found[["item", "decision"]].to_numpy().tolist() == [["line 7", "read as Latin-1"]]

    def test_no_column_names_at_all(self, tmp_path):
        with pytest.raises(DataError, match=r"c.txt, row 1: has no row of column names"):
            read_clinical_table(save(tmp_path, BODY))

    def test_unknown_columns(self, tmp_path):
        with pytest.raises(DataError, match="no column of patients"):
            read_clinical_table(save(tmp_path, "WHO\tAGE\nanna\t5\n"))

    @pytest.mark.parametrize(("text", "words"), [("", "is empty"), (COLUMNS, "no row below"), (PORTAL, "is empty")])
    def test_empty(self, tmp_path, text, words):
        with pytest.raises(DataError, match=words):
            read_clinical_table(save(tmp_path, text))

    def test_ragged_and_double_rows_are_named(self, tmp_path):
        log = Decisions()
        odd = "TCGA-E2-A1BD\tLumB\t50\t0:LIVING\t3\textra\nTCGA-A1-A0SB\tBasal\t1\t0:LIVING\t2\n\tx\t1\t0\t1\n"
        table = read_clinical_table(save(tmp_path, COLUMNS + BODY + odd), log)
        assert len(table) == 2
        assert table["subtype"].tolist() == ["LumA", "Her2"]
        found = log.frame().query("step == 'clinical row'")
        assert found["reason"].tolist() == [
            "6 cells where 5 are expected", "second row of the patient", "no patient",
        ]  # fmt: skip
        assert found["item"].tolist()[1] == "line 5 TCGA-A1-A0SB"

    def test_csv_semicolon_and_excel_agree(self, tmp_path):
        frame = pd.DataFrame({
            "Patient ID": ["case 1", "case 2"], "Age at diagnosis": ["61", "47"], "ER": ["pos", "neg"],
            "PR status": ["1", "0"], "HER2 IHC": ["3+", "2+"], "OS days": ["100", "90"],
            "Vital status": ["dead", "alive"],
        })  # fmt: skip
        frame.to_csv(tmp_path / "a.csv", index=False)
        frame.to_csv(tmp_path / "b.csv", index=False, sep=";")
        frame.to_csv(tmp_path / "c.tsv", index=False, sep="\t")
        frame.to_excel(tmp_path / "d.xlsx", index=False)
        tables = [read_clinical_table(tmp_path / name) for name in ("a.csv", "b.csv", "c.tsv", "d.xlsx")]
        for table in tables[1:]:
            pd.testing.assert_frame_equal(table, tables[0])
        first = tables[0]
        assert first["patient"].tolist() == ["case 1", "case 2"]
        assert first[["age", "er", "pr", "os_days", "os_event"]].to_numpy().tolist() == [
            [61, 1, 1, 100, 1], [47, 0, 0, 90, 0],
        ]  # fmt: skip
        assert first["her2"].iloc[0] == 1
        assert np.isnan(first["her2"].iloc[1])

    def test_broken_spreadsheet(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read as a spreadsheet"):
            read_clinical_table(save(tmp_path, b"PK\x03\x04broken", "c.xlsx"))

    def test_lines_of_a_quoted_csv(self, tmp_path):
        table = read_text_table(save(tmp_path, '"ID","NOTE"\n"p1","a\nb"\n"p2",""\n', "c.csv"), Decisions())
        assert table.rows == [["p1", "a\nb"], ["p2", ""]]

    def test_real_portal_file(self, mirror):
        found = list(mirror.glob("sneha-bioinfo-project*/data/data_clinical_patient.txt"))
        log = Decisions()
        table = read_clinical_table(found[0], log)
        assert len(table) == 1084
        assert int(table["os_event"].sum()) == 151
        assert int((table["subtype"] != "").sum()) == 981
        assert set(table["subtype"]) == {"", "LumA", "LumB", "Her2", "Basal", "Normal"}
        assert (table["os_days"].isna() == table["os_event"].isna()).all()
        assert not (table["os_days"] <= 0).any()
        assert {"er", "menopause"} <= set(log.frame().query("step == 'clinical column'")["item"])


class TestValues:
    def values(self, tmp_path, column: str, cells: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        log = Decisions()
        body = "".join(f"p{i}\t{cell}\n" for i, cell in enumerate(cells))
        return read_clinical_table(save(tmp_path, f"PATIENT_ID\t{column}\n{body}"), log), log.frame()

    def test_receptors(self, tmp_path):
        words = [
            "Positive",
            "negative",
            "Equivocal",
            "Indeterminate",
            "1",
            "0",
            "",
            "[Not Evaluated]",
            "perhaps",
            "3+",
            "1+",
        ]
        table, log = self.values(tmp_path, "HER2_STATUS", [word for word in words if "+" not in word])
        found = table.set_index("patient")["her2"]
        expected = [1, 0, np.nan, np.nan, 1, 0, np.nan, np.nan, np.nan]
        np.testing.assert_array_equal([found[f"p{i}"] for i in range(len(expected))], expected)
        reasons = log.query("step == 'clinical her2'").set_index("item")["reason"]
        assert reasons["p2 her2"] == "Equivocal is neither positive nor negative"
        assert reasons["p8 her2"] == "unknown code 'perhaps'"
        assert reasons["her2"] == "empty cell"

    @pytest.mark.parametrize(
        ("column", "cells", "expected"),
        [
            ("HER2", ["0", "1", "1", "0"], [0, 1, 1, 0]),
            ("HER2_STATUS", ["0", "1", "2", "3"], [0, 0, np.nan, 1]),
            ("HER2", ["0", "1+", "2+", "3+", "1", "neg", "Positive"], [0, 0, np.nan, 1, 0, 0, 1]),
            ("HER2 IHC", ["0", "1", "1"], [0, 0, 0]),
            ("IHC_HER2", ["Positive", "Negative", "Equivocal"], [1, 0, np.nan]),
            ("HER2", ["3.0", "1.0", "0.0", "2.0", ""], [1, 0, 0, np.nan, np.nan]),
            ("ER", ["1", "0", "3+"], [np.nan] * 3),
        ],
    )
    def test_scores_of_her2_are_told_by_the_whole_column(self, tmp_path, column, cells, expected):
        table, log = self.values(tmp_path, column, cells)
        found = table.set_index("patient")["her2"]
        np.testing.assert_array_equal([found[f"p{i}"] for i in range(len(cells))], expected)
        scores = log.query("step == 'clinical her2' and item == 'her2'")["decision"].str.startswith("scores").any()
        assert scores == (expected[0:2] != [0, 1] and column != "ER")

    def test_ages(self, tmp_path):
        table, log = self.values(tmp_path, "AGE", ["55.5", "-1", "121", "old", "NA"])
        assert table["age"].notna().tolist() == [True, False, False, False, False]
        assert len(log.query("step == 'clinical age' and count == 1 and item != 'age'")) == 3

    def test_survival_needs_both(self, tmp_path):
        text = (
            "PATIENT_ID\tOS_MONTHS\tOS_STATUS\na\t1\t1:DECEASED\nb\t0\t1\nc\t\tDECEASED\nd\t3\t\ne\t2\tlost\nf\t-2\t0\n"
        )
        log = Decisions()
        table = read_clinical_table(save(tmp_path, text), log).set_index("patient")
        assert table["os_event"].dropna().index.tolist() == ["a"]
        assert table["os_days"].dropna().index.tolist() == ["a"]
        reasons = log.frame().query("step == 'survival'")["reason"].tolist()
        assert reasons == ["status without time"] * 2 + ["survival time without status"] * 2 + ["status without time"]

    def test_days_win_over_months(self, tmp_path):
        text = "PATIENT_ID\tOS_MONTHS\tOS_DAYS\tOS_STATUS\na\t1\t29\t1\n"
        assert read_clinical_table(save(tmp_path, text))["os_days"].tolist() == [29.0]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("Stage IIA", "STAGE IIA"), ("IIA", "STAGE IIA"), ("iv", "STAGE IV"), ("STAGE X", "STAGE X"), ("2", "2")],
    )
    def test_stage(self, text, expected):
        assert terms.stage(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Post (prior bilateral ovariectomy OR >12 mo since LMP)", "post"), ("Pre", "pre"),
            ("peri-menopausal", "peri"), ("Indeterminate", "Indeterminate"), ("", ""),
        ],
    )  # fmt: skip
    def test_menopause(self, text, expected):
        assert terms.menopause(text) == expected

    @given(st.text(max_size=30))
    def test_any_code_has_a_value_or_a_reason(self, text):
        for read in (terms.receptor, terms.event):
            value, reason = read(text)
            assert math.isnan(value) == bool(reason)
            assert value in (0.0, 1.0) or math.isnan(value)

    def test_no_name_means_two_columns(self):
        names = [name for known in terms.COLUMNS.values() for name in known]
        assert len(names) == len(set(names))
        for name in names:
            assert terms.column_key(name) == name

    def test_row_of_the_chosen_sample(self, tmp_path):
        text = "PATIENT_ID\tSAMPLE_ID\tER\np1\tTCGA-A1-A0SB-06\tNegative\np1\tTCGA-A1-A0SB-01\tPositive\n"
        log = Decisions()
        table = clinical_values(read_text_table(save(tmp_path, text), log), log, SampleIndex())
        assert table["er"].tolist() == [1.0]
        assert "clinical row" not in set(log.frame()["step"])

    def test_gaps_are_filled_and_survival_stays_a_pair(self, tmp_path):
        one = "PATIENT_ID\tAGE\tOS_DAYS\tOS_STATUS\tRACE\na\t\t5\t1\tWhite\nb\t40\t\t\t\n"
        two = "PATIENT_ID\tAGE\tOS_DAYS\tOS_STATUS\tRACE\na\t50\t9\t0\tAsian\nb\t60\t7\t1\tBlack\nc\t30\t1\t0\t\n"
        tables = [read_clinical_table(save(tmp_path, text, f"{i}.txt")) for i, text in enumerate((one, two))]
        table = fill_gaps(*tables)
        assert table[["patient", "age", "os_days", "os_event", "race"]].to_numpy().tolist() == [
            ["a", 50, 5, 1, "White"], ["b", 40, 7, 1, "Black"], ["c", 30, 1, 0, ""],
        ]  # fmt: skip


MAF = [
    ("TP53", "Missense_Mutation", "TCGA-A1-A0SB-01", "p.R175H"),
    ("TP53", "Silent", "TCGA-BH-A18V-01", "p.L1="),
    ("PIK3CA", "Missense_Mutation", "TCGA-BH-A18V-06", "p.H1047R"),
    ("PIK3CA", "Intron", "TCGA-A1-A0SB-01", ""),
    ("CDH1", "Frame_Shift_Del", "TCGA-E2-A1BD-01", "p.X1fs"),
    ("MLL3", "Nonsense_Mutation", "TCGA-E2-A1BD-01", "p.Q1*"),
]
NAMES = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode", "HGVSp_Short")
LISTED = ["TCGA-A1-A0SB-01", "TCGA-BH-A18V-01", "TCGA-E2-A1BD-01", "TCGA-AO-A03M-01"]


def maf_text(order: list[int] | None = None, more: str = "") -> str:
    order = order or [0, 1, 2, 3]
    lines = ["#version 2.4", "\t".join(NAMES[i] for i in order), *("\t".join(row[i] for i in order) for row in MAF)]
    return "\n".join(lines) + "\n" + more


class TestMutations:
    def read(self, path: Path, sequenced: list[str] | None = LISTED):
        log, selection = Decisions(), Selection()
        table, chosen = read_mutations(path, SampleIndex(), selection, log, sequenced=sequenced)
        return table, chosen, log, selection.frame()

    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
    def test_any_order_of_columns(self, tmp_path, order):
        table, chosen, _, _ = self.read(save(tmp_path, maf_text(order)))
        assert len(table) == 5
        assert set(chosen) == {"TCGA-A1-A0SB", "TCGA-BH-A18V", "TCGA-E2-A1BD", "TCGA-AO-A03M"}
        row = table.query("gene == 'TP53' and patient == 'TCGA-A1-A0SB'").iloc[0]
        assert (row["variant"], row["kind"], row["silent"]) == ("p.R175H", "Missense_Mutation", False)
        assert table.query("kind == 'Silent' or kind == 'Intron'")["silent"].all()
        assert "KMT2C" in set(table["gene"])

    def test_metastatic_sample_does_not_speak_for_the_patient(self, tmp_path):
        table, _, _, selection = self.read(save(tmp_path, maf_text()))
        assert "PIK3CA" not in set(table.query("patient == 'TCGA-BH-A18V'")["gene"])
        dropped = selection.query("not kept")
        assert dropped["id"].tolist() == ["TCGA-BH-A18V-06"]

    def test_drivers_one_zero_missing(self, tmp_path):
        table, chosen, log, _ = self.read(save(tmp_path, maf_text()))
        patients = [*sorted(chosen), "TCGA-ZZ-0001"]
        driver = driver_table(table, chosen, patients, ["TP53", "PIK3CA", "CDH1", "MLL3", "GATA3"], "m.txt", log)
        found = driver.set_index("patient")
        assert found.loc["TCGA-A1-A0SB", ["mut_TP53", "mut_PIK3CA"]].tolist() == [1, 0]
        assert found.loc["TCGA-BH-A18V", "mut_TP53"] == 0
        assert found.loc["TCGA-E2-A1BD", ["mut_CDH1", "mut_MLL3"]].tolist() == [1, 1]
        assert found.loc["TCGA-AO-A03M"].tolist() == [0.0] * 5
        assert found.loc["TCGA-ZZ-0001"].isna().all()
        items = log.frame().query("step == 'driver gene'")["item"].tolist()
        assert items == ["GATA3", "TCGA-ZZ-0001"]

    def test_without_a_list_only_those_with_a_variant(self, tmp_path):
        _, chosen, log, _ = self.read(save(tmp_path, maf_text()), None)
        assert "TCGA-AO-A03M" not in chosen
        assert "no list of sequenced samples" in log.frame()["reason"].iloc[0]

    def test_faults_of_rows(self, tmp_path):
        more = "TP53\t\tTCGA-A1-A0SB-01\tx\n\tSilent\tTCGA-A1-A0SB-01\tx\nA\tSilent\tS\tx\ty\nTP53\tSilent\n"
        _, _, log, _ = self.read(save(tmp_path, maf_text(more=more)))
        reasons = log.frame().query("step == 'mutation'")["reason"].tolist()
        assert reasons == ["no kind", "no gene", "5 cells where 4 are expected", "no sample"]

    @pytest.mark.parametrize("column", [0, 1, 2])
    def test_needed_column_is_absent(self, tmp_path, column):
        order = [i for i in range(4) if i != column]
        with pytest.raises(DataError, match=NAMES[column]):
            self.read(save(tmp_path, maf_text(order)))

    def test_status_of_a_call(self, tmp_path):
        text = "\t".join([*NAMES[:3], "Mutation_Status"]) + "\nTP53\tSilent\ts1\tSomatic\nTP53\tSilent\ts2\tWildtype\n"
        table, _, log, _ = self.read(save(tmp_path, text), ["s1", "s2"])
        assert table["patient"].tolist() == ["s1"]
        assert "mutation status is wildtype" in log.frame()["reason"].tolist()

    def test_empty_file_and_file_of_a_header(self, tmp_path):
        with pytest.raises(DataError, match="is empty"):
            self.read(save(tmp_path, ""))
        table, chosen, _, _ = self.read(save(tmp_path, "\t".join(NAMES) + "\n"))
        assert table.empty
        assert len(chosen) == 4
        assert table["silent"].dtype == bool
