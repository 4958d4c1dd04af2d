"""One fit of the factors a fold: only its training patients decide anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.align import explained, summarise
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.fold_facts import convergence_facts, joint_share
from radgen_lib.omics.btf.folds import (
    CHOICES_COLUMNS,
    FoldFit,
    drop_other_fits,
    factor_rows,
    fit_facts,
    fit_fold,
    fit_folds,
    gene_choices,
    published_tables,
    traces,
)
from radgen_lib.omics.btf.gathering import conditions
from radgen_lib.omics.btf.model import Draws, reconstruct
from radgen_lib.omics.btf.projection import frame_of
from radgen_lib.omics.btf.published import fit_published
from radgen_lib.omics.conditions import of_fold

PATIENTS = tuple(f"TCGA-E2-A{i:03d}" for i in range(50))
GENES = tuple(f"GENE{i:02d}" for i in range(24))
OMICS = ("expression", "copy_number")
SETTINGS = Factors(method="variational", components=4, draws=20, chains=1, max_genes=None)
TRAINING = list(PATIENTS[:40])


def planted(*, changed: float = 0.0) -> StoredTensor:
    """Two planted components; ``changed`` is added to the values of the ten patients who never train."""
    rng = np.random.default_rng(2)
    x, w, u = rng.normal(size=(50, 2)), rng.normal(size=(24, 2)), np.array([[1.2, 0.4], [0.5, -1.0]])
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + 0.4 * rng.normal(size=(50, 24, 2)) + 8
    values[40:] += changed
    return StoredTensor(values.astype(np.float32), PATIENTS, GENES, OMICS, ("log2(x+1)", "log2 ratio"))


def splits() -> pd.DataFrame:
    roles = ["train" if name in TRAINING else "test" for name in PATIENTS]
    return pd.DataFrame({"fold": "r0f0", "patient": PATIENTS, "role": roles})


@pytest.fixture(scope="module")
def fit() -> FoldFit:
    return fit_fold(planted(), "r0f0", TRAINING, SETTINGS, seed=1)


def test_held_out_patients_change_nothing_of_the_fit(fit: FoldFit) -> None:
    other = fit_fold(planted(changed=50.0), "r0f0", TRAINING, SETTINGS, seed=1)
    assert other.genes == fit.genes
    np.testing.assert_array_equal(other.scaler.centre_, fit.scaler.centre_)
    np.testing.assert_array_equal(other.model.loadings_, fit.model.loadings_)


def test_gene_choice_looks_at_training_patients_alone() -> None:
    tensor = planted()
    values = tensor.values.copy()
    values[40:, 0, 0] += np.linspace(-900, 900, 10)  # the first gene varies enormously, but not where it may be seen
    values[:40, 0, 0] = 8 + 0.01 * np.arange(40)
    few = fit_fold(
        StoredTensor(values, PATIENTS, GENES, OMICS, tensor.scales), "r0f0", TRAINING,
        SETTINGS.model_copy(update={"max_genes": 12}), seed=1,
    )  # fmt: skip
    assert len(few.genes) == 12
    assert "GENE00" not in few.genes


def test_everybody_has_factors_and_their_role(fit: FoldFit) -> None:
    table = factor_rows(fit, planted(), splits())
    rank = fit.model.n_components_
    assert 1 <= rank <= 4
    assert len(table) == 50 * rank
    assert set(table.loc[table["role"] == "test", "patient"]) == set(PATIENTS[40:])
    assert sorted(table["component"].unique()) == [f"F{k + 1:02d}" for k in range(rank)]
    assert (table["sd"] > 0).all()


def test_projection_of_a_training_patient_is_near_its_fitted_factor(fit: FoldFit) -> None:
    tensor = planted()
    mean, sd = fit.model.transform(fit.scaled(tensor, np.arange(40)), return_std=True)
    assert np.median(np.abs(mean - fit.model.factors_) / sd) < 1


def test_a_saved_fit_projects_to_the_same_numbers(fit: FoldFit, tmp_path: Path) -> None:
    fit.save(tmp_path)
    back, tensor = FoldFit.load(tmp_path, "r0f0"), planted()
    rows = np.arange(40, 50)
    assert back.genes == fit.genes
    np.testing.assert_array_equal(
        back.model.transform(back.scaled(tensor, rows)), fit.model.transform(fit.scaled(tensor, rows))
    )


def test_fits_of_folds_that_are_no_longer_asked_for_go(fit: FoldFit, tmp_path: Path) -> None:
    fit.save(tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    for name in ("r0f1.safetensors", "r0f1.scaler.safetensors"):
        (tmp_path / name).write_bytes(b"of an earlier run")
    drop_other_fits(tmp_path, ["r0f0", "full"])
    assert sorted(path.name for path in tmp_path.iterdir()) == kept == ["r0f0.safetensors", "r0f0.scaler.safetensors"]


def test_a_gene_that_does_not_vary_in_training_counts_as_not_measured() -> None:
    tensor = planted()
    values = tensor.values.copy()
    values[:40, 3, 1] = 5.0
    fit = fit_fold(StoredTensor(values, PATIENTS, GENES, OMICS, tensor.scales), "r0f0", TRAINING, SETTINGS, seed=1)
    assert np.isnan(
        fit.scaled(StoredTensor(values, PATIENTS, GENES, OMICS, tensor.scales), np.arange(50))[:, 3, 1]
    ).all()
    assert np.isfinite(fit.model.factors_).all()


def test_facts_and_traces_name_their_fold(fit: FoldFit) -> None:
    facts = fit_facts(fit, splits()["role"]).set_index(["omic", "quantity"])["value"]
    assert facts["", "n_train"] == 40
    assert facts["", "n_test"] == 10
    assert facts["", "rank"] == fit.model.n_components_
    assert 0 < facts["expression", "explained"] <= 1
    assert 0.2 < facts["expression", "noise_sd"] < 1
    assert (traces(fit)["fold"] == "r0f0").all()


def test_a_condition_table_holds_each_patient_of_the_fold(fit: FoldFit) -> None:
    wide = conditions(factor_rows(fit, planted(), splits()))
    assert sorted(wide["patient"]) == sorted(PATIENTS)
    assert len([c for c in wide.columns if c.startswith("F")]) == fit.model.n_components_


def test_a_fold_without_training_patients_is_refused() -> None:
    with pytest.raises(DataError, match="no fold 'r9f9'"):
        list(fit_folds(planted(), splits(), ["r9f9"], SETTINGS, seed=1))


def test_a_patient_of_the_splits_who_is_not_in_the_tensor_is_named() -> None:
    with pytest.raises(DataError, match="TCGA-XX-0000 is not in the tensor"):
        fit_fold(planted(), "r0f0", [*TRAINING, "TCGA-XX-0000"], SETTINGS, seed=1)


def test_fewer_patients_than_components_is_one_line_with_the_fold() -> None:
    with pytest.raises(DataError, match=r"factors of fold r0f0: .*patients") as told:
        fit_fold(planted(), "r0f0", TRAINING[:3], SETTINGS.model_copy(update={"components": 9}), seed=1)
    assert "\n" not in str(told.value)


def test_the_published_fit_gives_every_patient_its_last_draw() -> None:
    tensor = planted()
    fit = fit_published(tensor.values, 3, burn_in=30, draws=2, seed=1)
    table, facts = published_tables(fit, tensor.patients, 2)
    assert table["patient"].nunique() == 50
    np.testing.assert_array_equal(table["value"].to_numpy().reshape(fit.x.shape), fit.x)
    assert facts.set_index("quantity")["value"]["n_train"] == 50


def test_a_gene_of_the_fit_that_the_tensor_lacks_is_named(fit: FoldFit) -> None:
    tensor = planted()
    less = replace(tensor, genes=("OTHER", *GENES[1:]))
    with pytest.raises(DataError, match=r"fold r0f0: gene GENE00 is not in the tensor \(1 such\)"):
        fit.scaled(less, np.arange(3))


def test_limits_of_the_approximation_come_from_the_settings(caplog: pytest.LogCaptureFixture) -> None:
    short = fit_fold(planted(), "r0f0", TRAINING, SETTINGS.model_copy(update={"max_sweeps": 20}), seed=1)
    assert len(short.model.trace_) == 20 and "still rose after 20 sweeps" in caplog.text
    easy, whole = (
        fit_fold(planted(), "r0f0", TRAINING, SETTINGS.model_copy(update={"tolerance": tolerance}), seed=1)
        for tolerance in (0.1, 1e-8)
    )
    assert len(easy.model.trace_) < len(whole.model.trace_) and whole.model.diagnostics_["ok"].all()


@pytest.mark.parametrize(
    ("key", "value"), [("max_sweeps", 19), ("max_sweeps", 50.5), ("tolerance", 0), ("tolerance", 1)]
)
def test_limits_of_the_approximation_that_make_no_fit_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        Factors(**{key: value})  # type: ignore[arg-type]


def test_new_patients_are_projected_as_the_workflow_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tensor = planted()
    tensor.values[:40, 3, 1] = 5.0  # flat in training: what the others have there tells nothing
    tensor.values[45] = np.nan
    tensor.values[46, :, 0] = np.nan
    fit_fold(tensor, "r0f0", TRAINING, SETTINGS, seed=1).save(tmp_path)
    fit = FoldFit.load(tmp_path, "r0f0")
    mean, sd = fit.project(tensor.values[40:])
    table = factor_rows(fit, tensor, splits())
    for name, values in (("mean", mean), ("sd", sd)):
        wide = table[table["component"] != ""].pivot_table(index="patient", columns="component", values=name)
        known = [40, 41, 42, 43, 44, 46, 47, 48, 49]
        np.testing.assert_array_equal(wide.loc[[PATIENTS[i] for i in known]], values[np.array(known) - 40])
    assert np.isnan(mean[5]).all() and np.isnan(sd[5]).all() and "patient 5 is not projected" in caplog.text
    changed = tensor.values[40:].copy()
    changed[:, 3, 1] += 100
    np.testing.assert_array_equal(fit.project(changed)[0], mean)
    assert fit.project(tensor.values[:0])[0].shape == (0, fit.model.n_components_)
    with pytest.raises(ValueError, match="the scaler was fitted on"):
        fit.project(tensor.values[:, :5])


def test_a_training_patient_who_was_not_fitted_is_named(fit: FoldFit) -> None:
    table = splits()
    table.loc[table["patient"] == PATIENTS[45], "role"] = "train"
    with pytest.raises(DataError, match=rf"{PATIENTS[45]} trains but was not fitted"):
        factor_rows(fit, planted(), table)


def test_a_gene_that_varies_nowhere_in_training_stops_no_fold() -> None:
    tensor = replace(planted(), scales=("other", "log2 ratio"))  # no gene is judged as expressed or not
    tensor.values[:40, 3, :] = 5.0
    tensor.values[:40, 4, :] = np.nan
    fit = fit_fold(tensor, "r0f0", TRAINING, SETTINGS, seed=1)
    assert {"GENE03", "GENE04"} == set(GENES) - set(fit.genes)
    told = gene_choices(fit)
    assert list(told.columns) == list(CHOICES_COLUMNS) and (told["fold"] == "r0f0").all()
    lost = told[told["decision"] == "left out"]
    assert lost["item"].tolist() == ["GENE03", "GENE04"] and lost["reason"].str.contains("varies").all()
    assert len(factor_rows(fit, tensor, splits())) == 50 * fit.model.n_components_


def test_choices_of_a_fold_are_kept() -> None:
    settings = SETTINGS.model_copy(update={"max_genes": 12})
    told = gene_choices(fit_fold(planted(), "r0f0", TRAINING, settings, seed=1)).set_index("item")
    assert told.loc["less variable", "count"] == 12 and told.loc["training patients", "count"] == 40
    assert told.loc["genes", "count"] == 12


def test_a_patient_without_values_in_the_genes_of_the_fit_stops_no_fold(caplog: pytest.LogCaptureFixture) -> None:
    tensor = planted()
    tensor.values[[7, 43]] = np.nan
    tensor.values[:40, 3, :] = 5.0  # all that patient 7 has: a gene that goes
    tensor.values[[7, 43], 3, 0] = 5.0
    fit = fit_fold(tensor, "r0f0", TRAINING, SETTINGS, seed=1)
    assert PATIENTS[7] not in (fit.model.patients_ or ()) and PATIENTS[7] in caplog.text
    table = factor_rows(fit, tensor, splits())
    for name, role in ((PATIENTS[7], "train"), (PATIENTS[43], "test")):
        rows = table[table["patient"] == name]
        assert len(rows) == 1 and rows["mean"].isna().all() and rows["sd"].isna().all()
        assert rows["role"].item() == role and not rows["component"].item()
    assert table.dropna()["patient"].nunique() == 48
    assert sorted(set(PATIENTS) - set(conditions(table)["patient"])) == [PATIENTS[7], PATIENTS[43]]
    facts = fit_facts(fit, splits()["role"]).set_index(["omic", "quantity"])["value"]
    assert facts["", "n_train"] == 39 and facts["", "n_left_out"] == 1
    said = gene_choices(fit)
    assert said.loc[said["step"] == "patient", "item"].tolist() == [PATIENTS[7], "training patients"]


def test_nothing_that_varies_is_one_line() -> None:
    tensor = planted()
    tensor.values[:40] = 5.0
    with pytest.raises(DataError, match="fold r0f0: no gene varies between its training patients"):
        fit_fold(tensor, "r0f0", TRAINING, SETTINGS, seed=1)
    with pytest.raises(DataError, match="1 training patients are too few"):
        fit_fold(tensor, "r0f0", TRAINING[:1], SETTINGS, seed=1)


def test_quiet_tumours_may_share_their_copy_number_calls() -> None:
    tensor = planted()
    calls = np.random.default_rng(4).integers(-2, 3, size=(50, 24)).astype(np.float32)
    calls[[5, 6, 9]] = 0.0
    tensor.values[:, :, 1] = calls
    tensor.values[[5, 6, 9], :, 0] = np.nan
    fit = fit_fold(replace(tensor, scales=("log2(x+1)", "discrete")), "r0f0", TRAINING, SETTINGS, seed=1)
    assert len(fit.model.factors_) == 40
    tensor.values[9, :, 0] = tensor.values[10, :, 0]
    tensor.values[9, :, 1] = tensor.values[10, :, 1]
    with pytest.raises(DataError, match=rf"{PATIENTS[9]} and {PATIENTS[10]} have the same values"):
        fit_fold(tensor, "r0f0", TRAINING, SETTINGS, seed=1)


def overlapping() -> SimpleNamespace:
    """Two draws of three components that nearly cancel, the kept two in another order, as a fit holds them."""
    rng = np.random.default_rng(8)
    x, w, u = (rng.normal(size=(2, rows, 3)) for rows in (15, 9, 2))
    x[:, :, 1] = x[:, :, 2] + 0.1 * rng.normal(size=(2, 15))
    w[:, :, 1] = -w[:, :, 2]
    u[:, :, 1] = u[:, :, 2]
    raw = Draws(x, w, u, np.full((2, 2), 4.0), np.ones((2, 3)), np.zeros(2, dtype=int), pd.DataFrame())
    kept = replace(raw, x=-2 * x[:, :, [2, 1]], w=w[:, :, [2, 1]], u=u[:, :, [2, 1]])
    return SimpleNamespace(draws_=raw, frame_=frame_of(raw, kept))


def test_the_joint_share_is_that_of_the_summed_components() -> None:
    model = overlapping()
    draws, shares, both = model.draws_, [], []
    for x, w, u, tau in zip(draws.x, draws.w, draws.u, draws.tau, strict=True):
        signal = (reconstruct(x[:, 1:], w[:, 1:], u[:, 1:]) ** 2).mean(axis=(0, 1))
        total = (reconstruct(x, w, u) ** 2).mean(axis=(0, 1)) + 1 / tau
        shares.append(signal / total)
        both.append(signal.sum() / total.sum())
    found, overall = joint_share(model)
    np.testing.assert_allclose(found, np.mean(shares, axis=0), rtol=1e-10)
    assert overall == pytest.approx(np.mean(both)) and 0 < overall < 1
    assert explained(draws).mean(axis=0)[1:].sum(axis=0).max() > 3 * found.max()  # single shares do not add up


def test_variance_explained_is_written_per_omic_and_overall(fit: FoldFit) -> None:
    facts = fit_facts(fit, splits()["role"]).set_index(["omic", "quantity"])["value"]
    shares, overall = joint_share(fit.model)
    assert facts["", "explained"] == overall and min(shares) <= overall <= max(shares)
    assert [facts[omic, "explained"] for omic in OMICS] == shares.tolist()
    single = summarise(fit.model.draws_, min_share=fit.model.min_share).share
    np.testing.assert_allclose(single, fit.model.explained_)


def checks(r_hat: list[float], ok: list[bool], method: str = "gibbs") -> SimpleNamespace:
    table = pd.DataFrame({"r_hat": r_hat, "ess_bulk": [100.0, 60.0, 80.0], "ok": ok})
    return SimpleNamespace(diagnostics_=table, stability_=np.array([0.8, np.nan]), method=method)


def test_convergence_skips_no_quantity() -> None:
    good = convergence_facts(checks([1.0, 1.04, 1.01], [True] * 3))
    assert good == {"converged": 1, "unjudged": 0, "r_hat_max": 1.04, "ess_min": 60, "stability_min": 0.8}
    bad = convergence_facts(checks([1.0, np.nan, 1.01], [True, False, True]))
    assert (bad["converged"], bad["unjudged"], bad["ess_min"]) == (0, 1, 60) and np.isnan(bad["r_hat_max"])
    assert convergence_facts(checks([np.nan] * 3, [True] * 3, "variational"))["unjudged"] == 0


def test_both_methods_say_whether_they_converged(fit: FoldFit) -> None:
    facts = fit_facts(fit, splits()["role"]).set_index(["omic", "quantity"])["value"]
    assert facts["", "converged"] == float(fit.model.diagnostics_["ok"].all())
    short = SETTINGS.model_copy(update={"method": "gibbs", "chains": 2, "burn_in": 5, "draws": 8, "thin": 1})
    sampled = fit_facts(fit_fold(planted(), "r0f0", TRAINING, short, seed=1), splits()["role"])
    told = sampled.set_index("quantity")["value"]
    assert told["converged"] == 0 and told["r_hat_max"] > 1.05


def test_a_fold_that_kept_no_component_says_so_and_what_helps() -> None:
    rng = np.random.default_rng(0)
    tensor = replace(planted(), values=rng.normal(size=(50, 24, 2)).astype(np.float32))
    nothing = fit_fold(tensor, "r0f0", TRAINING, SETTINGS.model_copy(update={"components": 2}), seed=1)
    assert nothing.model.n_components_ == 0
    assert fit_facts(nothing, splits()["role"]).query("quantity == 'explained'")["value"].tolist() == [0, 0, 0]
    other = factor_rows(
        fit_fold(planted(), "full", TRAINING, SETTINGS, seed=1), planted(), splits().assign(fold="full")
    )
    wide = conditions(pd.concat([factor_rows(nothing, tensor, splits()), other]))
    with pytest.raises(DataError, match=r"'r0f0'.*full.*kept no component.*rank.*add patients.*condition `factors`"):
        of_fold(wide, "r0f0")
