"""Fits of several jobs as one table, and as conditions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.omics.btf.gathering import FACTOR_COLUMNS, conditions, gather
from radgen_lib.omics.conditions import of_fold


def part(fold: str, rank: int, patients: int = 4) -> pd.DataFrame:
    """Factors of one fold; the mean is 10 x patient + component."""
    rows = [
        (fold, f"P{n}", "train" if n else "test", f"F{k + 1:02d}", 10.0 * n + k, 0.1)
        for n in range(patients)
        for k in range(rank)
    ]
    return pd.DataFrame(rows, columns=list(FACTOR_COLUMNS))


def test_jobs_stand_below_one_another_in_order() -> None:
    table = gather([part("b", 2), part("a", 3)])
    assert list(dict.fromkeys(table["fold"])) == ["b", "a"]
    assert len(table) == 4 * 5


def test_a_fold_of_two_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' was fitted by two jobs"):
        gather([part("a", 2), part("a", 2)])


def test_conditions_hold_each_mean_in_its_place() -> None:
    wide = conditions(gather([part("b", 2), part("a", 3)]))
    assert list(wide.columns) == ["fold", "patient", "F01", "F02", "F03"]
    assert list(dict.fromkeys(wide["fold"])) == ["b", "a"]
    row = wide[(wide["fold"] == "a") & (wide["patient"] == "P2")].iloc[0]
    assert [row["F01"], row["F02"], row["F03"]] == [20.0, 21.0, 22.0]
    assert wide.loc[wide["fold"] == "b", "F03"].isna().all()


def test_generators_get_the_components_of_their_fold_alone() -> None:
    wide = conditions(gather([part("b", 2), part("a", 3)]))
    assert list(of_fold(wide, "b").columns) == ["patient", "F01", "F02"]
    assert list(of_fold(wide, "a").columns) == ["patient", "F01", "F02", "F03"]


def test_a_patient_who_could_not_be_projected_has_no_row() -> None:
    table = part("a", 2)
    table.loc[table["patient"] == "P3", ["mean", "sd"]] = np.nan
    assert "P3" not in set(conditions(table)["patient"])
