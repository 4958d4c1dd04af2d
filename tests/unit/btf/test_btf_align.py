"""Draws of one posterior look alike after alignment, whatever order, sign and scale the sampler gave them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.btf.align import align, explained, match, normalise, strength, summarise
from radgen_lib.omics.btf.model import Draws, reconstruct

N, D, L, K = 30, 40, 3, 4
NOISE = 0.5


def planted(seed: int, k: int = K) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = make_rng(seed, "planted")
    x, u = rng.normal(size=(N, k)), rng.normal(size=(L, k))
    return x, rng.normal(size=(D, k)) * (rng.random((D, k)) < 0.4), u


def scattered(seed: int, *, chains: int = 2, each: int = 20, noise: float = 0.05, spare: int = 0) -> Draws:
    """Draws about planted components; ``spare`` more are switched off: prior noise in x and u, nothing in w."""
    rng = make_rng(seed, "draws")
    s = chains * each
    parts = [a + noise * rng.normal(size=(s, *a.shape)) for a in planted(seed)]
    if spare:
        x, u = rng.normal(size=(s, N, spare)), rng.normal(size=(s, L, spare))
        off = [x, 1e-6 * rng.normal(size=(s, D, spare)), u]
        parts = [np.concatenate(pair, axis=2) for pair in zip(parts, off, strict=True)]
    x, w, u = parts
    alpha = 1 / np.mean(w**2, axis=1)
    tau = np.full((s, L), 1 / NOISE**2)
    chain = np.repeat(np.arange(chains), each)
    return Draws(x.astype(np.float32), w.astype(np.float32), u, tau, alpha, chain, pd.DataFrame())


def shuffled(draws: Draws, seed: int, *, by_chain: bool = False) -> Draws:
    """The same posterior with order, signs and scales of its own in every draw (or in every chain)."""
    rng = make_rng(seed, "shuffled")
    parts = {name: getattr(draws, name).copy() for name in ("x", "w", "u", "alpha")}
    k = draws.x.shape[2]
    groups = [np.flatnonzero(draws.chain == c) for c in np.unique(draws.chain)] if by_chain else range(len(draws))
    for rows in groups:
        order = rng.permutation(k)
        sx, su = (rng.choice([-1.0, 1.0], size=k) * np.exp(rng.normal(size=k)) for _ in range(2))
        for name, factor in (("x", sx), ("w", 1 / (sx * su)), ("u", su), ("alpha", (sx * su) ** 2)):
            parts[name][rows] = parts[name][rows][..., order] * factor
    return replace(draws, **parts)


def signal(draws: Draws) -> np.ndarray:
    return np.stack([reconstruct(*map(np.asarray, p)) for p in zip(draws.x, draws.w, draws.u, strict=True)])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_alignment_undoes_order_sign_and_scale(seed: int, by_chain: bool) -> None:
    draws = scattered(seed % 7)
    found, expected = align(shuffled(draws, seed, by_chain=by_chain)), align(draws)
    # The places of the components are those of some draw: they are free, all else is not.
    order = [int(np.argmax(np.abs(_corr(expected.x[0], found.x[0]))[k])) for k in range(K)]
    assert sorted(order) == list(range(K))
    for name in ("x", "w", "u", "alpha"):
        np.testing.assert_allclose(getattr(found, name)[..., order], getattr(expected, name), rtol=1e-4, atol=1e-4)


def _corr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.corrcoef(a, b, rowvar=False)[: a.shape[1], a.shape[1] :]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_alignment_never_changes_the_reconstruction(seed: int) -> None:
    draws = shuffled(scattered(seed % 7, noise=0.5, spare=2), seed)
    np.testing.assert_allclose(signal(align(draws)), signal(draws), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(signal(normalise(draws)), signal(draws), rtol=1e-3, atol=1e-3)


def test_alignment_of_aligned_draws_changes_nothing() -> None:
    once = align(shuffled(scattered(1, spare=1), 1))
    again = align(once)
    np.testing.assert_allclose(again.x, once.x, atol=1e-6)
    np.testing.assert_allclose(again.w, once.w, atol=1e-6)


def test_normalised_columns_have_unit_size_and_their_signs() -> None:
    draws = normalise(shuffled(scattered(2), 2))
    np.testing.assert_allclose(np.mean(draws.x.astype(float) ** 2, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.mean(draws.u**2, axis=1), 1, rtol=1e-12)
    assert (draws.u.max(axis=1) >= -draws.u.min(axis=1)).all()
    assert (np.sum(draws.w.astype(float) ** 3, axis=1) >= 0).all()
    # alpha moves with w: what the prior sees stays the same.
    np.testing.assert_allclose(draws.alpha * np.mean(draws.w.astype(float) ** 2, axis=1), 1, rtol=1e-5)
    assert draws.x.dtype == draws.w.dtype == np.float32


def test_switched_off_columns_of_zeros_stay_zero() -> None:
    draws = scattered(3)
    draws.w[:, :, 1] = 0
    draws.x[:, :, 2] = 0
    for done in (normalise(draws), align(draws)):
        assert all(np.isfinite(a).all() for a in (done.x, done.w, done.u, done.alpha))
        assert (done.w == 0).all(axis=1).any(axis=1).all() and (done.x == 0).all(axis=1).any(axis=1).all()
    assert summarise(draws).rank == K - 2


@pytest.mark.parametrize("seed", range(6))
def test_signs_that_no_single_draw_can_settle_are_settled_together(seed: int) -> None:
    """u = (1, -1, 0.2) and loadings symmetric about zero: the rule for one draw says plus in some, minus in others."""
    draws = scattered(seed, noise=0.1)
    rng = make_rng(seed, "symmetric")
    for k in range(K):
        half = rng.normal(size=D // 2)
        draws.w[:, :, k] = np.concatenate([half, -half]) + 0.05 * rng.normal(size=(len(draws), D))
        draws.u[:, :, k] = np.roll([1.0, -1.0, 0.2], k) + 0.05 * rng.normal(size=(len(draws), L))
    alone = normalise(draws)
    assert all(len(np.unique(np.sign(alone.u[:, i, k]))) == 2 for i, k in ((0, 0), (1, 1)))
    posterior = summarise(shuffled(draws, seed))
    for name, part in (("x", posterior.x_mean), ("w", posterior.w_mean), ("u", posterior.u_mean)):
        # Columns that cancelled between draws would leave a mean shorter than the draws.
        assert np.all(np.mean(part**2, axis=0) > 0.9 * np.mean(getattr(posterior.draws, name) ** 2, axis=(0, 1)))
    assert posterior.rank == K and posterior.stability.min() > 0.98
    largest = np.abs(posterior.u_mean).argmax(axis=0)
    assert (posterior.u_mean[largest, np.arange(K)] > 0).all()
    assert (np.sum(posterior.w_mean**3, axis=0) > 0).all()


def test_components_of_the_same_patients_are_told_apart_by_their_genes() -> None:
    draws = scattered(20, noise=0.1)
    same = make_rng(20, "same").normal(size=N)
    draws.x[:] = same[:, None] + 0.3 * make_rng(20, "noise").normal(size=draws.x.shape)
    posterior = summarise(shuffled(draws, 20))
    assert match(posterior.w_mean, planted(20)[1]).min() > 0.99
    assert np.median(posterior.w_sd / np.abs(posterior.w_mean).max(axis=0)) < 0.1


def test_uncertain_draws_are_paired_with_their_mean() -> None:
    """One uncertain draw is a poor reference for another; their mean is a good one."""
    found = []
    for seed in range(8):
        posterior = summarise(shuffled(scattered(seed, each=60, noise=1.0), seed), min_share=0, min_strength=0)
        found.append(match(posterior.x_mean, planted(seed)[0]))
    # 0.980 when the last draw stays the reference.
    assert np.mean(found) > 0.99


def test_summary_of_chains_in_another_order_is_stable_and_finds_the_planted_rank() -> None:
    posterior = summarise(shuffled(scattered(5, spare=3), 5, by_chain=True))
    x, w, u = planted(5)
    assert posterior.rank == K == posterior.x_mean.shape[1] == posterior.draws.x.shape[2]
    assert posterior.stability.min() > 0.99
    assert match(posterior.x_mean, x).min() > 0.99
    assert match(posterior.w_mean, w).min() > 0.99
    mean = reconstruct(posterior.x_mean, posterior.w_mean, posterior.u_mean)
    assert np.corrcoef(mean.ravel(), reconstruct(x, w, u).ravel())[0, 1] > 0.999
    assert (np.diff(posterior.share.sum(axis=1)) <= 0).all()


def test_a_component_of_one_chain_only_has_low_stability() -> None:
    draws = scattered(6, spare=2, each=50)
    other = make_rng(6, "other")
    second = draws.chain == 1
    # What chain 0 calls component 0 is switched off in chain 1.
    draws.w[second, :, 0] *= 1e-6
    draws.x[second, :, 0] = other.normal(size=(50, N))
    posterior = summarise(shuffled(draws, 6, by_chain=True))
    order = np.abs(_corr(planted(6)[0], posterior.x_mean)).argmax(axis=1)
    assert posterior.rank == K
    assert posterior.stability[order[0]] < 0.6
    assert posterior.stability[order[1:]].min() > 0.99


def test_two_chains_with_other_components_are_not_called_stable_by_half() -> None:
    """Each chain correlates 0.7 with the mean of both, although they have nothing in common."""
    draws = scattered(7, each=30)
    rng = make_rng(7, "elsewhere")
    second = draws.chain == 1
    draws.x[second, :, 0], draws.w[second, :, 0] = rng.normal(size=N), rng.normal(size=D)
    posterior = summarise(draws)
    assert np.sort(posterior.stability)[0] < 0.45 and np.sort(posterior.stability)[1] > 0.99


def test_one_chain_has_no_stability_and_one_draw_no_deviation() -> None:
    posterior = summarise(scattered(8, chains=1))
    assert np.isnan(posterior.stability).all() and np.isfinite(posterior.x_sd).all()
    alone = summarise(scattered(8, chains=1, each=1))
    assert np.isnan(alone.x_sd).all() and np.isfinite(alone.x_mean).all()


def test_nothing_found_is_rank_zero() -> None:
    draws = scattered(9)
    posterior = summarise(replace(draws, w=draws.w * 1e-6))
    assert posterior.rank == 0
    assert posterior.x_mean.shape == (N, 0) and posterior.share.shape == (0, L) and len(posterior.stability) == 0


def test_moments_are_those_of_the_aligned_draws() -> None:
    posterior = summarise(shuffled(scattered(10, noise=0.2), 10))
    kept = posterior.draws
    for name in ("x", "w", "u"):
        part = getattr(kept, name).astype(float)
        np.testing.assert_allclose(getattr(posterior, f"{name}_mean"), part.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(getattr(posterior, f"{name}_sd"), part.std(axis=0, ddof=1), atol=1e-9)
    np.testing.assert_allclose(posterior.tau_mean, 1 / NOISE**2)


def test_share_is_the_part_of_an_omics_variance_that_a_component_makes() -> None:
    draws = scattered(11, chains=1, each=3, noise=0.0)
    share = explained(draws)
    x, w, u = planted(11)
    for k in range(K):
        for omic in range(L):
            whole = np.mean(((x * u[omic]) @ w.T) ** 2) + NOISE**2
            part = np.mean(np.outer(x[:, k] * u[omic, k], w[:, k]) ** 2)
            assert share[0, k, omic] == pytest.approx(part / whole, rel=1e-5)


def test_share_limit_counts_a_component_of_one_omic_only() -> None:
    draws = scattered(12, noise=0.0)
    draws.u[:, :, 0] = [3.0, 0.0, 0.0]
    share = explained(draws)[0, 0]
    assert share[1] == share[2] == 0
    assert summarise(draws, min_share=share[0] * 0.99).rank > summarise(draws, min_share=share[0] * 1.01).rank
    assert summarise(draws, min_share=1.0).rank == 0


def test_strength_is_in_units_of_the_largest_rank_one_term_of_noise() -> None:
    draws = scattered(15, chains=1, each=2, noise=0.0)
    x, w, u = planted(15)
    for k in range(K):
        energy = np.sum(np.einsum("n,d,l->ndl", x[:, k], w[:, k], u[:, k]) ** 2) / NOISE**2
        expected = energy / (np.sqrt(N) + np.sqrt(D) + np.sqrt(L)) ** 2
        assert strength(draws)[0, k] == pytest.approx(expected, rel=1e-5)


def test_what_noise_makes_is_not_counted() -> None:
    """The best rank-one term of nothing but noise has a share above the limit, and is weaker than strength 1."""
    rng = make_rng(16, "noise")
    for _ in range(5):
        x, w, u = (rng.normal(size=(size, 1)) for size in (N, D, L))
        noise = rng.normal(size=(N, D, L))
        for _ in range(50):
            x = np.einsum("ndl,dk,lk->nk", noise, w, u) / np.sum(w**2) / np.sum(u**2)
            w = np.einsum("ndl,nk,lk->dk", noise, x, u) / np.sum(x**2) / np.sum(u**2)
            u = np.einsum("ndl,nk,dk->lk", noise, x, w) / np.sum(x**2) / np.sum(w**2)
        draws = Draws(x[None], w[None], u[None], np.ones((1, L)), np.ones((1, 1)), np.zeros(1, int), pd.DataFrame())
        assert explained(draws).max() > 0.01 and 0.3 < strength(draws)[0, 0] < 1
        assert summarise(draws).rank == 0 and summarise(draws, min_strength=0.0).rank == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(K)))
def test_match_feels_neither_order_nor_sign_nor_scale(seed: int, order: list[int]) -> None:
    rng = make_rng(seed, "match")
    x = rng.normal(size=(N, K))
    found = (x + rng.normal(size=x.shape))[:, order] * rng.choice([-2.0, 0.5], size=K) + 3.0
    plain = match(x + 0.0, x)
    np.testing.assert_allclose(plain, 1.0)
    np.testing.assert_allclose(match(found, x), match(found[:, np.argsort(order)], x))


def test_match_is_the_best_of_all_pairings() -> None:
    rng = make_rng(13, "pairings")
    planted_x = rng.normal(size=(N, 3))
    found = planted_x @ rng.normal(size=(3, 5)) + rng.normal(size=(N, 5))
    similarity = np.abs(_corr(planted_x, found))
    best = max(similarity[range(3), list(p)].sum() for p in permutations(range(5), 3))
    assert match(found, planted_x).sum() == pytest.approx(best)


def test_match_without_partner_is_zero() -> None:
    x = make_rng(14, "few").normal(size=(N, 3))
    np.testing.assert_allclose(match(x[:, [2]], x), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(match(np.ones((N, 3)), x), 0)
    assert match(np.empty((N, 0)), x).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="29 patients were found and 30 planted"):
        match(x[1:], x)
