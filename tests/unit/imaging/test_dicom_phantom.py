"""The phantom's DICOM through scan, phases and volumes: every planted fault gets the verdict that its plan states."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.read import read_volume
from radgen_lib.imaging.dicom.scan import Scan, scan
from radgen_lib.sources.phantom.acquisition import Acquisition
from radgen_lib.sources.phantom.dicom_troubles import EXPECTED
from radgen_lib.sources.phantom.patients import ImagedPatient, imaged_patients
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.phantom.write import write_phantom

SEED = 7


class Store(NamedTuple):
    root: Path
    scan: Scan
    phases: pd.DataFrame
    members: dict[str, pd.DataFrame]
    series: pd.DataFrame
    patients: dict[str, ImagedPatient]
    views: dict[str, str]
    acquisitions: dict[tuple[str, int], Acquisition]

    def acquired(self, patient: str, study: int) -> Acquisition:
        """What the scanner of the phantom measured."""
        key = (patient, study)
        if key not in self.acquisitions:
            self.acquisitions[key] = self.patients[patient].acquired(study)
        return self.acquisitions[key]

    def of(self, trouble: str) -> str:
        """The patient that carries a fault."""
        return next(name for name, patient in self.patients.items() if patient.trouble == trouble)

    def rows(self, trouble: str) -> pd.DataFrame:
        """Contrast phases of the first study of the patient with a fault."""
        table = self.phases[(self.phases["patient"] == self.of(trouble)) & (self.phases["study_number"] == 1)]
        return table[table["phase"].str.match("pre|post")].set_index("phase")

    def faults(self, trouble: str) -> list[str]:
        return self.scan.faults.loc[self.scan.faults["patient"] == self.of(trouble), "reason"].tolist()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("phantom")
    spec = Phantom(
        patients=len(EXPECTED), omics_only=4, shape=[6, 32, 32], troubles=list(EXPECTED), second_study_share=0.1
    )  # type: ignore[arg-type]
    found = scan(root, write_phantom(spec, SEED, root), jobs=1)
    truth = draw_truth(spec, SEED)
    patients = {patient.name: patient for patient in imaged_patients(truth, spec, SEED)}
    views = dict(zip(truth.patients["patient"], truth.patients["view"], strict=True))
    return Store(root, found, *find_phases(found.instances, found.refused), patients, views, {})


def test_every_kept_phase_has_the_values_of_the_acquisition(store: Store) -> None:
    """Compressed, multi-frame, rescaled and sorted by trigger time alone: always the voxels that were acquired."""
    kept = store.phases[store.phases["kept"]]
    assert len(kept) > 3 * len(EXPECTED)
    for row in kept.itertuples():
        acquired = store.acquired(row.patient, row.study_number)
        volume = read_volume(store.members[row.volume], store.root)
        wanted = next((phase for phase in acquired.phases if abs(phase.seconds - row.seconds) < 1.0), None)
        assert wanted is not None, (row.volume, row.seconds)
        values = wanted.values if np.allclose(volume.origin, acquired.origin, atol=1e-3) else wanted.values[::-1]
        np.testing.assert_allclose(volume.values, values, atol=1e-3)
        assert volume.spacing == pytest.approx(acquired.spacing, rel=1e-4)
        step = np.abs(volume.direction[:, 2] * volume.spacing[0])
        np.testing.assert_allclose(step, np.abs(acquired.slice_step), atol=1e-3)


def test_phases_are_called_what_they_are(store: Store) -> None:
    kept = store.phases[store.phases["kept"]]
    for (patient, number), rows in kept.groupby(["patient", "study_number"]):
        acquired = store.acquired(str(patient), int(number))
        labels = {round(phase.seconds, 1): phase.label for phase in acquired.phases}
        found = {round(row.seconds, 1): row.phase for row in rows.itertuples()}
        assert found.items() <= labels.items(), patient  # also where one was lost: the others stay what they are
        assert rows.loc[rows["index_phase"], "phase"].tolist() == ["post1"]
        assert set(rows["view"]) == {store.views[str(patient)]}


@pytest.mark.parametrize("trouble", [name for name, verdict in EXPECTED.items() if verdict.startswith("series kept")])
def test_series_that_can_be_read_are_kept(store: Store, trouble: str) -> None:
    rows = store.rows(trouble)
    assert rows["kept"].all() and "post1" in rows.index and rows.index.is_unique


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("missing_slices", "missing slices: 2 of 6"),
        ("truncated_dicom", "missing slices: 1 of 6"),
        ("gantry_tilt", "gantry tilt"),
        ("uneven_spacing", "uneven spacing"),
        ("mixed_orientations", "mixed orientations"),
    ],
)
def test_phases_without_an_even_stack_are_refused(store: Store, trouble: str, reason: str) -> None:
    rows = store.rows(trouble)
    lost = rows[~rows["kept"]]
    assert len(lost) == 1 and lost["reason"].iloc[0].startswith(reason)
    assert rows.loc["pre", "kept"] and len(rows) > 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("no_pixel_data", "all 6 images refused: no pixel data"),
        ("patient_id_disagrees", "all 6 images refused: PatientID disagrees with the ledger"),
        ("two_patients_in_one_series", "all 4 images refused: two patients in one series folder"),
    ],
)
def test_a_series_that_is_refused_whole_keeps_its_place(store: Store, trouble: str, reason: str) -> None:
    rows = store.rows(trouble)
    labels = [phase.label for phase in store.acquired(store.of(trouble), 1).phases]
    assert rows.index.tolist() == labels and rows.index[~rows["kept"]].tolist() == ["post2"]
    assert rows.loc["post2", "reason"] == reason and rows.loc["post2", "seconds"] > rows.loc["post1", "seconds"]


FAULTS = {
    "truncated_dicom": "truncated: 1024 of 2048 bytes of pixel data",
    "not_dicom": "not a DICOM file",
    "no_pixel_data": "no pixel data (6 files)",
    "two_patients_in_one_series": "two patients in one series folder (6 files)",
    "patient_id_disagrees": "PatientID disagrees with the ledger (6 files)",
    "series_twice": "duplicate SOP instance (6 files)",
}


@pytest.mark.parametrize("trouble", FAULTS)
def test_files_that_cannot_be_used_are_one_fault(store: Store, trouble: str) -> None:
    assert store.faults(trouble) == [FAULTS[trouble]]


def test_no_other_patient_has_a_fault(store: Store) -> None:
    assert set(store.scan.faults["patient"]) == {store.of(name) for name in FAULTS}


def test_identifying_attributes_are_named_and_nothing_else_leaves(store: Store) -> None:
    told = store.series[store.series["identifying"] != ""]
    assert set(told["patient"]) == {store.of("identifying_attributes")}
    assert "PatientBirthDate" in told["identifying"].iloc[0].split(",")
    text = store.series.to_csv() + store.phases.to_csv() + store.scan.faults.to_csv()
    assert not any(secret in text for secret in ("Erika", "19500214", "Example", "EX0012345", str(store.root)))
