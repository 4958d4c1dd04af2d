"""The comparison methods on planted data: what they find, how they project, and that they say what they cannot."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA

from radgen_lib.omics.btf import mofa
from radgen_lib.omics.btf.baselines import Baseline, fit_baseline
from radgen_lib.sources.reference.multiomics import OMICS

N, D, K = 60, 30, 3
ALL = ("cp_als", "mofa", "pca", "single_expression")


@cache
def planted(noise: float = 0.3, missing: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tensor with noise, signal, patient factors): three CP components; 8 patients lack an omic, 2 % of cells."""
    rng = np.random.default_rng(7)
    x, w, u = rng.normal(size=(N, K)), rng.normal(size=(D, K)), rng.normal(size=(3, K))
    u += np.sign(u)  # every component is seen in every omic
    x -= x.mean(axis=0)
    signal = np.einsum("nk,dk,lk->ndl", x, w, u)
    values = signal + noise * rng.normal(size=signal.shape)
    if missing:
        values[:4, :, 1] = np.nan
        values[4:8, :, 2] = np.nan
        values[rng.random(values.shape) < 0.02] = np.nan
    return values, signal, x


@cache
def fitted(name: str, noise: float = 0.3, missing: bool = True, k: int = K) -> Baseline:
    return fit_baseline(name, planted(noise, missing)[0], k, 1)


def matched(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Absolute correlation of the best one-to-one pairing."""
    size = truth.shape[1]
    table = np.abs(np.corrcoef(found.T, truth.T)[: found.shape[1], found.shape[1] :])
    rows, columns = linear_sum_assignment(-table)
    assert len(rows) == size
    return table[rows, columns]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


class TestPlanted:
    def test_cp_recovers_the_factors(self):
        model = fitted("cp_als", 0.1)
        assert matched(model.factors, planted()[2]).min() > 0.995
        np.testing.assert_allclose((model.factors**2).mean(axis=0), 1, rtol=1e-9)
        assert np.unique(model.noise).size == 1 and model.noise[0, 0] == pytest.approx(0.01, rel=0.15)

    def test_cp_loadings_are_an_outer_product(self):
        model = fitted("cp_als", 0.1)
        for k in range(K):
            values = np.linalg.svd(model.loadings[:, :, k], compute_uv=False)
            assert values[1] < 1e-9 * values[0]
            flat = model.loadings[:, :, k].ravel()
            assert flat[np.abs(flat).argmax()] > 0
        sizes = np.linalg.norm(model.loadings.reshape(-1, K), axis=0)
        assert (np.diff(sizes) <= 0).all()

    @pytest.mark.parametrize("name", ["cp_als", "mofa", "pca"])
    def test_reconstruction_is_the_signal(self, name):
        values, signal, _ = planted()
        found = fitted(name).reconstruct(values)
        assert found.shape == values.shape and np.isfinite(found).all()
        assert correlation(found, signal) > 0.985
        gone = np.isnan(values)
        assert correlation(found[gone], signal[gone]) > 0.95

    @pytest.mark.parametrize("name", ["cp_als", "mofa", "pca"])
    def test_missing_omic_of_a_new_patient(self, name):
        values, signal, _ = planted(missing=False)
        model = fit_baseline(name, values[:45], K, 0)
        new = values[45:].copy()
        new[:, :, 0] = np.nan
        found = model.reconstruct(new)
        assert correlation(found[:, :, 0], signal[45:, :, 0]) > 0.95
        # Nothing shrinks towards the mean only because an omic is missing.
        slope = (found[:, :, 0] * signal[45:, :, 0]).sum() / (signal[45:, :, 0] ** 2).sum()
        assert 0.9 < slope < 1.1

    def test_single_omic(self):
        values, signal, _ = planted()
        model = fitted("single_expression")
        found = model.reconstruct(values)
        assert correlation(found[:, :, 0], signal[:, :, 0]) > 0.95
        assert np.isnan(found[:, :, 1:]).all()
        other = values.copy()
        other[:, :, 1:] = 1e6
        np.testing.assert_array_equal(model.project(other), model.project(values))

    def test_spare_components_of_mofa_are_off(self):
        model = fitted("mofa", k=6)
        size = (model.loadings**2).sum(axis=(0, 1))
        assert (np.sort(size)[::-1][3:] < 0.05 * size.max()).all()

    def test_components_beyond_the_number_of_omics(self):
        model = fitted("cp_als", k=6)
        assert model.factors.shape == (N, 6)
        assert correlation(model.reconstruct(planted()[0]), planted()[1]) > 0.97


class TestProjection:
    @pytest.mark.parametrize("name", ALL)
    def test_training_patients(self, name):
        values = planted()[0]
        model = fitted(name)
        found = model.project(values)
        spread = model.factors.std(axis=0)
        assert (np.abs(found - model.factors) < 0.1 * spread).all()

    @pytest.mark.parametrize("name", ALL)
    def test_patients_do_not_see_each_other(self, name):
        values = planted()[0]
        model = fitted(name)
        together = model.project(values)
        apart = np.concatenate([model.project(values[i : i + 1]) for i in (0, 9, 30)])
        np.testing.assert_allclose(together[[0, 9, 30]], apart, rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("name", ALL)
    def test_patient_without_value(self, name):
        new = planted()[0][:3].copy()
        new[1] = np.nan
        model = fitted(name)
        found = model.project(new)
        assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()
        assert np.isnan(model.reconstruct(new)[1]).all()

    def test_projection_is_the_gaussian_conditional(self):
        """Against the joint normal of factors and one patient's entries, the loadings being known."""
        values = planted()[0]
        for name in ("cp_als", "pca", "single_expression"):
            model = fitted(name)
            patient = values[5]
            used = ~np.isnan(patient) & ~np.isnan(model.noise)
            b, noise = model.loadings[used], model.noise[used]
            covariance = b @ b.T + np.diag(noise)
            expected = b.T @ np.linalg.solve(covariance, patient[used] - model.mean[used])
            np.testing.assert_allclose(model.project(values[5:6])[0], expected, rtol=1e-7, atol=1e-9)

    def test_uncertain_loadings_say_less(self):
        """The fixed point of MOFA's updates, x_k given the other x, iterated with second moments of the loadings."""
        model, values = fitted("mofa"), planted()[0]
        model = replace(model, spread=model.spread + 0.3)
        patient, x = values[5], np.zeros(K)
        used = ~np.isnan(patient) & ~np.isnan(model.noise)
        b, noise, residual = model.loadings[used], model.noise[used], patient[used] - model.mean[used]
        second = b**2 + model.spread[used]
        for _ in range(500):
            for k in range(K):
                rest = residual - b @ x + b[:, k] * x[k]
                x[k] = (b[:, k] * rest / noise).sum() / (1 + (second[:, k] / noise).sum())
        np.testing.assert_allclose(model.project(values[5:6])[0], x, rtol=1e-6, atol=1e-8)
        assert np.abs(fitted("mofa").project(values[5:6])[0] - x).max() > 0.05

    def test_parity_with_scikit_learn(self):
        """On complete data: scikit-learn's scores, shrunk as probabilistic PCA does."""
        values = planted(missing=False)[0]
        table = values.reshape(N, -1)
        reference = PCA(K, svd_solver="full").fit(table)
        variance, noise = reference.explained_variance_, reference.noise_variance_
        expected = reference.transform(table) * np.sqrt(variance - noise) / variance
        model = fitted("pca", missing=False)
        np.testing.assert_allclose(model.project(values), expected, rtol=1e-7, atol=1e-9)

    def test_other_genes_than_the_fit(self):
        with pytest.raises(ValueError, match=r"pca was fitted on \[patients x 30 x 3\]"):
            fitted("pca").project(planted()[0][:, :-1])


class TestMissingGenes:
    @staticmethod
    def tensor() -> np.ndarray:
        """One gene that an omic lacks, and one that is constant in an omic."""
        values = planted()[0].copy()
        values[:, 3, 1] = np.nan
        values[:, 5, 2] = 0.0
        return values

    @pytest.mark.parametrize("name", ["cp_als", "mofa", "pca"])
    def test_gene_that_an_omic_lacks(self, name):
        values = self.tensor()
        model = fit_baseline(name, values, K, 0)
        found = model.reconstruct(values)
        # Only a tensor model knows the gene from its other omics.
        assert np.isfinite(found[:, 3, 1]).all() == (name == "cp_als")
        if name == "cp_als":
            assert correlation(found[:, 3, 1], planted()[1][:, 3, 1]) > 0.9
        assert np.isfinite(np.delete(found, 3, axis=1)).all()
        new = values.copy()
        new[:, 3, 1] = 1e3
        np.testing.assert_allclose(model.project(new), model.project(values), rtol=1e-9, atol=1e-9)

    def test_constant_gene_of_mofa(self):
        values = self.tensor()
        model = fit_baseline("mofa", values, K, 0)
        np.testing.assert_array_equal(model.loadings[5, 2], 0)
        np.testing.assert_array_equal(model.reconstruct(values)[:, 5, 2], 0)


class TestFitting:
    @pytest.mark.parametrize("name", ALL)
    def test_same_seed_same_result(self, name):
        again = fit_baseline(name, planted()[0], K, 1)
        assert again.factors.tobytes() == fitted(name).factors.tobytes()
        assert again.loadings.tobytes() == fitted(name).loadings.tobytes()

    @pytest.mark.parametrize("name", ALL)
    def test_input_is_not_changed(self, name):
        values = planted()[0].copy()
        fit_baseline(name, values, 2, 0)
        np.testing.assert_array_equal(values, planted()[0])

    def test_mofa_leaves_no_trace(self, capfd, caplog):
        np.random.seed(5)  # noqa: NPY002 - the global generator is what mofapy2 seeds
        expected = np.random.random()  # noqa: NPY002
        np.random.seed(5)  # noqa: NPY002
        before = list(warnings.filters)
        with caplog.at_level(logging.DEBUG, logger="radgen"):
            fit_baseline("mofa", planted()[0][:30], 2, 0)
        assert capfd.readouterr() == ("", "")
        assert warnings.filters == before
        assert np.random.random() == expected  # noqa: NPY002
        assert "mofapy2: Iteration 1" in caplog.text

    def test_mofa_that_gives_up(self, monkeypatch):
        def stop(*_: object) -> None:
            print("Error, this and that")
            raise SystemExit

        monkeypatch.setattr("mofapy2.run.entry_point.entry_point.build", stop)
        with pytest.raises(RuntimeError, match=r"mofapy2 gave up: .*Error, this and that"):
            mofa.fit_mofa(planted()[0], K, 0, OMICS)

    def test_patients_without_the_single_omic(self):
        values = planted()[0].copy()
        model = fit_baseline("single_copy_number", values, K, 0)
        assert np.isnan(model.factors[:4]).all() and np.isfinite(model.factors[4:]).all()
        np.testing.assert_allclose(
            model.project(values[4:]),
            fit_baseline("single_copy_number", values[4:], K, 0).factors,
            rtol=1e-7,
            atol=1e-9,
        )

    @pytest.mark.parametrize(
        ("name", "values", "k", "message"),
        [
            ("nmf", planted()[0], K, "allowed are cp_als, mofa, pca, single_expression"),
            ("single_protein", planted()[0], K, "comparison method 'single_protein'"),
            ("pca", planted()[0][:, :, :2], K, r"need \[patients, genes, 3 omics\]"),
            ("pca", planted()[0], N, "60 components need more than 60 patients"),
            ("cp_als", planted()[0][:3], K, "3 components need more than 3 patients"),
            ("single_expression", planted()[0], D, "single_expression has 60 and 30"),
            ("mofa", planted()[0], 0, "0 components"),
            ("mofa", np.where(np.arange(N)[:, None, None] == 4, np.nan, planted()[0]), K, r"no value \(first: 4\)"),
            ("cp_als", np.where(np.arange(N)[:, None, None] == 4, np.inf, planted()[0]), K, "infinite values"),
        ],
    )
    def test_bad_input(self, name, values, k, message):
        with pytest.raises(ValueError, match=message):
            fit_baseline(name, values, k, 0)
