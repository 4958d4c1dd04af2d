"""Held-out density by number of components: who is used, what a planted rank looks like, and what cannot be fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors import rank_curve as module
from radgen_lib.analyses.factors.imputing import DENSITY, OMIC
from radgen_lib.analyses.factors.rank_curve import rank_curve, sides
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.factor_layout import factor_settings
from radgen_lib.core.rows import RESULT_COLUMNS
from radgen_lib.metrics.intervals import FEWEST_PATIENTS
from radgen_lib.omics.btf.cohort_tensor import StoredTensor

OMICS = ("expression", "copy_number", "methylation")
N, TEST = 90, 30
NAMES = tuple(f"PHAN-AA-{i:04d}" for i in range(N))


def planted(changed: int = 0) -> StoredTensor:
    """Three planted factors; the first ``changed`` patients are moved far away."""
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(N, 3)), np.array([[1.0, 0.4, 0.7], [0.5, 1.0, -0.8], [0.8, -1.0, 0.6]])
    w = rng.choice([-1, 1], size=(20, 3)) * rng.uniform(0.6, 1.4, size=(20, 3))
    values = np.einsum("nk,dk,lk->ndl", x, w, u) + 0.4 * rng.normal(size=(N, 20, 3))
    values[:changed] += 50
    return StoredTensor(values.astype(np.float32), NAMES, tuple(f"G{i:02d}" for i in range(20)), OMICS, ("other",) * 3)


def splits() -> pd.DataFrame:
    """Patients 0 to 29 are tested in cv0-0, and in cv0-1 nobody of the others trains."""
    first = pd.DataFrame({"fold": "cv0-0", "patient": NAMES, "role": ["test"] * TEST + ["train"] * (N - TEST)})
    return pd.concat([first, first.assign(fold="cv0-1", role=first["role"].map({"test": "train", "train": "test"}))])


def settings(grid: list[int]) -> Factors:
    """As the rule hands them on: reading any other key fails."""
    block = Factors(
        components=6, method="variational", chains=1, draws=20, max_sweeps=300, rank_grid=grid, hidden_share=0.1
    )
    return Factors.part(factor_settings(block, "factor_rank"))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return rank_curve(planted(), splits(), settings([1, 3, 6]), seed=4, draws=100)


def test_the_curve_climbs_to_the_planted_rank_and_stays(rows: pd.DataFrame) -> None:
    assert list(rows.columns) == list(RESULT_COLUMNS) and set(rows["design"]) == {"cv0-0"}
    density = rows[(rows["metric"] == DENSITY) & (rows["task"] == "all omics")].set_index("arm")
    assert density["n"].tolist() == [20, 20, 20] and (density["low"] < density["value"]).all()
    assert density.loc["3", "value"] > density.loc["1", "value"] + 0.3
    assert abs(density.loc["6", "value"] - density.loc["3", "value"]) < 0.05
    apart = rows[rows["metric"] == f"{DENSITY}_difference"]
    by_omic = apart[apart["task"] == "copy_number"].set_index("arm")["value"]
    alone = rows[(rows["metric"] == DENSITY) & (rows["task"] == "copy_number")].set_index("arm")["value"]
    assert by_omic["1 - 6"] == pytest.approx(alone["1"] - alone["6"])
    apart = apart[apart["task"] == "all omics"].set_index("arm")
    assert list(apart.index) == ["1 - 6", "3 - 6"] and apart.loc["1 - 6", "high"] < 0
    expected = density["value"] - density.loc["6", "value"]
    assert apart["value"].tolist() == pytest.approx(expected.loc[["1", "3"]].tolist())
    assert apart["interval"].str.startswith("paired").all()
    assert set(rows.loc[rows["metric"] == OMIC, "task"]) == set(OMICS)


def test_the_rank_says_whether_it_was_learned(rows: pd.DataFrame) -> None:
    kept = rows[rows["metric"] == "rank"].set_index("arm")
    assert kept["value"].tolist() == [1, 3, 3] and kept["n"].eq(40).all()
    assert kept.loc["6", "note"] == "rank learned: 3 of 6 stayed on"
    assert kept.loc["3", "note"].endswith("the rank is the setting and not learned")


def test_no_test_patient_of_the_fold_is_read(rows: pd.DataFrame) -> None:
    learn, held_out = sides(splits(), 4)
    assert not set(learn) & set(held_out) and sorted([*learn, *held_out]) == sorted(NAMES[TEST:])
    assert len(held_out) == 20
    pd.testing.assert_frame_equal(rank_curve(planted(TEST), splits(), settings([1, 3, 6]), seed=4, draws=100), rows)


def test_the_same_values_are_hidden_whatever_is_offered(rows: pd.DataFrame) -> None:
    hidden = rows[rows["metric"] == DENSITY].groupby("task")["note"].nunique()
    assert hidden.eq(1).all()


def test_a_number_that_cannot_be_fitted_is_a_reason_and_the_others_stay() -> None:
    table = rank_curve(planted(), splits(), settings([1, 3, 41]), seed=4, draws=20)
    lost = table[table["arm"] == "41"]
    assert lost["value"].isna().all() and lost["reason"].str.contains("40 patients are fewer than 41 components").all()
    assert set(table.loc[table["metric"] == f"{DENSITY}_difference", "arm"]) == {"1 - 3"}
    nothing = rank_curve(planted(), splits(), settings([41]), seed=4, draws=20)
    assert nothing["value"].isna().all() and (nothing["reason"] != "").all()


def test_an_empty_grid_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit_fold", None)
    table = rank_curve(planted(), splits(), settings([]), seed=4, draws=20)
    assert table["reason"].tolist() == [module.NOT_ASKED]


def test_few_held_out_patients_have_no_interval() -> None:
    few = splits()[lambda table: table["patient"].isin(NAMES[TEST : TEST + 12])]
    table = rank_curve(planted(), few, settings([1, 2]), seed=4, draws=20)
    assert FEWEST_PATIENTS > 4 and table.loc[table["metric"] == DENSITY, "low"].isna().all()


def test_without_the_fold_the_run_stops() -> None:
    with pytest.raises(DataError, match="no fold 'cv0-0'"):
        rank_curve(planted(), splits().assign(fold="full"), settings([1]), seed=4, draws=20)
