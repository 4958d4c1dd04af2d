"""Which series a phantom study has, how they are numbered, named and described."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pydicom.dataset import Dataset

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.dicom import study_header, uid, vendor

_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th")


@dataclass(frozen=True)
class SeriesPlan:
    """One series before it exists: its name ("pre", "post1", "dynamic", "localiser", "t2", "subtraction", "lesion").

    ``phases`` are the numbers of the dynamic phases in it (0 is the one before contrast), ``folder`` the name of its
    folder in the study's, which differs from ``uid`` only for a series that is delivered twice.
    """

    name: str
    uid: str
    number: int
    description: str
    phases: tuple[int, ...] = ()
    folder: str = ""

    def __post_init__(self) -> None:
        if not self.folder:
            object.__setattr__(self, "folder", self.uid)


@dataclass(frozen=True)
class StudyPlan:
    """One study: the patient's row of the truth, its number from 1, its header and its series in order of number."""

    patient: pd.Series
    number: int
    seed: int
    header: Dataset
    series: tuple[SeriesPlan, ...]

    @property
    def name(self) -> str:
        """Research code of the patient."""
        return str(self.patient["patient"])

    def holding(self, phase: int) -> SeriesPlan:
        """The series that holds a dynamic phase."""
        return next(series for series in self.series if phase in series.phases)


def plan_study(patient: pd.Series, *, lesion: bool, study: int, seed: int, combined: bool | None = None) -> StudyPlan:
    """Decide the series of a study, from the seed and names alone.

    ``combined`` says whether all phases share one series; None: half of the patients of Siemens scanners, as there.
    Localiser, T2 and subtraction series are each in about a third of the studies, a segmentation where there is a
    ``lesion``.
    """
    name = str(patient["patient"])
    rng = make_rng(seed, "phantom series", name, study)
    extras = [extra for extra in ("localiser", "t2", "subtraction") if rng.random() < 0.35]
    if combined is None:
        siemens = vendor(str(patient["manufacturer"])) == "SIEMENS"
        combined = siemens and bool(make_rng(seed, "phantom combined", name).random() < 0.5)
    posts = int(patient["n_posts"])
    found = [(extra, ()) for extra in ("localiser", "t2") if extra in extras]
    dynamic = [("dynamic", tuple(range(posts + 1)))] if combined else []
    dynamic = dynamic or [(phase_name(phase), (phase,)) for phase in range(posts + 1)]
    planned: list[tuple[str, tuple[int, ...]]] = [*found, *dynamic]
    planned += [("subtraction", ())] if "subtraction" in extras else []
    planned += [("lesion", ())] if lesion else []
    series = tuple(
        SeriesPlan(kind, uid(seed, name, study, kind), place, _description(kind, patient), phases)
        for place, (kind, phases) in enumerate(planned, start=1)
    )
    return StudyPlan(patient, study, seed, study_header(patient, study=study, seed=seed), series)


def phase_name(phase: int) -> str:
    """Label of a phase: "pre" for 0, else "post<n>"."""
    return f"post{phase}" if phase else "pre"


def _description(kind: str, patient: pd.Series) -> str:
    """SeriesDescription in the vendor's words."""
    siemens = vendor(str(patient["manufacturer"])) == "SIEMENS"
    sagittal = str(patient["view"]) == "sagittal"
    plane = ("sag" if sagittal else "tra") if siemens else ("Sag" if sagittal else "Ax")
    if kind == "pre":
        return f"t1_fl3d_{plane}_dyn pre" if siemens else f"{plane} T1 VIBRANT pre"
    if kind.startswith("post"):
        nth = _ORDINALS[int(kind.removeprefix("post")) - 1]
        return f"t1_fl3d_{plane}_dyn {nth} pass" if siemens else f"{plane} DYN {nth} post"
    words = {
        "dynamic": (f"t1_fl3d_{plane}_dyn", f"{plane} VIBRANT MULTIPHASE"),
        "localiser": ("localizer", "3-plane LOC"),
        "t2": (f"t2_tse_{plane}", f"{plane} T2 FSE"),
        "subtraction": (f"t1_fl3d_{plane}_dyn_SUB", f"{plane} SUB 1st post - pre"),
        "lesion": ("Segmentation of the lesion", "Segmentation of the lesion"),
    }
    return words[kind][0 if siemens else 1]
