"""Every Gibbs update against brute force: dense Gaussian algebra entry by entry, and ratios of the joint density."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy import stats

from radgen_lib.omics.btf import updates
from radgen_lib.omics.btf.backend import NumpyBackend, TorchBackend
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.model import Point, Priors, log_joint, reconstruct
from radgen_lib.omics.btf.working import Working, host_point, place_point

N, D, L, K = 7, 5, 3, 3
BACKENDS = {"numpy": NumpyBackend, "torch": TorchBackend}
PRIORS = Priors(a_alpha=1.7, b_alpha=0.9, nu=3.0, a_tau=2.2, b_tau=1.3)


def still(kind):
    """A backend whose normal numbers are ``noise`` and whose Gamma numbers are 1; shapes of Gammas are kept."""
    base = BACKENDS[kind]

    class Still(base):
        def __init__(self):
            super().__init__(np.random.default_rng(0) if kind == "numpy" else 0)
            self.noise, self.shapes = 0.0, []

        def normal(self, *shape):
            return self.place(np.broadcast_to(np.asarray(self.noise, dtype=float), shape))

        def gamma(self, shape, size):
            self.shapes.append(shape if isinstance(shape, float) else self.host(shape))
            return self.place_wide(np.ones(size))

    return Still()


def values():
    """Missing: omic 1 in patient 0, omics 0 and 2 in patient 4, all of patient 6, gene 2 in omic 0, two entries."""
    y = np.random.default_rng(1).normal(size=(N, D, L))
    y[0, :, 1] = np.nan
    y[4, :, [0, 2]] = np.nan
    y[6] = np.nan
    y[:, 2, 0] = np.nan
    y[3, 3, 2] = y[5, 0, 2] = np.nan
    return y


def some_point(seed=2, lam=True):
    rng = np.random.default_rng(seed)
    return Point(
        x=rng.normal(size=(N, K)), w=rng.normal(size=(D, K)), u=rng.normal(size=(L, K)), tau=rng.uniform(0.5, 3, L),
        alpha=rng.uniform(0.5, 2, K), lam=rng.uniform(0.2, 3, (D, K)) if lam else np.ones((D, K)),
    )  # fmt: skip


@pytest.fixture(params=sorted(BACKENDS))
def chain(request):
    """Backend, data with the holes at 0.4 and -1.1, and the point, of both kinds; the full tensor beside them."""
    backend = still(request.param)
    data = Working(observe(values()), backend)
    data.fill(2, backend.place(np.array([0.4, -1.1])))
    full = values()
    full[3, 3, 2], full[5, 0, 2] = 0.4, -1.1
    return backend, data, place_point(some_point(), backend), full


def moments_of(update, backend, data, point, name):
    """Mean [n, K] and covariance [n, K, K] of what ``update`` draws into the factor ``name``."""
    size = getattr(point, name).shape[1]

    def drawn(noise):
        backend.noise, new = noise, copy.deepcopy(point)
        update(new)
        return np.array(backend.host(getattr(new, name)))

    mean = drawn(0.0)
    steps = [drawn(np.eye(size)[k][:, None]) - mean for k in range(size)]
    return mean, sum(np.einsum("ni,nj->nij", step, step) for step in steps)


def brute_force(full, point, name, prior):
    """Mean and covariance of every row of a factor from the design of its measured entries."""
    axis = {"x": 0, "w": 1, "u": 2}[name]
    others = [point.x, point.w, point.u]
    rows, means, covariances = np.moveaxis(full, axis, 0), [], []
    a, b = (factor for place, factor in enumerate(others) if place != axis)
    design = np.einsum("ik,jk->ijk", a, b)
    for index, row in enumerate(rows):
        seen = ~np.isnan(row)
        tau = np.full(row.shape, point.tau[index]) if name == "u" else np.broadcast_to(point.tau, row.shape)
        used = design[seen]
        covariance = np.linalg.inv(np.diag(prior[index]) + (used * tau[seen][:, None]).T @ used)
        means.append(covariance @ (used.T @ (tau[seen] * row[seen])))
        covariances.append(covariance)
    return np.array(means), np.array(covariances)


class TestGaussianUpdates:
    def test_x(self, chain):
        backend, data, point, full = chain
        mean, covariance = moments_of(lambda p: updates.update_x(p, data), backend, data, point, "x")
        expected = brute_force(full, host_point(point, backend), "x", np.ones((N, K)))
        assert np.allclose(mean, expected[0], atol=1e-10)
        assert np.allclose(covariance, expected[1], atol=1e-10)

    @pytest.mark.parametrize("nu", [3.0, None])
    def test_w(self, chain, nu):
        backend, data, point, full = chain
        point = place_point(some_point(lam=nu is not None), backend)
        seen = updates.patient_moments(point, data)
        mean, covariance = moments_of(
            lambda p: updates.update_w(p, data, Priors(nu=nu), seen), backend, data, point, "w"
        )
        plain = host_point(point, backend)
        expected = brute_force(full, plain, "w", plain.alpha * plain.lam)
        assert np.allclose(mean, expected[0], atol=1e-10)
        assert np.allclose(covariance, expected[1], atol=1e-10)

    def test_u(self, chain):
        backend, data, point, full = chain
        seen = updates.patient_moments(point, data)
        gram_w = updates.grams(point.w.T, data.gene_masks, backend)
        mean, covariance = moments_of(lambda p: updates.update_u(p, data, seen, gram_w), backend, data, point, "u")
        expected = brute_force(full, host_point(point, backend), "u", np.ones((L, K)))
        assert np.allclose(mean, expected[0], atol=1e-10)
        assert np.allclose(covariance, expected[1], atol=1e-10)

    @pytest.mark.parametrize("name", ["x", "w", "u"])
    def test_ratio_of_the_joint_density(self, name):
        """p(new | rest) / p(old | rest) is the ratio of the joint densities, here without holes."""
        y, plain = values(), some_point()
        y[3, 3, 2], y[5, 0, 2] = 0.4, -1.1
        prior = plain.alpha * plain.lam if name == "w" else np.ones_like(getattr(plain, name))
        mean, covariance = brute_force(y, plain, name, prior)
        new = copy.deepcopy(plain)
        setattr(new, name, np.random.default_rng(9).normal(size=mean.shape))

        def conditional(point):
            rows = zip(getattr(point, name), mean, covariance, strict=True)
            return sum(stats.multivariate_normal.logpdf(row, m, c) for row, m, c in rows)

        expected = log_joint(new, observe(y), PRIORS) - log_joint(plain, observe(y), PRIORS)
        assert conditional(new) - conditional(plain) == pytest.approx(expected, abs=1e-9)

    def test_many_genes_in_blocks_equal_one_by_one(self):
        rng = np.random.default_rng(0)
        factor = rng.normal(size=(40, 4))
        shared, diagonal = factor.T @ factor, rng.uniform(0.1, 5, (4, 600))
        linear, noise = rng.normal(size=(4, 600)), rng.normal(size=(4, 600))
        found = NumpyBackend(rng).draw_each(shared, diagonal, linear, noise)
        for gene in (0, 511, 512, 599):
            precision = shared + np.diag(diagonal[:, gene])
            root = np.linalg.cholesky(precision)
            expected = np.linalg.solve(precision, linear[:, gene]) + np.linalg.solve(root.T, noise[:, gene])
            assert np.allclose(found[:, gene], expected, atol=1e-12)

    def test_near_collinear_components_stay_finite_in_single_precision(self):
        rng = np.random.default_rng(0)
        factor = rng.normal(size=(50, 3))
        factor[:, 2] = factor[:, 1] * (1 + 1e-9)
        shared, zeros = 1e6 * factor.T @ factor, np.zeros((3, 10), np.float32)
        found = NumpyBackend(rng, np.float32).draw_each(shared, zeros + 1e-2, zeros + 1, zeros)
        assert np.isfinite(found).all()


def measured_squares(full, point):
    residual = np.where(np.isnan(values()), np.nan, full) - reconstruct(point.x, point.w, point.u)
    return np.nansum(residual**2, axis=(0, 1))


def noise_update(data, point, priors, backend):
    seen, gram_w = updates.patient_moments(point, data), updates.grams(point.w.T, data.gene_masks, backend)
    return updates.update_noise(point, data, priors, seen, gram_w)


class TestNoise:
    def test_residual_squares_leave_holes_out(self, chain):
        backend, data, point, full = chain
        seen, gram_w = updates.patient_moments(point, data), updates.grams(point.w.T, data.gene_masks, backend)
        fitted = [None, None, updates.fitted_at(point, 2, data.holes[2], backend)]
        found = updates.residual_squares(point, data, seen, gram_w, fitted)
        assert np.allclose(found, measured_squares(full, host_point(point, backend)), atol=1e-10)

    @pytest.mark.parametrize("noise", ["per_omic", "global"])
    def test_tau_by_ratio_of_the_joint_density(self, chain, noise):
        backend, data, point, _ = chain
        priors = Priors(a_tau=2.2, b_tau=1.3, noise=noise)
        noise_update(data, point, priors, backend)
        shape, rate = backend.shapes[0], 1 / backend.host(point.tau)  # Gamma numbers were 1
        old, new = host_point(point, backend), host_point(point, backend)
        factors = np.array([1.7, 0.6, 2.1]) if noise == "per_omic" else np.full(L, 1.7)
        old.tau, new.tau = 1 / rate, factors / rate
        expected = log_joint(new, observe(values()), priors) - log_joint(old, observe(values()), priors)
        ratio = stats.gamma.logpdf(new.tau, shape, scale=1 / rate) - stats.gamma.logpdf(old.tau, shape, scale=1 / rate)
        assert (ratio if noise == "per_omic" else ratio[:1]).sum() == pytest.approx(expected, abs=1e-9)

    def test_log_likelihood(self, chain):
        backend, data, point, _ = chain
        fit = noise_update(data, point, PRIORS, backend)
        plain = host_point(point, backend)
        terms = stats.norm.logpdf(values(), reconstruct(plain.x, plain.w, plain.u), plain.tau**-0.5)
        assert fit.log_likelihood == pytest.approx(np.nansum(terms))

    @pytest.mark.parametrize("noise", [0.0, 1.0, -2.0])
    def test_holes(self, chain, noise):
        backend, data, point, _ = chain
        backend.noise = noise
        noise_update(data, point, PRIORS, backend)
        plain = host_point(point, backend)
        expected = reconstruct(plain.x, plain.w, plain.u)[[3, 5], [3, 0], 2] + noise * plain.tau[2] ** -0.5
        assert np.allclose(backend.host(data.drawn[2]), expected, atol=1e-10)
        assert np.allclose(backend.host(data.blocks[2])[[3, 5], [3, 0]], expected, atol=1e-10)

    @pytest.mark.parametrize("share", [0.002, 0.3])
    def test_fitted_at_holes_few_or_many(self, share):
        """Few holes are gathered one by one, many through whole products of 256 patients."""
        rng = np.random.default_rng(0)
        y = rng.normal(size=(600, 30, 1))
        y[rng.random(y.shape) < share] = np.nan
        backend, seen = NumpyBackend(rng), observe(y)
        point = Point(
            rng.normal(size=(600, 2)), rng.normal(size=(30, 2)), rng.normal(size=(1, 2)), np.ones(1), np.ones(2), None
        )
        data = Working(seen, backend)
        assert (data.holes[0].parts[0][0] is None) == (share < 0.01)
        fitted = reconstruct(point.x, point.w, point.u)[:, :, 0]
        assert np.allclose(updates.fitted_at(point, 0, data.holes[0], backend), fitted[seen.holes[0]])


class TestGammaUpdates:
    def test_lam(self, chain):
        backend, data, point, _ = chain
        updates.update_sparsity(point, data, PRIORS)
        self.check(backend, point, "lam", backend.shapes[0])

    def test_alpha(self, chain):
        backend, data, point, _ = chain
        updates.update_relevance(point, data, PRIORS)
        self.check(backend, point, "alpha", backend.shapes[0])

    def test_lam_is_one_for_gaussian_loadings(self, chain):
        backend, data, _, _ = chain
        point = place_point(some_point(lam=False), backend)
        updates.update_sparsity(point, data, Priors(nu=None))
        assert (backend.host(point.lam) == 1).all() and not backend.shapes

    @staticmethod
    def check(backend, point, name, shape):
        old, new = host_point(point, backend), host_point(point, backend)
        rate = 1 / getattr(old, name)  # Gamma numbers were 1
        setattr(new, name, np.random.default_rng(5).uniform(0.2, 4, rate.shape) / rate)
        expected = log_joint(new, observe(values()), PRIORS) - log_joint(old, observe(values()), PRIORS)
        ratio = stats.gamma.logpdf(getattr(new, name), shape, scale=1 / rate)
        ratio = ratio - stats.gamma.logpdf(getattr(old, name), shape, scale=1 / rate)
        assert ratio.sum() == pytest.approx(expected, abs=1e-9)


class TestScales:
    def test_density_of_the_move(self, chain):
        """Density of s on the orbit: joint density there, times the Jacobian, times the Haar measure ds / s."""
        backend, data, point, _ = chain
        before = host_point(point, backend)
        updates.update_scales(point, data, PRIORS)
        after, rest = host_point(point, backend), before
        for shape, name, entries in zip(backend.shapes, ("u", "x"), (L, N), strict=True):
            scale = (getattr(after, name) / getattr(before, name))[0] ** 2
            rate = 1 / scale  # Gamma numbers were 1
            tries = [self.moved(rest, name, s) for s in (np.full(K, 0.3), np.array([0.5, 1.0, 2.5]))]
            logs = [
                log_joint(moved, observe(values()), PRIORS) + ((entries - D) / 2 * np.log(s)).sum()
                for moved, s in tries
            ]  # Jacobian s^(entries/2 - D/2 + 1) and Haar measure 1/s
            expected = [stats.gamma.logpdf(s, shape, scale=1 / rate).sum() for _, s in tries]
            assert logs[1] - logs[0] == pytest.approx(expected[1] - expected[0], abs=1e-9)
            rest = self.moved(rest, name, scale)[0]
        assert np.allclose(rest.w, after.w) and np.allclose(rest.alpha, after.alpha)

    @staticmethod
    def moved(point, name, s):
        new = copy.deepcopy(point)
        setattr(new, name, getattr(point, name) * s**0.5)
        new.w, new.alpha = point.w / s**0.5, point.alpha * s
        return new, s

    def test_fit_stays(self, chain):
        backend, data, point, _ = chain
        before = host_point(point, backend)
        updates.update_scales(point, data, PRIORS)
        after = host_point(point, backend)
        assert np.allclose(reconstruct(before.x, before.w, before.u), reconstruct(after.x, after.w, after.u))
        assert not np.allclose(before.x, after.x)


class TestBackendsAgree:
    def test_whole_sweep_with_the_same_numbers(self):
        """With noise and Gamma numbers fixed, three sweeps end at the same point on both."""
        ends = []
        for kind in sorted(BACKENDS):
            backend = still(kind)
            backend.noise = 0.3
            data, point = Working(observe(values()), backend), place_point(some_point(), backend)
            fits = [updates.sweep(point, data, PRIORS) for _ in range(3)]
            ends.append((host_point(point, backend), fits[-1]))
        (a, fit_a), (b, fit_b) = ends
        for name in ("x", "w", "u", "tau", "alpha", "lam"):
            assert np.allclose(getattr(a, name), getattr(b, name), rtol=1e-10, atol=1e-10), name
        assert fit_a.log_likelihood == pytest.approx(fit_b.log_likelihood) and fit_a.rank == fit_b.rank

    @pytest.mark.parametrize("kind", sorted(BACKENDS))
    def test_numbers_have_their_distributions(self, kind):
        backend = BACKENDS[kind](np.random.default_rng(3) if kind == "numpy" else 3)
        assert stats.kstest(backend.host(backend.normal(4000)), "norm").pvalue > 1e-3
        for shape in (0.6, 1.0, 2.5):
            drawn = backend.host(backend.gamma(shape, (4000,)))
            assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 1e-3
        large = backend.host(backend.gamma(backend.place_wide(np.array([1e6, 0.5])), (2,)))
        assert large[0] == pytest.approx(1e6, rel=0.01) and large[1] > 0
