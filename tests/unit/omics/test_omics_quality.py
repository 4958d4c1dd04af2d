"""Quality of the tensor: planted faults are found where they are, and nothing is flagged where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.duplicates import likeness, matrix_likeness, same_rows
from radgen_lib.omics.quality import QUALITY_COLUMNS, omics_quality
from radgen_lib.omics.swaps import find_swaps, normal_scores
from radgen_lib.omics.tensor_table import OmicMatrix

OMICS = ("expression", "copy_number", "methylation")
N, G = 90, 120
PATIENTS = [f"TCGA-A1-{i:04d}" for i in range(N)]
GENES = [f"GENE{i}" for i in range(G)]


def make_tensor(seed: int = 0, n: int = N, genes: int = G) -> np.ndarray:
    """Three omics that share eight factors, with noise, on the scales of the real ones."""
    rng = make_rng(seed, "quality test")
    factors, loads = rng.normal(size=(n, 8)), rng.normal(size=(8, genes))
    parts = [factors @ (loads * rng.uniform(0.5, 1.5, size=(8, 1))) / np.sqrt(8) for _ in OMICS]
    e, c, m = (part + 0.6 * rng.normal(size=part.shape) for part in parts)
    return np.stack([8 + 2 * e, 0.4 * c, 1 / (1 + np.exp(m))], axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def tensor() -> np.ndarray:
    return make_tensor()


def quality(tensor: np.ndarray, omics=OMICS):
    return omics_quality(tensor, PATIENTS[: len(tensor)], GENES[: tensor.shape[1]], omics)


def flagged(tensor: np.ndarray, check: str, omics=OMICS) -> list[tuple[str, str]]:
    table = quality(tensor, omics)
    found = table[(table["check"] == check) & table["flag"]]
    return list(zip(found["omic"], found["item"], strict=True))


class TestTable:
    def test_a_clean_tensor_has_no_flag(self, tensor):
        table = quality(tensor)
        assert list(table.columns) == list(QUALITY_COLUMNS)
        assert not table["flag"].any()
        assert set(table["check"]) == {
            "missing share", "absent patients", "quantile", "scale", "matrix twice", "own pairs",
        }  # fmt: skip

    def test_names_must_fit(self, tensor):
        with pytest.raises(ValueError, match="shape"):
            omics_quality(tensor, PATIENTS[:-1], GENES, OMICS)

    def test_quantiles_are_numpys(self, tensor):
        table = quality(tensor).query("check == 'quantile' and omic == 'copy_number'")
        expected = np.quantile(tensor[:, :, 1], table["item"].astype(float).to_numpy())
        np.testing.assert_allclose(table["value"], expected, rtol=1e-6)

    def test_same_bytes_twice(self, tensor):
        assert quality(tensor).equals(quality(tensor.copy()))


class TestMissing:
    def test_shares(self, tensor):
        holed = tensor.copy()
        holed[:40, 5, 0] = np.nan
        holed[7, :60, 1] = np.nan
        holed[:3, :, 2] = np.nan
        table = quality(holed)
        rows = table[table["check"].isin(["gene missing", "patient missing"])]
        assert rows[["omic", "item", "flag"]].to_numpy().tolist() == [
            ["expression", "GENE5", True], ["copy_number", PATIENTS[7], True],
        ]  # fmt: skip
        np.testing.assert_allclose(rows["value"], [40 / N, 0.5])
        absent = table.query("check == 'absent patients'").set_index("omic")["value"]
        assert absent.to_dict() == {"expression": 0, "copy_number": 0, "methylation": 3}

    def test_an_omic_without_any_value(self, tensor):
        holed = tensor.copy()
        holed[:, :, 1] = np.nan
        assert flagged(holed, "missing share") == [("copy_number", "")]
        assert flagged(holed, "scale") == [("copy_number", "")]


class TestScale:
    @pytest.mark.parametrize(
        ("place", "change", "words"),
        [
            (0, lambda x: 2**x, "not logged"), (2, lambda x: np.log2(x / (1 - x)), "M-values"),
            (2, lambda x: x * 100, "not beta-values"), (1, lambda x: 2 * 2**x, "not relative"),
            (1, lambda x: x * 100, "no log2 ratio"), (0, lambda x: x * 0 + 3, "all values are equal"),
        ],
    )  # fmt: skip
    def test_wrong_scale(self, tensor, place, change, words):
        other = tensor.copy()
        other[:, :, place] = change(tensor[:, :, place])
        table = quality(other).query("check == 'scale'").set_index("omic")
        assert table["flag"].to_dict() == {omic: i == place for i, omic in enumerate(OMICS)}
        assert words in table.loc[OMICS[place], "note"]

    def test_one_beta_above_one(self, tensor):
        other = tensor.copy()
        other[3, 3, 2] = 1.2
        assert flagged(other, "scale") == [("methylation", "")]

    def test_constant_genes(self, tensor):
        other = tensor.copy()
        other[:, 11, 1] = 0
        other[1:, 12, 0] = np.nan  # one value only: nothing to say
        assert flagged(other, "constant gene") == [("copy_number", "GENE11")]


class TestDoubles:
    @pytest.mark.parametrize(
        "change", [lambda x: x, lambda x: -x, lambda x: 5 + 3 * x, np.exp, lambda x: np.round(x, 2), lambda x: x**3]
    )
    def test_one_matrix_under_two_names(self, tensor, change):
        twice = np.concatenate([tensor, change(tensor[:, :, 1:2])], axis=2)
        assert flagged(twice, "matrix twice", (*OMICS, "cnv")) == [("copy_number, cnv", "")]

    def test_a_part_of_a_matrix(self, tensor):
        copy = tensor[:, :, 1].copy()
        copy[::2] = np.nan
        copy[:, 10:] = np.nan
        twice = np.concatenate([tensor, copy[:, :, None]], axis=2)
        assert ("copy_number, cnv", "") in flagged(twice, "matrix twice", (*OMICS, "cnv"))

    def test_a_noisy_relative_is_no_copy(self, tensor):
        a = tensor[:, :, 0]
        other = a + 0.3 * a.std() * np.random.default_rng(0).normal(size=a.shape).astype(np.float32)
        like = likeness(a, other)
        assert 0.9 < like.rho < 0.99
        assert not like.same

    def test_thresholds_are_no_copy(self, tensor):
        assert not likeness(tensor[:, :, 1], np.digitize(tensor[:, :, 1], [-0.3, 0.3]).astype(np.float32)).same

    def test_rho_is_scipys(self, tensor):
        a, b = tensor[:, :1, 0], tensor[:, :1, 1]
        expected = abs(scipy.stats.spearmanr(a[:, 0], b[:, 0]).statistic)
        assert likeness(a, b).rho == pytest.approx(expected)

    def test_every_gene_is_compared_over_its_own_patients(self, tensor):
        rng = np.random.default_rng(4)
        a, b = tensor[:, :12, 0].astype(float), tensor[:, :12, 1].round(1).astype(float)  # ties on one side
        a[rng.random(a.shape) < 0.2] = np.nan
        b[:, 3] = 1.0  # one value only
        b[:-6, 5] = np.nan  # six patients
        b[0, 7], b[1, 7] = np.inf, np.inf
        both = ~np.isnan(a) & ~np.isnan(b)
        genes = [gene for gene in range(12) if gene not in (3, 5)]
        rho = [abs(scipy.stats.spearmanr(a[both[:, g], g], b[both[:, g], g]).statistic) for g in genes]
        like = likeness(a, b)
        assert (like.genes, like.patients) == (10, both[:, genes].sum(axis=0).min())
        assert like.rho == pytest.approx(np.median(rho))

    def test_too_little_to_compare(self):
        like = likeness(np.ones((5, 30)), np.ones((5, 30)))
        assert (np.isnan(like.rho), like.genes, like.same) == (True, 0, False)

    def test_matrices_of_other_patients_and_genes(self, tensor):
        a = OmicMatrix("expression", tuple(PATIENTS), tuple(GENES), tensor[:, :, 0])
        order = np.random.default_rng(1).permutation(N)[:40]
        part = 2 ** tensor[np.ix_(order, range(30, 70))][:, :, 0]
        b = OmicMatrix("mrna", tuple(PATIENTS[i] for i in order), tuple(GENES[30:70]), part)
        like = matrix_likeness(a, b)
        assert like.same
        assert (like.genes, like.patients) == (40, 40)
        none = OmicMatrix("x", ("a",), ("b",), np.ones((1, 1), np.float32))
        assert matrix_likeness(a, none).genes == 0

    def test_patient_twice(self, tensor):
        other = tensor.copy()
        other[5, :, 0] = other[80, :, 0]
        other[4:6, :, 1] = np.nan  # absent patients are not alike
        assert flagged(other, "patient twice") == [("expression", f"{PATIENTS[5]}, {PATIENTS[80]}")]

    def test_zeros_and_holes_compare_by_meaning(self):
        values = np.array([[0.0, np.nan], [-0.0, np.nan], [0.0, 1.0], [np.nan, np.nan], [np.nan, np.nan]], np.float32)
        assert same_rows(values) == [[0, 1]]


class TestSwaps:
    @pytest.mark.parametrize("seed", range(4))
    def test_none_planted_none_found(self, seed):
        tensor = make_tensor(seed)
        for place in (1, 2):
            found = find_swaps(tensor[:, :, 0], tensor[:, :, place])
            assert found.judged
            assert found.separation > 0.97
            assert (found.partner == -1).all()

    @pytest.mark.parametrize("place", [1, 2])
    @pytest.mark.parametrize("pairs", [[(3, 70)], [(0, 89), (10, 11)]])
    def test_planted_exchanges_and_no_others(self, tensor, place, pairs):
        other = tensor.copy()
        for i, j in pairs:
            other[[i, j], :, place] = tensor[[j, i], :, place]
        found = find_swaps(other[:, :, 0], other[:, :, place])
        expected = {i: j for pair in pairs for i, j in (pair, pair[::-1])}
        assert {int(i): int(found.partner[i]) for i in np.flatnonzero(found.partner >= 0)} == expected

    def test_rows_of_the_table(self, tensor):
        other = tensor.copy()
        other[[3, 70], :, 1] = tensor[[70, 3], :, 1]
        found = flagged(other, "sample swap")
        assert ("expression, copy_number", PATIENTS[3]) in found
        assert ("copy_number, methylation", PATIENTS[70]) in found
        assert not any(pair == "expression, methylation" for pair, _ in found)

    def test_scale_does_not_matter(self, tensor):
        a, b = tensor[:, :, 0], tensor[:, :, 1]
        np.testing.assert_allclose(find_swaps(a, b).scores, find_swaps(2.0**a, np.cbrt(b)).scores, atol=1e-3)

    def test_unrelated_omics_are_not_judged(self, tensor):
        shuffled = tensor[np.random.default_rng(2).permutation(N), :, 1]
        found = find_swaps(tensor[:, :, 0], shuffled)
        assert not found.judged
        assert (found.partner == -1).all()

    def test_few_patients_are_not_judged(self, tensor):
        assert not find_swaps(tensor[:30, :, 0], tensor[:30, :, 1]).judged

    def test_missing_cells_do_not_hide_an_exchange(self, tensor):
        other = tensor.copy()
        other[[3, 70], :, 1] = tensor[[70, 3], :, 1]
        other[np.random.default_rng(0).random(other.shape) < 0.05] = np.nan
        found = find_swaps(other[:, :, 0], other[:, :, 1])
        assert (found.partner[3], found.partner[70]) == (70, 3)

    def test_real_tumours(self, mirror):
        """463 TCGA patients, 150 genes of one chromosome: real pairs fit, but too little is there to judge."""
        rdata = pytest.importorskip("rdata")
        tables = rdata.read_rda(str(mirror / "achambaz_tmle.npvi/data/tcga2012brca.rda"))["tcga2012brca"].values()
        expression, copies = (np.stack([np.asarray(t)[:, i] for t in tables], axis=1) for i in (0, 1))
        found = find_swaps(expression, copies)
        assert found.separation > 0.7
        assert (found.partner == -1).all()
        assert not likeness(expression, copies).same
        assert likeness(copies, 2 * 2.0**copies).same

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0, 0.4))
    def test_normal_scores(self, seed, share):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(30, 4))
        values[rng.random(values.shape) < share] = np.nan
        scores = normal_scores(values)
        assert (scores[np.isnan(values)] == 0).all()
        for column, score in zip(values.T, scores.T, strict=True):
            there = ~np.isnan(column)
            assert (np.argsort(score[there]) == np.argsort(column[there])).all()
            assert score[there].mean() == pytest.approx(0, abs=1e-9)
            assert (score[there] ** 2).mean() == pytest.approx(1)
