"""Imaged patients of the phantom: the truth's rows of one patient, the fault planted in it, its studies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.digest import code_digest
from radgen_lib.core.errors import StopRequested
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import make_rng
from radgen_lib.core.stop import stop_on_signal
from radgen_lib.sources.phantom.acquisition import Acquisition, acquire
from radgen_lib.sources.phantom.dicom_troubles import assign_troubles
from radgen_lib.sources.phantom.protocol import StudyPlan, plan_study
from radgen_lib.sources.phantom.truth import Truth

Result = TypeVar("Result")
_WRITER = "radgen_lib.sources.phantom.write"


@dataclass(frozen=True)
class ImagedPatient:
    """All that the images of one patient depend on: its rows of the truth, and the fault planted in it, if any."""

    patient: pd.Series
    lesion: pd.Series
    spec: Phantom
    seed: int
    trouble: str | None

    @property
    def name(self) -> str:
        """Research code of the patient."""
        return str(self.patient["patient"])

    def digest(self) -> str:
        """SHA-256 of everything that decides the bytes of the patient's files, the code that writes them included."""
        rows = [{str(key): str(value) for key, value in row.items()} for row in (self.patient, self.lesion)]
        spec = self.spec.model_dump(exclude={"troubles"})
        text = json.dumps([code_digest(_WRITER), self.seed, self.trouble, spec, *rows], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def studies(self) -> tuple[StudyPlan, ...]:
        """The studies of the patient as planned, first to last."""
        # A fault sits in series that it names, so the writing of the phases is fixed where there is one.
        combined = None if self.trouble is None else self.trouble == "phases_in_one_series"
        return tuple(
            plan_study(
                self.patient, lesion=bool(self.lesion["present"]), study=study, seed=self.seed, combined=combined
            )
            for study in range(1, int(self.patient["n_studies"]) + 1)
        )

    def diameter_mm(self, study: int) -> float:
        """True diameter of the lesion at a study."""
        return float(lesion_at(self.lesion, study, self.seed)["diameter_mm"])

    def acquired(self, study: int) -> Acquisition:
        """The images of one study; a later study shows the lesion grown or shrunken."""
        return acquire(self.patient, lesion_at(self.lesion, study, self.seed), self.spec, study=study, seed=self.seed)


def lesion_at(lesion: pd.Series, study: int, seed: int) -> pd.Series:
    """The lesion's row of the truth as it is at a study: its diameter 0.8 to 1.25 times that of the study before."""
    rng = make_rng(seed, "phantom growth", lesion["patient"])
    factor = float(np.prod(rng.uniform(0.8, 1.25, size=study - 1)))
    changed = lesion.copy()
    changed["diameter_mm"] = float(lesion["diameter_mm"]) * factor
    return changed


def imaged_patients(truth: Truth, spec: Phantom, seed: int) -> list[ImagedPatient]:
    """The patients with MRI in the order of the truth, each with its fault; ConfigError for too many faults."""
    imaged = truth.patients[truth.patients["imaged"].astype(bool)]
    lesions = truth.lesions.set_index("patient", drop=False)
    troubles = assign_troubles(spec.troubles, [str(name) for name in imaged["patient"]], seed)
    return [
        ImagedPatient(row, lesions.loc[row["patient"]], spec, seed, troubles.get(str(row["patient"])))
        for _, row in imaged.iterrows()
    ]


def each_patient(
    work: Callable[[ImagedPatient], Result], patients: Sequence[ImagedPatient], jobs: int, what: str
) -> Iterator[Result]:
    """Results of ``work`` in the order of ``patients``, one at a time or ``jobs`` at once in processes.

    ``what`` names the work in the log. SIGTERM ends it after the patient in work and raises StopRequested.
    """
    progress = Progress(what, len(patients))
    with stop_on_signal() as stop:
        for result in _results(work, patients, jobs):
            yield result
            progress.advance()
            if stop:
                raise StopRequested(f"{what}: stopped before the end; the next start goes on from there")


def _results(work: Callable[[ImagedPatient], Result], patients: Sequence[ImagedPatient], jobs: int) -> Iterator[Result]:
    if jobs <= 1 or len(patients) <= 1:
        yield from map(work, patients)
        return
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=min(jobs, len(patients)), backend="loky", return_as="generator")
    yield from run(delayed(work)(patient) for patient in patients)
