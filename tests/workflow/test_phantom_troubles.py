"""Every planted fault, met through the workflow: named with a reason or read all the same; nothing else is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import yaml

from radgen_lib.core.config.load import resolve
from radgen_lib.core.config.phantom import Phantom, Trouble
from radgen_lib.sources.phantom.dicom_troubles import EXPECTED
from radgen_lib.sources.phantom.image_faults import IDENTIFYING
from radgen_lib.sources.phantom.patients import imaged_patients
from radgen_lib.sources.phantom.table_troubles import LONELY_SAMPLE, TABLE_TROUBLES
from radgen_lib.sources.phantom.truth import Truth, draw_truth
from tests.workflow.driver import ROOT, Outcome, Workspace, made_up

pytestmark = pytest.mark.workflow
PAGE, PATIENTS = "results/phantom/report/data.html", "results/phantom/cohort/patients.parquet"
SHARD, OMICS, TRUTH = "results/phantom/imaging/shard-0", "results/phantom/omics", "data/phantom/truth"
SHAPE = [8, 32, 32]
# What the row of a series, or of one file of it, must say; the other faults are read all the same.
REASONS = {
    "truncated_dicom": r"missing slices: 1 of 8",
    "two_patients_in_one_series": r"two patients in one series",
    "mixed_orientations": r"mixed orientations",
    "missing_slices": r"missing slices: 2 of 8",
    "no_pixel_data": r"all 8 images refused: no pixel data",
    "patient_id_disagrees": r"PatientID disagrees",
    "gantry_tilt": r"gantry tilt: .* 12\.0 degrees",
    "uneven_spacing": r"uneven spacing",
}
FILE_REASONS = {
    "truncated_dicom": r"truncated: \d+ of 2048 bytes",
    "not_dicom": r"not a DICOM file",
}


def settings(share: float) -> dict[str, Any]:
    """The phantom with every fault; as many patients and genes as tell an exchange of samples from chance."""
    phantom = {"patients": 18, "omics_only": 60, "genes": 200, "shape": SHAPE, "troubles": list(get_args(Trouble))}
    imaging = {"registration": "none", "nifti": False, "volume": SHAPE}
    return {"phantom": {"max_excluded_share": share, "imaging": imaging, "phantom": phantom}}


def arguments(share: float) -> list[str]:
    cohorts = yaml.safe_dump(settings(share), default_flow_style=True, width=10_000).strip()
    return ["run=[phantom]", f"cohorts={cohorts}"]


class Run:
    """The finished run: its tables, and the truth drawn anew, which no fault has touched."""

    def __init__(self, workspace: Workspace, outcome: Outcome) -> None:
        self.workspace, self.outcome = workspace, outcome
        tree = yaml.safe_load((ROOT / "config.yaml").read_text())
        config = resolve(tree, {"preset": "mini", "cohorts": settings(0.6)})
        spec = config.cohorts["phantom"].phantom
        assert isinstance(spec, Phantom)
        self.spec, self.seed = spec, config.seed
        self.truth: Truth = draw_truth(spec, config.seed)
        self.troubles = self.table(f"{TRUTH}/troubles.parquet")
        self.phases, self.series = (self.table(f"{SHARD}/{name}.parquet") for name in ("phases", "series"))
        self.selection = self.table(f"{SHARD}/selection.parquet")

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.workspace.folder / name)

    def of(self, trouble: str) -> pd.DataFrame:
        return self.troubles[self.troubles["trouble"] == trouble]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("troubles")
    workspace = Workspace(folder / "run", made_up(folder / "released"))
    outcome = workspace.run(PAGE, PATIENTS, config=arguments(0.6))
    assert outcome.code == 0, outcome.text[-20000:]
    return Run(workspace, outcome)


@pytest.fixture(scope="module")
def decisions(ran: Run) -> pd.DataFrame:
    table = ran.table(f"{OMICS}/decisions.parquet")
    return table[table["item"] != "rule"]


def said(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Rows whose columns hold these words."""
    kept = np.logical_and.reduce([table[name].astype(str).str.contains(word) for name, word in wanted.items()])
    return table[kept]


def test_every_fault_is_planted_once_and_images_faults_in_different_patients(ran: Run) -> None:
    assert set(ran.troubles["trouble"]) == set(get_args(Trouble)) == {*EXPECTED, *TABLE_TROUBLES}
    images = ran.troubles[ran.troubles["patient"] != ""]
    assert images["patient"].nunique() == len(EXPECTED) and not images["patient"].isin(["nan"]).any()
    assert images.groupby("patient")["trouble"].nunique().eq(1).all()


@pytest.mark.parametrize("trouble", sorted(EXPECTED))
def test_a_series_is_refused_with_its_reason_or_read_all_the_same(ran: Run, trouble: str) -> None:
    planted = ran.of(trouble)
    rows = ran.series[ran.series["series"].isin(planted["series"])]
    assert sorted(rows["series"]) == sorted(planted["series"])  # once each, also the one that came twice
    if trouble in REASONS:
        assert len(rows) == 1 and not rows["kept"].any()
        assert re.search(REASONS[trouble], rows["reason"].iloc[0])
    else:
        assert rows["kept"].all() and (rows["reason"] == "").all()
    if trouble in FILE_REASONS:
        files = ran.selection[(ran.selection["step"] == "files") & (ran.selection["id"] == planted["patient"].iloc[0])]
        (file,) = files.to_dict("records")
        assert not file["kept"] and re.search(FILE_REASONS[trouble], file["reason"])
        assert file["row"] == planted["where"].iloc[0]


def test_no_other_file_series_or_contrast_phase_is_lost(ran: Run) -> None:
    refused = ran.troubles[ran.troubles["trouble"].isin(REASONS)]
    lost = ran.selection[~ran.selection["kept"].astype(bool)]
    assert len(lost[lost["step"] == "files"]) == len(FILE_REASONS)
    contrast = lost[(lost["step"] == "series") & ~lost["reason"].str.fullmatch(r"\w+: not a contrast phase")]
    assert set(contrast["row"]) == set(refused["series"])
    phases = ran.phases[ran.phases["phase"].str.fullmatch(r"pre|post\d")]
    assert set(phases.loc[~phases["kept"], "series"]) <= set(refused["series"])


def test_the_volumes_of_all_that_was_kept_are_those_of_the_clean_truth(ran: Run) -> None:
    refused = set(ran.troubles.loc[ran.troubles["trouble"].isin(REASONS), "series"])
    written = ran.table(f"{TRUTH}/lesions_images.parquet")
    written = written[~written["series"].isin(refused)]
    keys = ["patient", "study_number", "series", "seconds"]
    kept = ran.phases[ran.phases["kept"]].round({"seconds": 1}).set_index(keys)
    assert set(kept.index) == set(written.round({"seconds": 1}).set_index(keys).index)
    stored = np.load(ran.workspace.folder / SHARD / "volumes.npy", mmap_mode="r", allow_pickle=False)
    clean = {
        (patient.name, study.number, phase.label): phase.values
        for patient in imaged_patients(ran.truth, ran.spec.model_copy(update={"troubles": []}), ran.seed)
        for study in patient.studies()
        for phase in patient.acquired(study.number).phases
    }
    for row in written.round({"seconds": 1}).to_dict("records"):
        found = kept.loc[tuple(row[key] for key in keys)]
        expected = clean[row["patient"], row["study_number"], row["phase"]].astype(np.float64)
        # The grid is the acquired one, so that only the rounding of float16 is left.
        got = np.asarray(stored[int(found["row"])], dtype=np.float64) * found["scale"]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * expected.max(), err_msg=str(found["volume"]))
    assert len(kept) > 70


def test_identifying_attributes_are_named_and_their_values_written_nowhere(ran: Run) -> None:
    rows = ran.series[ran.series["series"].isin(ran.of("identifying_attributes")["series"])]
    assert len(rows) and all(set(names.split(",")) >= set(IDENTIFYING) for names in rows["identifying"])
    assert (ran.series.loc[~ran.series.index.isin(rows.index), "identifying"] == "").all()
    texts = [(ran.workspace.folder / PAGE).read_text(), ran.outcome.text]
    tables = (ran.workspace.folder / "results").rglob("*.parquet")
    texts += [pd.read_parquet(path).to_csv() for path in tables]
    texts += [path.read_text() for path in (ran.workspace.folder / "logs").rglob("*.log")]
    assert not [value for value in IDENTIFYING.values() for text in texts if value in text]


def test_tables_with_faults_are_read_all_the_same_or_named(ran: Run, decisions: pd.DataFrame) -> None:
    (twice,) = said(decisions, step="gene rows twice").to_dict("records")
    assert ran.of("gene_rows_twice")["where"].iloc[0].startswith(f"{twice['table']}: {twice['item']}: ")
    assert "row 2 has" in twice["reason"]  # the row at the end has numbers of larger variance
    line = re.search(r"row (\d+), ETHNICITY", ran.of("not_utf8")["where"].iloc[0]).group(1)
    (text,) = said(decisions, step="text").to_dict("records")
    assert text["item"] == f"line {line}" and text["decision"] == "read as Latin-1"
    (empty,) = said(decisions, step="methylation", decision="left out").to_dict("records")
    assert "a header and no rows" in empty["reason"]
    assert json.loads((ran.workspace.folder / OMICS / "tensor_omics.json").read_text()) == ["expression", "copy_number"]
    lonely = LONELY_SAMPLE.removesuffix("-01")
    assert said(decisions, step="patient", item=lonely)["reason"].tolist() == [
        "has copy_number only",
        "no clinical row",
    ]


def test_the_matrix_that_came_twice_and_the_exchanged_samples_are_flagged(ran: Run) -> None:
    quality = ran.table(f"{OMICS}/quality.parquet")
    flagged = quality[quality["flag"]]
    assert flagged.loc[flagged["check"] == "matrix twice", "item"].tolist() == ["data_linear_cna.txt"]
    swapped = re.findall(r"PHAN-\w\w-\w{4}", ran.of("sample_swap")["where"].iloc[0])
    assert len(swapped) == 2
    assert sorted(flagged.loc[flagged["check"] == "sample swap", "item"]) == sorted(swapped)
    assert set(flagged["check"]) == {"matrix twice", "sample swap"}


def test_labels_and_survival_are_those_of_the_clean_truth(ran: Run) -> None:
    patients = ran.table(PATIENTS).set_index("patient")
    truth = ran.truth.patients.set_index("patient")
    assert set(patients.index) == set(truth.index)
    truth = truth.loc[patients.index]
    for label in ("er", "pr", "her2", "mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_event", "age", "stage"):
        known = patients[label].notna()
        assert known.mean() > 0.6 and (patients.loc[known, label] == truth.loc[known, label]).all(), label
    np.testing.assert_allclose(patients["os_days"], truth["os_days"], atol=1.0)
    # Every sagittal study has its image: no fault sits in a first post-contrast phase.
    sagittal = truth["n_studies"].where(truth["view"] == "sagittal", 0)
    assert (patients["n_images"] == sagittal).all()


def test_the_page_names_what_was_lost(ran: Run) -> None:
    page = (ran.workspace.folder / PAGE).read_text()
    words = [*(pattern.split(":")[0].split(r" \(")[0] for pattern in REASONS.values()), "one matrix under two names"]
    assert not [word for word in words if not re.search(word, page)]
    assert "sample swap" in page and "read as Latin-1" in page and "a header and no rows" in page


def test_too_much_lost_is_one_line_and_the_page_stays(ran: Run, tmp_path: Path) -> None:
    workspace = ran.workspace.copy(tmp_path / "strict")
    page = workspace.folder / PAGE
    page.unlink()
    outcome = workspace.run(PAGE, PATIENTS, config=arguments(0.01))
    assert outcome.code != 0 and "Traceback" not in outcome.text
    (line,) = outcome.complaints
    assert re.search(r"rule \w+: .*\d+ of \d+ phases \(\d+%\) cannot be used, more than", line)
    assert "max_excluded_share = 0.01" in line
    assert "missing slices" in page.read_text()
