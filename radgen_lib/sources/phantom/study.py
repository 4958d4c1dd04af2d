"""The phantom's molecular study as cBioPortal delivers one: a folder of meta files, data files and case lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import atomic_path, write_text
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.clinical import patient_table, sample_table, write_clinical
from radgen_lib.sources.phantom.molecular import omics_samples
from radgen_lib.sources.phantom.mutations import mutation_table, sequenced_patients
from radgen_lib.sources.phantom.symbols import entrez_ids
from radgen_lib.sources.phantom.truth import Truth

STUDY = "brca_phantom"
# log2 ratios at which a gene counts as deep loss, loss, gain and amplification.
_GISTIC_STEPS = (-0.9, -0.3, 0.3, 0.9)
_MISSING_BETA_SHARE = 0.005
_REGIONS = ("TSS200", "TSS1500", "5'UTR;1stExon", "Body")
_SECOND_GENE_SHARE = 0.01
_META: dict[str, dict[str, str]] = {
    "clinical_patient": {"genetic_alteration_type": "CLINICAL", "datatype": "PATIENT_ATTRIBUTES"},
    "clinical_sample": {"genetic_alteration_type": "CLINICAL", "datatype": "SAMPLE_ATTRIBUTES"},
    "mutations": {
        "genetic_alteration_type": "MUTATION_EXTENDED", "datatype": "MAF", "stable_id": "mutations",
        "show_profile_in_analysis_tab": "true", "profile_name": "Mutations", "profile_description": "Drawn mutations.",
    },
    "cna": {
        "genetic_alteration_type": "COPY_NUMBER_ALTERATION", "datatype": "DISCRETE", "stable_id": "gistic",
        "show_profile_in_analysis_tab": "true", "profile_name": "Putative copy-number alterations from GISTIC",
        "profile_description": "-2 deep loss, -1 loss, 0 diploid, 1 gain, 2 amplification.",
    },
    "log2_cna": {
        "genetic_alteration_type": "COPY_NUMBER_ALTERATION", "datatype": "LOG2-VALUE", "stable_id": "log2CNA",
        "show_profile_in_analysis_tab": "false", "profile_name": "Log2 copy-number values",
        "profile_description": "Log2 ratio per gene.",
    },
    "mrna_seq_v2_rsem": {
        "genetic_alteration_type": "MRNA_EXPRESSION", "datatype": "CONTINUOUS", "stable_id": "rna_seq_v2_mrna",
        "show_profile_in_analysis_tab": "false", "profile_name": "mRNA Expression, RSEM",
        "profile_description": "Linear RSEM.",
    },
    "methylation_hm27_hm450_merged": {
        "genetic_alteration_type": "GENERIC_ASSAY", "generic_assay_type": "METHYLATION", "datatype": "LIMIT-VALUE",
        "stable_id": "methylation_hm27_hm450_merge", "show_profile_in_analysis_tab": "false",
        "profile_name": "Methylation (HM27 and HM450 merge)", "profile_description": "Beta values per probe.",
        "generic_entity_meta_properties": "NAME,DESCRIPTION,TRANSCRIPT_ID",
    },
}  # fmt: skip


def write_study(truth: Truth, matrices: dict[str, pd.DataFrame], folder: Path, *, seed: int) -> None:
    """Write the study folder: meta files, clinical tables, mutations, copy number (discrete, log2), expression, probes.

    ``matrices`` are those of :func:`molecular.omics_matrices` (genes x samples). Expression is written as linear RSEM,
    methylation as one to three probes a gene of which a few cells are NA and a few name two genes. Every file is
    written beside its place and renamed; equal arguments give equal bytes.
    """
    samples = omics_samples(truth, seed)
    _write_text_files(truth, samples, matrices, folder, seed)
    write_clinical(patient_table(truth, seed), folder / "data_clinical_patient.txt")
    write_clinical(sample_table(truth, samples), folder / "data_clinical_sample.txt")
    _write(mutation_table(truth, seed), folder / "data_mutations.txt")
    log2 = matrices["copy_number"]
    discrete = np.searchsorted(_GISTIC_STEPS, log2.to_numpy()) - 2
    _write(_by_gene(pd.DataFrame(discrete, log2.index, log2.columns)), folder / "data_cna.txt")
    _write(_by_gene(log2.round(3)), folder / "data_log2_cna.txt")
    _write(_by_gene((2 ** matrices["expression"] - 1).round(4)), folder / "data_mrna_seq_v2_rsem.txt")
    probes = methylation_probes(matrices["methylation"], seed)
    _write(probes, folder / "data_methylation_hm27_hm450_merged.txt")


def methylation_probes(beta: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One to three probes a gene: ENTITY_STABLE_ID, NAME, DESCRIPTION, TRANSCRIPT_ID, then samples (beta, NaN).

    The logit of a probe is that of its gene plus a constant and a little noise; the first probe has neither.
    """
    rng = make_rng(seed, "phantom", "probes")
    gene = np.repeat(np.arange(len(beta)), rng.integers(1, 4, len(beta)))
    first = np.concatenate([[True], gene[1:] != gene[:-1]])
    offset = np.where(first, 0.0, rng.normal(0.0, 0.6, len(gene)))
    values = beta.to_numpy()[gene]
    logit = np.log(values) - np.log1p(-values) + offset[:, None]
    logit += np.where(first[:, None], 0.0, 0.15 * rng.standard_normal(values.shape))
    values = np.round(1 / (1 + np.exp(-logit)), 4).clip(0.0001, 0.9999)
    values[rng.random(values.shape) < _MISSING_BETA_SHARE] = np.nan
    names = beta.index.to_numpy().astype(object)
    second = rng.random(len(gene)) < _SECOND_GENE_SHARE
    neighbour = names[(gene + 1) % len(names)]
    columns = {
        "ENTITY_STABLE_ID": [f"cg{number:08d}" for number in np.sort(rng.choice(10**8, len(gene), replace=False))],
        "NAME": np.where(second & ~first, names[gene] + ";" + neighbour, names[gene]),
        "DESCRIPTION": rng.choice(_REGIONS, len(gene)),
        "TRANSCRIPT_ID": [f"NM_{number:06d}" for number in rng.integers(1, 10**6, len(gene))],
    }
    return pd.concat([pd.DataFrame(columns), pd.DataFrame(values, columns=beta.columns)], axis=1)


def meta_text(keys: dict[str, str]) -> str:
    """``key: value`` lines of a meta file or case list."""
    return "".join(f"{key}: {value}\n" for key, value in keys.items())


def _write_text_files(
    truth: Truth, samples: pd.DataFrame, matrices: dict[str, pd.DataFrame], folder: Path, seed: int
) -> None:
    study = {
        "type_of_cancer": "brca", "cancer_study_identifier": STUDY, "name": "Breast Phantom",
        "description": "Digital patients; no person is described.", "add_global_case_list": "false",
    }  # fmt: skip
    write_text(folder / "meta_study.txt", meta_text(study))
    for name, keys in _META.items():
        described = {"cancer_study_identifier": STUDY, **keys, "data_filename": f"data_{name}.txt"}
        write_text(folder / f"meta_{name}.txt", meta_text(described))
    sequenced = truth.patients["patient"][sequenced_patients(truth, seed)] + "-01"
    lists: dict[str, tuple[str, Iterable[str]]] = {
        "all": ("All samples", samples["sample"]),
        "sequenced": ("Samples with mutation data", sequenced),
        "cna": ("Samples with CNA data", matrices["copy_number"].columns),
        "rna_seq_v2_mrna": ("Samples with mRNA data", matrices["expression"].columns),
        "methylation_hm27_hm450_merge": ("Samples with methylation data", matrices["methylation"].columns),
    }
    for name, (title, members) in lists.items():
        ids = list(members)
        case_list = {
            "cancer_study_identifier": STUDY, "stable_id": f"{STUDY}_{name}", "case_list_name": title,
            "case_list_description": f"{title} ({len(ids)} samples)", "case_list_ids": "\t".join(ids),
        }  # fmt: skip
        write_text(folder / "case_lists" / f"cases_{name}.txt", meta_text(case_list))


def _by_gene(matrix: pd.DataFrame) -> pd.DataFrame:
    genes = tuple(matrix.index)
    keys = pd.DataFrame({"Hugo_Symbol": genes, "Entrez_Gene_Id": entrez_ids(genes)})
    return pd.concat([keys, matrix.reset_index(drop=True)], axis=1)


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="NA", lineterminator="\n")
