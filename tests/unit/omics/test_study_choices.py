"""What a user may choose about a molecular study: from the configuration to the tensor, with the papers' defaults."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.cohort import Omics
from radgen_lib.core.config.load import resolve
from radgen_lib.core.errors import ConfigError
from radgen_lib.omics.study.decisions import Choices
from radgen_lib.omics.study.local import read_any_study
from radgen_lib.omics.study.read import Study, read_study
from radgen_lib.omics.study.write import SCALES, write_omics

PEOPLE = tuple(f"TCGA-AO-A0{place:02d}" for place in range(12))
BETA = np.random.default_rng(0).uniform(0.05, 0.95, (4, 12)).round(3)
M = np.log2(BETA / (1 - BETA))


def write(folder: Path, name: str, alteration: str, datatype: str, table: pd.DataFrame, more: str = "") -> None:
    meta = {"genetic_alteration_type": alteration, "datatype": datatype, "data_filename": f"{name}.txt"}
    text = "".join(f"{key}: {value}\n" for key, value in meta.items())
    (folder / f"meta_{name}.txt").write_text(text + more)
    table.to_csv(folder / f"{name}.txt", sep="\t", index=False)


def portal(folder: Path, regions: tuple[str, ...] = ("Body", "TSS200", "Body", "1stExon"), beta: Any = BETA) -> Path:
    """A study with probes: two of TP53 (the second in its promoter), one of CDH1 (not), one of GATA3 (in it)."""
    samples = [f"{name}-01" for name in PEOPLE]
    genes = pd.DataFrame({"Hugo_Symbol": ["TP53", "CDH1", "GATA3", "MYC"]})
    counts = pd.DataFrame(np.arange(48).reshape(4, 12) * 7.5, columns=samples)
    write(folder, "expr", "MRNA_EXPRESSION", "CONTINUOUS", genes.join(counts))
    write(folder, "log2", "COPY_NUMBER_ALTERATION", "LOG2-VALUE", genes.join((counts / 700 - 0.2).round(2)))
    write(folder, "calls", "COPY_NUMBER_ALTERATION", "DISCRETE", genes.join((counts % 3 - 1).round(0)))
    probes = pd.DataFrame({"ENTITY_STABLE_ID": list("abcd"), "NAME": ["TP53", "TP53", "CDH1", "GATA3"]})
    if regions:
        probes["DESCRIPTION"] = regions
    table = probes.join(pd.DataFrame(beta, columns=samples))
    told = f"generic_assay_type: METHYLATION\ngeneric_entity_meta_properties: {','.join(probes.columns[1:])}\n"
    write(folder, "probes", "GENERIC_ASSAY", "LIMIT-VALUE", table, told)
    return folder


def methylation(study: Study) -> pd.DataFrame:
    """Patients x genes."""
    (matrix,) = (matrix for matrix in study.matrices if matrix.omic == "methylation")
    return pd.DataFrame(matrix.values, list(matrix.patients), list(matrix.genes))


def test_every_choice_is_a_key_with_the_same_default() -> None:
    assert Choices.of(Omics()) == Choices()
    assert {field.name for field in fields(Choices)} <= set(Omics.model_fields)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("methylation", "m", "m_value"), ("probes", "promotor", "promoter_first"), ("genes", "any", "union"),
        ("copy_number", "gistic", "discrete"), ("max_missing", 1.0, "less than 1"), ("max_missing", -0.1, "0"),
    ],
)  # fmt: skip
def test_a_word_that_is_none_is_refused_in_one_line(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"omics\.{key}") as fault:
        resolve({}, {"cohorts": {"tcga_brca": {"omics": {key: value}}}})
    assert told in str(fault.value) and "\n" not in str(fault.value)


def test_default_is_the_mean_m_value_of_promoter_probes(tmp_path: Path) -> None:
    study = read_study(portal(tmp_path), drivers=())
    found = methylation(study)
    expected = pd.DataFrame({"TP53": M[1], "CDH1": M[2], "GATA3": M[3]}, PEOPLE)
    np.testing.assert_allclose(found[expected.columns], expected, rtol=1e-4)
    told = study.decisions.query("item == 'genes without a promoter probe'")
    assert told[["decision", "count"]].to_numpy().tolist() == [["all rows of the gene", 1]]
    (rule,) = study.decisions.query("step == 'methylation' and item == 'rule'")["decision"]
    assert rule.startswith("m_value: mean over the promoter probes, where none is described all")


@pytest.mark.parametrize(
    ("omics", "expected"),
    [
        ({"probes": "promoter"}, {"TP53": M[1], "GATA3": M[3]}),
        ({"probes": "all"}, {"TP53": M[:2].mean(axis=0), "CDH1": M[2], "GATA3": M[3]}),
        ({"probes": "all", "methylation": "beta"}, {"TP53": BETA[:2].mean(axis=0), "CDH1": BETA[2], "GATA3": BETA[3]}),
    ],
)
def test_choices_of_probes(tmp_path: Path, omics: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    found = methylation(read_study(portal(tmp_path), drivers=(), choices=Choices.of(Omics(**omics))))
    assert set(found.columns) == set(expected)
    np.testing.assert_allclose(found[list(expected)], pd.DataFrame(expected, PEOPLE), rtol=1e-4, atol=1e-6)


def test_a_file_that_describes_no_probe_is_read_whole_or_left_out(tmp_path: Path) -> None:
    """As the portal's matrices with one row a gene."""
    folder = portal(tmp_path, regions=())
    study = read_study(folder, drivers=())
    np.testing.assert_allclose(methylation(study)["TP53"], M[:2].mean(axis=0), rtol=1e-4)
    assert "all rows: the file describes no promoter" in set(study.decisions["decision"])
    strict = read_study(folder, drivers=(), choices=Choices(probes="promoter"))
    assert "methylation" not in {matrix.omic for matrix in strict.matrices}
    (reason,) = strict.decisions.query("step == 'methylation' and decision == 'left out'")["reason"]
    assert "describes no probe as promoter" in reason and "Set omics.probes" in reason


def test_m_values_are_not_taken_for_beta(tmp_path: Path) -> None:
    study = read_study(portal(tmp_path, beta=M.round(3)), drivers=())
    (reason,) = study.decisions.query("step == 'methylation' and decision == 'left out'")["reason"]
    assert "lie outside 0..1: no beta" in reason and "2^M" in reason
    few = BETA.copy()
    few[0, :2] = -0.1, 1.2
    (tmp_path / "few").mkdir()
    found = methylation(read_study(portal(tmp_path / "few", beta=few), drivers=(), choices=Choices(probes="all")))
    np.testing.assert_allclose(found["TP53"].to_numpy()[:2], M[1, :2], rtol=1e-4)  # the other probe alone


def test_one_matrix_under_two_names_is_found_on_any_scale(tmp_path: Path) -> None:
    """A spare methylation profile that is the one in use, and one that is the copy number in use."""
    rng = np.random.default_rng(1)
    genes, samples = [f"GENE{place}" for place in range(8)], [f"{name}-01" for name in PEOPLE]
    named = pd.DataFrame({"Hugo_Symbol": genes})
    ratio = pd.DataFrame(rng.normal(0, 2, (8, 12)).round(4), columns=samples)
    write(tmp_path, "log2", "COPY_NUMBER_ALTERATION", "LOG2-VALUE", named.join(ratio))
    rows = pd.DataFrame({"Hugo_Symbol": np.repeat(genes, 2)})
    probes = rows.join(pd.DataFrame(rng.uniform(0.01, 0.99, (16, 12)).round(4), columns=samples))
    for name, table in (("hm27_hm450", probes), ("hm450", probes), ("hm27", named.join(ratio))):
        write(tmp_path, name, "METHYLATION", "CONTINUOUS", table, f"stable_id: {name}\n")
    for choices in (Choices(), Choices(methylation="beta")):
        quality = read_study(tmp_path, drivers=(), choices=choices).quality
        twice = quality[quality["flag"]]
        assert twice["item"].tolist() == ["hm450.txt", "hm27.txt"]
        assert [note.partition("with ")[2].split()[0] for note in twice["note"]] == ["methylation", "copy_number"]


def test_the_tensor_follows(tmp_path: Path) -> None:
    omics = Omics(genes="union", copy_number="discrete", max_missing=0.0)
    (tmp_path / "in").mkdir()
    study = read_any_study(portal(tmp_path / "in"), drivers=(), choices=Choices.of(omics))
    write_omics(study, tmp_path / "out")
    names = pd.read_parquet(tmp_path / "out/tensor_genes.parquet")["gene"].tolist()
    assert names == ["CDH1", "GATA3", "MYC", "TP53"]
    scales = json.loads((tmp_path / "out" / SCALES).read_text())
    assert scales == {"expression": "log2(x+1)", "copy_number": "discrete", "methylation": "m_value"}
    scale = pd.read_parquet(tmp_path / "out/quality.parquet").query("check == 'scale' and omic == 'methylation'")
    assert not scale["flag"].any()  # values below 0 are what M-values have


def test_more_missing_than_is_allowed_leaves_the_gene_out(tmp_path: Path) -> None:
    holes = BETA.copy()
    holes[2, :4] = np.nan
    folder = portal(tmp_path, beta=holes)
    assert "CDH1" in methylation(read_study(folder, drivers=()))
    strict = read_study(folder, drivers=(), choices=Choices.of(Omics(max_missing=0.3)))
    assert "CDH1" not in methylation(strict)
