"""One fit of the factors a fold: only its training patients decide anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import FoldFit, factor_rows, fit_facts, fit_fold, fit_folds, published_tables, traces
from radgen_lib.omics.btf.gathering import conditions
from radgen_lib.omics.btf.published import fit_published

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
