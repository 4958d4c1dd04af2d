"""The tensor as the samplers read it, and the density and containers of the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from radgen_lib.omics.btf.backend import NumpyBackend
from radgen_lib.omics.btf.data import observe, patterns
from radgen_lib.omics.btf.model import (
    Draws,
    Point,
    Priors,
    effective_rank,
    log_joint,
    rank_above_noise,
    reconstruct,
    shares,
)
from radgen_lib.omics.btf.working import Working, host_point, place_point


def tensor(shape=(5, 4, 3), seed=0):
    return np.random.default_rng(seed).normal(size=shape)


class TestObserve:
    def test_fibres_and_holes_apart(self):
        values = tensor()
        values[1, :, 0] = np.nan
        values[:, 2, 1] = np.nan
        values[3, 3, 2] = np.nan
        seen = observe(values)
        assert seen.shape == (5, 4, 3)
        assert not seen.patients[1, 0] and seen.patients.sum() == 14
        assert not seen.genes[2, 1] and seen.genes.sum() == 11
        assert [len(rows) for rows, _ in seen.holes] == [0, 0, 1]
        assert [part.tolist() for part in seen.holes[2]] == [[3], [3]]
        assert [seen.n_observed(omic) for omic in range(3)] == [16, 15, 19]

    @settings(max_examples=60, deadline=None)
    @given(arrays(bool, st.tuples(*[st.integers(1, 6)] * 3)))
    def test_every_mask_comes_back(self, missing):
        values = tensor(missing.shape)
        values[missing] = np.nan
        seen = observe(values)
        for omic in range(missing.shape[2]):
            assert np.array_equal(seen.mask(omic), ~missing[:, :, omic])
            assert seen.n_observed(omic) == (~missing[:, :, omic]).sum()
            assert np.array_equal(seen.blocks[omic], np.nan_to_num(values[:, :, omic]))
            assert seen.blocks[omic].flags.c_contiguous

    def test_given_values_stay(self):
        values = tensor()
        values[0, 0, 0] = np.nan
        before = values.copy()
        seen = observe(values)
        seen.blocks[0][:] = 7.0
        assert np.array_equal(values, before, equal_nan=True)

    def test_memory_mapped_and_single_precision(self, tmp_path):
        np.save(tmp_path / "tensor.npy", tensor().astype(np.float32))
        seen = observe(np.load(tmp_path / "tensor.npy", mmap_mode="r"), dtype=np.float32)
        assert all(block.dtype == np.float32 and type(block) is np.ndarray for block in seen.blocks)
        assert np.array_equal(np.stack(seen.blocks, axis=2), tensor().astype(np.float32))

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinite_is_named(self, value):
        values = tensor()
        values[2, 1, 1] = value
        with pytest.raises(ValueError, match=r"infinite value in omic 1, patient 2, gene 1"):
            observe(values)

    @pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5), (0, 3, 2), (3, 3, 0)])
    def test_no_tensor(self, shape):
        with pytest.raises(ValueError, match="tensor patients x genes x omics"):
            observe(np.zeros(shape))

    def test_patterns_cover_all_rows_once(self):
        measured = np.random.default_rng(1).random((40, 3)) < 0.6
        found = list(patterns(measured))
        assert sorted(np.concatenate([rows for _, rows in found])) == list(range(40))
        assert all((measured[rows] == kind).all() for kind, rows in found)
        assert len({tuple(kind) for kind, _ in found}) == len(found)


class TestWorking:
    def test_blocks_without_holes_are_not_copied(self):
        values = tensor()
        values[0, 0, 0] = np.nan
        seen = observe(values)
        data = Working(seen, NumpyBackend(np.random.default_rng(0)))
        assert data.blocks[1] is seen.blocks[1]
        data.fill(0, np.array([9.0]))
        assert data.blocks[0][0, 0] == 9.0 and data.drawn[0][0] == 9.0
        assert seen.blocks[0][0, 0] == 0.0

    def test_squares_are_of_measured_entries(self):
        values = tensor()
        values[4, :, 1] = np.nan
        data = Working(observe(values), NumpyBackend(np.random.default_rng(0)))
        assert data.squares == pytest.approx(np.nansum(values**2, axis=(0, 1)))

    def test_point_there_and_back(self):
        backend, rng = NumpyBackend(np.random.default_rng(0), np.float32), np.random.default_rng(1)
        point = Point(
            rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.random(3), rng.random(2),
            rng.random((4, 2)),
        )  # fmt: skip
        placed = place_point(point, backend)
        assert placed.x.shape == (5, 2) and placed.x.T.flags.c_contiguous and placed.x.dtype == np.float32
        assert placed.u.dtype == np.float64
        back = host_point(placed, backend)
        assert np.allclose(back.x, point.x, atol=1e-6) and np.array_equal(back.tau, point.tau)
        back.tau[:] = 0
        assert (placed.tau > 0).all()


class TestModel:
    @pytest.mark.parametrize("wrong", [{"a_tau": 0.0}, {"b_alpha": -1.0}, {"nu": 0.0}, {"a_alpha": float("nan")}])
    def test_priors_are_gamma(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Priors(**wrong)

    def test_noise_is_one_of_two(self):
        with pytest.raises(ValueError, match="per_omic or global"):
            Priors(noise="both")

    def test_reconstruct_is_the_sum_over_components(self):
        x, w, u = tensor((5, 2, 1))[..., 0], tensor((4, 2, 1), 1)[..., 0], tensor((3, 2, 1), 2)[..., 0]
        assert np.allclose(reconstruct(x, w, u), np.einsum("nk,dk,lk->ndl", x, w, u))

    @pytest.mark.parametrize(("noise", "nu"), [("per_omic", 3.0), ("global", None)])
    def test_log_joint_against_scipy(self, noise, nu):
        rng = np.random.default_rng(3)
        values = tensor((3, 2, 2))
        values[0, 1, 1] = np.nan
        tau = np.array([1.5, 2.5]) if noise == "per_omic" else np.array([1.5, 1.5])
        lam = rng.random((2, 2)) + 0.5 if nu else np.ones((2, 2))
        point = Point(
            rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), tau, np.array([0.7, 1.9]), lam
        )
        priors = Priors(a_alpha=2, b_alpha=3, nu=nu, a_tau=4, b_tau=5, noise=noise)
        expected = stats.norm.logpdf(point.x).sum() + stats.norm.logpdf(point.u).sum()
        expected += stats.norm.logpdf(point.w, scale=(point.alpha * lam) ** -0.5).sum()
        expected += stats.gamma.logpdf(point.alpha, 2, scale=1 / 3).sum()
        expected += stats.gamma.logpdf(tau if noise == "per_omic" else tau[0], 4, scale=1 / 5).sum()
        if nu:
            expected += stats.gamma.logpdf(lam, nu / 2, scale=2 / nu).sum()
        fitted = reconstruct(point.x, point.w, point.u)
        expected += np.nansum(stats.norm.logpdf(values, fitted, tau**-0.5))
        assert log_joint(point, observe(values), priors) == pytest.approx(expected)

    def test_shares_add_up_for_separate_components(self):
        x, w, u = np.eye(4)[:, :2], np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
        total = (reconstruct(x, w, u) ** 2).sum(axis=(0, 1))
        share = shares((x**2).sum(0), (w**2).sum(0), u, total)
        assert np.allclose(share.sum(axis=1), 1.0)
        assert share[0] == pytest.approx([9 / 13, 4 / 13]) and share[1] == pytest.approx([1.0, 0.0])
        assert effective_rank(share, 0.4) == 1 and effective_rank(share, 0.3) == 2

    def test_noise_alone_is_below_the_edge(self):
        rng = np.random.default_rng(0)
        noise = rng.normal(size=(30, 40, 3))
        sizes = [np.linalg.norm(noise @ (side / np.linalg.norm(side)), 2) for side in rng.normal(size=(50, 3))]
        one = np.ones(1)
        assert rank_above_noise(np.array([max(sizes) ** 2]), one, np.ones((1, 1)), one, noise.shape) == 0
        assert rank_above_noise(np.array([(30**0.5 + 40**0.5 + 2) ** 2]), one, np.ones((1, 1)), one, noise.shape) == 1

    def test_concatenate_keeps_the_order(self):
        def part(chain, size):
            return Draws(
                x=np.full((size, 2, 1), chain), w=np.zeros((size, 3, 1)), u=np.zeros((size, 1, 1)),
                tau=np.ones((size, 1)), alpha=np.ones((size, 1)), chain=np.full(size, chain),
                trace=pd.DataFrame({"chain": [chain], "sweep": [0]}),
            )  # fmt: skip

        both = Draws.concatenate([part(1, 2), part(0, 3)])
        assert len(both) == 5 and both.chain.tolist() == [1, 1, 0, 0, 0]
        assert both.x[:, 0, 0].tolist() == [1, 1, 0, 0, 0] and both.trace["chain"].tolist() == [1, 0]
