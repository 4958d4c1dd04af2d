"""A hospital's own folder, made of a phantom: numbers, names and dates in the headers, tables as people keep them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.mutations import mutation_table
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.phantom.write import write_phantom

SEED = 11
SPEC = Phantom(
    patients=6, omics_only=6, shape=[8, 32, 32], genes=100, post_phases=1, axial_share=0.0, second_study_share=0.0
)
DATE, BIRTH, SURNAME, PLACE = "20190614", "19610203", "Zimmerfrau", "Klinikum Nirgendwo"
# What else stands in cells and tags that are meant for a number or a code.
CLERK, SEEN, BORN = "Schreibfrau", "14.06.2019", "1961-02-03"

_WORDS = (DATE, BIRTH, SURNAME, PLACE, "2019-06", CLERK, SEEN, BORN, "H90000", *(w.upper() for w in (SURNAME, CLERK)))


@dataclass(frozen=True)
class Hospital:
    """The folders of the export, and every text that must stay inside them."""

    dicom: Path
    omics: Path
    patients: tuple[str, ...]
    secrets: tuple[str, ...]


def write_hospital(folder: Path, spec: Phantom = SPEC) -> Hospital:
    """Write ``dicom/`` (folders by name, files without ending) and ``omics/`` (CSV) of a phantom below ``folder``."""
    truth = draw_truth(spec, SEED)
    known = {patient: f"H{4711 + 13 * place:06d}" for place, patient in enumerate(sorted(truth.patients["patient"]))}
    ledger = write_phantom(spec, SEED, folder / "phantom")
    uids: set[str] = set()
    for number, row in enumerate(ledger.to_dict("records")):
        target = folder / "dicom" / f"{SURNAME}_{known[row['patient']]}" / f"MR {number}"
        target.mkdir(parents=True)
        for place, path in enumerate(sorted((folder / "phantom" / row["folder"]).glob("*.dcm"))):
            dataset = pydicom.dcmread(path)
            uids |= {str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)}
            _identify(dataset, known[row["patient"]])
            dataset.save_as(target / f"IM{place:05d}")
    shutil.rmtree(folder / "phantom")
    _write_tables(truth, spec, known, folder / "omics")
    names = tuple(known.values())
    return Hospital(folder / "dicom", folder / "omics", names, (*names, *uids, *_WORDS))


def _identify(dataset: pydicom.Dataset, number: str) -> None:
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = number, f"{SURNAME}^Anna", BIRTH
    dataset.InstitutionName, dataset.AccessionNumber = PLACE, f"A{number}"
    dataset.Manufacturer = f"{dataset.Manufacturer} {PLACE}"
    dataset.ManufacturerModelName = f"{dataset.get('ManufacturerModelName', '')} {CLERK}"
    for segment in dataset.get("SegmentSequence", []):
        segment.SegmentLabel = f"seen by {CLERK}"
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        if keyword in dataset:
            setattr(dataset, keyword, DATE)


def _misused(columns: list[str]) -> pd.DataFrame:
    """Three further people, every cell of whom holds what it should not."""
    cells = {
        "Age": [BORN, f"{CLERK} 61", "93"], "ER": [f"positive ({CLERK} {SEEN})"] * 3, "PR": [SURNAME] * 3,
        "HER2": [f"1 {CLERK}"] * 3, "PAM50": [f"LumA {SURNAME}"] * 3, "Stage": [f"IIA SEEN BY {CLERK} {SEEN}"] * 3,
        "OS days": [DATE, BORN, f"{CLERK}"], "OS event": [f"1:{SURNAME}"] * 3, "Race": [f"Anna {SURNAME}"] * 3,
        "Menopause": [f"Pre{CLERK}", SURNAME, SEEN], "T": [f"T2 {CLERK}"] * 3,
    }  # fmt: skip
    return pd.DataFrame({"Patient": ["H900001", "H900002", "H900003"], **cells}).reindex(
        columns=columns, fill_value=CLERK
    )


def _write_tables(truth: object, spec: Phantom, known: dict[str, str], folder: Path) -> None:
    folder.mkdir()
    for omic, matrix in omics_matrices(truth, spec, SEED).items():  # type: ignore[arg-type]
        renamed = matrix.rename(columns=lambda sample: known[sample[:12]]).rename_axis("gene")
        text = renamed.round(4).to_csv()
        # A row with a name for a gene, and one with dates for numbers: a block with text is read line by line.
        cells = ",".join([BORN, *["1.5"] * (renamed.shape[1] - 1)])
        (folder / f"{omic}.csv").write_text(f"{text}{CLERK} {SURNAME},{cells}\nZZZ3,{cells}\n")
    mutations = mutation_table(truth, SEED)  # type: ignore[arg-type]
    mutations["Tumor_Sample_Barcode"] = mutations["Tumor_Sample_Barcode"].str[:12].map(known)
    odd = mutations.iloc[:1].assign(Hugo_Symbol="ZZZ3", Variant_Classification=CLERK, HGVSp_Short=f"{SURNAME} {SEEN}")
    odd = pd.concat([odd, odd.assign(Hugo_Symbol=f"{SURNAME}, {CLERK}"), odd.assign(Variant_Classification="")])
    pd.concat([mutations, odd]).assign(Comment=f"{CLERK} {SEEN}").to_csv(folder / "mutations.csv", index=False)
    people = truth.patients  # type: ignore[attr-defined]
    clinical = pd.DataFrame(
        {
            "Patient": people["patient"].map(known), "Name": f"{SURNAME}, Anna", "Date of birth": "03.02.1961",
            "Age": people["age"].round(1), "ER": people["er"].map({1: "positive", 0: "negative"}),
            "PR": people["pr"], "HER2": people["her2"], "PAM50": people["pam50"], "Stage": people["stage"],
            "OS days": people["os_days"].round(1), "OS event": people["os_event"],
        }
    )  # fmt: skip
    clinical["Race"], clinical["Menopause"], clinical["T"] = "white", "Post", "T2"
    clinical = pd.concat([clinical, _misused(list(clinical.columns))], ignore_index=True)
    clinical.to_csv(folder / "clinical.csv", index=False, sep=";")
    (folder / "sequenced.txt").write_text("Patient\n" + "\n".join(known.values()) + "\n")
    (folder / "letter.pdf").write_bytes(b"%PDF")
