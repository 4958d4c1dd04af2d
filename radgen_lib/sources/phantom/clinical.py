"""Clinical files of the phantom's study, with the columns and the codes of a TCGA study of cBioPortal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import write_text
from radgen_lib.core.seeds import make_rng
from radgen_lib.core.units import DAYS_PER_MONTH
from radgen_lib.sources.phantom.truth import Truth


class Attribute(NamedTuple):
    """One column of a clinical file: what its four header rows and its name say."""

    name: str
    display: str
    description: str
    kind: str = "STRING"
    priority: int = 1


_PATIENT = (
    Attribute("PATIENT_ID", "Patient Identifier", "Identifier to uniquely specify a patient."),
    Attribute("SUBTYPE", "Subtype", "Expression subtype"),
    Attribute("CANCER_TYPE_ACRONYM", "Cancer Type Acronym", "Cancer type acronym"),
    Attribute("AGE", "Diagnosis Age", "Age at diagnosis in years", "NUMBER"),
    Attribute("SEX", "Sex", "Sex"),
    Attribute("AJCC_PATHOLOGIC_TUMOR_STAGE", "Neoplasm Disease Stage AJCC Code", "Anatomic stage"),
    Attribute("AJCC_STAGING_EDITION", "AJCC Publication Version Type", "Edition of the staging manual"),
    Attribute("DAYS_LAST_FOLLOWUP", "Last Communication Contact", "Days from diagnosis to last contact", "NUMBER"),
    Attribute("ETHNICITY", "Ethnicity Category", "Ethnicity"),
    Attribute("HISTORY_NEOADJUVANT_TRTYN", "Neoadjuvant Therapy", "Therapy before resection"),
    Attribute("ICD_O_3_HISTOLOGY", "ICD-O-3 Histology Code", "Histology"),
    Attribute("PATH_M_STAGE", "AJCC Metastasis Stage Code", "M"),
    Attribute("PATH_N_STAGE", "AJCC Lymph Node Stage Code", "N"),
    Attribute("PATH_T_STAGE", "AJCC Tumor Stage Code", "T"),
    Attribute("RACE", "Race Category", "Race"),
    Attribute("ER_STATUS_BY_IHC", "ER Status By IHC", "Estrogen receptor"),
    Attribute("PR_STATUS_BY_IHC", "PR Status By IHC", "Progesterone receptor"),
    Attribute("HER2_STATUS", "HER2 Status", "HER2 by IHC and FISH"),
    Attribute("MENOPAUSE_STATUS", "Menopause Status", "Menopausal status at diagnosis"),
    Attribute("OS_STATUS", "Overall Survival Status", "Overall survival status", priority=9),
    Attribute("OS_MONTHS", "Overall Survival (Months)", "Months from diagnosis to death or last contact", "NUMBER"),
)
_SAMPLE = (
    Attribute("PATIENT_ID", "Patient Identifier", "Identifier to uniquely specify a patient."),
    Attribute("SAMPLE_ID", "Sample Identifier", "A unique sample identifier."),
    Attribute("ONCOTREE_CODE", "Oncotree Code", "Oncotree code"),
    Attribute("CANCER_TYPE", "Cancer Type", "Cancer type"),
    Attribute("CANCER_TYPE_DETAILED", "Cancer Type Detailed", "Cancer type detailed"),
    Attribute("SAMPLE_TYPE", "Sample Type", "Primary, metastasis or normal"),
    Attribute("GRADE", "Neoplasm Histologic Grade", "Nottingham grade"),
    Attribute("TISSUE_SOURCE_SITE_CODE", "Tissue Source Site Code", "Site code"),
    Attribute("SOMATIC_STATUS", "Somatic Status", "Somatic status"),
)
_MENOPAUSE = {
    "pre": "Pre (<6 months since LMP AND no prior bilateral ovariectomy AND not on estrogen replacement)",
    "peri": "Peri (6-12 months since last menstrual period)",
    "post": "Post (prior bilateral ovariectomy OR >12 mo since LMP with no prior hysterectomy)",
}
_UNKNOWN = ("[Not Evaluated]", "[Not Available]")
_HER2_UNDECIDED = ("Equivocal", "Indeterminate", *_UNKNOWN)
# Shares of the codes that hide a value, smaller than in the real files so that small cohorts keep their labels.
_RECEPTOR_HIDDEN, _HER2_HIDDEN, _OTHER_HIDDEN = 0.04, 0.15, 0.04
_SAMPLE_TYPES = {"primary": "Primary", "metastasis": "Metastasis", "normal": "Solid Tissue Normal"}


def patient_table(truth: Truth, seed: int) -> pd.DataFrame:
    """Columns of data_clinical_patient.txt as text, one row a patient; some values are hidden behind real codes."""
    rng = make_rng(seed, "phantom", "clinical")
    patients = truth.patients
    n = len(patients)
    subtype = _hide("BRCA_" + patients["pam50"], ("",), _OTHER_HIDDEN, rng)
    columns: dict[str, object] = {
        "PATIENT_ID": patients["patient"], "SUBTYPE": subtype, "CANCER_TYPE_ACRONYM": "BRCA",
        "AGE": patients["age"].astype(int), "SEX": "Female", "AJCC_PATHOLOGIC_TUMOR_STAGE": patients["stage"],
        "AJCC_STAGING_EDITION": "7TH", "DAYS_LAST_FOLLOWUP": patients["os_days"].astype(int),
        "ETHNICITY": rng.choice(["Not Hispanic Or Latino", "Hispanic Or Latino", ""], n, p=[0.8, 0.05, 0.15]),
        "HISTORY_NEOADJUVANT_TRTYN": "No",
        "ICD_O_3_HISTOLOGY": np.where(patients["lobular"] == 1, "8520/3", "8500/3"),
        "PATH_M_STAGE": patients["m_stage"], "PATH_N_STAGE": patients["n_detail"],
        "PATH_T_STAGE": patients["t_detail"],
        "RACE": _hide(patients["race"], ("",), _OTHER_HIDDEN, rng),
        "ER_STATUS_BY_IHC": _status(patients["er"], ("Indeterminate", *_UNKNOWN), _RECEPTOR_HIDDEN, rng),
        "PR_STATUS_BY_IHC": _status(patients["pr"], ("Indeterminate", *_UNKNOWN), _RECEPTOR_HIDDEN, rng),
        "HER2_STATUS": _status(patients["her2"], _HER2_UNDECIDED, _HER2_HIDDEN, rng),
        "MENOPAUSE_STATUS": _hide(patients["menopause"].map(_MENOPAUSE), _UNKNOWN, _OTHER_HIDDEN, rng),
        "OS_STATUS": np.where(patients["os_event"] == 1, "1:DECEASED", "0:LIVING"),
        "OS_MONTHS": (patients["os_days"] / DAYS_PER_MONTH).map("{:.8f}".format),
    }  # fmt: skip
    return pd.DataFrame(columns, index=patients.index).astype(str)


def sample_table(truth: Truth, samples: pd.DataFrame) -> pd.DataFrame:
    """Columns of data_clinical_sample.txt as text, one row a sample of :func:`molecular.omics_samples`."""
    patients = truth.patients.iloc[samples["row"]].reset_index(drop=True)
    columns = {
        "PATIENT_ID": samples["patient"], "SAMPLE_ID": samples["sample"], "ONCOTREE_CODE": "BRCA",
        "CANCER_TYPE": "Breast Cancer", "CANCER_TYPE_DETAILED": "Breast Invasive Carcinoma",
        "SAMPLE_TYPE": samples["kind"].map(_SAMPLE_TYPES), "GRADE": "G" + patients["grade"].astype(str),
        "TISSUE_SOURCE_SITE_CODE": patients["site"], "SOMATIC_STATUS": "Matched",
    }  # fmt: skip
    return pd.DataFrame(columns).astype(str)


def write_clinical(table: pd.DataFrame, path: Path) -> None:
    """Write a clinical table as the portal does: four rows that begin with ``#``, the names, the rows."""
    known = {attribute.name: attribute for attribute in (*_PATIENT, *_SAMPLE)}
    header = [known[name] for name in table.columns]
    rows = (
        [attribute.display for attribute in header],
        [attribute.description for attribute in header],
        [attribute.kind for attribute in header],
        [str(attribute.priority) for attribute in header],
    )
    text = "".join("#" + "\t".join(row) + "\n" for row in rows)
    body = io.StringIO()
    table.to_csv(body, sep="\t", index=False, lineterminator="\n")
    write_text(path, text + body.getvalue())


def _hide(values: pd.Series, codes: tuple[str, ...], share: float, rng: np.random.Generator) -> np.ndarray:
    hidden = rng.random(len(values)) < share
    return np.where(hidden, rng.choice(np.array(codes, dtype=object), len(values)), values)


def _status(values: pd.Series, codes: tuple[str, ...], share: float, rng: np.random.Generator) -> np.ndarray:
    return _hide(values.map({1: "Positive", 0: "Negative"}), codes, share, rng)
