"""How much memory a factorisation takes, and the refusal of what does not fit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from radgen_lib.core.machine import available_memory
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.memory import GIB, bytes_needed, check_memory
from radgen_lib.omics.btf.model import Priors
from radgen_lib.omics.btf.published import fit_published
from radgen_lib.omics.btf.variational import fit_variational


class TestMemory:
    def test_largest_tensor_fits(self):
        assert bytes_needed((754, 20_000, 3), 20) < 6e9
        assert bytes_needed((754, 20_000, 3), 50, "float64") < 6e9
        assert bytes_needed((754, 20_000, 3), 20, "float32") < bytes_needed((754, 20_000, 3), 20)

    def test_grows_with_everything(self):
        base = bytes_needed((100, 1000, 3), 20)
        for shape, k in (((200, 1000, 3), 20), ((100, 2000, 3), 20), ((100, 1000, 4), 20), ((100, 1000, 3), 40)):
            assert bytes_needed(shape, k) > base
        assert bytes_needed((100, 1000, 3), 20, draws=400) > base > bytes_needed((100, 1000, 3), 20, holes=0.0)

    def test_matrices_of_every_gene_are_counted(self):
        """The approximation keeps K x K matrices of all genes; projections need them where there are holes."""
        shape, square = (100, 5000, 3), 5000 * 20 * 20 * 8
        sampled, approximate = (bytes_needed(shape, 20, method=name) for name in ("gibbs", "variational"))
        assert approximate - sampled > 5 * square
        assert sampled - bytes_needed(shape, 20, holes=0.0) > square
        few, many = (bytes_needed(shape, 20, draws=count, method="published") for count in (50, 51))
        assert many - few > 8 * 20 * (3 + 2) * 5000, "a stored state: loadings, their precisions, a product an omic"

    @pytest.mark.parametrize("holes", [0.0, 0.02])
    def test_it_is_not_less_than_what_a_fit_takes(self, holes):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(60, 400, 3))
        values[rng.random(values.shape) < holes] = np.nan
        for name, fit in (
            ("variational", lambda: fit_variational(observe(values), 10, Priors(), seed=0, max_sweeps=2)),
            ("published", lambda: fit_published(values, 10, burn_in=2, draws=20, thin=1, seed=0)),
        ):
            tracemalloc.start()
            fit()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            said = bytes_needed(values.shape, 10, draws=20, holes=float(holes > 0), method=name)
            assert peak < said - 300 * 1024**2, "the program itself comes on top"

    def test_refusal_names_the_size(self, monkeypatch):
        shape = (754, 20_000, 3)
        needed = bytes_needed(shape, 20, draws=100)
        monkeypatch.setattr("radgen_lib.omics.btf.memory.available_memory", lambda: GIB // 2)
        said = rf"754 x 20000 x 3 with 20 components needs {needed / GIB:.1f} GiB and 0\.5 GiB are free"
        with pytest.raises(ValueError, match=said):
            check_memory(shape, 20, "float64", 100, "gibbs")
        with pytest.raises(ValueError, match=r"fewer genes or draws$"):
            check_memory(shape, 20, "float64", 100, "published")
        monkeypatch.setattr("radgen_lib.omics.btf.memory.available_memory", lambda: 2 * needed)
        check_memory(shape, 20, "float64", 100, "gibbs")

    def test_what_is_free(self, tmp_path):
        info = tmp_path / "meminfo"
        assert available_memory(info, tmp_path) is None
        info.write_text("MemTotal:       9000 kB\nMemAvailable:    5000 kB\n")
        assert available_memory(info, tmp_path) == 5000 * 1024
        (tmp_path / "memory.max").write_text("max\n")
        assert available_memory(info, tmp_path) == 5000 * 1024
        (tmp_path / "memory.max").write_text("2048000\n")
        (tmp_path / "memory.current").write_text("1048000\n")
        assert available_memory(info, tmp_path) == 1_000_000
        (tmp_path / "memory.current").write_text("9048000\n")
        assert available_memory(info, tmp_path) == 0

    def test_unknown_memory_refuses_nothing(self, monkeypatch):
        monkeypatch.setattr("radgen_lib.omics.btf.memory.available_memory", lambda: None)
        check_memory((10**6, 10**6, 3), 20, "float64", 200, "variational")

    def test_the_published_fit_is_refused_before_it_starts(self, monkeypatch):
        monkeypatch.setattr("radgen_lib.omics.btf.memory.available_memory", lambda: 2**20)
        with pytest.raises(ValueError, match=r"20 x 30 x 3 with 4 components needs .* fewer genes or draws$"):
            fit_published(np.zeros((20, 30, 3)), 4, burn_in=2, draws=1, seed=0)
