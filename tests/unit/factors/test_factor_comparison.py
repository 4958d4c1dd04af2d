"""The comparison from stored fits to rows: complete, on unseen patients, robust to fits that failed or are empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors import comparison, endpoints
from radgen_lib.analyses.factors.comparison import Study, compare
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.factor_layout import factor_settings
from radgen_lib.core.rows import RESULT_COLUMNS
from radgen_lib.omics.btf.baselines import fit_baseline
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import factor_rows, fit_folds

N, D = 56, 30
OMICS = ("expression", "copy_number", "methylation")
NAMES = [f"PHAN-AA-{i:04d}" for i in range(N)]
GIVEN = Factors(
    components=4, method="variational", chains=1, draws=20, folds=2, hidden_share=0.1, peers=["cp_als", "pca", "single"]
)
# As the rules hand them on: reading any other key fails.
SETTINGS = Factors.part(factor_settings(GIVEN, "factor_comparison"))
READ_BY_FITS = Factors.part(factor_settings(GIVEN, "fit_factors"))


def planted() -> tuple[StoredTensor, np.ndarray]:
    """Two factors; two patients lack an omic, one has expression alone, some entries are missing."""
    rng = np.random.default_rng(3)
    x, u = rng.normal(size=(N, 2)), np.array([[1.0, 0.5], [0.4, 1.0], [0.8, -0.9]])
    w = rng.choice([-1, 1], size=(D, 2)) * rng.uniform(0.6, 1.4, size=(D, 2))
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + 0.5 * rng.normal(size=(N, D, 3))
    values[rng.random(values.shape) < 0.02] = np.nan
    values[[3, 4], :, [1, 2]] = np.nan
    values[5, :, 1:] = np.nan
    genes = tuple(f"G{i:02d}" for i in range(D))
    return StoredTensor(values.astype(np.float32), tuple(NAMES), genes, OMICS, ("other",) * 3), x


def people(x: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    label = (x[:, 0] + 0.3 * rng.normal(size=N) > 0).astype(float)
    return pd.DataFrame(
        {
            "patient": NAMES, "er": label, "mut_TP53": 1 - label, "mut_PIK3CA": np.nan, "mut_CDH1": 0.0,
            "subtype": np.where(x[:, 1] > 0, "LumA", "Basal"), "os_days": np.exp(6 + x[:, 0]),
            "os_event": (rng.random(N) < 0.5).astype(float),
        }
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_penalties() -> Iterator[None]:
    """Fewer penalties to choose from: the endpoints have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoints, "PENALTIES", (0.1, 1.0))
        patch.setattr(endpoints, "INNER_FOLDS", 2)
        yield


@pytest.fixture
def without_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endpoints, which take most of the time."""
    monkeypatch.setattr(comparison, "endpoint_rows", lambda *args, **options: ([], {}))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A tiny cohort with our fits on disk, split over two jobs."""
    folder = tmp_path_factory.mktemp("fits")
    tensor, x = planted()
    roles = [np.where(np.arange(N) % 2 == f, "test", "train") for f in range(2)]
    parts = [("full", np.full(N, "train")), ("cv0-0", roles[0]), ("cv0-1", roles[1])]
    splits = pd.concat([pd.DataFrame({"fold": fold, "patient": NAMES, "role": role}) for fold, role in parts])
    factors = []
    for place, fit in enumerate(fit_folds(tensor, splits, [fold for fold, _ in parts], READ_BY_FITS, seed=0)):
        fit.save(folder / f"job{min(place, 1)}")
        factors.append(factor_rows(fit, tensor, splits))
    published = pd.DataFrame(
        {"patient": np.repeat(NAMES, 2), "component": ["F01", "F02"] * N, "value": (x + 0.01).ravel()}
    )
    truth = pd.DataFrame(x, columns=["one", "two"]).assign(patient=NAMES)
    truth.to_parquet(folder / "factors.parquet")
    models = [folder / "job0", folder / "job1"]
    return Study(tensor, splits, pd.concat(factors), published, people(x), models, SETTINGS, 0, 50)


@pytest.fixture(scope="module")
def found(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    return compare(study, study.models[0].parent)


def of(rows: pd.DataFrame, metric: str, task: str) -> pd.Series:
    return rows[(rows["metric"] == metric) & (rows["task"] == task)].set_index("model")["value"]


class TestRows:
    def test_every_method_has_a_row_for_everything(self, found, study):
        rows, _ = found
        assert list(rows.columns) == list(RESULT_COLUMNS)
        methods = {"btf_variational", "tensorbf", "cp_als", "pca", *(f"single_{omic}" for omic in OMICS)}
        assert set(study.peers) == methods - {"btf_variational", "tensorbf"}
        for metric, tasks in (("impute_rmse_entries", 4), ("impute_rmse_omic", 3), ("log_density_entries", 4)):
            part = rows[rows["metric"] == metric]
            assert set(part["model"]) == methods | {"training_mean"} and len(part) == 8 * tasks
        for metric, tasks in (("auroc", 5), ("harrell_c", 1)):
            part = rows[rows["metric"] == metric]
            assert set(part["model"]) == methods and len(part) == 7 * tasks
        assert ((rows["protocol"] == "as_published") == (rows["model"] == "tensorbf")).all()
        numbers = rows[rows["reason"] == ""]
        assert (numbers["n"] > 0).all() and (numbers["interval"] != "").all()
        assert np.isfinite(numbers["value"]).all() and rows.loc[rows["reason"] != "", "value"].isna().all()

    def test_what_was_planted_is_predicted(self, found):
        rows, _ = found
        for task in ("all omics", *OMICS):
            errors = of(rows, "impute_rmse_entries", task)
            assert errors["btf_variational"] < 0.6 < 0.9 < errors["training_mean"] < 1.15
        omic = of(rows, "impute_rmse_omic", "copy_number")
        assert omic["btf_variational"] < 0.8 and np.isnan(omic["single_copy_number"])
        density = of(rows, "log_density_entries", "all omics")
        assert density["btf_variational"] > density["cp_als"] - 0.1
        assert of(rows, "auroc", "er")["btf_variational"] > 0.85
        assert of(rows, "factor_match", "")["btf_variational"] > 0.9
        assert of(rows, "rank", "")["btf_variational"] == 2 and of(rows, "rank", "")["pca"] == 4

    def test_differences_are_ours_minus_the_other_on_the_same_patients(self, found):
        rows, _ = found
        paired = rows[rows["metric"].str.endswith("_difference")]
        assert set(paired["model"]) == set(rows["model"]) - {"btf_variational", "tensorbf"}
        assert paired["arm"].eq("btf_variational - " + paired["model"]).all()
        told = paired[paired["reason"] == ""]
        assert told["interval"].str.startswith("paired ").all()
        for metric, task in (("impute_rmse_entries", "all omics"), ("auroc", "er"), ("harrell_c", "survival")):
            single = of(rows, metric, task)
            difference = of(rows, f"{metric}_difference", task)["pca"]
            assert difference == pytest.approx(single["btf_variational"] - single["pca"], abs=1e-9), metric
        control = told[(told["model"] == "training_mean") & (told["metric"] == "impute_rmse_entries_difference")]
        assert (control["high"] < 0).all() and len(control) == 4
        omic = paired[(paired["model"] == "single_expression") & (paired["metric"] == "impute_rmse_omic_difference")]
        assert (omic["reason"] != "").all() and len(omic) == 3

    def test_who_has_one_omic_is_not_imputed(self, found):
        rows, _ = found
        whole = rows[(rows["metric"] == "impute_rmse_omic") & (rows["model"] == "btf_variational")].set_index("task")
        assert whole["n"].to_dict() == {"expression": N - 1, "copy_number": N - 2, "methylation": N - 2}

    def test_coverage_is_near_nominal(self, found):
        _, coverage = found
        near = coverage["level"].between(coverage["low"] - 0.02, coverage["high"] + 0.02)
        assert near.all(), coverage[~near].to_string()
        assert (coverage["n_patients"] <= N).all() and len(coverage) == 16

    def test_the_same_seed_gives_the_same_rows(self, found, study):
        rows, coverage = found
        again = compare(replace(study, settings=SETTINGS.model_copy(update={"peers": ["pca"]})), study.models[0].parent)
        kept = rows[rows["model"].isin(again[0]["model"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(again[0], kept)
        pd.testing.assert_frame_equal(again[1], coverage)


class TestLeakage:
    def test_other_methods_are_fitted_on_training_patients_alone(self, study, monkeypatch, without_endpoints):
        seen = []

        def spy(name: str, train: np.ndarray, *args: object, **options: object) -> object:
            seen.append((name, train))
            return fit_baseline(name, train, *args, **options)

        monkeypatch.setattr(comparison, "fit_baseline", spy)
        compare(replace(study, settings=SETTINGS.model_copy(update={"peers": ["pca"]})))
        assert len(seen) == 2
        for fold, (_, train) in zip(("cv0-0", "cv0-1"), seen, strict=True):
            fit = study.fit(fold)
            rows = [NAMES.index(name) for name in study.sides(fold)[0]]
            np.testing.assert_array_equal(train, fit.scaled(study.tensor, np.array(rows)))

    def test_values_of_a_test_patient_move_no_other_patient(self, study):
        fit = study.fit("cv0-0")
        before = comparison._fold(study, "cv0-0", comparison.Peers())
        values = study.tensor.values.copy()
        values[NAMES.index(study.sides("cv0-0")[1][0])] += 5.0
        moved = replace(study, tensor=replace(study.tensor, values=values))
        after = comparison._fold(moved, "cv0-0", comparison.Peers())
        others = before["patient"] != study.sides("cv0-0")[1][0]
        pd.testing.assert_frame_equal(before[others], after[after["patient"].isin(before.loc[others, "patient"])])
        assert fit.fold == "cv0-0" and not before.equals(after)


class TestTroubles:
    def test_a_method_that_cannot_be_fitted_is_rows_with_its_reason(self, study, monkeypatch, caplog):
        def fails(name: str, *args: object, **options: object) -> object:
            if name == "cp_als":
                raise RuntimeError("did not settle")
            return fit_baseline(name, *args, **options)

        monkeypatch.setattr(comparison, "fit_baseline", fails)
        few = replace(study, settings=SETTINGS.model_copy(update={"peers": ["cp_als"]}))
        rows, _ = compare(few, study.models[0].parent)
        lost = rows[rows["model"] == "cp_als"]
        assert lost["value"].isna().all() and lost["reason"].str.contains("fold (?:cv0-1|full): did not settle").all()
        assert {"auroc", "harrell_c", "factor_match", "impute_rmse_omic"} <= set(lost["metric"])
        assert "cp_als" in caplog.text

    def test_more_components_than_patients_are_a_reason(self, study, without_endpoints):
        rows, _ = compare(replace(study, settings=SETTINGS.model_copy(update={"components": 30, "peers": ["pca"]})))
        assert rows.loc[rows["model"] == "pca", "reason"].str.contains("30 components need more").all()
        assert np.isfinite(of(rows, "impute_rmse_entries", "all omics")["btf_variational"])

    def test_a_fit_that_kept_no_component(self, study):
        factors = study.factors[study.factors["fold"] != "cv0-1"]
        few = replace(study, factors=factors, settings=SETTINGS.model_copy(update={"peers": ["pca"]}))
        rows, _ = compare(few)
        lost = rows[(rows["model"] == "btf_variational") & (rows["metric"] == "auroc")]
        assert lost.loc[lost["task"] == "er", "reason"].tolist() == ["fold cv0-1: the fit kept no component"]
        assert np.isfinite(of(rows, "auroc", "er")["pca"])

    def test_no_fit_kept_a_component(self, study):
        none = replace(study, factors=study.factors.iloc[:0], settings=SETTINGS.model_copy(update={"peers": []}))
        rows, coverage = compare(none, study.models[0].parent)
        own = rows[rows["model"] == "btf_variational"].set_index(["metric", "task"])
        assert own.loc[("auroc", "er"), "reason"] == "fold cv0-0: the fit kept no component"
        assert own.loc[("harrell_c", "survival"), "reason"] == "fold cv0-0: the fit kept no component"
        assert own.loc[("rank", ""), ["value", "n"]].tolist() == [0, N] and own.loc[("factor_match", ""), "value"] == 0
        assert coverage["covered"].notna().all()

    def test_a_training_patient_without_values_is_left_out_of_the_fit(self, study):
        train, peers = np.random.default_rng(0).normal(size=(20, D, 3)), comparison.Peers()
        train[3] = np.nan
        fitted = comparison._fit_peers(replace(study, settings=SETTINGS), "cv0-0", train, peers)
        assert set(fitted) == set(study.peers) and not peers.reasons
        assert np.isnan(fitted["pca"].project(train)[3]).all()

    def test_folds_of_different_rank(self, study):
        less = (study.factors["fold"] == "cv0-0") & (study.factors["component"] != "F01")
        assert less.any()
        few = replace(study, factors=study.factors[~less], settings=SETTINGS.model_copy(update={"peers": ["pca"]}))
        rows, _ = compare(few)
        own = rows[(rows["metric"] == "auroc") & (rows["model"] == "btf_variational")].set_index("task")
        assert own.loc["er", "n"] == N and np.isfinite(own.loc["er", "value"])

    def test_no_folds_no_fit(self, study, tmp_path: Path):
        with pytest.raises(DataError, match="no folds for predictions"):
            compare(replace(study, splits=study.splits[study.splits["fold"] == "full"]))
        with pytest.raises(DataError, match="no fit of fold cv0-0 among 1 jobs"):
            compare(replace(study, models=[tmp_path]))
