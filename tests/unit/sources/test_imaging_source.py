"""What is taken of a source, system C's cohort, and the one entrance to all sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DataError, DownloadError
from radgen_lib.sources import nbia
from radgen_lib.sources.idc_index_query import index_series
from radgen_lib.sources.imaging_source import fetch_shard, list_source
from radgen_lib.sources.ledger import listing_frame, shard_of
from radgen_lib.sources.series_lists import (
    FLOW_COLUMNS,
    choose_series,
    field_strengths,
    not_dynamic,
    read_papers,
    reasons_against,
    system_c_flow,
    with_expression,
)
from tests.unit.sources.small_dicom import uid, write_series

NAMES = ["TCGA-AO-A03M", "TCGA-BH-A0AY", "TCGA-E2-A14T"]


def listing(**changes: Any) -> pd.DataFrame:
    return listing_frame(
        {"patient": name, "study": f"1.{i}", "series": f"1.{i}.{k}", "modality": "MR", "description": text,
         "manufacturer": "GE MEDICAL SYSTEMS", "model": "SIGNA EXCITE", **changes}
        for i, name in enumerate(NAMES) for k, text in enumerate(["Ax Vibrant MULTIPHASE", "AX T2", "CAD~ sub 1"])
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""), ("  ", ""), ("Ax Vibrant MULTIPHASE", ""), ("SAG 3D (POST-CONTRAST)", ""), ("dyn_eTHRIVE", ""),
        ("Ph3/ax 3d dyn MP", ""), ("t1_fl3d_tra_dynVIEWS_spair_ pre", ""), ("Bind(11251/7/97..146)", ""),
        ("WATER:Ax VIBRANT-DE", ""), ("Sag Vibrant +C", ""), ("PRE SAG FS", ""), ("brava  (1 Min.)", ""),
        ("3 plane loc", "localiser or calibration"), ("ASSET CAL", "localiser or calibration"),
        ("fl3d_sag_interVIEWS pilot", "localiser or calibration"), ("CAD~ REG CAD~ Sub 4", "subtraction"),
        ("(10185/8/186)-(10185/8/10)", "subtraction"), ("AX_dynVIEWS 2min gad_SUB_MIP_TRA", "subtraction"),
        ("CAD~ MIP", "derived image"), ("PJN", "derived image"), ("AX STIR-WaterSat", "T2, inversion or spin echo"),
        ("RT SAG FSE T1", "T2, inversion or spin echo"), ("T2W_SPAIR", "T2, inversion or spin echo"),
        ("dADC", "diffusion"), ("ax ep2d_diff_ORTHOGONALXYZ", "diffusion"), ("b=800", "diffusion"),
        ("FAT:Ax VIBRANT-DE", "fat or in-phase image of a Dixon pair"),
        ("Ax 3D T1 NON FS", "T1 without fat suppression"), ("ax t1", "description does not say dynamic T1"),
    ],
)  # fmt: skip
def test_descriptions(text: str, reason: str) -> None:
    assert not_dynamic(text) == reason


@given(st.text(max_size=40))
def test_case_and_outer_blanks_do_not_matter(text: str) -> None:
    if text.isascii():
        assert not_dynamic(text) == not_dynamic(text.upper()) == not_dynamic(f" {text} ")


def test_choice_by_series() -> None:
    table = listing()
    assert list(choose_series(table, Imaging(series="all"))["series"]) == list(table["series"])
    dynamic = choose_series(table, Imaging(series="dynamic"))
    assert list(dynamic["series"]) == ["1.0.0", "1.1.0", "1.2.0"] and not dynamic["status"].any()
    seg = listing(modality="SEG")
    assert len(choose_series(seg, Imaging(series="dynamic"))) == 9  # masks stay whatever they are called


def test_choice_by_patient_tells_who_is_not_there() -> None:
    some = choose_series(listing(), Imaging(series="dynamic", patients=[NAMES[1], "TCGA-XX-XXXX"]))
    assert some[["patient", "status"]].to_numpy().tolist() == [[NAMES[1], ""], ["TCGA-XX-XXXX", "missing"]]
    assert some["reason"][1] == "no series of the patient (dynamic)"


def test_nothing_chosen_is_an_error() -> None:
    with pytest.raises(ConfigError, match="none of 9 series"):
        choose_series(listing(description="AX T2"), Imaging(series="dynamic"))


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    path = tmp_path / "BTF_features.csv"
    rows = [f"{NAMES[0]}_1.0.2,0.1", f"{NAMES[2]}_1.2.0,0.2", f"{NAMES[2]}_1.2.99,0.3"]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_choice_of_the_papers(papers: Path) -> None:
    chosen = choose_series(listing(), Imaging(series="papers"), papers)
    assert dict(zip(chosen["series"], chosen["status"], strict=True)) == {
        "1.0.2": "", "1.2.0": "", "1.2.99": "missing",
    }  # fmt: skip
    assert chosen.set_index("series").loc["1.2.99", "reason"] == "the source does not list the series"
    one = choose_series(listing(), Imaging(series="papers", patients=[NAMES[0]]), papers)
    assert list(one["series"]) == ["1.0.2"]
    with pytest.raises(ConfigError, match="btf_features"):
        choose_series(listing(), Imaging(series="papers"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is empty"), ("TCGA-AO-A03M,1\n", "row 1: first cell"), ("\n", "row 1: first cell"),
     ("TCGA-AO-A03M_1.2,1\nTCGA-AO-A03M_1.2,1\n", "row 2: series stands twice")],
)  # fmt: skip
def test_broken_lists_of_the_papers(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        read_papers(path)


def test_most_series_of_the_papers_are_subtractions(mirror: Path) -> None:
    papers = read_papers(mirror / "Kylelhc_BC_RadiogenomicCPDM" / "data" / "BTF_features.csv")
    table = index_series("tcga_brca")
    described = table[table["series"].isin(papers["series"])]["description"].map(not_dynamic)
    assert described.value_counts().to_dict() == {
        "subtraction": 143, "": 42, "T2, inversion or spin echo": 1, "localiser or calibration": 1,
    }  # fmt: skip


def test_system_c_on_the_real_index() -> None:
    table = index_series("tcga_brca")
    flow = system_c_flow(table)
    assert list(flow.columns) == list(FLOW_COLUMNS) and set(flow["unit"]) == {"patient"}
    counts = flow.groupby(["step", "kept"], sort=False).size().to_dict()
    assert counts == {("C: MRI", True): 137, ("C: dynamic T1, GE", True): 106, ("C: dynamic T1, GE", False): 31}
    lost = flow.loc[~flow["kept"], "reason"].value_counts().to_dict()
    assert lost == {
        "scanned on SIEMENS": 15, "scanned on Philips Medical Systems": 15, "scanner model is not 1.5 T": 1,
    }  # fmt: skip


def test_system_c_goes_on_with_those_that_are_left() -> None:
    table = pd.concat([listing(), listing(patient="Z", manufacturer="SIEMENS"), listing(patient="Y", description="T2")])
    rows = [
        (NAMES[0], "post1", True, "", 1.494), (NAMES[1], "post1", True, "", 3.0),
        (NAMES[2], "post1", False, "uneven spacing", 1.5), (NAMES[2], "pre", True, "", 1.5),
    ]  # fmt: skip
    flow = system_c_flow(table, phases=ge_phases(*rows), expression={NAMES[0]})
    assert flow.groupby("step", sort=False)["kept"].agg(["size", "sum"]).to_numpy().tolist() == [
        [5, 5], [5, 3], [3, 2], [2, 1], [1, 1],
    ]  # fmt: skip
    assert flow.loc[~flow["kept"], ["id", "reason"]].to_numpy().tolist() == [
        ["Y", "no dynamic T1 series by description"], ["Z", "scanned on SIEMENS"],
        [NAMES[2], "no post-contrast phase kept: uneven spacing"], [NAMES[1], "3 T"],
    ]  # fmt: skip
    nobody = system_c_flow(table, phases=ge_phases())
    reasons = nobody.loc[nobody["step"] == "C: post-contrast phase", "reason"]
    assert set(reasons) == {"no post-contrast phase on GE"}
    untold = system_c_flow(table, phases=ge_phases((NAMES[0], "post1", True, "", float("nan"))))
    assert untold.loc[untold["step"] == "C: 1.5 T", "reason"].tolist() == ["field strength unknown"]
    none = system_c_flow(table, expression=set())
    assert (none.loc[none["step"] == "C: expression", "reason"] == "no matched expression").all()


def ge_phases(*rows: tuple[str, str, bool, str, float]) -> pd.DataFrame:
    """Phases on GE: patient, phase, kept, reason, field_strength."""
    columns = ["patient", "phase", "kept", "reason", "field_strength"]
    return pd.DataFrame(list(rows), columns=columns).assign(manufacturer="GE MEDICAL SYSTEMS")


def test_field_strength_is_that_of_the_ge_post_phase_nearest_to_what_system_c_asks() -> None:
    phases = ge_phases(
        ("A", "post1", True, "", 3.0), ("A", "post2", True, "", 1.494), ("A", "post3", True, "", float("nan")),
        ("B", "post1", True, "", 3.0), ("B", "post1", True, "", 1.5), ("C", "post1", True, "", float("nan")),
        ("D", "post1", True, "", 1.5), ("E", "post1", True, "", 3.0), ("E", "localiser", False, "localiser", 1.5),
        ("E", "post2", False, "uneven spacing", 1.5), ("E", "pre", True, "", 1.5),
    )  # fmt: skip
    phases.loc[4, "manufacturer"], phases.loc[6, "manufacturer"] = "SIEMENS", None
    assert field_strengths(phases) == {"A": 1.494, "B": 3.0, "E": 3.0}
    assert field_strengths(phases[:0].astype({"field_strength": float})) == {}


def test_matched_expression_is_a_sample_in_the_matrix() -> None:
    clinical = pd.DataFrame({"patient": ["A", "B", "C"], "sample_expression": ["A-01", "", None], "sample_cnv": "x"})
    assert with_expression(clinical) == {"A"}
    assert with_expression(clinical.drop(columns="sample_expression")) == set()


def test_entrance_fetches_one_shard_of_patients(tmp_path: Path) -> None:
    for number in range(6):
        write_series(tmp_path / "in" / str(number), f"P{number}", (number, 1), 2)
    write_series(tmp_path / "in" / "t2", "P0", (0, 2), 1, SeriesDescription="AX T2")
    (tmp_path / "in" / "broken.dcm").write_bytes(b"?")
    imaging = Imaging(source="folder", location=str(tmp_path / "in"), shards=3)
    shards = [fetch_shard(imaging, tmp_path / "data", shard=k, offline=True, jobs=2) for k in range(3)]
    assert sorted(name for shard in shards for name in shard["patient"]) == ["", *(f"P{i}" for i in range(6))]
    for k, shard in enumerate(shards):
        assert all(shard_of(name, 3) == k for name in shard["patient"])
    assert not (tmp_path / "data" / "dicom" / "P0" / uid(0) / uid(0, 2)).exists()


def test_phantom_is_told_to_use_its_rule(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Use the phantom rule"):
        fetch_shard(Imaging(source="phantom"), tmp_path, shard=0, offline=True, jobs=1)


@pytest.mark.parametrize("source", ["nbia", "dicomweb"])
def test_offline_lists_the_store(tmp_path: Path, source: Any) -> None:
    imaging = Imaging(source=source, location="http://127.0.0.1:9", collection="tcga_brca", series="dynamic")
    with pytest.raises(DownloadError, match="offline and none are in the store"):
        list_source(imaging, tmp_path, offline=True)
    write_series(tmp_path / "dicom" / "P1" / uid(1) / uid(1, 1), "P1", (1, 1), 2)
    ledger = fetch_shard(imaging, tmp_path, shard=0, offline=True, jobs=1)
    assert ledger[["patient", "status", "n_files", "origin"]].to_numpy().tolist() == [["P1", "ok", 2, source]]


def test_online_asks_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nbia, "list_series", lambda imaging: listing())
    assert len(list_source(Imaging(source="nbia"), tmp_path, offline=False)) == 9


def test_idc_offline_lists_the_index_and_misses_everything(tmp_path: Path) -> None:
    imaging = Imaging(source="idc", collection="tcga_brca", patients=["TCGA-AO-A03M"])
    ledger = fetch_shard(imaging, tmp_path, shard=0, offline=True, jobs=4)
    table = index_series("tcga_brca")
    want = table[(table["patient"] == "TCGA-AO-A03M") & (reasons_against(table, "dynamic") == "")]
    assert sorted(ledger["series"]) == sorted(want["series"]) and set(ledger["status"]) == {"missing"}
    assert ledger["expected_files"].sum() == want["n_files"].sum() and not list(tmp_path.iterdir())
