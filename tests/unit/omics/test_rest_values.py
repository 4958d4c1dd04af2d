"""Values of the REST service fill the gaps of a study and replace nothing; every difference is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.clinical import CLINICAL_COLUMNS
from radgen_lib.omics.study.decisions import Choices, Decisions
from radgen_lib.omics.study.read import Study
from radgen_lib.omics.study.rest import with_rest
from radgen_lib.sources.cbioportal import REST_COLUMNS

PEOPLE = ("TCGA-AO-A03M", "TCGA-AO-A03V", "TCGA-AR-A1AX", "TCGA-E2-A1IE")
NAN = float("nan")


def study(**columns: list[object]) -> Study:
    """A study whose clinical table has these columns for :data:`PEOPLE`, and gaps in the others."""
    usual: dict[str, object] = {
        name: NAN if name in ("age", "er", "pr", "her2", "os_days", "os_event") else "" for name in CLINICAL_COLUMNS
    }
    clinical = pd.DataFrame({**usual, "patient": list(PEOPLE), **columns})
    nothing = pd.DataFrame()
    clinical["sample_expression"] = "x"
    return Study((), clinical, nothing, nothing, Decisions().frame(), nothing, nothing, Choices(), Decisions().losses())


def rest(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    """A table of (patient, sample, attribute, value)."""
    table = pd.DataFrame(rows, columns=["PATIENT_ID", "SAMPLE_ID", "ATTRIBUTE", "VALUE"]).assign(STUDY_ID="s")
    path = folder / "rest.tsv"
    table[list(REST_COLUMNS)].to_csv(path, sep="\t", index=False)
    return path


def of_patients(attribute: str, *values: str) -> list[tuple[str, str, str, str]]:
    return [(who, "", attribute, value) for who, value in zip(PEOPLE, values, strict=False)]


def told(found: Study) -> list[tuple[object, ...]]:
    rows = found.decisions.drop(columns="table").itertuples(index=False, name=None)
    return [row for row in rows if row[0] == "clinical (REST)" and row[1] != "rule"]


def test_gaps_are_filled_and_the_study_stays(tmp_path: Path) -> None:
    before = study(er=[1.0, NAN, 0.0, NAN], menopause=["", "pre", "", ""], age=[50.0, NAN, NAN, NAN])
    er = of_patients("ER_STATUS_BY_IHC", "Positive", "Negative", "Positive", "Indeterminate")
    menopause = of_patients("MENOPAUSE_STATUS", "Post (prior bilateral ovariectomy)", "Peri (6-12 months)")
    found = with_rest(before, rest(tmp_path, *er, *menopause, *of_patients("AGE", "50.00", "61")))
    clinical = found.clinical.set_index("patient")
    np.testing.assert_array_equal(clinical["er"], [1, 0, 0, NAN])
    assert clinical["menopause"].tolist() == ["post", "pre", "", ""]
    np.testing.assert_array_equal(clinical["age"], [50, 61, NAN, NAN])
    assert list(found.clinical) == list(before.clinical) and set(clinical["sample_expression"]) == {"x"}
    pd.testing.assert_series_equal(found.clinical.dtypes, before.clinical.dtypes)
    kept = "the study's value is kept"
    assert told(found) == [
        ("clinical (REST)", "age", "filled", "the study has no value", 1),
        ("clinical (REST)", "er", "filled", "the study has no value", 1),
        ("clinical (REST)", "TCGA-AR-A1AX er", kept, "it is 0.0, the service says 1.0", 1),
        ("clinical (REST)", "menopause", "filled", "the study has no value", 1),
        ("clinical (REST)", "TCGA-AO-A03V menopause", kept, "it is pre, the service says peri", 1),
    ]
    reasons = set(found.decisions["reason"])
    assert "Indeterminate is neither positive nor negative" in reasons


def test_the_sample_that_stands_for_the_patient_counts(tmp_path: Path) -> None:
    who = PEOPLE[0]
    rows = [(who, f"{who}-{k}", "ER_STATUS", said) for k, said in (("06", "Negative"), ("11", "Negative"))]
    found = with_rest(study(), rest(tmp_path, (who, f"{who}-01", "ER_STATUS", "Positive"), *rows))
    assert found.clinical["er"].iloc[0] == 1.0
    # An attribute of patients goes before one of samples.
    both = with_rest(study(), rest(tmp_path, *rows, *of_patients("ER_STATUS_BY_IHC", "Positive")))
    assert both.clinical["er"].iloc[0] == 1.0


def test_survival_is_a_pair(tmp_path: Path) -> None:
    before = study(os_days=[100.0, NAN, NAN, NAN], os_event=[1.0, NAN, NAN, NAN])
    times, events = of_patients("OS_MONTHS", "10", "20", "30"), of_patients("OS_STATUS", "0:LIVING", "1:DECEASED")
    found = with_rest(before, rest(tmp_path, *times, *events))
    np.testing.assert_allclose(found.clinical["os_days"], [100, 20 * 30.4375, NAN, NAN])
    np.testing.assert_array_equal(found.clinical["os_event"], [1, 1, NAN, NAN])
    items = [row[1] for row in told(found)]
    assert items == ["os_days", f"{PEOPLE[0]} os_days", "os_event", f"{PEOPLE[0]} os_event"]
    assert (found.clinical["os_days"].notna() == found.clinical["os_event"].notna()).all()


def test_strangers_contradictions_and_attributes_without_meaning(tmp_path: Path) -> None:
    rows = [
        ("TCGA-XX-0000", "", "AGE", "50"), *of_patients("AGE", "44", "55"), (PEOPLE[0], "", "AGE", "45"),
        *of_patients("AGE", "44"), *of_patients("TMB_NONSYNONYMOUS", "1.5"), *of_patients("ER_STATUS", "Positive"),
        *of_patients("ER_STATUS_BY_IHC", "Negative"),
    ]  # fmt: skip
    found = with_rest(study(), rest(tmp_path, *rows))
    assert math.isnan(found.clinical["age"].iloc[0]) and found.clinical["age"].iloc[1] == 55
    assert found.clinical["er"].iloc[0] == 0.0 and len(found.clinical) == len(PEOPLE)
    rows = {(row[1], row[2], row[4]) for row in told(found)}
    assert rows == {
        (f"{PEOPLE[0]} AGE", "missing", 1), ("ER_STATUS", "not used", 1), ("TMB_NONSYNONYMOUS", "not used", 1),
        ("patients", "left out", 1), ("age", "filled", 1), ("er", "filled", 1),
    }  # fmt: skip


def test_nothing_of_use_changes_nothing(tmp_path: Path) -> None:
    before = study(er=[1.0, NAN, 0.0, NAN])
    for rows in ([], of_patients("TMB", "1"), [*of_patients("AGE", "1"), *of_patients("AGE", "2")]):
        found = with_rest(before, rest(tmp_path, *rows))
        pd.testing.assert_frame_equal(found.clinical, before.clinical)


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rest.tsv"
    path.write_text("<html>\n")
    with pytest.raises(DataError, match=r"rest\.tsv.*PATIENT_ID.*asked again"):
        with_rest(study(), path)


CODES = ["", "Positive", "Negative", "Equivocal"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1.0, 0.0, NAN]), st.sampled_from(CODES)), min_size=4, max_size=4))
def test_what_the_study_has_is_never_replaced(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[float, str]]
) -> None:
    before = study(er=[mine for mine, _ in cells])
    path = rest(tmp_path_factory.mktemp("rest"), *of_patients("ER_STATUS", *(theirs for _, theirs in cells)))
    found = with_rest(before, path)
    meant = {"Positive": 1.0, "Negative": 0.0}
    for (mine, theirs), value in zip(cells, found.clinical["er"], strict=True):
        wanted = mine if not math.isnan(mine) else meant.get(theirs, NAN)
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))
    differ = sum(theirs in meant and not math.isnan(mine) and meant[theirs] != mine for mine, theirs in cells)
    assert sum(row[2] == "the study's value is kept" for row in told(found)) == differ
