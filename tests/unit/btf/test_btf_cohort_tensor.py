"""The tensor of a cohort on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.cohort_tensor import (
    NOT_PUBLIC,
    NOT_THERE,
    build_cohort_tensor,
    open_cohort_tensor,
    read_sources,
    who_is_in,
    write_cohort_tensor,
)
from radgen_lib.omics.tensor_table import OmicMatrix
from radgen_lib.sources.reference.multiomics import read_tcga2012
from radgen_lib.sources.registry import load_registry

PATIENTS = tuple(f"TCGA-E2-A{i:03d}" for i in range(12))
GENES = ("BRCA1", "ERBB2", "TP53")


def matrices() -> list[OmicMatrix]:
    """Three omics in no alphabetical order, each on its own scale; the last patient has no methylation."""
    rng = np.random.default_rng(0)
    shape = (len(PATIENTS), len(GENES))
    return [
        OmicMatrix("expression", PATIENTS, GENES, rng.uniform(5, 15, shape).astype(np.float32), "log2(x+1)"),
        OmicMatrix("copy_number", PATIENTS, GENES, rng.normal(0, 0.3, shape).astype(np.float32), "log2 ratio"),
        OmicMatrix("a_third", PATIENTS[:-1], GENES, rng.normal(-50, 1, (11, 3)).astype(np.float32), "other"),
    ]


def test_each_omic_keeps_its_name_and_scale_on_disk(tmp_path: Path) -> None:
    built = build_cohort_tensor(matrices())
    write_cohort_tensor(built, [], tmp_path)
    stored = open_cohort_tensor(tmp_path)
    assert stored.omics == ("expression", "copy_number", "a_third")
    assert stored.scales == ("log2(x+1)", "log2 ratio", "other")
    for given, back in zip(matrices(), stored.matrices(), strict=True):
        rows = [stored.patients.index(patient) for patient in given.patients]
        columns = [stored.genes.index(gene) for gene in given.genes]
        np.testing.assert_array_equal(back.values[np.ix_(rows, columns)], given.values)
        assert (back.omic, back.scale) == (given.omic, given.scale)


def test_no_gene_is_chosen_before_the_training_patients_are_known() -> None:
    quiet = matrices()
    quiet[0].values[:, 0] = 0.01
    quiet[0].values[0, 0] = 0.02
    assert build_cohort_tensor(quiet).genes == GENES


def test_a_gene_list_keeps_its_genes_alone() -> None:
    assert build_cohort_tensor(matrices(), ["TP53", "ERBB2"]).genes == ("ERBB2", "TP53")


def test_an_imaged_patient_without_omics_is_a_row_with_its_reason() -> None:
    table = who_is_in(build_cohort_tensor(matrices()), ["TCGA-BH-A0B1", PATIENTS[0]])
    lost = table[~table["kept"]]
    assert lost["id"].tolist() == ["TCGA-BH-A0B1"]
    assert lost["reason"].tolist() == [NOT_THERE]
    assert table["kept"].sum() == len(PATIENTS)


def test_an_imaged_patient_whom_the_public_tables_lack_is_not_said_to_have_no_omic(tmp_path: Path) -> None:
    write_cohort_tensor(build_cohort_tensor(matrices()), ["TCGA-BH-A0B1"], tmp_path, released=True)
    table = pd.read_parquet(tmp_path / "selection.parquet")
    assert table.loc[~table["kept"], "reason"].tolist() == [NOT_PUBLIC]
    assert "was measured" not in NOT_PUBLIC and "public TCGA 2012 tables" in NOT_PUBLIC


def test_imaged_patients_who_stand_twice_are_told_so() -> None:
    """However many: the log of decisions names every one of them."""
    rng = np.random.default_rng(3)
    names, genes = tuple(f"TCGA-E2-B{i:03d}" for i in range(130)), tuple(f"G{i}" for i in range(8))
    values = rng.normal(8, 2, size=(130, 8)).astype(np.float32)
    values[60:120] = values[:60]
    built = build_cohort_tensor([OmicMatrix("expression", names, genes, values, "log2(x+1)")])
    table = who_is_in(built, [*names, "TCGA-BH-A0B1"])
    lost = table[~table["kept"]].set_index("id")["reason"]
    assert sorted(lost.index) == ["TCGA-BH-A0B1", *names[60:120]]
    assert lost["TCGA-BH-A0B1"] == NOT_THERE
    assert all(lost[names[i]] == f"the same expression as {names[i - 60]} in every gene" for i in range(60, 120))


def test_decisions_of_the_tensor_claim_no_filter_that_does_not_act() -> None:
    told = build_cohort_tensor(matrices()).decisions
    said = " ".join([*told["reason"], *told["decision"]])
    assert "right only where nothing is held out" not in said
    assert "carries noise" not in said and "decided in the training patients" not in said
    assert told.loc[told["item"] == "patients of the filters", "decision"].tolist() == ["none"]


def test_axes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_cohort_tensor(build_cohort_tensor(matrices()), [], tmp_path)
    np.save(tmp_path / "tensor.npy", np.zeros((5, 3, 3), dtype=np.float32))
    with pytest.raises(DataError, match=r"has shape \(5, 3, 3\) where its axes have \(12, 3, 3\)"):
        open_cohort_tensor(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tensor\.npy: is not there"):
        open_cohort_tensor(tmp_path)


def test_the_released_tensor_and_who_of_the_imaged_is_in_it(mirror: Path) -> None:
    registry = load_registry()
    files = [mirror / str(registry[name].mirror_path) for name in ("tcga2012_chr17", "tcga2012_chr21")]
    built = build_cohort_tensor(read_sources(files, released=True))
    assert built.values.shape == (463, 275, 3)
    assert built.omics == ("expression", "copy_number", "methylation")
    assert np.nanmean(np.isnan(built.values)) < 0.02
    told = built.decisions[(built.decisions["table"] == "methylation") & (built.decisions["item"] == "a value")]
    assert told["count"].tolist() == [275]
    probes = sum(
        read_tcga2012(file).table.columns.get_level_values("layer").str.startswith("meth").sum() for file in files
    )
    assert f": {probes} probes of " in told["reason"].iloc[0] and "mean beta of all probes" in told["reason"].iloc[0]
    rule = built.decisions[built.decisions["decision"] == "methylation as m_value"]["reason"].iloc[0]
    assert "the M-value of that mean" in rule
