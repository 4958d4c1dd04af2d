"""Torch against numpy, on the CPU and on an accelerator where there is one: one sweep, and the numbers it is fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from radgen_lib.omics.btf.backend import NumpyBackend, TorchBackend
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.gibbs import make_backend, start
from radgen_lib.omics.btf.model import Point, Priors
from radgen_lib.omics.btf.updates import Fit, sweep
from radgen_lib.omics.btf.working import Working, host_point, place_point

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = [pytest.param("torch", id="torch-cpu"), pytest.param("cuda", marks=CUDA)]


def still(kind: Any, *options: Any) -> Any:
    """A backend of class ``kind`` whose normal numbers are 0.3 and whose Gamma numbers are their shape."""

    class Still(kind):  # type: ignore[misc]
        def normal(self, *shape: int) -> Any:
            return self.place(np.full(shape, 0.3))

        def gamma(self, shape: Any, size: tuple[int, ...]) -> Any:
            if isinstance(shape, float):
                return self.place(np.full(size, shape))
            return self.place_wide(np.broadcast_to(self.host(shape), size))

    return Still(*options)


def after_one_sweep(backend: Any, priors: Priors) -> tuple[Point, Fit]:
    """A tensor with missing omics, a missing gene and single holes, from the same start on every backend."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 30, 3))
    values[:5, :, 1] = values[5:8, :, :2] = values[:, 4, 2] = values[10, 3, 0] = values[11, 7:9, 1] = np.nan
    observed = observe(values)
    point = place_point(start(observed, 4, np.random.default_rng(1), "rotated"), backend)
    fit = sweep(point, Working(observed, backend), priors)
    return host_point(point, backend), fit


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("priors", [Priors(), Priors(nu=None, noise="global")], ids=["sparse", "gaussian"])
@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-8), (np.float32, 2e-3)])
def test_one_sweep_is_that_of_numpy(device: str, priors: Priors, dtype: Any, close: float) -> None:
    place = "cpu" if device == "torch" else device
    expected, fit = after_one_sweep(still(NumpyBackend, np.random.default_rng(0), np.float64), priors)
    found, said = after_one_sweep(still(TorchBackend, 0, dtype, place), priors)
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=close, atol=close, err_msg=name)
    assert said.log_likelihood == pytest.approx(fit.log_likelihood, rel=10 * close) and said.rank == fit.rank


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gamma_numbers_follow_their_shape_and_their_own_seed(device: str, dtype: Any) -> None:
    """Torch has Gamma numbers from a generator of one's own in a private function alone: it must stay what it is."""
    one, same, other = (make_backend(seed, dtype, device) for seed in (3, 3, 4))
    wide = one.place_wide(np.full(4000, 250.0))
    drawn = [one.host(one.gamma(0.7, (4000,))), one.host(one.gamma(wide, (4000,)))]
    for values, shape in zip(drawn, (0.7, 250.0), strict=True):
        assert stats.kstest(values.astype(float), stats.gamma(shape).cdf).pvalue > 1e-3
    assert drawn[0].dtype == dtype and drawn[1].dtype == np.float64
    torch.manual_seed(99)
    np.testing.assert_array_equal(same.host(same.gamma(0.7, (4000,))), drawn[0])
    assert not np.array_equal(other.host(other.gamma(0.7, (4000,))), drawn[0])
