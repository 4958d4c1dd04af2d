"""A whole study of cBioPortal, from its folder or tarball to tables."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pandas as pd

from radgen_lib.cohort.selection import Selection
from radgen_lib.core.errors import DataError, data_error
from radgen_lib.omics.duplicates import matrix_likeness
from radgen_lib.omics.quality import quality_frame
from radgen_lib.omics.study.clinical import CLINICAL_COLUMNS, clinical_values, fill_gaps, has_values, sample_index
from radgen_lib.omics.study.clinical_files import read_text_table
from radgen_lib.omics.study.decisions import STUDY, Choices, Decisions, rules
from radgen_lib.omics.study.meta import OMICS, Profile, read_profiles, sequenced_samples, study_root
from radgen_lib.omics.study.mutations import MUTATION_COLUMNS, driver_table, read_mutations
from radgen_lib.omics.study.profiles import ReadProfile, read_profile
from radgen_lib.omics.study.samples import SampleIndex
from radgen_lib.omics.tensor_table import OmicMatrix
from radgen_lib.sources.tar_archive import unpack_tar

_LOG = logging.getLogger("radgen")


@dataclass(frozen=True)
class Study:
    """What was read of a study: matrices (one an omic, in the order of the tensor) and the tables beside them.

    ``clinical`` is one row a patient of any table; ``mutated`` has the same patients. ``quality`` holds what only the
    files tell (one matrix under two names). Contracts of the columns: see :mod:`radgen_lib.omics.study.write`.
    """

    matrices: tuple[OmicMatrix, ...]
    clinical: pd.DataFrame
    mutations: pd.DataFrame
    mutated: pd.DataFrame
    decisions: pd.DataFrame
    selection: pd.DataFrame
    quality: pd.DataFrame
    choices: Choices
    losses: pd.DataFrame


def read_study(source: Path, *, drivers: Sequence[str], choices: Choices | None = None, quotes: bool = True) -> Study:
    """Read the study of ``source``, a folder as the portal delivers it or its tarball (.tar, .tar.gz, .tgz).

    ``drivers`` are the genes of the table ``mutated``. A table that cannot be read is left out with one row in the
    decisions, and the rest goes on. Raises DataError when neither an omics matrix nor a clinical table is left, and
    for an archive or folder that is no study. A tarball is unpacked beside itself for the time of reading. Without
    ``quotes`` no decision repeats what a cell holds.
    """
    with ExitStack() as stack:
        if source.is_file():
            place = tempfile.TemporaryDirectory(prefix=".study-", dir=source.parent)
            folder = Path(stack.enter_context(place)) / "study"
            unpack_tar(source, folder, suffixes=(".txt",))
        else:
            folder = source
        return _Reading(study_root(folder), tuple(drivers), choices or Choices(), quotes).study()


class _Reading:
    """The steps of reading one study; what they decide is collected in one log."""

    def __init__(self, root: Path, drivers: tuple[str, ...], choices: Choices, quotes: bool) -> None:
        self.root, self.drivers, self.choices = root, drivers, choices
        self.log, self.selection = Decisions(quotes=quotes), Selection()
        self.index = SampleIndex()
        for step, rule, reason in rules(choices):
            self.log.add(step, "all tables", "rule", rule, reason, count=0)

    def study(self) -> Study:
        """Everything that can be read, in the order in which one table tells of the next.

        Raises DataError when neither a matrix nor a clinical table is left.
        """
        profiles = read_profiles(self.root, self.choices, self.log)
        self.log.tally(STUDY, "tables", len(profiles))  # less those that turn out to be lost
        clinical = self._clinical(profiles)
        found, quality = self._matrices(profiles)
        if not found and clinical is None:
            raise data_error(self.root.name, "neither a matrix nor a clinical table can be read", self._first_fault())
        mutations, sequenced, source = self._mutations(profiles)
        patients = self._patients(clinical, found, sequenced)
        return Study(
            tuple(read.matrix for read in found),
            self._with_samples(clinical, patients, found, sequenced),
            mutations,
            driver_table(mutations, sequenced, patients, self.drivers, source, self.log),
            self.log.frame(),
            self.selection.frame(),
            quality,
            self.choices,
            self.log.losses(),
        )

    def _clinical(self, profiles: Sequence[Profile]) -> pd.DataFrame | None:
        """Clinical values of all clinical files, gaps of one filled from the next; a sample file tells whose sample."""
        tables: list[tuple[str, pd.DataFrame]] = []
        for profile in profiles:
            if not profile.kind.startswith("clinical"):
                continue
            try:
                text = read_text_table(profile.path, self.log)
                if profile.kind == "clinical_patient":
                    tables.append((text.name, clinical_values(text, self.log)))
                    continue
                self.index = sample_index(text)
                if has_values(text):
                    tables.append((text.name, clinical_values(text, self.log, self.index)))
                else:
                    self.log.tally(text.name, "rows", len(text.rows))
            except DataError as error:
                self._lost(profile, error)
        if len(tables) > 1:
            order = ", then ".join(name for name, _ in tables)
            self.log.add("clinical", "all tables", "joined", "gaps filled from the next", order, count=len(tables))
        return reduce(fill_gaps, (table for _, table in tables)) if tables else None

    def _matrices(self, profiles: Sequence[Profile]) -> tuple[list[ReadProfile], pd.DataFrame]:
        """The best readable profile of each omic; the others are compared with those, lest one stands twice."""
        found: list[ReadProfile] = []
        spare: list[Profile] = []
        for omic in OMICS:
            done = False
            for profile in (profile for profile in profiles if profile.kind == omic):
                if done:
                    spare.append(profile)
                    continue
                try:
                    found.append(read_profile(profile, self.index, self.choices, self.selection, self.log))
                except DataError as error:
                    self._lost(profile, error)
                    continue
                done = True
                self.log.add(omic, profile.path, profile.stable_id, "used", f"named by {profile.meta}")
                _LOG.info("%s: %d patients x %d genes", omic, *found[-1].matrix.values.shape)
            if not done:
                self.log.add(omic, "all tables", omic, "absent", "no profile of this omic can be read", count=0)
        return found, quality_frame([row for profile in spare for row in self._compare(profile, found)])

    def _compare(self, profile: Profile, found: Sequence[ReadProfile]) -> list[tuple[str, str, str, float, bool, str]]:
        name = profile.path.name
        self.log.add(profile.kind, name, profile.stable_id, "not used", "another profile of this omic is preferred")
        rows: list[tuple[str, str, str, float, bool, str]] = []
        for read in found:
            # Values as they are, but methylation beside methylation: a mean of M is no function of a mean of beta.
            same = profile.kind == read.matrix.omic
            choices = self.choices if same else replace(self.choices, methylation="beta")
            try:
                other = read_profile(profile, self.index, choices, Selection(), Decisions(), sketch=True).matrix
            except DataError as error:
                self._told(profile, error)  # nothing is lost: it would not have been used
                break
            like = matrix_likeness(read.matrix, other)
            note = f"median rank correlation per gene over {like.genes} genes, with {read.matrix.omic} in use"
            if like.same:
                note += ": one matrix under two names"
                self.log.add("matrix twice", name, profile.stable_id, "flagged", f"is the {read.matrix.omic} in use")
            rows.append(("matrix twice", profile.kind, name, like.rho, like.same, note))
        return rows

    def _mutations(self, profiles: Sequence[Profile]) -> tuple[pd.DataFrame, dict[str, str], str]:
        nothing = pd.DataFrame(columns=list(MUTATION_COLUMNS), dtype=object).astype({"silent": bool})
        sequenced = sequenced_samples(self.root, self.log)
        for profile in (profile for profile in profiles if profile.kind == "mutations"):
            try:
                table, chosen = read_mutations(
                    profile.path, self.index, self.selection, self.log, sequenced=sequenced
                )  # fmt: skip
            except DataError as error:
                self._lost(profile, error)
                continue
            return table, chosen, profile.path.name
        return nothing, {}, "no mutation file"

    def _lost(self, profile: Profile, error: DataError) -> None:
        self.log.untally(profile.path)
        self.log.tally(STUDY, "tables", -1, [str(error)])
        self._told(profile, error)

    def _told(self, profile: Profile, error: DataError) -> None:
        _LOG.warning("%s", error)
        self.log.add(profile.kind, profile.path, profile.stable_id or profile.kind, "left out", str(error))

    def _first_fault(self) -> str:
        frame = self.log.frame()
        lost = frame.loc[frame["decision"] == "left out", "reason"]
        return f"First fault: {lost.iloc[0]}" if len(lost) else "It may be another kind of study"

    def _patients(
        self, clinical: pd.DataFrame | None, found: Sequence[ReadProfile], sequenced: dict[str, str]
    ) -> list[str]:
        """Patients of any table, sorted; one who has a single omic or no clinical row is named in the selection."""
        omics = {read.matrix.omic: set(read.matrix.patients) for read in found}
        known = set() if clinical is None else set(clinical["patient"])
        patients = sorted(known.union(sequenced, *omics.values()))
        for patient in patients:
            have = [omic for omic, members in omics.items() if patient in members]
            if len(have) == 1 and len(omics) > 1:
                self.log.add("patient", have[0], patient, "kept, missing elsewhere", f"has {have[0]} only")
            reason = "" if have else "no omics matrix has the patient"
            if reason:
                self.selection.drop("omics tensor", "patient", patient, "tensor.npy", reason=reason)
            else:
                self.selection.keep("omics tensor", "patient", patient, "tensor.npy")
            if clinical is not None and patient not in known:
                self.log.add("patient", "clinical", patient, "kept, clinical columns empty", "no clinical row")
        measured = set().union(*omics.values())
        if clinical is not None and measured:
            strangers = len(measured - known)
            self.log.tally(
                "clinical", "patients with omics", len(measured) - strangers, ["no clinical row"] * strangers
            )
        return patients

    def _with_samples(
        self, clinical: pd.DataFrame | None, patients: Sequence[str], found: Sequence[ReadProfile],
        sequenced: dict[str, str],
    ) -> pd.DataFrame:  # fmt: skip
        """Clinical columns of all patients and, per omic, which sample stands for the patient ("" for none)."""
        empty = pd.DataFrame({"patient": pd.Series(dtype=object)}).reindex(columns=list(CLINICAL_COLUMNS))
        table = (empty if clinical is None else clinical).set_index("patient").reindex(list(patients))
        for column in ("stage", "subtype", "T", "N", "race", "menopause"):
            table[column] = table[column].astype(object).fillna("")
        numbers = ["age", "er", "pr", "her2", "os_days", "os_event"]
        table[numbers] = table[numbers].astype("float64")
        for read in found:
            of = dict(zip(read.matrix.patients, read.samples, strict=True))
            table[f"sample_{read.matrix.omic}"] = [of.get(patient, "") for patient in patients]
        table["sample_mutations"] = [sequenced.get(patient, "") for patient in patients]
        return table.rename_axis("patient").reset_index()
