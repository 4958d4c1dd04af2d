"""Identifier normalisation: every spelling of the sources, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.cohort.ids import is_patient_id, patient_id, series_uid, site_of

CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=4, max_size=4)
SITES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=2)


@pytest.mark.parametrize(
    "text",
    [
        "TCGA.3C.AAAU", "TCGA-3C-AAAU", "TCGA-3C-AAAU-01", "TCGA-3C-AAAU-01A-11R-A41B-07", "TCGA.3C.AAAU.1",
        "TCGA.3C.AAAU.2", "TCGA-3C-AAAU_1.3.6.1.4.1.14519", " TCGA-3C-AAAU ",
    ],
)  # fmt: skip
def test_spellings_of_the_sources(text: str) -> None:
    assert patient_id(text) == "TCGA-3C-AAAU"
    assert site_of(text) == "3C"


@pytest.mark.parametrize(
    "text",
    ["", "MB.0362", "TCGA", "TCGA-3C", "TCGA-3C-AAA", "TCGA-3C-AAAUX", "TCGA 3C AAAU", "tcga-3c-aaau", "XTCGA-3C-AAAU"],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a TCGA identifier"):
        patient_id(text)


@given(SITES, CODES, st.sampled_from(".-"), st.sampled_from(["", ".1", ".2", "-01", "-01A", "_1.2.3"]))
def test_normal_form_is_a_fixed_point(site: str, code: str, separator: str, suffix: str) -> None:
    normal = patient_id(f"TCGA{separator}{site}{separator}{code}{suffix}")
    assert normal == f"TCGA-{site}-{code}"
    assert is_patient_id(normal)
    assert patient_id(normal) == normal
    assert site_of(normal) == site


def test_is_patient_id_takes_the_normal_form_only() -> None:
    assert not is_patient_id("TCGA.3C.AAAU")
    assert not is_patient_id("TCGA-3C-AAAU-01")


def test_series_uid() -> None:
    assert series_uid("TCGA-AO-A03M_1.3.6.1") == "1.3.6.1"
    for wrong in ("TCGA-AO-A03M", "TCGA-AO-A03M_", "TCGA-AO-A03M_abc", "1.3.6.1"):
        with pytest.raises(ValueError):
            series_uid(wrong)
