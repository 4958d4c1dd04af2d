"""What a study folder holds: its meta files say which file is what, and no file name is ever guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.decisions import STUDY, Choices, Decisions
from radgen_lib.omics.study.text import key_values

# (genetic_alteration_type, datatype) of the portal -> what it is here.
KINDS = {
    ("MRNA_EXPRESSION", "CONTINUOUS"): "expression",
    ("COPY_NUMBER_ALTERATION", "LOG2-VALUE"): "copy_number",
    ("COPY_NUMBER_ALTERATION", "CONTINUOUS"): "copy_number",
    ("COPY_NUMBER_ALTERATION", "DISCRETE"): "copy_number",
    ("METHYLATION", "CONTINUOUS"): "methylation",
    ("MUTATION_EXTENDED", "MAF"): "mutations",
    ("CLINICAL", "PATIENT_ATTRIBUTES"): "clinical_patient",
    ("CLINICAL", "SAMPLE_ATTRIBUTES"): "clinical_sample",
}
OMICS = ("expression", "copy_number", "methylation")
# Earlier words win where a study has several profiles of an omic.
_PREFERRED = {
    "expression": ("rna_seq_v2", "rna_seq", "rnaseq"),
    "methylation": ("hm27_hm450", "hm450", "hm27"),
}


@dataclass(frozen=True)
class Profile:
    """One file of a study as its meta file describes it; ``properties`` are annotation columns it declares."""

    kind: str
    datatype: str
    stable_id: str
    path: Path
    meta: str
    properties: tuple[str, ...] = ()


def study_root(folder: Path) -> Path:
    """The folder that holds the meta files: ``folder`` or the one folder below it, else DataError."""
    if not folder.is_dir():
        raise data_error(folder.name, "is not a folder", "Name a study folder or its tarball")
    for candidate in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        if any(candidate.glob("meta*.txt")):
            return candidate
    raise data_error(folder.name, "holds no meta file", "A study folder of cBioPortal has files meta_*.txt")


def read_profiles(root: Path, choices: Choices, log: Decisions) -> list[Profile]:
    """Every file that the meta files of ``root`` name and that is of use, best profile of an omic first.

    A meta file that names no file, one that is not there, or one outside the folder is a row of the log, like a kind
    of data that is not used.
    """
    found = []
    for meta in sorted(root.glob("meta*.txt")):
        keys = key_values(meta, log)
        kind = _kind(keys)
        if kind is None:
            what = " ".join(keys.get(key, "") for key in ("genetic_alteration_type", "datatype")).strip()
            log.add("meta", meta, keys.get("data_filename", ""), "not used", what or "describes no data file")
            continue
        path, fault = _data_file(root, keys.get("data_filename", ""))
        if fault:
            log.add("meta", meta, keys.get("data_filename", ""), "left out", fault)
            log.tally(STUDY, "tables", 0, [f"a meta file {fault}"])
            continue
        words = keys.get("generic_entity_meta_properties", "").split(",")
        properties = tuple(word.strip() for word in words if word.strip())
        found.append(
            Profile(kind, keys.get("datatype", "").upper(), keys.get("stable_id", ""), path, meta.name, properties)
        )
    return sorted(found, key=lambda profile: (profile.kind, _rank(profile, choices), profile.meta))


def sequenced_samples(root: Path, log: Decisions) -> list[str] | None:
    """Samples of the case list of sequenced tumours, or None when the study has no such list."""
    for path in sorted((root / "case_lists").glob("*.txt")):
        keys = key_values(path, log)
        if keys.get("stable_id", "").endswith("_sequenced") or path.name == "cases_sequenced.txt":
            return [name.strip() for name in keys.get("case_list_ids", "").split("\t") if name.strip()]
    return None


def _kind(keys: dict[str, str]) -> str | None:
    alteration, datatype = keys.get("genetic_alteration_type", "").upper(), keys.get("datatype", "").upper()
    if alteration == "GENERIC_ASSAY" and keys.get("generic_assay_type", "").upper() == "METHYLATION":
        return "methylation"
    return KINDS.get((alteration, datatype))


def _data_file(root: Path, name: str) -> tuple[Path, str]:
    path = root / name
    if not name:
        return path, "names no data file"
    if not path.resolve().is_relative_to(root.resolve()):
        return path, "names a file outside the study"
    return path, "" if path.is_file() else "names a file that is not there"


def _rank(profile: Profile, choices: Choices) -> int:
    if profile.kind == "copy_number":
        wanted = "LOG2-VALUE" if choices.copy_number == "log2" else "DISCRETE"
        order = [wanted, *(kind for kind in ("LOG2-VALUE", "CONTINUOUS", "DISCRETE") if kind != wanted)]
        return order.index(profile.datatype)
    words = _PREFERRED.get(profile.kind, ())
    stable = profile.stable_id.lower()
    return next((rank for rank, word in enumerate(words) if word in stable), len(words))
