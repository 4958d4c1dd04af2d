"""Planted factors: found again under any order, sign and scale, and nothing is found where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors.endpoints import Arm
from radgen_lib.analyses.factors.recovery import read_planted, recovery_rows
from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.gathering import WHOLE

NAMES = [f"PHAN-AA-{i:04d}" for i in range(40)]
PLANTED = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), index=NAMES, columns=["a", "b", "c"])


def rows_of(found: pd.DataFrame, planted: pd.DataFrame = PLANTED, **facts: str) -> pd.DataFrame:
    arm = replace(Arm("btf_gibbs", {WHOLE: found}), **facts)
    ranks = {"offered": {"btf_gibbs": 5}, "given": {"tensorbf": 17, "pca": 3}}
    rows = recovery_rows({arm.model: arm}, planted, **ranks, seed=0, draws=50)
    return pd.DataFrame(rows).set_index(["metric", "task"])


def test_order_sign_scale_and_patients_of_another_order_do_not_matter():
    found = PLANTED[["c", "a", "b"]] * [-3.0, 1.0, 0.1]
    table = rows_of(found.sample(frac=1, random_state=0), PLANTED.iloc[::-1])
    np.testing.assert_allclose(table.loc["factor_match", ["value", "low", "high"]].astype(float), 1.0)
    assert table.loc[("rank", ""), "value"] == 3 and "3 planted; rank learned" in table.loc[("rank", ""), "note"]


@pytest.mark.parametrize(
    ("model", "columns", "words"),
    [
        ("btf_gibbs", 3, "rank learned: 3 of 5 stayed on"),
        ("btf_gibbs", 5, "all 5 components of the start were kept, so the rank is the setting and not learned"),
        ("tensorbf", 17, "rank set to 17, not learned"),
        ("tensorbf", 4, "rank set to 17, not learned; 4 stayed on"),
        ("pca", 3, "rank set to 3, not learned"),
    ],
)
def test_the_note_of_a_rank_says_who_chose_it(model: str, columns: int, words: str):
    found = pd.DataFrame(np.random.default_rng(3).normal(size=(40, columns)), index=NAMES)
    assert rows_of(found, model=model).loc[("rank", ""), "note"] == f"3 planted; {words}"


def test_a_factor_that_was_not_found_counts_as_nothing():
    table = rows_of(PLANTED[["a", "c"]])
    assert table.loc[("factor_match", "b"), "value"] == 0
    assert table.loc[("factor_match", ""), "value"] == pytest.approx(2 / 3)
    assert "lowest 0.000 (b)" in table.loc[("factor_match", ""), "note"]


def test_noise_widens_the_interval_and_lowers_the_match():
    noisy = PLANTED + np.random.default_rng(1).normal(size=PLANTED.shape)
    row = rows_of(noisy).loc[("factor_match", "")]
    assert 0.5 < row["low"] < row["value"] < 0.9 and row["high"] < 0.95 and row["n"] == 40
    expected = [abs(np.corrcoef(PLANTED[name], noisy[name])[0, 1]) for name in PLANTED]
    assert row["value"] == pytest.approx(np.mean(expected))


def test_only_patients_of_both_sides_and_projected_ones_count():
    found = PLANTED.drop(index=NAMES[:5])
    found.iloc[0] = np.nan
    assert rows_of(found).loc[("rank", ""), "n"] == 34


def test_reasons():
    assert rows_of(PLANTED, reason="gave up").loc[("factor_match", ""), "reason"] == "gave up"
    assert rows_of(PLANTED.iloc[:3]).loc[("factor_match", ""), "reason"] == "3 patients with planted factors"
    assert np.isnan(rows_of(PLANTED.iloc[:3]).loc[("factor_match", ""), "value"])


def test_no_component_is_a_rank_of_zero():
    table = rows_of(pd.DataFrame(index=NAMES))
    assert table.loc[("rank", ""), "value"] == 0 and table.loc[("factor_match", ""), "value"] == 0


def test_truth_is_read_or_asked_for(tmp_path: Path):
    with pytest.raises(DataError, match=r"factors\.parquet"):
        read_planted(tmp_path)
    PLANTED.rename_axis("patient").reset_index().to_parquet(tmp_path / "factors.parquet")
    pd.testing.assert_frame_equal(read_planted(tmp_path), PLANTED, check_names=False)
