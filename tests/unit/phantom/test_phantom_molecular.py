"""Omics of the phantom: the CP model is in the numbers, scales look real, blocks are missing as asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom import molecular
from radgen_lib.sources.phantom.factors import factor_names, population
from radgen_lib.sources.phantom.loadings import OMICS, draw_loadings, signal_moments
from radgen_lib.sources.phantom.molecular import omics_matrices, omics_samples
from radgen_lib.sources.phantom.symbols import (
    GENES_FILE,
    entrez_ids,
    gene_groups,
    gene_symbols,
    is_invented,
    real_genes,
)
from radgen_lib.sources.phantom.truth import Truth, draw_truth

SPEC = Phantom(patients=60, omics_only=140, genes=120, missing_share=0.1)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(SPEC, 3)


@pytest.fixture(scope="module")
def matrices(truth: Truth) -> dict[str, pd.DataFrame]:
    return omics_matrices(truth, SPEC, 3)


def test_shapes_and_names(truth: Truth, matrices: dict[str, pd.DataFrame]) -> None:
    assert tuple(matrices) == OMICS
    for matrix in matrices.values():
        assert tuple(matrix.index) == truth.genes
        assert matrix.columns.is_unique
        assert np.isfinite(matrix.to_numpy()).all()


def test_samples_of_patients(truth: Truth) -> None:
    samples = omics_samples(truth, 3)
    assert samples["sample"].is_unique
    assert list(samples["sample"]) == sorted(samples["sample"])
    assert (samples["sample"].str[:-3] == samples["patient"]).all()
    assert (truth.patients["patient"].to_numpy()[samples["row"]] == samples["patient"]).all()
    counts = samples["kind"].value_counts()
    assert counts.to_dict() == {"primary": 200, "normal": 10, "metastasis": 2}


def test_small_cohorts_have_one_further_sample_each() -> None:
    samples = omics_samples(draw_truth(Phantom(patients=24, omics_only=0, genes=60), 1), 1)
    assert samples["kind"].value_counts().to_dict() == {"primary": 24, "normal": 1, "metastasis": 1}
    tiny = omics_samples(draw_truth(Phantom(patients=4, omics_only=0, genes=60), 1), 1)
    assert set(tiny["kind"]) == {"primary"}


def test_blocks_missing_as_asked(truth: Truth, matrices: dict[str, pd.DataFrame]) -> None:
    everyone = {f"{name}-01" for name in truth.patients["patient"]}
    lacking = {omic: everyone - set(matrix.columns) for omic, matrix in matrices.items()}
    assert not lacking["expression"]
    assert len(lacking["copy_number"]) == len(lacking["methylation"]) == 20
    assert lacking["copy_number"] != lacking["methylation"]
    assert not [name for name in matrices["copy_number"] if name.endswith("-11")]
    assert [name for name in matrices["methylation"] if name.endswith("-11")]


def test_nothing_missing_when_none_is_asked_for(truth: Truth) -> None:
    whole = omics_matrices(truth, SPEC.model_copy(update={"missing_share": 0.0}), 3)
    assert len(whole["methylation"].columns) == len(whole["expression"].columns) == 212


def test_scales_look_real(matrices: dict[str, pd.DataFrame]) -> None:
    expression, copies, beta = (matrices[omic].to_numpy() for omic in OMICS)
    assert expression.min() >= 0
    assert 6 < np.median(expression) < 12
    assert 0.4 < np.median(expression.std(axis=1)) < 2.5
    assert abs(np.median(copies)) < 0.1
    assert 0.15 < copies.std() < 0.6
    assert 0 < beta.min() < beta.max() < 1
    histogram = np.histogram(beta, bins=[0, 0.25, 0.5, 0.75, 1])[0] / beta.size
    assert histogram[0] > histogram[1:3].max()
    assert histogram[3] > histogram[2]


def test_without_noise_each_matrix_has_the_rank_of_the_factors(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(molecular, "BATCH_SD", 0.0)
    clean = omics_matrices(truth, SPEC.model_copy(update={"noise": 0.0, "missing_share": 0.0}), 3)
    logits = logit(clean["methylation"].to_numpy())
    centred = logits - logits.mean(axis=1, keepdims=True)
    sizes = np.linalg.svd(centred, compute_uv=False)
    assert sizes[5] > 1
    assert sizes[6] < 1e-8 * sizes[0]


def test_without_noise_entries_are_the_cp_model(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per gene the entry is an affine function of the model's signal."""
    monkeypatch.setattr(molecular, "BATCH_SD", 0.0)
    clean = omics_matrices(truth, SPEC.model_copy(update={"noise": 0.0, "missing_share": 0.0}), 3)
    names = [f"{name}-01" for name in truth.patients["patient"]]
    for omic in OMICS:
        values = clean[omic][names].to_numpy()
        values = logit(values) if omic == "methylation" else values
        signal = (truth.factors * truth.loadings[omic]) @ truth.loadings["genes"].T
        for gene in range(0, 120, 7):
            if signal[:, gene].std() == 0:
                assert values[gene].std() == pytest.approx(0, abs=1e-9)
                continue
            inside = (values[gene] > -1.29) & (values[gene] < 2.99) if omic == "copy_number" else values[gene] > -50
            assert abs(np.corrcoef(values[gene][inside], signal[inside, gene])[0, 1]) > 1 - 1e-9


def test_noise_has_the_strength_asked_for(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes without a loading vary by the noise alone; copy number is scaled the same for all genes."""
    monkeypatch.setattr(molecular, "BATCH_SD", 0.0)
    noisy = omics_matrices(truth, SPEC.model_copy(update={"noise": 0.7}), 3)["copy_number"]
    null = ~np.any(truth.loadings["genes"] != 0, axis=1)
    assert null.sum() >= 3
    assert noisy.to_numpy()[null].std() == pytest.approx(0.7 * 0.28, rel=0.05)


def test_sites_shift_genes(truth: Truth) -> None:
    matrix = omics_matrices(truth, SPEC.model_copy(update={"noise": 0.0}), 3)["copy_number"]
    null = np.flatnonzero(~np.any(truth.loadings["genes"] != 0, axis=1))
    site = np.array([name[5:7] for name in matrix.columns])
    means = np.array([matrix.to_numpy()[null][:, site == name].mean(axis=1) for name in ("S1", "S2", "S3")])
    assert 0.01 < means.std(axis=0).mean() < 0.15


def test_normal_tissue_and_metastases() -> None:
    """A metastasis has its primary's factors, moved by half an SD; normal tissue is alike in all patients."""
    many = draw_truth(Phantom(patients=4000, omics_only=0, genes=60), 2)
    samples = omics_samples(many, 2)
    factors = molecular._sample_factors(many, samples, 2)
    kind, own = samples["kind"].to_numpy(), many.factors[samples["row"]]
    np.testing.assert_array_equal(factors[kind == "primary"], own[kind == "primary"])
    moved = (factors - own)[kind == "metastasis"]
    assert len(moved) == 40
    assert moved.std() == pytest.approx(0.5, abs=0.07)
    people, normal = population(6), factors[kind == "normal"]
    np.testing.assert_allclose(normal.mean(axis=0), people.means[4], atol=0.12)
    np.testing.assert_allclose(normal.std(axis=0), people.sds / 2, rtol=0.2)


def test_marker_genes_follow_receptors_at_300() -> None:
    spec = Phantom(patients=300, omics_only=0, genes=60)
    drawn = draw_truth(spec, 6)
    matrices = omics_matrices(drawn, spec, 6)
    names = [f"{name}-01" for name in drawn.patients["patient"]]
    expression = matrices["expression"][names]
    er = drawn.patients["er"].to_numpy() == 1
    her2 = drawn.patients["her2"].to_numpy() == 1
    assert expression.loc["ESR1", er].mean() > expression.loc["ESR1", ~er].mean() + 0.5
    assert expression.loc["ERBB2", her2].mean() > expression.loc["ERBB2", ~her2].mean() + 0.5
    copies = matrices["copy_number"]
    amplified = [name for name, positive in zip(names, her2, strict=True) if positive and name in copies]
    assert copies.loc["ERBB2", amplified].mean() > 0.4
    methylation = matrices["methylation"].loc["ESR1"]
    both = expression.columns.intersection(methylation.index)
    assert np.corrcoef(expression.loc["ESR1", both], methylation[both])[0, 1] < -0.3


def test_same_seed_same_matrices(truth: Truth, matrices: dict[str, pd.DataFrame]) -> None:
    again, other = omics_matrices(truth, SPEC, 3), omics_matrices(truth, SPEC, 4)
    for omic in OMICS:
        pd.testing.assert_frame_equal(matrices[omic], again[omic])
        assert not np.allclose(matrices[omic].iloc[:, :50], other[omic].iloc[:, :50])


@pytest.mark.parametrize("count", [2, 6, 8])
def test_signal_has_sd_1_on_average(count: int) -> None:
    genes = gene_symbols(300)
    loadings = draw_loadings(genes, count, 1)
    loaded = np.any(loadings["genes"] != 0, axis=1)
    assert 0.02 < 1 - loaded.mean() < 0.6
    for omic in OMICS:
        _, sd = signal_moments(loadings, omic)
        assert np.sqrt((sd[loaded] ** 2).mean()) == pytest.approx(1)
        assert (sd[~loaded] == 0).all()


def test_signal_moments_are_those_of_drawn_factors() -> None:
    loadings = draw_loadings(gene_symbols(80), 6, 2)
    people, rng = population(6), np.random.default_rng(0)
    drawn = people.means[rng.choice(5, size=60_000, p=people.weights)] + people.sds * rng.normal(size=(60_000, 6))
    signal = (drawn * loadings["expression"]) @ loadings["genes"].T
    with_factors, sd = signal_moments(loadings, "expression")
    np.testing.assert_allclose(signal.std(axis=0), sd, atol=0.03)
    np.testing.assert_allclose(signal.T @ drawn / len(drawn), with_factors, atol=0.04)


def test_groups_load_on_their_factor() -> None:
    genes = gene_symbols(len(real_genes()))
    matrix, names = draw_loadings(genes, 6, 1)["genes"], factor_names(6)
    for group in names:
        own = matrix[[g == group for g in gene_groups(genes)], names.index(group)]
        assert len(own) > 15
        assert np.median(own) > 0.6
    basal = matrix[[g == "basal" for g in gene_groups(genes)], 0]
    assert np.median(basal) < -0.6


def test_symbols_hold_the_genes_that_the_workflow_needs() -> None:
    first = gene_symbols(60)
    needed = "TP53 PIK3CA CDH1 ERBB2 ESR1 PGR BRCA1 GATA3 MKI67"
    needed += " TNNI2 CCDC88B CYBA ASB2 LTB S1PR4 PSTPIP1 CD6 CD27 WNT10A NAPSB CD79A ADAMTS8 CPNE7 TPSAB1"
    assert set(needed.split()) <= set(first)
    assert len(real_genes()) >= 300
    assert real_genes().index.is_unique


def test_invented_symbols_come_after_the_real_ones_and_are_marked() -> None:
    real = len(real_genes())
    genes = gene_symbols(real + 3)
    assert [is_invented(gene) for gene in genes] == [False] * real + [True] * 3
    assert len(set(genes)) == real + 3
    assert gene_groups(genes)[-1] == "other"
    assert entrez_ids(("TP53", "ERBB2", "PHANTOM00001")) == ["7157", "2064", ""]


def test_gene_numbers_are_unique_numbers() -> None:
    numbers = [number for number in real_genes()["entrez"] if number]
    assert len(set(numbers)) == len(numbers) > 150
    assert all(number.isdigit() for number in numbers)


def test_symbols_are_those_of_a_real_matrix(mirror) -> None:  # type: ignore[no-untyped-def]
    """Most listed symbols stand in a published gene set collection of the same time."""
    path = mirror / "elliefewings_Maurice_stent" / "c2.cp.kegg.v7.2.symbols.gmt"
    known = set(path.read_text(encoding="utf-8").replace("\n", "\t").split("\t"))
    assert real_genes().index.isin(known).mean() > 0.5


def test_a_symbol_twice_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    text = GENES_FILE.read_text(encoding="utf-8")
    twice = tmp_path / "genes.csv"
    twice.write_text(text + "TP53,,other\n", encoding="utf-8")
    monkeypatch.setattr("radgen_lib.sources.phantom.symbols.GENES_FILE", twice)
    real_genes.cache_clear()
    with pytest.raises(ValueError, match="a symbol twice"):
        real_genes()
    monkeypatch.undo()
    real_genes.cache_clear()
    assert "TP53" in real_genes().index
