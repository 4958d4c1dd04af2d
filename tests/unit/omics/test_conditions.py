"""Scaling of conditions and the checks on the tables they come from."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler, minmax_scale

from radgen_lib.core.errors import DataError
from radgen_lib.omics.conditions import ConditionScaler, condition_values

VALUES = arrays(np.float64, st.tuples(st.integers(3, 8), st.integers(2, 5)), elements=st.floats(0, 1e4))


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"g{i}" for i in range(values.shape[1])])


@pytest.mark.parametrize("log", [False, True])
def test_zscore_equals_scikit_learn_up_to_the_n_of_the_deviation(log: bool) -> None:
    values = np.random.default_rng(0).gamma(2.0, 9.0, size=(40, 6))
    scaler = ConditionScaler.fit(frame(values[:30]), "cohort_zscore", log=log)
    taken = np.log2(values + 1) if log else values
    expected = StandardScaler().fit(taken[:30]).transform(taken) * np.sqrt(29 / 30)
    found = scaler.transform(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_minmax_equals_scikit_learn_per_row_and_learns_nothing() -> None:
    values = np.random.default_rng(1).normal(size=(7, 17))
    scaler = ConditionScaler.fit(frame(values[:1]), "per_patient_minmax", log=False)
    np.testing.assert_allclose(scaler.transform(values), minmax_scale(values, axis=1), atol=1e-6)


@given(VALUES)
def test_minmax_stays_in_the_unit_interval(values: np.ndarray) -> None:
    found = ConditionScaler.fit(frame(values), "per_patient_minmax", log=True).transform(values)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@given(VALUES)
def test_zscore_is_centred_on_what_it_was_fitted_on(values: np.ndarray) -> None:
    found = ConditionScaler.fit(frame(values), "cohort_zscore", log=True).transform(values)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    spread = found.std(axis=0, ddof=1)
    assert np.all((np.abs(spread - 1) < 1e-3) | (spread < 1e-3))


def test_a_fit_looks_at_its_own_rows_only() -> None:
    values = np.random.default_rng(2).gamma(2.0, 3.0, size=(20, 3))
    other = values.copy()
    other[10:] *= 100
    fits = [ConditionScaler.fit(frame(v[:10]), "cohort_zscore", log=True) for v in (values, other)]
    np.testing.assert_array_equal(fits[0].mean, fits[1].mean)
    np.testing.assert_array_equal(fits[0].scale, fits[1].scale)


def test_a_column_without_variance_gets_scale_one_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    values = np.column_stack([np.full(6, 57.2), np.arange(6.0)])
    with caplog.at_level(logging.WARNING, logger="radgen"):
        scaler = ConditionScaler.fit(frame(values), "cohort_zscore", log=False)
    assert scaler.scale[0] == 1
    assert "g0" in caplog.text and "g1" not in caplog.text
    assert np.abs(scaler.transform(values)[:, 0]).max() < 1e-9


def test_state_round_trip_gives_the_same_bytes() -> None:
    values = np.random.default_rng(3).gamma(2.0, 3.0, size=(9, 4))
    scaler = ConditionScaler.fit(frame(values), "cohort_zscore", log=True)
    again = ConditionScaler.from_state(scaler.names, scaler.method, scaler.log, scaler.state())
    assert again.transform(values).tobytes() == scaler.transform(values).tobytes()
    with pytest.raises(ValueError, match="'scale'"):
        ConditionScaler.from_state(scaler.names, scaler.method, True, {"mean": scaler.mean})
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        ConditionScaler.from_state(("a", "b"), scaler.method, True, scaler.state())


def test_impossible_input_is_refused() -> None:
    values = np.random.default_rng(4).normal(size=(5, 3))
    with pytest.raises(ValueError, match="log scale already"):
        ConditionScaler.fit(frame(values - 5), "cohort_zscore", log=True)
    with pytest.raises(ValueError, match="two rows"):
        ConditionScaler.fit(frame(values[:1]), "cohort_zscore", log=False)
    with pytest.raises(ValueError, match="allowed are"):
        ConditionScaler.fit(frame(values), "quantile", log=False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"need \[n, 3\]"):
        ConditionScaler.fit(frame(values), "cohort_zscore", log=False).transform(values[:, :2])


def test_condition_values_orders_columns_and_patients() -> None:
    table = pd.DataFrame({"CD6": ["1", "2"], "LTB": [3.0, 4.0], "extra": ["x", "y"]}, index=["p", "q"])
    np.testing.assert_array_equal(condition_values(table, ["LTB", "CD6"], ["q", "p", "q"]), [[4, 2], [3, 1], [4, 2]])


@pytest.mark.parametrize(
    ("names", "patients", "message"),
    [
        (["CD66"], None, r"mine\.csv: no column 'CD66' \(near matches: CD6\)"),
        (["CD6"], ["p", "z"], r"row z: 1 patients have no row"),
        (["LTB"], None, r"row q: LTB is 'high', not a number"),
        (["TNNI2"], None, r"row p: TNNI2 is 'nan'"),
    ],
)
def test_condition_values_names_the_fault(names: list[str], patients: list[str] | None, message: str) -> None:
    table = pd.DataFrame({"CD6": [1.0, 2.0], "LTB": ["3", "high"], "TNNI2": [np.nan, 1.0]}, index=["p", "q"])
    with pytest.raises(DataError, match=message):
        condition_values(table, names, patients, source="mine.csv")
