"""The tensor: every bad input of the issue becomes a row or a clear refusal, and the numbers are those of the omics."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.choices import TensorChoices
from radgen_lib.omics.btf.filters import spread
from radgen_lib.omics.btf.matrices import m_values, read_matrices, tcga2012_matrices
from radgen_lib.omics.btf.tensor import BuiltTensor, build_tensor
from radgen_lib.omics.tensor_table import OmicMatrix, write_tensor
from radgen_lib.sources.reference.multiomics import OMICS, read_tcga2012
from radgen_lib.sources.registry import load_registry

N, G = 30, 40
PATIENTS = tuple(f"TCGA-A1-{i:04d}" for i in range(N))
GENES = tuple(f"G{i:02d}" for i in range(G))
NOTHING = TensorChoices(min_expressed=0.0)


def cohort(seed: int = 0, patients: tuple[str, ...] = PATIENTS, genes: tuple[str, ...] = GENES) -> list[OmicMatrix]:
    """Three omics on the scales of the real ones."""
    rng = np.random.default_rng(seed)
    shape = (len(patients), len(genes))
    values = (rng.normal(8, 2, shape), rng.normal(0, 0.4, shape), rng.uniform(0.05, 0.95, shape))
    scales = ("log2(x+1)", "log2 ratio", "beta")
    return [
        OmicMatrix(omic, patients, genes, part.astype(np.float32), scale)
        for omic, part, scale in zip(OMICS, values, scales, strict=True)
    ]


def changed(matrix: OmicMatrix, place: object, value: float) -> OmicMatrix:
    values = matrix.values.copy()
    values[place] = value
    return replace(matrix, values=values)


def rows(built: BuiltTensor, step: str, **columns: str) -> pd.DataFrame:
    """Rows of a step of the decision table, without the rules."""
    table = built.decisions
    found = table[(table["step"] == step) & (table["decision"] != "rule") & (table["item"] != "rule")]
    for name, value in columns.items():
        found = found[found[name] == value]
    return found


class TestValues:
    def test_axes_values_and_scales(self):
        omics = cohort()
        shuffled = replace(omics[1], patients=PATIENTS[::-1], values=omics[1].values[::-1])
        built = build_tensor([omics[0], shuffled, omics[2]])
        assert (built.patients, built.genes, built.omics) == (PATIENTS, GENES, OMICS)
        assert built.scales == ("log2(x+1)", "log2 ratio", "m_value")
        assert built.values.dtype == np.float32 and built.values.shape == (N, G, 3)
        np.testing.assert_array_equal(built.values[:, :, 0], omics[0].values)
        np.testing.assert_array_equal(built.values[:, :, 1], omics[1].values)
        beta = omics[2].values.astype(float)
        np.testing.assert_allclose(built.values[:, :, 2], np.log2(beta / (1 - beta)), rtol=1e-5, atol=1e-6)

    def test_any_number_of_omics(self):
        one = build_tensor(cohort()[:1])
        assert one.values.shape == (N, G, 1)
        protein = OmicMatrix("protein", PATIENTS, GENES, np.random.default_rng(9).normal(size=(N, G)), "z-score")
        four = build_tensor([*cohort(), protein])
        assert four.omics == (*OMICS, "protein") and four.scales[3] == "z-score"
        np.testing.assert_array_equal(four.values[:, :, 3], protein.values.astype(np.float32))
        assert rows(four, "scale", table="protein")["decision"].tolist() == ["as it is"]

    def test_linear_expression_is_logged(self):
        omics = cohort()
        linear = replace(omics[0], values=(2.0 ** omics[0].values - 1).astype(np.float32), scale="linear")
        linear = changed(linear, (3, 4), -5.0)
        built = build_tensor([linear, *omics[1:]])
        expected = omics[0].values.copy()
        expected[3, 4] = 0.0
        np.testing.assert_allclose(built.values[:, :, 0], expected, rtol=1e-4, atol=1e-3)
        assert rows(built, "scale", item="values below 0")["count"].tolist() == [1]

    @pytest.mark.parametrize(
        ("values", "scale", "decision"),
        [
            (lambda v: 2.0**v, "", "log2(x+1)"),
            (lambda v: v - 8.0, "", "as it is"),
            (lambda v: v - 8.0, "other", "as it is"),
            (lambda v: v, "log2(x+1)", "as it is"),
        ],
    )
    def test_scale_of_expression(self, values, scale, decision):
        omics = cohort()
        matrix = replace(omics[0], values=values(omics[0].values).astype(np.float32), scale=scale)
        built = build_tensor([matrix, *omics[1:]], choices=NOTHING)
        assert rows(built, "scale", item="expression")["decision"].tolist() == [decision]

    def test_methylation(self):
        omics = cohort()
        built = build_tensor(omics, choices=TensorChoices(methylation="beta"))
        np.testing.assert_array_equal(built.values[:, :, 2], omics[2].values)
        ready = m_values(omics[2])[0]
        again = build_tensor([*omics[:2], ready])
        np.testing.assert_array_equal(again.values[:, :, 2], ready.values)
        told = build_tensor([*omics[:2], replace(omics[2], scale="")])
        np.testing.assert_array_equal(told.values[:, :, 2], ready.values)
        assert build_tensor([*omics[:2], replace(ready, scale="")]).scales[2] == "m_value"

    def test_no_beta_is_missing(self):
        omics = cohort()
        built = build_tensor([*omics[:2], changed(omics[2], (0, slice(0, 3)), 1.5)])
        assert np.isnan(built.values[0, :3, 2]).all() and np.isnan(built.values).sum() == 3
        assert rows(built, "missing", table="methylation")["count"].tolist() == [3]

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000))
    def test_m_values_order_and_edges(self, seed):
        beta = np.random.default_rng(seed).choice([0.0, 0.001, 0.3, 0.5, 0.999, 1.0, np.nan], size=(4, 5))
        found, impossible = m_values(OmicMatrix("methylation", PATIENTS[:4], GENES[:5], beta.astype(np.float32)))
        assert impossible == 0 and found.genes == GENES[:5]
        clipped = np.clip(beta.astype(np.float32).astype(float), 1e-3, 1 - 1e-3)
        np.testing.assert_allclose(found.values, np.log2(clipped / (1 - clipped)), rtol=1e-5, atol=1e-6)

    def test_same_input_same_bytes(self):
        first, second = build_tensor(cohort()), build_tensor(cohort())
        assert first.values.tobytes() == second.values.tobytes()
        pd.testing.assert_frame_equal(first.decisions, second.decisions)


class TestBadInput:
    def test_infinite_values(self):
        omics = cohort()
        bad = changed(changed(omics[1], (2, 5), np.inf), (7, 1), -np.inf)
        built = build_tensor([omics[0], bad, omics[2]])
        found = rows(built, "missing", table="copy_number")
        assert found["count"].tolist() == [2] and f"{PATIENTS[2]}, {GENES[5]}" in found["reason"].iloc[0]
        assert np.isnan(built.values[2, 5, 1]) and np.isnan(built.values[7, 1, 1])
        assert np.isfinite(built.values).sum() == N * G * 3 - 2

    @pytest.mark.parametrize("rescale", [lambda v: v, lambda v: 3 - 2 * v, np.exp])
    def test_one_matrix_under_two_names(self, rescale):
        omics = cohort()
        copy = OmicMatrix("protein", PATIENTS, GENES, rescale(omics[1].values), "")
        built = build_tensor([*omics, copy])
        found = rows(built, "matrix twice")
        assert found["item"].tolist() == ["protein"] and "copy_number" in found["reason"].iloc[0]
        assert built.omics == OMICS

    def test_two_matrices_of_one_name(self):
        omics = cohort()
        with pytest.raises(DataError, match="two matrices are named expression"):
            build_tensor([*omics, omics[0]])
        with pytest.raises(DataError, match="no omics matrix"):
            build_tensor([])

    def test_patient_twice_by_name(self):
        with pytest.raises(ValueError, match="a patient stands twice"):
            OmicMatrix("expression", (*PATIENTS[:2], PATIENTS[0]), GENES, np.zeros((3, G)))

    def test_patient_twice_by_values(self):
        omics = cohort()
        values = omics[0].values.copy()
        values[20] = values[4]
        values[25] = values[4]
        built = build_tensor([replace(omics[0], values=values), *omics[1:]], patients=PATIENTS)
        found = rows(built, "patient twice")
        assert found["item"].tolist() == [PATIENTS[20], PATIENTS[25]]
        assert f"the same expression as {PATIENTS[4]}" in found["reason"].iloc[0]
        assert set(PATIENTS) - set(built.patients) == {PATIENTS[20], PATIENTS[25]}
        assert rows(built, "patient").empty

    def test_discrete_calls_may_agree(self):
        omics = cohort()
        calls = np.random.default_rng(1).integers(-2, 3, size=(N, G)).astype(np.float32)
        calls[9] = calls[3]
        flat = omics[2].values.copy()
        flat[11] = flat[12] = 0.5
        discrete = replace(omics[1], values=calls, scale="discrete")
        built = build_tensor([omics[0], discrete, replace(omics[2], values=flat)])
        assert built.patients == PATIENTS and rows(built, "patient twice").empty
        assert "not Gaussian" in rows(built, "scale", table="copy_number")["reason"].iloc[0]

    def test_gene_constant_in_one_omic(self):
        omics = cohort()
        built = build_tensor([omics[0], changed(omics[1], (slice(None), 6), 0.0), omics[2]])
        found = rows(built, "constant gene")
        assert found[["table", "item", "decision"]].to_numpy().tolist() == [["copy_number", GENES[6], "missing"]]
        assert np.isnan(built.values[:, 6, 1]).all() and not np.isnan(built.values[:, 6, 0]).any()
        assert rows(built, "gene fibre")["item"].tolist() == [GENES[6]]

    def test_gene_of_nothing_is_left_out(self):
        omics = [changed(matrix, (slice(None), 6), 0.5) for matrix in cohort()]
        built = build_tensor(omics, choices=NOTHING)
        assert built.genes == GENES[:6] + GENES[7:] and built.values.shape == (N, G - 1, 3)
        found = rows(built, "gene", decision="left out", table="tensor")
        assert found["item"].tolist() == [GENES[6]]

    def test_missing_fibres_are_rows(self):
        omics = cohort()
        bad = changed(changed(omics[2], 5, np.nan), (slice(None), 7), np.nan)
        built = build_tensor([*omics[:2], bad])
        assert rows(built, "patient fibre")[["table", "item"]].to_numpy().tolist() == [["methylation", PATIENTS[5]]]
        assert rows(built, "gene fibre")[["table", "item"]].to_numpy().tolist() == [["methylation", GENES[7]]]
        assert built.patients == PATIENTS and built.genes == GENES

    def test_patient_without_omic(self):
        omics = [changed(matrix, 8, np.nan) for matrix in cohort()]
        built = build_tensor(omics, patients=[*PATIENTS, "TCGA-ZZ-9999"])
        assert built.patients == PATIENTS[:8] + PATIENTS[9:]
        found = rows(built, "patient", decision="left out")
        assert found["item"].tolist() == [PATIENTS[8], "TCGA-ZZ-9999"]
        assert set(found["reason"]) == {"has no omic"}

    def test_patients_of_some_omics(self):
        omics = cohort()
        few = replace(omics[1], patients=PATIENTS[:20], values=omics[1].values[:20])
        built = build_tensor([omics[0], few, omics[2]])
        assert built.patients == PATIENTS and np.isnan(built.values[20:, :, 1]).all()
        assert rows(built, "patient fibre", table="copy_number")["item"].tolist() == list(PATIENTS[20:])

    def test_many_rows_are_told_in_short(self):
        patients = tuple(f"TCGA-A1-{i:04d}" for i in range(80))
        omics = cohort(patients=patients)
        few = replace(omics[1], patients=patients[:15], values=omics[1].values[:15])
        found = rows(build_tensor([omics[0], few]), "patient fibre")
        assert len(found) == 51 and found["count"].sum() == 65

    def test_too_few_patients(self):
        with pytest.raises(DataError, match="9 patients have an omic, 10 are the fewest"):
            build_tensor(cohort(), patients=PATIENTS[:9])
        assert len(build_tensor(cohort(), patients=PATIENTS[:9], choices=TensorChoices(min_patients=9)).patients) == 9

    def test_omic_without_value(self):
        omics = cohort()
        built = build_tensor([omics[0], changed(omics[1], slice(None), np.nan), omics[2]])
        assert built.omics == ("expression", "methylation")
        assert rows(built, "omic")["item"].tolist() == ["copy_number"]
        with pytest.raises(DataError, match="no omics matrix holds a value"):
            build_tensor([changed(matrix, slice(None), np.nan) for matrix in omics])
        with pytest.raises(DataError, match="no omics matrix holds a value"):
            build_tensor(omics, patients=["TCGA-ZZ-9999"])

    def test_no_gene_varies(self):
        flat = replace(cohort()[0], values=np.full((N, G), 5.0, dtype=np.float32))
        with pytest.raises(DataError, match="no gene varies"):
            build_tensor([flat])

    def test_no_training_patient(self):
        with pytest.raises(DataError, match="no training patient"):
            build_tensor(cohort(), training=["TCGA-ZZ-9999"])

    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({"genes": "both"}, "intersection or union"),
            ({"min_expressed": 1.2}, "share between 0 and 1"),
            ({"max_genes": 0}, "max_genes"),
            ({"min_patients": 1}, "min_patients"),
            ({"methylation": "ratio"}, "m_value or beta"),
        ],
    )
    def test_impossible_choices(self, choice, message):
        with pytest.raises(ValueError, match=message):
            TensorChoices(**choice)


class TestGenes:
    def test_intersection_and_union(self):
        omics = cohort()
        short = replace(omics[1], genes=GENES[5:], values=omics[1].values[:, 5:])
        assert build_tensor([omics[0], short]).genes == GENES[5:]
        built = build_tensor([omics[0], short], choices=TensorChoices(genes="union"))
        assert built.genes == GENES and np.isnan(built.values[:, :5, 1]).all()
        assert rows(built, "gene fibre")["item"].tolist() == list(GENES[:5])
        other = OmicMatrix("protein", PATIENTS, ("X",), np.zeros((N, 1)))
        with pytest.raises(DataError, match="no gene is common"):
            build_tensor([omics[0], other])

    def test_gene_list(self):
        built = build_tensor(cohort(), choices=TensorChoices(gene_list=("G07", "NOBODY", "G03", "G07")))
        assert built.genes == ("G03", "G07")
        assert rows(built, "gene", table="gene list", decision="left out")["item"].tolist() == ["NOBODY"]
        with pytest.raises(DataError, match="none of its 1 genes"):
            build_tensor(cohort(), choices=TensorChoices(gene_list=("NOBODY",)))

    def test_expression_filter_reads_training_patients(self):
        omics = cohort()
        values = omics[0].values.copy()
        values[:, 0] = 0.5
        values[:7, 0] = 3.0  # expressed in 7 of 30 patients
        expression = replace(omics[0], values=values)
        assert build_tensor([expression, *omics[1:]]).genes == GENES
        built = build_tensor([expression, *omics[1:]], training=PATIENTS[7:])
        assert built.genes == GENES[1:] and built.patients == PATIENTS
        found = rows(built, "gene", item="not expressed")
        assert found["count"].tolist() == [1] and "of 23 patients" in found["reason"].iloc[0]
        stricter = TensorChoices(min_expressed=0.25)
        assert build_tensor([expression, *omics[1:]], choices=stricter).genes == GENES[1:]
        with pytest.raises(DataError, match="Lower min_expressed"):
            build_tensor([replace(omics[0], values=omics[0].values * 0)], choices=stricter)

    def test_log_ratios_are_not_judged(self):
        omics = cohort()
        ratio = replace(omics[0], values=omics[0].values - 8, scale="other")
        built = build_tensor([ratio, *omics[1:]], choices=TensorChoices(min_expressed=1.0))
        assert built.genes == GENES
        assert rows(built, "gene", item="expressed")["decision"].tolist() == ["not judged"]

    def test_most_variable_in_training_patients(self):
        omics = cohort()
        values = omics[0].values.copy()
        values[:, [3, 11, 30]] *= 3.0
        values[20:, 17] += 200.0  # varies between held-out patients and the others only
        expression = replace(omics[0], values=values)
        choices = TensorChoices(max_genes=3)
        built = build_tensor([expression, *omics[1:]], choices=choices, training=PATIENTS[:20])
        assert built.genes == ("G03", "G11", "G30") and built.values.shape == (N, 3, 3)
        assert rows(built, "gene", item="less variable")["count"].tolist() == [G - 3]
        assert "G17" in build_tensor([expression, *omics[1:]], choices=choices).genes

    def test_held_out_values_choose_no_gene(self):
        choices = TensorChoices(max_genes=7, variable_in="all", min_expressed=0.5)
        omics = cohort(3)
        other = [replace(m, values=np.concatenate([m.values[:20], m.values[20:] * 0.5])) for m in omics]
        chosen = [build_tensor(part, choices=choices, training=PATIENTS[:20]).genes for part in (omics, other)]
        assert chosen[0] == chosen[1] and len(chosen[0]) == 7

    def test_variable_in_all_omics(self):
        omics = cohort()
        scaled = [replace(matrix, values=matrix.values.copy()) for matrix in omics]
        for matrix in scaled[:2]:
            matrix.values[:, 13] *= 4.0
        built = build_tensor(scaled, choices=TensorChoices(max_genes=5, variable_in="all"))
        spreads = [spread(build_tensor(scaled).values[:, :, place]) for place in range(3)]
        score = np.mean([pd.Series(part).rank().to_numpy() for part in spreads], axis=0)
        assert built.genes == tuple(sorted(GENES[i] for i in np.argsort(-score, kind="stable")[:5]))
        assert "G13" in built.genes
        absent = build_tensor(omics[1:], choices=TensorChoices(max_genes=5))
        assert rows(absent, "gene", item="variable_in")["decision"].tolist() == ["all omics instead"]

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0, 0.9))
    def test_spread_is_numpys(self, seed, share):
        rng = np.random.default_rng(seed)
        values = rng.normal(5, 2, size=(12, 6)).astype(np.float32)
        values[rng.random(values.shape) < share] = np.nan
        expected = pd.DataFrame(values.astype(float)).std(ddof=1).fillna(0.0)
        np.testing.assert_allclose(spread(values), expected, rtol=1e-6, atol=1e-9)

    def test_rules_open_the_decisions(self):
        built = build_tensor(cohort(), choices=TensorChoices(max_genes=12, methylation="beta"))
        table = built.decisions
        assert table.columns.tolist() == ["step", "table", "item", "decision", "reason", "count"]
        opening = table[table["item"] == "rule"]
        assert opening.index.tolist() == list(range(len(opening))) and (opening["count"] == 0).all()
        assert opening["decision"].str.contains("12 most variable").any()
        assert table.iloc[-1]["item"] == f"{N} x 12 x 3"
        assert "in 0.2 of patients" in opening["decision"].iloc[1]
        assert build_tensor(cohort(), choices=NOTHING).decisions["decision"].iloc[1] == "expressed or not"

    def test_words_follow_the_filters_that_act(self):
        def learners(choices: TensorChoices, **given: object) -> str:
            found = rows(build_tensor(cohort(), choices=choices, **given), "gene", item="patients of the filters")
            return found["reason"].item()

        assert learners(NOTHING) == "no filter of genes looks at values"
        few = TensorChoices(min_expressed=0.0, max_genes=12)
        assert learners(few) == learners(TensorChoices()) == "all: right only where nothing is held out"
        assert learners(few, training=PATIENTS[:20]) == "the held-out patients decide nothing"
        for choices, acts in ((NOTHING, [False, False]), (TensorChoices(max_genes=12), [True, True])):
            reasons = build_tensor(cohort(), choices=choices).decisions["reason"].iloc[1:3]
            assert ["noise" in reasons.iloc[0], "training patients" in reasons.iloc[1]] == acts


class TestReaders:
    def write(self, folder: Path, omics: list[OmicMatrix]) -> None:
        write_tensor(omics, folder)
        (folder / "tensor_scales.json").write_text(json.dumps({matrix.omic: matrix.scale for matrix in omics}))

    def test_written_cohort(self, tmp_path):
        omics = cohort()
        few = replace(omics[1], patients=PATIENTS[3:20], values=omics[1].values[3:20])
        self.write(tmp_path, [omics[0], few, omics[2]])
        found = read_matrices(tmp_path)
        assert [matrix.omic for matrix in found] == list(OMICS)
        assert found[1].patients == PATIENTS[3:20] and found[1].scale == "log2 ratio"
        for matrix, expected in zip(found, (omics[0], few, omics[2]), strict=True):
            np.testing.assert_array_equal(matrix.values, expected.values)
            assert matrix.values.flags["C_CONTIGUOUS"] and not isinstance(matrix.values, np.memmap)
        built = build_tensor(found)
        assert rows(built, "patient fibre", table="copy_number")["item"].tolist() == [*PATIENTS[:3], *PATIENTS[20:]]

    def test_omic_without_value_is_read(self, tmp_path):
        omics = cohort()
        self.write(tmp_path, [omics[0], changed(omics[1], slice(None), np.nan)])
        assert read_matrices(tmp_path)[1].values.shape == (0, 0)
        assert build_tensor([read_matrices(tmp_path)[0]]).omics == ("expression",)

    def test_broken_folders(self, tmp_path):
        with pytest.raises(DataError, match="is not there"):
            read_matrices(tmp_path)
        self.write(tmp_path, cohort())
        (tmp_path / "tensor_scales.json").write_text('{"expression": "log2(x+1)", "methylation": "beta"}')
        with pytest.raises(DataError, match="does not name the scale of copy_number"):
            read_matrices(tmp_path)
        (tmp_path / "tensor_scales.json").unlink()
        with pytest.raises(DataError, match=r"tensor_scales\.json: is not there"):
            read_matrices(tmp_path)

    def test_released_cohort(self, mirror):
        registry = load_registry()
        tables = [
            read_tcga2012(mirror / str(registry[entry].mirror_path)).table
            for entry in ("tcga2012_chr17", "tcga2012_chr21")
        ]
        omics = tcga2012_matrices(tables)
        assert [matrix.scale for matrix in omics] == ["other", "log2 ratio", "beta"]
        built = build_tensor(omics)
        assert built.values.shape == (463, 275, 3) and built.scales[2] == "m_value"
        assert len(rows(built, "patient twice")) == len(rows(built, "constant gene")) == 0
        gene, patient = built.genes[20], built.patients[33]
        probes = [column for column in tables[0].columns.append(tables[1].columns)
                  if column[2] == gene and column[3].startswith("methylation")]  # fmt: skip
        table = next(table for table in tables if gene in table.columns.get_level_values("gene"))
        beta = float(table.loc[patient, probes].mean())
        assert built.values[33, 20, 2] == pytest.approx(np.log2(beta / (1 - beta)), rel=1e-4)
        expected = np.log2(0.001 / 0.999)
        assert np.nanmin(built.values[:, :, 2]) >= expected - 1e-4
