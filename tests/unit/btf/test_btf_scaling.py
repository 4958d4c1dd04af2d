"""Centring and scaling: parity with plain formulas and with R tensorBF's rules, and nothing learned from test data."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from radgen_lib.omics.btf.scaling import TensorScaler

MODES = [(centre, scale) for centre in ("gene", "none") for scale in ("slab", "gene", "omic", "none")]


def tensor(seed: int = 0, shape: tuple[int, int, int] = (25, 7, 3), missing: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(3, 1, shape) * rng.uniform(0.2, 5, shape[1:]) + rng.normal(0, 4, shape[1:])
    values[rng.random(shape) < missing] = np.nan
    return values


def plain(values: np.ndarray, centre: str, scale: str) -> np.ndarray:
    """The same, one gene and omic at a time, as R tensorBF writes it (variance with n - 1 over what is measured)."""
    centred = values - np.nanmean(values, axis=0) if centre == "gene" else values
    out = np.empty_like(centred)
    for i in range(values.shape[1]):
        for j in range(values.shape[2]):
            shared = {"slab": centred[:, i, :], "gene": centred[:, i, j], "omic": centred[:, :, j]}.get(scale)
            out[:, i, j] = centred[:, i, j] / (1.0 if shared is None else np.nanstd(shared, ddof=1))
    return out


class TestFormulas:
    @pytest.mark.parametrize(("centre", "scale"), MODES)
    def test_plain_formulas(self, centre, scale):
        values = tensor()
        found = TensorScaler(centre, scale).fit_transform(values)
        np.testing.assert_allclose(found, plain(values, centre, scale), rtol=1e-10, atol=1e-12)

    def test_slabs_of_unit_variance(self):
        """What the reference recommends: each gene has mean 0 in each omic and SD 1 over all of them."""
        found = TensorScaler().fit_transform(tensor())
        np.testing.assert_allclose(np.nanmean(found, axis=0), 0, atol=1e-12)
        spreads = [np.nanstd(found[:, gene], ddof=1) for gene in range(found.shape[1])]
        np.testing.assert_allclose(spreads, 1, rtol=1e-12)
        ratio = np.nanstd(found, axis=0, ddof=1) / np.nanstd(tensor(), axis=0, ddof=1)
        # The omics of a gene keep their proportions.
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-10)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0, 0.5), st.sampled_from(MODES))
    def test_round_trip_and_missing(self, seed, missing, mode):
        values = tensor(seed, (12, 4, 2), missing)
        values[:2] = tensor(seed + 1, (2, 4, 2), 0.0)  # every gene has two values in every omic
        scaler = TensorScaler(*mode).fit(values)
        found = scaler.transform(values)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
        np.testing.assert_allclose(scaler.inverse_transform(found), values, rtol=1e-9, atol=1e-9)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-50, 50))
    def test_units_do_not_matter(self, seed, factor, shift):
        """Another unit of all omics, or another zero of each, gives the same scaled tensor."""
        values = tensor(seed, (10, 3, 2), 0.0)
        expected = TensorScaler().fit_transform(values)
        np.testing.assert_allclose(TensorScaler().fit_transform(values * factor + shift), expected, atol=1e-8)

    def test_far_from_zero(self):
        """A two-pass variance keeps its digits where the mean is a million standard deviations."""
        values = tensor(missing=0.0)
        far = TensorScaler("gene", "gene").fit(values + 1e6)
        np.testing.assert_allclose(far.scale_, TensorScaler("gene", "gene").fit(values).scale_, rtol=1e-7)

    def test_single_precision_stays(self):
        values = tensor().astype(np.float32)
        found = TensorScaler().fit_transform(values)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, plain(values.astype(float), "gene", "slab"), rtol=1e-4, atol=1e-5)
        assert TensorScaler().fit_transform(np.arange(24).reshape(2, 4, 3)).dtype == np.float64

    def test_input_is_not_changed(self):
        values = tensor()
        before = values.copy()
        TensorScaler().fit(values).inverse_transform(values)
        np.testing.assert_array_equal(values, before)


class TestTrainingPart:
    def test_only_training_patients_count(self):
        train, test = tensor(1), tensor(2, (5, 7, 3))
        scaler = TensorScaler().fit(train)
        alone = scaler.transform(test[:1])
        crowd = scaler.transform(np.concatenate([test * 100, test[:1]]))[-1:]
        np.testing.assert_array_equal(alone, crowd)
        centred = (test - np.nanmean(train, axis=0)) / scaler.scale_
        np.testing.assert_allclose(scaler.transform(test), centred, rtol=1e-12)

    def test_gene_without_variance(self, caplog):
        values = tensor(missing=0.0)
        values[:, 2, 1] = 7.3
        values[:, 4, :] = [1.0, -2.0, 0.0]
        genes, omics = [f"G{i}" for i in range(7)], ["expression", "copy_number", "methylation"]
        with caplog.at_level(logging.WARNING, logger="radgen"):
            scaler = TensorScaler("gene", "gene").fit(values, genes=genes, omics=omics)
        assert "G2 (copy_number), G4 (expression), G4 (copy_number), G4 (methylation)" in caplog.text
        assert scaler.scale_[2, 1] == 1 and (scaler.scale_[4] == 1).all()
        assert np.argwhere(scaler.flat_).tolist() == [[2, 1], [4, 0], [4, 1], [4, 2]]
        found = scaler.transform(values + 0.5)
        np.testing.assert_allclose(found[:, 2, 1], 0.5)
        assert np.isfinite(found).all()

    def test_slab_with_one_flat_omic_is_scaled(self):
        values = tensor(missing=0.0)
        values[:, 2, 1] = 7.3
        scaler = TensorScaler().fit(values)
        assert scaler.flat_[2, 1] and scaler.scale_[2, 1] == pytest.approx(scaler.scale_[2, 0])
        np.testing.assert_allclose(scaler.transform(values)[:, 2, 1], 0, atol=1e-12)

    def test_flat_in_single_precision(self):
        """0.1 is no float32: rounding of the mean must not look like variance."""
        values = np.full((1001, 2, 1), 0.1, dtype=np.float32)
        scaler = TensorScaler("gene", "gene").fit(values)
        assert scaler.flat_.all() and (scaler.scale_ == 1).all()

    def test_many_flat_genes_are_told_in_short(self, caplog):
        TensorScaler().fit(np.ones((3, 40, 1)))
        assert "gene 9 (omic 0) and 30 more" in caplog.text

    def test_gene_that_training_lacks(self, caplog):
        train, test = tensor(1, missing=0.0), tensor(2, missing=0.0)
        train[:, 3, 2] = np.nan
        scaler = TensorScaler().fit(train)
        found = scaler.transform(test)
        # It has no centre: a made-up one would put the patient far from all others.
        assert np.isnan(found[:, 3, 2]).all() and np.isnan(found).sum() == len(test)
        assert np.isnan(scaler.inverse_transform(np.zeros_like(test))[:, 3, 2]).all()
        assert not caplog.records

    def test_one_value_a_gene(self):
        train = tensor(1, missing=0.0)
        train[1:, 3, 2] = np.nan
        scaler = TensorScaler("gene", "gene").fit(train)
        assert scaler.flat_[3, 2] and scaler.scale_[3, 2] == 1
        np.testing.assert_allclose(scaler.transform(train)[0, 3, 2], 0)


class TestInterface:
    def test_scikit_learn(self):
        scaler = TensorScaler(scale="omic")
        assert scaler.get_params() == {"centre": "gene", "scale": "omic"}
        copy = clone(scaler.set_params(scale="gene"))
        assert copy.scale == "gene" and not hasattr(copy, "centre_")
        assert copy.fit(tensor()) is copy

    @pytest.mark.parametrize(("centre", "scale"), MODES)
    def test_state(self, centre, scale):
        values = tensor()
        values[:, 1, 1] = np.nan
        scaler = TensorScaler(centre, scale).fit(values)
        state = load(save(scaler.state()))
        again = TensorScaler.from_state(state, centre=centre, scale=scale)
        assert again.get_params() == scaler.get_params()
        assert again.transform(values).tobytes() == scaler.transform(values).tobytes()
        np.testing.assert_array_equal(again.flat_, scaler.flat_)

    @pytest.mark.parametrize("key", ["centre", "scale", "flat"])
    def test_broken_state(self, key):
        state = TensorScaler().fit(tensor()).state()
        with pytest.raises(ValueError, match="must be there"):
            TensorScaler.from_state({name: part for name, part in state.items() if name != key})
        with pytest.raises(ValueError, match="must be there"):
            TensorScaler.from_state({**state, key: state[key][0]})

    def test_not_fitted(self):
        for use in (TensorScaler().transform, TensorScaler().inverse_transform):
            with pytest.raises(NotFittedError, match="call fit"):
                use(tensor())
        with pytest.raises(NotFittedError):
            TensorScaler().state()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros((4, 5)), r"\[patients, genes, omics\]"),
            (np.zeros((1, 5, 3)), "2 patients or more, got 1"),
            (np.full((4, 5, 3), np.inf), "omic 0 holds infinite values"),
        ],
    )
    def test_bad_tensors(self, values, message):
        with pytest.raises(ValueError, match=message):
            TensorScaler().fit(values)

    def test_other_genes_than_the_fit(self):
        scaler = TensorScaler().fit(tensor())
        with pytest.raises(ValueError, match=r"fitted on \[patients x 7 x 3\]"):
            scaler.transform(tensor(shape=(25, 6, 3)))
        bad = tensor()
        bad[0, 0, 1] = -np.inf
        with pytest.raises(ValueError, match="omic 1 holds infinite values"):
            scaler.transform(bad)

    def test_bad_options_and_names(self):
        with pytest.raises(ValueError, match="centre 'patient'"):
            TensorScaler("patient").fit(tensor())
        with pytest.raises(ValueError, match="slab, gene, omic, none"):
            TensorScaler(scale="max").fit(tensor())
        with pytest.raises(ValueError, match="6 names of genes for 7 genes"):
            TensorScaler().fit(tensor(), genes=[f"G{i}" for i in range(6)])
        with pytest.raises(ValueError, match="1 names of omics for 3 omics"):
            TensorScaler().fit(tensor(), omics=["expression"])
