"""Which scale expression is on, against matrices whose scale is known, and the file that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.omics.study.decisions import Choices
from radgen_lib.omics.study.local import read_any_study
from radgen_lib.omics.study.read import read_study
from radgen_lib.omics.study.scale import expression_scale
from radgen_lib.omics.study.write import SCALES, write_omics

PEOPLE = tuple(f"TCGA-AO-A{number:03d}" for number in range(40))


def panel(genes: int, *, spread: float = 1.0, highest: float = 25.0, seed: int = 0) -> np.ndarray:
    """Linear expression of 40 patients: log-normal between genes and patients, scaled to a maximum."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(0, spread, genes) + rng.normal(0, 0.6, (40, genes)))
    return (values * highest / values.max()).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(genes=st.integers(15, 300), spread=st.floats(0.8, 2.5), highest=st.floats(5, 30), seed=st.integers(0, 99))
def test_small_linear_panels_are_linear(genes: int, spread: float, highest: float, seed: int) -> None:
    assert expression_scale(panel(genes, spread=spread, highest=highest, seed=seed)).kind == "linear"


@settings(max_examples=40, deadline=None)
@given(genes=st.integers(15, 300), spread=st.floats(0.6, 1.4), reads=st.floats(1e4, 1e6), seed=st.integers(0, 99))
def test_logarithms_of_rsem_are_logarithms(genes: int, spread: float, reads: float, seed: int) -> None:
    linear = panel(genes, spread=spread, highest=reads, seed=seed)
    assert expression_scale(linear).kind == "linear"
    assert expression_scale(np.log2(linear + 1)).kind == "log2"


def test_a_whole_transcriptome_with_few_genes_expressed_is_logarithms() -> None:
    values = np.zeros((4, 6000), dtype=np.float32)
    values[:, :900] = np.log2(1 + panel(900, spread=2.0, highest=3e4)[:4])
    assert expression_scale(values).kind == "log2"
    assert expression_scale(values[:, :3000]).reason.startswith("values from 0 to")


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([[-1.2, 0.4, 2.0]], "other", "log-ratios or z-scores"),
        ([[-1.2, 0.4, 31.0]], "linear", "above 30"),
        ([[0, 3, 12, np.nan]], "linear", "whole numbers"),
        ([[0.1, 0.2, 25.5, np.nan]], "linear", "less than 0.2"),
        ([[5.5, 8.5, 12.5]], "log2", "logarithms already"),
    ],
)
def test_rules_in_order(values: list[list[float]], kind: str, words: str) -> None:
    found = expression_scale(np.array(values, dtype=np.float32))
    assert (found.kind, words in found.reason) == (kind, True), found.reason
    assert words == "above 30" or "set `expression: linear` or `log2`" in found.reason
    for chosen in ("linear", "log2"):
        assert expression_scale(np.array(values), chosen) == (chosen, f"as configured (expression: {chosen})")


def written(folder: Path, values: np.ndarray, expression: str) -> tuple[dict[str, str], np.ndarray]:
    folder.mkdir()
    names = [f"GENE{place}" for place in range(values.shape[1])]
    for omic, table in (("expression", values), ("copy_number", values / 10 - 1), ("methylation", np.abs(values) / 50)):
        pd.DataFrame(table.T, names, PEOPLE).rename_axis("gene").to_csv(folder / f"{omic}.csv")
    choices = Choices(expression=expression)  # type: ignore[arg-type]
    write_omics(read_any_study(folder, drivers=(), choices=choices), folder / "out")
    tensor = np.load(folder / "out/tensor.npy", allow_pickle=False)
    return json.loads((folder / "out" / SCALES).read_text()), tensor[:, :, 0]


def test_scales_are_written_beside_the_tensor(tmp_path: Path) -> None:
    values = panel(20)
    order = np.argsort([f"GENE{place}" for place in range(20)])
    both = {"copy_number": "log2 ratio", "methylation": "m_value"}
    scales, tensor = written(tmp_path / "a", values, "auto")
    assert scales == {"expression": "log2(x+1)", **both}
    np.testing.assert_allclose(tensor, np.log2(values + 1)[:, order], rtol=1e-5)
    scales, tensor = written(tmp_path / "b", values, "log2")
    assert scales == {"expression": "log2(x+1)", **both}
    np.testing.assert_allclose(tensor, values[:, order], rtol=1e-6)
    assert written(tmp_path / "c", values - 1, "auto")[0] == {"expression": "other", **both}


def test_a_study_is_read_by_the_choice(tmp_path: Path) -> None:
    (tmp_path / "meta_x.txt").write_text(
        "genetic_alteration_type: MRNA_EXPRESSION\ndatatype: CONTINUOUS\ndata_filename: x.txt\n"
    )
    (tmp_path / "x.txt").write_text("Hugo_Symbol\tTCGA-AO-A001-01\nTP53\t3.5\nCDH1\t4.5\n")
    found = {
        chosen: read_study(tmp_path, drivers=(), choices=Choices(expression=chosen)).matrices[0].values.tolist()
        for chosen in ("auto", "log2", "linear")
    }
    assert found["auto"] == found["log2"] == [[3.5, 4.5]]
    np.testing.assert_allclose(found["linear"], np.log2([[4.5, 5.5]]), rtol=1e-6)
