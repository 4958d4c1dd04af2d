"""Labels of the patients of a tensor: which table a receptor comes from, what is counted, and what stops or is told."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.cohort.factor_labels import LABEL_COLUMNS, FactorLabels, factor_labels, origin_note
from radgen_lib.cohort.selection import SELECTION_COLUMNS
from radgen_lib.core.errors import DataError
from radgen_lib.sources.reference.multiomics import read_tcga2012
from radgen_lib.sources.reference.subtypes import read_pam50_receptors
from radgen_lib.sources.registry import load_registry

A, B, C, D, E, STRANGER = (f"TCGA-A1-000{i}" for i in range(6))
EVERYONE = [D, A, C, B, E, STRANGER]
# er, pr, her2 of the patient table; then what the further table says.
OWN = {A: (1, 1, 1), B: (0, np.nan, np.nan), C: (np.nan, 0, 0), D: (1, 1, np.nan), E: (np.nan, np.nan, 1)}
FURTHER = {
    A: ("Positive", "Positive", "Negative"), B: ("Negative", "Not Performed", "Positive"),
    C: ("Positive", "", "Not Available"), D: ("Indeterminate", "Negative", "Equivocal"),
    E: ("Negative", "Positive", "Equivocal"), STRANGER: ("Negative", "Negative", "Negative"),
}  # fmt: skip


def patients() -> pd.DataFrame:
    rows = [(name, *status, 0.0, 1.0, 0.0, 900.0, 1.0, 55.0, "BRCA_LumA") for name, status in OWN.items()]
    columns = ["patient", "er", "pr", "her2", "mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_days", "os_event", "age"]
    return pd.DataFrame(rows, columns=[*columns, "subtype"])


def write(tmp_path: Path, *more: str) -> Path:
    lines = ["ID,Gender,Age,ER,PR,HER2,PAM50"]
    lines += [f"{name},FEMALE,50,{er},{pr},{her2},Luminal A" for name, (er, pr, her2) in FURTHER.items()]
    path = tmp_path / "TC_Pam50.csv"
    path.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return path


def found(path: Path, **settings: float) -> FactorLabels:
    return factor_labels(EVERYONE, patients(), read_pam50_receptors(path, whole=False), path=path, **settings)


def test_the_further_table_stands_before_the_patient_table(tmp_path: Path) -> None:
    table = found(write(tmp_path)).table
    assert list(table.columns) == list(LABEL_COLUMNS) and table["patient"].tolist() == EVERYONE
    table = table.set_index("patient")
    assert table["er"].to_dict() == {A: 1, B: 0, C: 1, D: 1, E: 0, STRANGER: 0}
    assert table["er_from"].to_dict() == {
        A: "same", B: "same", C: "further", D: "patients", E: "further", STRANGER: "further",
    }  # fmt: skip
    assert table.loc[[A, D, C], "pr"].tolist() == [1, 0, 0] and np.isnan(table.loc[B, "pr"])
    assert table.loc[[A, B, C, D], "pr_from"].tolist() == ["same", "", "patients", "different"]


def test_equivocal_her2_stays_open_whatever_the_patient_table_says(tmp_path: Path) -> None:
    table = found(write(tmp_path)).table.set_index("patient")
    assert np.isnan(table.loc[[D, E], "her2"]).all() and table.loc[[D, E], "her2_from"].tolist() == ["", ""]
    assert table.loc[[A, B, C], "her2"].tolist() == [0, 1, 0]
    assert table.loc[[A, B, C], "her2_from"].tolist() == ["different", "further", "patients"]


def test_all_but_receptors_is_the_patient_tables(tmp_path: Path) -> None:
    table = found(write(tmp_path)).table.set_index("patient")
    facts = ["mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_days", "os_event", "age", "subtype"]
    pd.testing.assert_frame_equal(table.loc[list(OWN), facts], patients().set_index("patient")[facts])
    assert table.loc[STRANGER, facts[:-1]].isna().all() and table.loc[STRANGER, "subtype"] == ""


def test_without_a_further_table_the_patient_table_is_taken_as_it_is() -> None:
    labels = factor_labels(EVERYONE, patients())
    table = labels.table.set_index("patient")
    names = ["er", "pr", "her2"]
    pd.testing.assert_frame_equal(table.loc[list(OWN), names], patients().set_index("patient")[names])
    assert set(table["er_from"]) == {"patients", ""} and origin_note(table["er_from"]) == ""
    assert set(labels.selection["source"]) == {"patients table"}


def test_each_status_is_a_row_and_one_that_gives_way_another(tmp_path: Path) -> None:
    table = found(write(tmp_path)).selection
    assert list(table.columns) == list(SELECTION_COLUMNS)
    assert len(table) == 3 * len(EVERYONE) + 2
    gave_way = table[table["reason"].str.contains("which stands")]
    assert set(gave_way["id"] + gave_way["step"]) == {f"{A}label her2", f"{D}label pr"} and not gave_way["kept"].any()
    assert "positive here, negative in TC_Pam50.csv, which stands" in gave_way["reason"].tolist()


def test_an_equivocal_finding_is_told_apart_from_an_unknown_status(tmp_path: Path) -> None:
    """The patient table calls E positive and knows nothing of D; of PR in B neither table has a status."""
    table = found(write(tmp_path)).selection
    lost = table[~table["kept"] & ~table["reason"].str.contains("which stands")].set_index(["id", "step"])
    assert set(lost["source"]) == {"TC_Pam50.csv"}
    assert lost["reason"].to_dict() == {
        (E, "label her2"): "her2 is equivocal in TC_Pam50.csv, so it stays open; positive in the patient table",
        (D, "label her2"): "her2 is equivocal in TC_Pam50.csv, so it stays open",
        (B, "label pr"): "pr is not known",
    }


def test_an_unknown_code_is_told_with_file_row_and_value(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "TCGA-A1-0009,FEMALE,50,Perhaps,Negative,Negative,Luminal A")
    with caplog.at_level(logging.WARNING, logger="radgen"):
        table = found(path).selection
    row = table[table["id"] == "TCGA-A1-0009"].iloc[0]
    assert (row["source"], row["row"], row["kept"]) == ("TC_Pam50.csv", "8", False)
    assert row["reason"].startswith("ER 'Perhaps' is none of 'Positive'")
    assert "1 rows of TC_Pam50.csv set aside, first: row 8, ER 'Perhaps'" in caplog.text


def test_too_many_such_rows_stop(tmp_path: Path) -> None:
    path = write(tmp_path, *(f"TCGA-A1-002{i},FEMALE,50,Perhaps,Negative,Negative,Luminal A" for i in range(3)))
    with pytest.raises(DataError, match=r"TC_Pam50\.csv, row 8: 3 of 9 rows \(33%\) were set aside"):
        found(path, max_excluded_share=0.2)


def test_nobody_of_the_tensor_in_the_patient_table_stops() -> None:
    with pytest.raises(DataError, match="holds none of the 1 patients of the factors"):
        factor_labels([STRANGER], patients())


def test_the_note_counts_every_origin() -> None:
    origins = pd.Series(["same"] * 4 + ["different"] * 3 + ["further"] * 2 + ["patients"])
    assert origin_note(origins) == (
        "status from the TCGA 2012 table: 4 the same in the cohort's own receptors, 3 different there, 2 unknown "
        "there; 1 from the cohort's own receptors alone"
    )
    assert origin_note(None) == "" and origin_note(pd.Series([], dtype=object)) == ""


def test_receptors_of_the_public_tensor(mirror: Path) -> None:
    """What docs/explanation/factors.md says: 457, 456 and 454 of 463 patients, and no ER or PR that differs."""
    registry = load_registry()
    path = mirror / str(registry["pam50_receptors"].mirror_path)
    reference = read_pam50_receptors(path)
    assert reference.faults.empty
    everyone = read_tcga2012(mirror / str(registry["tcga2012_chr17"].mirror_path)).table.index.tolist()
    nothing = patients().assign(patient=everyone[:5], er=np.nan, pr=np.nan, her2=np.nan)
    table = factor_labels(everyone, nothing, reference, path=path).table
    assert len(table) == 463
    assert table[["er", "pr", "her2"]].notna().sum().tolist() == [457, 456, 453]
    assert table[["er", "pr", "her2"]].sum().tolist() == [354, 305, 68]
