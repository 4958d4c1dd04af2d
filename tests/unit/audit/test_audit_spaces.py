from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from radgen_lib.audit.spaces import FeatureSpace, Owned, block_mean, extractors, feature_columns, patient_means

PATIENTS = np.array(["a", "a", "b", "c", "c", "c"])


def table(seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(6, 3)) * [1.0, 10.0, 0.1] + [5.0, 0.0, -1.0]
    return pd.DataFrame(values, columns=["radiomics:x", "radiomics:y", "vgg16:0"])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_block_mean_keeps_the_mean_and_agrees_with_slices(size: int, factor: int, seed: int) -> None:
    images = np.random.default_rng(seed).random((3, size * factor, size * factor))
    found = block_mean(images, size)
    assert found.shape == (3, size * size)
    np.testing.assert_allclose(found.mean(axis=1), images.mean(axis=(1, 2)))
    np.testing.assert_allclose(found[1, -1], images[1, -factor:, -factor:].mean())


def test_block_mean_of_half_precision_images_is_exact_and_odd_sizes_are_refused() -> None:
    half = np.full((1, 64, 64), 0.1, dtype=np.float16)
    np.testing.assert_allclose(block_mean(half), float(np.float16(0.1)), rtol=1e-12)
    with pytest.raises(ValueError, match="30 x 30 do not divide"):
        block_mean(np.zeros((1, 30, 30)))


def test_patient_means_agree_with_pandas() -> None:
    values = table().to_numpy()
    means, names = patient_means(values, PATIENTS)
    expected = pd.DataFrame(values).groupby(PATIENTS).mean()
    assert list(names) == list(expected.index)
    np.testing.assert_allclose(means, expected.to_numpy())


def test_space_equals_a_standard_scaler_fitted_on_patient_means() -> None:
    columns = ["radiomics:x", "radiomics:y"]
    space = FeatureSpace.fit(table(), columns, PATIENTS)
    means, _ = patient_means(table()[columns].to_numpy(), PATIENTS)
    scaler = StandardScaler().fit(means)
    other = table(1)
    factor = np.sqrt((len(means) - 1) / len(means))  # the scaler divides by n, the space by n - 1
    np.testing.assert_allclose(space.transform(other), scaler.transform(other[columns].to_numpy()) * factor)


def test_constant_and_missing_columns_are_left_out() -> None:
    wide = table().assign(**{"radiomics:flat": 3.0, "radiomics:nan": np.nan, "radiomics:tiny": 1e6})
    wide.loc[0, "radiomics:tiny"] += 1e-5
    space = FeatureSpace.fit(wide, [c for c in wide if c.startswith("radiomics:")], PATIENTS)
    assert space.columns == ("radiomics:x", "radiomics:y")
    assert space.without(np.array([True, False])).columns == ("radiomics:y",)
    single = FeatureSpace.fit(table().head(1), ["radiomics:x"], PATIENTS[:1])
    assert single.columns == ()


def test_extractors_and_columns_are_those_that_all_tables_share() -> None:
    left, right = table(), table()[["vgg16:0", "radiomics:y"]].assign(patient="a")
    assert extractors(left, right) == ["radiomics", "vgg16"]
    assert feature_columns("radiomics", left, right) == ["radiomics:y"]
    assert extractors(left, right[["patient"]]) == []


def test_rows_of_owners_keep_their_order() -> None:
    rows = Owned(np.arange(6.0)[:, None], PATIENTS)
    picked = rows.of(np.array(["c", "a"]))
    assert picked.values.ravel().tolist() == [0, 1, 3, 4, 5]
    assert picked.means().values.ravel().tolist() == [0.5, 4.0]
    assert rows.of(np.array(["z"])).values.shape == (0, 1)
