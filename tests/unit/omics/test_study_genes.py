"""Samples to patients, symbols to genes, probes to genes, and the scale of expression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.cohort.selection import Selection
from radgen_lib.omics.study.aliases import ALIASES, current_symbol
from radgen_lib.omics.study.decisions import Choices, Decisions, rules
from radgen_lib.omics.study.genes import current_symbols, enough_values, one_row_a_gene
from radgen_lib.omics.study.meta import Profile
from radgen_lib.omics.study.methylation import ProbeMean, is_promoter, probe_genes
from radgen_lib.omics.study.profiles import log_expression
from radgen_lib.omics.study.samples import SampleIndex, choose_samples, looks_like_patient, normal_patient

FILE = Path("data.txt")
BETA = Choices(methylation="beta", probes="all")
PROFILE = Profile("expression", "CONTINUOUS", "rna_seq_v2_mrna", FILE, "meta.txt")


def choose(names: list[str], index: SampleIndex | None = None) -> tuple[dict[str, str], dict[str, str]]:
    selection = Selection()
    chosen = choose_samples(names, index or SampleIndex(), selection, step="expression", source=FILE)
    frame = selection.frame()
    assert len(frame) == len(names)
    reasons = {row.id: row.reason for row in frame.itertuples() if not row.kept}
    return {patient: names[place] for patient, place in chosen.items()}, reasons


class TestSamples:
    def test_primary_before_metastatic_whatever_the_order(self):
        names = ["TCGA-A1-A0SB-06", "TCGA-A1-A0SB-01", "TCGA-BH-A18V-06"]
        chosen, reasons = choose(names)
        assert chosen == {"TCGA-A1-A0SB": "TCGA-A1-A0SB-01", "TCGA-BH-A18V": "TCGA-BH-A18V-06"}
        assert reasons == {"TCGA-A1-A0SB-06": "metastatic sample; TCGA-A1-A0SB-01 stands for the patient"}

    @pytest.mark.parametrize("code", ["10", "11", "14", "20", "50", "60", "99"])
    def test_no_tumour_is_dropped(self, code):
        chosen, reasons = choose([f"TCGA-A1-A0SB-{code}A"])
        assert chosen == {}
        assert list(reasons.values()) == [f"no tumour tissue (sample type {code})"]

    def test_first_vial_then_position(self):
        chosen, reasons = choose(["TCGA-A1-A0SB-01B", "TCGA-A1-A0SB-01A", "TCGA-A1-A0SB-01A"])
        assert chosen == {"TCGA-A1-A0SB": "TCGA-A1-A0SB-01A"}
        assert reasons["TCGA-A1-A0SB-01A"].startswith("the name of the sample stands twice")

    def test_recurrent_between(self):
        names = ["TCGA-A1-A0SB-06", "TCGA-A1-A0SB-02"]
        assert choose(names)[0] == {"TCGA-A1-A0SB": "TCGA-A1-A0SB-02"}

    def test_dots_of_r(self):
        assert choose(["TCGA.A1.A0SB.01", "TCGA.A1.A0SB.11"])[0] == {"TCGA-A1-A0SB": "TCGA.A1.A0SB.01"}

    def test_sample_file_knows_local_samples(self):
        index = SampleIndex({"s1": "p1", "s2": "p1", "s3": "p2"}, {"s1": "Metastasis", "s3": "Solid Tissue Normal"})
        chosen, reasons = choose(["s1", "s2", "s3", "lonely"], index)
        assert chosen == {"lonely": "lonely", "p1": "s2"}
        assert reasons["s3"] == "no tumour tissue (Solid Tissue Normal)"

    @given(st.permutations(["TCGA-A1-A0SB-01", "TCGA-A1-A0SB-06", "TCGA-A1-A0SB-11", "TCGA-A1-A0SC-06", "x"]))
    def test_order_of_columns_does_not_matter(self, names):
        chosen, _ = choose(list(names))
        assert chosen == {"TCGA-A1-A0SB": "TCGA-A1-A0SB-01", "TCGA-A1-A0SC": "TCGA-A1-A0SC-06", "x": "x"}

    def test_patients(self):
        assert normal_patient("TCGA.A1.A0SB-01A-11R") == "TCGA-A1-A0SB"
        assert normal_patient(" local 7 ") == "local 7"
        assert looks_like_patient("Breast_MRI_001")
        assert not looks_like_patient("PATIENT_ID")


class TestSymbols:
    @pytest.mark.parametrize(
        ("symbol", "entrez", "expected"),
        [
            ("MLL2", "8085", "KMT2D"), ("MLL2", "", "KMT2D"), ("C11orf30", "56946.0", "EMSY"), ("TP53", "7157", "TP53"),
            ("MLL2", "9757", "MLL2"), ("TAZ", "25937", "TAZ"), ("TAZ", "6901", "TAFAZZIN"),
            ("2-Sep", "4735", "SEPTIN2"),
            ("1-Mar", "", ""), ("", "4297", "KMT2A"), ("NA", "0", ""), ("?|100130426", "", ""), ("MLL2", "0", "KMT2D"),
        ],
    )  # fmt: skip
    def test_current(self, symbol, entrez, expected):
        assert current_symbol(symbol, entrez)[0] == expected

    def test_reason_exactly_where_something_was_decided(self):
        for symbol, entrez in [("TP53", "7157"), ("MLL2", "8085"), ("MLL2", "1"), ("", "")]:
            _, reason = current_symbol(symbol, entrez)
            assert bool(reason) == (symbol != "TP53")

    def test_table_has_no_chain_and_one_id_a_gene(self):
        assert len(ALIASES) > 60
        for old, alias in ALIASES.items():
            assert alias.symbol not in ALIASES, old
            assert current_symbol(alias.symbol, alias.entrez) == (alias.symbol, "")
        by_id: dict[str, str] = {}
        for alias in ALIASES.values():
            assert by_id.setdefault(alias.entrez, alias.symbol) == alias.symbol

    def test_log_names_every_decision(self):
        log = Decisions()
        assert current_symbols(["TP53", "MLL2", "", "MLL3"], ["7157", "8085", "", "1"], FILE, log) == [
            "TP53", "KMT2D", "", "MLL3",
        ]  # fmt: skip
        assert log.frame()["decision"].tolist() == ["renamed", "row left out", "name kept"]


class TestRows:
    def test_fewest_missing_then_highest_variance_then_first(self):
        nan = np.nan
        rows = np.array([[1, 9, nan], [1, 2, 3], [0, 5, 10], [0, 5, 10], [4, 4, 4]], dtype=np.float32).T
        log = Decisions()
        assert one_row_a_gene(["A", "A", "A", "A", "B"], rows, FILE, log) == [2, 4]
        assert log.frame()[["item", "count"]].to_numpy().tolist() == [["A", 3]]

    def test_rows_without_a_gene_go(self):
        assert one_row_a_gene(["", "B", ""], np.zeros((2, 3), np.float32), FILE, Decisions()) == [1]

    @given(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=12))
    def test_one_row_of_every_gene_in_order(self, genes):
        values = np.random.default_rng(0).normal(size=(5, len(genes))).astype(np.float32)
        kept = one_row_a_gene(genes, values, FILE, Decisions())
        assert [genes[i] for i in kept] == list(dict.fromkeys(genes))
        for i in kept:
            assert values[:, i].var() >= max(values[:, j].var() for j in range(len(genes)) if genes[j] == genes[i])

    def test_genes_with_too_few_values(self):
        values = np.array([[1, np.nan, np.nan], [1, np.nan, 2]], dtype=np.float32)
        log = Decisions()
        assert enough_values(["A", "B", "C"], values, Choices(), FILE, log).tolist() == [True, False, True]
        assert log.frame()["reason"].tolist() == ["100 % of the patients are missing"]


class TestProbes:
    def brute(self, genes, values):
        names = list(dict.fromkeys(name for row in genes for name in row))
        columns = [np.nanmean(values[:, [i for i, row in enumerate(genes) if name in row]], axis=1) for name in names]
        return names, np.stack(columns, axis=1)

    @pytest.mark.parametrize("step", [1, 3, 50])
    def test_mean_over_probes_whatever_the_blocks(self, step):
        rng = np.random.default_rng(1)
        values = rng.random((7, 50)).astype(np.float32)
        values[rng.random(values.shape) < 0.05] = np.nan
        genes = [[f"G{i % 9}"] if i % 5 else [f"G{i % 9}", "SHARED"] for i in range(50)]
        means = ProbeMean(7, BETA)
        for start in range(0, 50, step):
            means.add(genes[start : start + step], [""] * step, values[:, start : start + step])
        names, expected = self.brute(genes, values)
        assert means.genes == names
        np.testing.assert_allclose(means.means(), expected, rtol=1e-6)
        assert sum(means.probes) == sum(map(len, genes))

    def test_patient_without_probe_is_missing(self):
        means = ProbeMean(2, BETA)
        means.add([["A"], ["A"]], ["", ""], np.array([[np.nan, np.nan], [0.25, np.nan]], np.float32))
        np.testing.assert_array_equal(means.means(), np.array([[np.nan], [0.25]], np.float32))

    def test_promoter_only(self):
        means = ProbeMean(1, Choices(probes="promoter", methylation="beta"))
        means.add([["A"], ["A"], ["B"]], ["TSS1500", "Body", "Body"], np.array([[0.2, 0.8, 0.5]], np.float32))
        assert means.genes == ["A"]
        np.testing.assert_allclose(means.means(), [[0.2]], rtol=1e-6)
        assert is_promoter("5'UTR;1stExon")
        assert not is_promoter("3'UTR")

    @pytest.mark.filterwarnings("ignore:Mean of empty slice")
    @pytest.mark.parametrize("step", [1, 2, 50])
    def test_promoter_first_whatever_the_blocks_and_their_order(self, step):
        """A gene with a promoter probe anywhere in the file has the mean of such, another that of all its probes."""
        rng = np.random.default_rng(2)
        values = rng.random((5, 50)).astype(np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        genes = [[f"G{i % 7}"] if i % 5 else [f"G{i % 7}", "SHARED"] for i in range(50)]
        words = ["TSS200" if i % 3 == 0 and i % 7 < 4 and i > 20 else "Body" for i in range(50)]
        near = {name for row, word in zip(genes, words, strict=True) if word == "TSS200" for name in row}
        assert 0 < len(near) < 8
        means = ProbeMean(5, Choices(methylation="beta"))
        for start in range(0, 50, step):
            part = slice(start, start + step)
            means.add(genes[part], words[part], values[:, part])
        wanted = [
            [name for name in row if word == "TSS200" or name not in near]
            for row, word in zip(genes, words, strict=True)
        ]
        names, expected = self.brute(wanted, values)
        found = pd.DataFrame(means.means(), columns=means.genes)
        assert means.promoter == near and set(means.genes) == set(names)
        np.testing.assert_allclose(found[names], expected, rtol=1e-6)
        assert sum(means.probes) == sum(map(len, wanted))

    def test_m_values_per_probe(self):
        means = ProbeMean(1, Choices(methylation="m_value"))
        means.add([["A"], ["A"], ["A"]], ["", "", ""], np.array([[0.5, 0.8, 1.5]], np.float32))
        np.testing.assert_allclose(means.means(), [[np.log2(0.8 / 0.2) / 2]], rtol=1e-5)
        assert means.impossible == 1

    def test_m_value_at_the_edge_is_finite(self):
        means = ProbeMean(1, Choices(methylation="m_value"))
        means.add([["A"], ["B"]], ["", ""], np.array([[0.0, 1.0]], np.float32))
        np.testing.assert_allclose(means.means(), [[-9.96, 9.96]], atol=0.01)

    def test_names_of_a_probe(self):
        assert probe_genes("TP53;WRAP53; TP53;") == ["TP53", "WRAP53"]


class TestExpression:
    def test_log2_of_linear(self):
        values = np.array([[0, 1, 1023, -0.5, np.nan]], dtype=np.float32)
        log = Decisions()
        log_expression(values, PROFILE, log)
        np.testing.assert_allclose(values, [[0, 1, 10, 0, np.nan]], atol=1e-5)
        assert log.frame()["decision"].tolist() == ["count as 0", "log2(x + 1)"]

    def test_logarithms_stay(self):
        values = np.array([[6.5, 8.2, 17.5, 9.1]], dtype=np.float32)
        before, log = values.copy(), Decisions()
        assert log_expression(values, PROFILE, log) == "log2(x+1)"
        np.testing.assert_array_equal(values, before)
        assert "logarithms already" in log.frame()["reason"].iloc[0]

    def test_ratios_stay_and_are_called_other(self):
        values = np.array([[-3.5, 0, 17.5]], dtype=np.float32)
        before, log = values.copy(), Decisions()
        assert log_expression(values, PROFILE, log) == "other"
        np.testing.assert_array_equal(values, before)
        assert "log-ratios or z-scores" in log.frame()["reason"].iloc[0]
        assert log_expression(values, PROFILE, log, "linear") == "log2(x+1)"
        np.testing.assert_allclose(values, [[0, 0, np.log2(18.5)]], rtol=1e-6)


class TestRules:
    def test_rules_follow_the_choices(self):
        for choices in (Choices(), Choices(genes="union", copy_number="discrete", methylation="m_value")):
            text = " ".join(rule for _, rule, _ in rules(choices))
            assert ("any omic has them, NaN elsewhere" in text) is True
            assert choices.copy_number in text
            assert choices.methylation in text
        assert "all omics have them" in " ".join(rule for _, rule, _ in rules(Choices()))

    def test_faults_beyond_the_limit_are_counted(self):
        log = Decisions()
        log.extend("step", FILE, [(f"i{n}", "out", "why") for n in range(7)], most=3)
        assert log.frame()["count"].tolist() == [1, 1, 1, 4]
        assert log.frame()["table"].unique().tolist() == ["data.txt"]
