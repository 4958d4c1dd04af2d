"""The estimator: scikit-learn's conventions, tables in and out, saving, and every bad input in one line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from radgen_lib.omics.btf.align import match
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.gibbs import start
from radgen_lib.omics.btf.model import reconstruct
from radgen_lib.omics.btf.projection import NO_OMIC, log_score, project
from radgen_lib.omics.btf.saving import load_arrays, save_arrays
from radgen_lib.omics.btf.scaling import TensorScaler

OMICS = ("expression", "copy number", "methylation")
RNG = np.random.default_rng(0)
W, U = RNG.normal(size=(30, 2)) * (RNG.random((30, 2)) < 0.6), RNG.normal(size=(3, 2))


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(factors, values) of n patients of the planted model."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, reconstruct(x, W, U) + rng.normal(size=(n, 30, 3)) * [0.4, 0.6, 1.0]


def fast(**options: Any) -> BayesianTensorFactorisation:
    return BayesianTensorFactorisation(
        **{"n_components": 4, "method": "variational", "n_chains": 1, "n_draws": 30, **options}
    )


def tables(values: np.ndarray, prefix: str = "P") -> dict[str, pd.DataFrame]:
    """One table an omic; a patient without a value in an omic is not in its table."""
    index, columns = [f"{prefix}{i}" for i in range(len(values))], [f"G{i}" for i in range(values.shape[1])]
    found = {omic: pd.DataFrame(values[:, :, i], index, columns) for i, omic in enumerate(OMICS)}
    return {omic: table.dropna(how="all") for omic, table in found.items()}


@pytest.fixture(scope="module")
def model() -> BayesianTensorFactorisation:
    return fast().fit(planted(60, 1)[1])


@pytest.fixture(scope="module")
def named() -> BayesianTensorFactorisation:
    return fast().fit(tables(planted(60, 1)[1]))


@pytest.mark.parametrize("method", ["gibbs", "variational"])
def test_fit_and_projection_recover_what_was_planted(method: str) -> None:
    (x, values), (x_new, new) = planted(60, 1), planted(25, 2)
    found = fast(method=method, n_chains=2, n_burn_in=80, thin=1, dtype="float64").fit(values)
    r = found.n_components_
    assert r == 2
    assert found.factors_.shape == found.factors_std_.shape == (60, r)
    assert found.loadings_.shape == found.loadings_std_.shape == (30, r)
    assert found.omic_loadings_.shape == found.omic_loadings_std_.shape == (3, r)
    assert found.explained_.shape == (r, 3) and found.stability_.shape == (r,)
    np.testing.assert_allclose(found.noise_precision_, [1 / 0.16, 1 / 0.36, 1], rtol=0.2)
    assert match(found.factors_, x).min() > 0.95 and match(found.transform(new), x_new).min() > 0.95
    projected, sd = found.transform(values, return_std=True)
    assert (np.abs(projected - found.factors_) < found.factors_std_).all() and (sd > 0).all()
    assert {"quantity", "r_hat", "ok", "reason"} <= set(found.diagnostics_.columns)
    assert set(found.trace_["chain"]) == ({0, 1} if method == "gibbs" else {0})
    assert len(found.draws_) == 60
    signal = found.inverse_transform(found.factors_)
    assert np.corrcoef(signal.ravel(), reconstruct(x, W, U).ravel())[0, 1] > 0.98


def test_conventions_of_scikit_learn(model: BayesianTensorFactorisation) -> None:
    untouched = BayesianTensorFactorisation(7, sparsity=None)
    assert untouched.get_params()["n_components"] == 7 and set(untouched.get_params()) == set(vars(untouched))
    assert repr(untouched) == "BayesianTensorFactorisation(n_components=7, sparsity=None)"
    assert untouched.set_params(seed=3, method="gibbs") is untouched and untouched.seed == 3
    with pytest.raises(ValueError, match="Invalid parameter 'rank'"):
        untouched.set_params(rank=3)
    copy = clone(model)
    assert copy.get_params() == model.get_params() and not hasattr(copy, "factors_")
    for call in (copy.transform, copy.score, copy.impute, copy.inverse_transform):
        with pytest.raises(NotFittedError):
            call(np.zeros((2, 30, 3)))
    for call in (copy.save, copy.get_feature_names_out):
        with pytest.raises(NotFittedError):
            call("nowhere")
    assert list(model.get_feature_names_out()) == ["factor_1", "factor_2"]
    parameters = model.get_params()
    values = planted(60, 1)[1]
    again = clone(model).fit(values, y=np.zeros(60))
    assert again.get_params() == parameters
    np.testing.assert_array_equal(again.factors_, model.factors_)  # same seed, same bytes
    assert not np.array_equal(clone(model).set_params(seed=1).fit(values).factors_, model.factors_)


def test_it_stands_in_a_pipeline_and_sets_its_output(model: BayesianTensorFactorisation) -> None:
    values = planted(60, 1)[1] * 5 + 3
    line = make_pipeline(TensorScaler(), fast())
    assert line.fit_transform(values).shape == (60, 2)
    assert line.score(values) == pytest.approx(line[1].score(line[0].transform(values)))
    table = clone(model).set_output(transform="pandas").fit(values - values.mean(axis=0)).transform(values[:3])
    assert isinstance(table, pd.DataFrame) and list(table.columns) == ["factor_1", "factor_2"]


def test_transform_and_score_are_those_of_projection(model: BayesianTensorFactorisation) -> None:
    new = planted(12, 3)[1]
    new[2, :, 0] = new[3, :, 1:] = np.nan
    new[4, 5, 1] = np.nan
    mean, sd = model.transform(new, return_std=True)
    expected = project(model.draws_, new, model.frame_)
    np.testing.assert_array_equal(mean, expected.mean)
    np.testing.assert_array_equal(sd, expected.sd)
    assert model.score(new) == pytest.approx(log_score(model.draws_, new).sum() / (~np.isnan(new)).sum(), rel=1e-12)
    noise = np.random.default_rng(1).permuted(new[:2], axis=1)
    assert model.score(new[:2]) > model.score(noise) + 0.1
    imputed = model.impute(new, level=0.9)
    inside = (imputed.low <= new) & (new <= imputed.high)
    assert 0.85 < inside[~np.isnan(new)].mean() < 0.95


def test_tables_in_tables_out(named: BayesianTensorFactorisation, model: BayesianTensorFactorisation) -> None:
    assert named.patients_ == tuple(f"P{i}" for i in range(60)) and named.omics_ == OMICS
    np.testing.assert_array_equal(named.factors_, model.factors_)
    new = planted(8, 4)[1]
    new[1, :, 0] = np.nan
    given = tables(new, "Q")
    given = {omic: table.iloc[:, ::-1].assign(other=1.0) for omic, table in given.items()}  # order and extra genes
    mean, sd = named.transform(given, return_std=True)
    assert sorted(mean.index) == sorted(f"Q{i}" for i in range(8)) and list(mean.columns) == ["factor_1", "factor_2"]
    ordered = [f"Q{i}" for i in range(8)]
    np.testing.assert_array_equal(mean.loc[ordered], model.transform(new))
    assert sd.index.equals(mean.index)
    signal = named.inverse_transform(mean)
    assert list(signal) == list(OMICS) and signal["methylation"].shape == (8, 30)
    np.testing.assert_array_equal(signal["expression"].loc["Q1"], model.inverse_transform(mean.to_numpy())[7, :, 0])
    imputed = named.impute(given)
    assert imputed.low["expression"].loc["Q1", "G3"] < imputed.high["expression"].loc["Q1", "G3"]
    assert named.score(given) == pytest.approx(model.score(new), rel=1e-12)
    only = {"methylation": given["methylation"]}
    last = np.where(np.arange(3) == 2, new, np.nan)
    np.testing.assert_array_equal(named.transform(only), model.transform(last))
    np.testing.assert_array_equal(named.transform(list(given.values())), named.transform(given))


def test_training_tables_are_joined() -> None:
    """Union of the patients in order of appearance, common genes in the order of the first table."""
    values = planted(60, 1)[1]
    values[:3, :, 0] = np.nan
    parts = tables(values)
    parts["methylation"] = parts["methylation"].drop(columns=["G4", "G9"])
    found = fast().fit(parts)
    assert found.genes_ == tuple(f"G{i}" for i in range(30) if i not in (4, 9))
    assert found.patients_ == (*(f"P{i}" for i in range(3, 60)), "P0", "P1", "P2")
    assert fast().fit(list(parts.values())).omics_ == ("omic_0", "omic_1", "omic_2")


def test_saved_models_project_the_same_bytes(named: BayesianTensorFactorisation, tmp_path: Path) -> None:
    new = planted(9, 5)[1]
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    named.save(path)
    named.save(again)
    assert path.read_bytes() == again.read_bytes()
    loaded = BayesianTensorFactorisation.load(path)
    assert loaded.transform(new).tobytes() == named.transform(new).tobytes()
    assert loaded.impute(new).high.tobytes() == named.impute(new).high.tobytes()
    assert loaded.score(new) == named.score(new) and loaded.get_params() == named.get_params()
    assert (loaded.patients_, loaded.genes_, loaded.omics_) == (named.patients_, named.genes_, named.omics_)
    for name in vars(named):
        one, other = getattr(named, name), getattr(loaded, name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        elif isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other)
    assert set(vars(loaded)) == set(vars(named))


def test_changed_files_are_refused(model: BayesianTensorFactorisation, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model.save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    refusals = {
        "another number": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "another parameter": whole.replace(b'\\\\\\"n_draws\\\\\\": 30', b'\\\\\\"n_draws\\\\\\": 31'),
        "cut short": whole[:-10],
        "no safetensors": b"PK\x03\x04",
        "empty": b"",
    }
    for what, content in refusals.items():
        assert content != whole, what
        path.write_bytes(content)
        with pytest.raises(ValueError, match="save it again") as refusal:
            BayesianTensorFactorisation.load(path)
        assert "\n" not in str(refusal.value) and str(path) in str(refusal.value)
    save_file({"a": np.zeros(2)}, path)  # without our header
    with pytest.raises(ValueError, match="not a whole saved factorisation"):
        load_arrays(path)
    save_arrays(path, {"a": np.zeros(2)}, {"kind": "something else"})
    assert load_file(path)["a"].shape == (2,)
    with pytest.raises(ValueError, match="holds no Bayesian tensor factorisation"):
        BayesianTensorFactorisation.load(path)
    with pytest.raises(FileNotFoundError):
        BayesianTensorFactorisation.load(tmp_path / "absent.safetensors")


def test_a_failed_save_leaves_the_earlier_file(model: BayesianTensorFactorisation, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_arrays(path, {"a": np.zeros(2)}, {"bad": float("nan")})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    header = json.loads(before[8 : 8 + int.from_bytes(before[:8], "little")])
    assert "draws/w" in header and b"pickle" not in before


def spoiled(change: str) -> np.ndarray:
    values = planted(20, 6)[1]
    match change:
        case "no omic":
            values[4] = np.nan
        case "no gene":
            values[:, 7] = np.nan
        case "no values":
            values[:, :, 1] = np.nan
        case "constant":
            values[:, 3, 2] = 1.5
            values[0, 3, 2] = np.nan
        case "infinite":
            values[2, 3, 1] = np.inf
        case "twice":
            values[9] = values[2]
        case "same":
            values[:, :, 2] = values[:, :, 0]
        case "monotone":
            values[:, :, 2] = np.exp(2 * values[:, :, 0])
        case "few":
            values = values[:3]
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no omic", "patient 4 has no value at all"),
        ("no gene", "gene 7 has no value at all"),
        ("no values", "omic 1 has no value at all"),
        ("constant", r"gene 3 is constant in omic 2 \(1 such\): set it missing"),
        ("infinite", "infinite value in omic 1, patient 2, gene 3"),
        ("twice", "patients 2 and 9 have the same values"),
        ("same", "omics 0 and 2 are one matrix given twice"),
        ("monotone", "omics 0 and 2 are one matrix given twice"),
        ("few", "3 patients are fewer than 4 components"),
    ],
)
def test_tensors_nothing_can_be_fitted_to(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        fast().fit(spoiled(change))
    assert "\n" not in str(refusal.value)


def test_faults_of_tables_name_patients_genes_and_omics() -> None:
    index, empty = [f"P{i}" for i in range(20)], spoiled("no omic")
    with pytest.raises(ValueError, match="patient P4 has no value at all"):
        fast().fit({omic: pd.DataFrame(empty[:, :, place], index) for place, omic in enumerate(OMICS)})
    with pytest.raises(ValueError, match="gene G3 is constant in omic methylation"):
        fast().fit(tables(spoiled("constant")))
    with pytest.raises(ValueError, match="patients P2 and P9 have the same values"):
        fast().fit(tables(spoiled("twice")))
    good = tables(planted(20, 7)[1])
    twice = pd.concat([good["expression"], good["expression"].iloc[[3]]])
    with pytest.raises(ValueError, match="omic expression: patient P3 stands twice"):
        fast().fit({**good, "expression": twice})
    with pytest.raises(ValueError, match="omic expression: gene G0 stands twice"):
        fast().fit({**good, "expression": pd.concat([good["expression"], good["expression"][["G0"]]], axis=1)})
    with pytest.raises(ValueError, match="have no gene in common"):
        fast().fit({**good, "expression": good["expression"].add_prefix("x")})
    with pytest.raises(ValueError, match="omic expression: its values are not all numbers"):
        fast().fit({**good, "expression": good["expression"].assign(G5="unknown")})
    with pytest.raises(ValueError, match="one table is one omic"):
        fast().fit(good["expression"])
    with pytest.raises(ValueError, match="there is no table"):
        fast().fit({})
    for wrong in (np.zeros((3, 4)), np.zeros((0, 4, 2)), [1.0, 2.0]):
        with pytest.raises(ValueError, match="patients x genes x omics is needed"):
            fast().fit(wrong)
    with pytest.raises(ValueError, match="a tensor of numbers"):
        fast().fit([["a"]])


def test_projecting_another_tensor(
    named: BayesianTensorFactorisation, model: BayesianTensorFactorisation, caplog: pytest.LogCaptureFixture
) -> None:
    new = planted(5, 8)[1]
    with pytest.raises(ValueError, match="29 genes x 3 omics, but the factors were fitted on 30 x 3"):
        model.transform(new[:, 1:])
    given = tables(new)
    with pytest.raises(ValueError, match=r"omic copy number lacks 2 of the 30 genes of the fit, e\.g\. G1"):
        named.transform({**given, "copy number": given["copy number"].drop(columns=["G1", "G2"])})
    with pytest.raises(ValueError, match="omic protein was not in the fit, which had expression, copy number"):
        named.transform({**given, "protein": given["expression"]})
    with pytest.raises(ValueError, match="2 tables for the 3 omics"):
        named.transform(list(given.values())[:2])
    with pytest.raises(ValueError, match="fitted on an array without names of genes"):
        model.transform(given)
    with pytest.raises(ValueError, match="infinite value"):
        model.transform(np.full((1, 30, 3), np.inf))
    for wrong in (np.zeros((5, 3)), np.zeros(2)):
        with pytest.raises(ValueError, match=r"\[patients, 2\] are needed"):
            model.inverse_transform(wrong)
    new[3] = np.nan
    with caplog.at_level(logging.WARNING, logger="radgen"):
        factors = model.transform(new)
    assert np.isnan(factors[3]).all() and not np.isnan(factors[[0, 1, 2, 4]]).any()
    assert "patient 3" in caplog.text and NO_OMIC in caplog.text
    assert np.isfinite(model.score(new)) and np.isnan(model.impute(new).mean[3]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"n_chains": 0}, "n_chains must be at least 1"),
        ({"n_draws": 0}, "n_draws must be at least 1"),
        ({"method": "als"}, "method must be gibbs or variational, not 'als'"),
        ({"dtype": "float16"}, "dtype must be float64 or float32"),
        ({"min_share": 1.0}, "min_share must lie in"),
        ({"sparsity": -1.0}, "nu must be above 0"),
        ({"noise": "none"}, "noise must be per_omic or global"),
        ({"device": "cuda"}, "the variational method runs on cpu"),
        ({"method": "gibbs", "n_burn_in": -1}, "burn_in must not be negative"),
    ],
)
def test_parameters_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fast(**options).fit(planted(20, 7)[1])


@pytest.mark.parametrize("how", ["svd", "rotated", "random"])
@pytest.mark.parametrize("method", ["gibbs", "variational"])
def test_every_start_is_taken_as_it_is_asked_for(method: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    for home in ("gibbs", "variational"):

        def watched(*args: Any, how: str = "svd") -> Any:
            taken.append(args[3] if len(args) > 3 else how)
            return start(*args[:3], taken[-1])

        monkeypatch.setattr(f"radgen_lib.omics.btf.{home}.start", watched)
    short = {"n_burn_in": 10, "n_draws": 10, "thin": 1, "max_sweeps": 20}
    fast(method=method, n_chains=3, start=how, **short).fit(planted(20, 7)[1])
    alone = method == "variational" and how == "svd"  # the same point thrice would be one
    assert taken == ([how, "random", "random"] if alone else [how] * 3)


def test_chains_start_apart_by_default() -> None:
    """R-hat cannot see what chains from one point agree on."""
    assert BayesianTensorFactorisation().start == "rotated"
    with pytest.raises(ValueError, match="start must be svd or rotated or random, not 'zero'"):
        fast(start="zero").fit(planted(20, 7)[1])


def test_main_names_stand_in_the_package_and_load_nothing_before() -> None:
    from radgen_lib.omics import btf

    assert btf.BayesianTensorFactorisation is BayesianTensorFactorisation and btf.TensorScaler is TensorScaler
    assert all(hasattr(btf, name) and name in dir(btf) for name in btf.__all__)
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from radgen_lib.omics.btf import nothing  # type: ignore[attr-defined] # noqa: F401
    code = "import sys, radgen_lib.omics.btf; print(*sorted({'numpy', 'sklearn', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


FREE = "radgen_lib.omics.btf.memory.available_memory"


def test_a_tensor_too_large_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = planted(20, 7)[1]
    monkeypatch.setattr(FREE, lambda: 2**20)
    said = r"20 x 30 x 3 with 4 components needs \d+\.\d GiB and 0\.0 GiB are free"
    with pytest.raises(ValueError, match=said):
        fast().fit(values)
    with pytest.raises(ValueError, match=said):
        fast().fit(tables(values))
    monkeypatch.setattr(FREE, lambda: None)  # cannot be told: not refused
    assert fast(max_sweeps=30).fit(values).factors_.shape[0] == 20


def test_a_tensor_too_large_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers and tables would be copied to float64 before anything else looks at them."""
    monkeypatch.setattr(FREE, lambda: 2**20)
    whole = np.zeros((200, 300, 3), dtype=np.int8)
    parts = {omic: pd.DataFrame(whole[:, :, place]) for place, omic in enumerate(OMICS)}
    for given in (whole, parts):
        tracemalloc.start()
        with pytest.raises(ValueError, match="200 x 300 x 3 with 4 components"):
            fast().fit(given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < whole.size * 8 / 4


def test_noise_alone_has_no_component(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(40, 25, 3))
    with caplog.at_level(logging.WARNING, logger="radgen"):
        found = fast(min_share=0.05).fit(noise)
    assert found.n_components_ == 0 and "no component explains" in caplog.text
    assert found.transform(noise[:3]).shape == (3, 0) and found.inverse_transform(np.zeros((3, 0))).shape == (3, 25, 3)
    found.save(tmp_path / "m.safetensors")
    assert BayesianTensorFactorisation.load(tmp_path / "m.safetensors").n_components_ == 0
