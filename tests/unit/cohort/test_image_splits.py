"""Splits of images: what each design promises, as properties over cohorts of any shape."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.cohort.dealing import deal
from radgen_lib.cohort.published import PUBLISHED_TEST
from radgen_lib.cohort.splits import DESIGNS, check_splits, image_splits
from radgen_lib.core.config.cohort import Splits
from radgen_lib.core.errors import ConfigError, DataError, LeakageError
from radgen_lib.core.plan import fold_names
from radgen_lib.core.seeds import make_rng


def cohort(counts: list[int], sites: list[str], er: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [f"TCGA-{site}-A{i:03d}" for i, site in enumerate(sites)]
    patients = pd.DataFrame({"patient": names, "site": sites, "n_images": counts, "er": er})
    owners = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    uids = [f"1.2.{i}" for i in range(len(owners))]
    return patients, pd.DataFrame({"image_index": range(len(owners)), "series_uid": uids, "patient": owners})


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    size = draw(st.integers(8, 30))
    some = st.sampled_from
    return cohort(
        draw(st.lists(some([0, 1, 2, 5]), min_size=size, max_size=size).filter(lambda c: sum(x > 0 for x in c) >= 7)),
        draw(st.lists(some(["AO", "AR", "E2", "BH"]), min_size=size, max_size=size)),
        draw(st.lists(some([0.0, 1.0, np.nan]), min_size=size, max_size=size)),
    )


def like_released() -> tuple[pd.DataFrame, pd.DataFrame]:
    counts = [7, 6, 6, 5, 5] + [3, 2, 2, 2, 2] + [1] * 18
    return cohort(counts, ["AO"] * 5 + ["AR"] * 5 + ["E2"] * 18, [1.0, 0.0, 1.0, 1.0] * 7)


@settings(deadline=None, max_examples=40)
@given(cohorts(), st.integers(2, 7), st.integers(1, 3), st.integers(0, 99))
def test_grouped_folds_cover_once_and_keep_patients_apart(
    made: tuple[pd.DataFrame, pd.DataFrame], folds: int, repeats: int, seed: int
) -> None:
    patients, series = made
    splits = image_splits(patients, series, folds=folds, repeats=repeats, seed=seed, designs=["grouped"])
    assert list(splits["fold"].unique()) == fold_names("grouped", Splits(folds=folds, repeats=repeats))
    assert len(check_splits(splits, split_unit="patient")) == 0
    assert (splits.groupby("fold").size() == len(series)).all()
    tested = splits[splits["role"] == "test"]
    for repeat in range(repeats):
        part = tested[tested["fold"].str.startswith(f"r{repeat}f")]
        assert sorted(part["image_index"]) == list(range(len(series)))
        per_fold = part.groupby("fold")["patient"].nunique()
        assert per_fold.max() - per_fold.min() <= 1


@settings(deadline=None, max_examples=40)
@given(cohorts(), st.integers(0, 99))
def test_splits_do_not_depend_on_the_order_of_rows(made: tuple[pd.DataFrame, pd.DataFrame], seed: int) -> None:
    patients, series = made
    designs = [d for d in DESIGNS if not d.startswith("published") or len(series) > 15]
    take = {"folds": 3, "repeats": 2, "seed": seed, "designs": designs}
    shuffled = image_splits(
        patients.sample(frac=1, random_state=seed), series.sample(frac=1, random_state=seed), **take
    )
    pd.testing.assert_frame_equal(image_splits(patients, series, **take), shuffled)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_deal_is_even_overall_and_in_each_stratum(labels: list[str], folds: int, seed: int) -> None:
    strata = np.array(labels)
    dealt = deal(strata, folds, make_rng(seed))
    for members in (np.ones(len(strata), dtype=bool), *(strata == label for label in set(labels))):
        counts = np.bincount(dealt[members], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_repeats_and_seeds_differ() -> None:
    patients, series = like_released()
    first, other = (image_splits(patients, series, folds=7, repeats=2, seed=s, designs=["grouped"]) for s in (0, 1))
    assert not first["role"].equals(other["role"])
    tests = first[first["role"] == "test"].groupby("fold")["patient"].agg(frozenset)
    assert set(tests[:7]) != set(tests[7:])


def test_published_designs_at_the_released_size() -> None:
    patients, series = like_released()
    splits = image_splits(patients, series, folds=7, repeats=1, seed=0)
    tested = splits[splits["role"] == "test"].set_index("design")
    assert tested.loc["published_split", "image_index"].tolist() == [1, 16, 24, 33]
    sizes = tested.loc["published_folds", "fold"].value_counts()
    assert sorted(sizes) == [3] * 2 + [4] * 13
    assert sorted(tested.loc["published_folds", "image_index"]) == list(range(58))
    assert "full" not in tested.index
    assert (splits["design"] == "full").sum() == 58


def test_site_folds_hold_out_each_group() -> None:
    patients, series = like_released()
    splits = image_splits(patients, series, folds=2, repeats=1, seed=0, designs=["site"])
    tested = splits[splits["role"] == "test"].groupby("fold")["patient"].agg(lambda p: set(p.str[5:7]))
    assert tested.to_dict() == {"site-AO_AR": {"AO", "AR"}, "site-E2": {"E2"}}
    trained = splits[splits["role"] == "train"].groupby("fold")["patient"].agg(lambda p: set(p.str[5:7]))
    assert trained.to_dict() == {"site-AO_AR": {"E2"}, "site-E2": {"AO", "AR"}}


def test_a_site_that_is_absent_or_alone_has_no_fold() -> None:
    patients, series = cohort([1] * 6, ["E2"] * 6, [1.0] * 6)
    assert len(image_splits(patients, series, folds=2, repeats=1, seed=0, designs=["site"])) == 0
    patients, series = cohort([1] * 6, ["E2"] * 3 + ["BH"] * 3, [1.0] * 6)
    splits = image_splits(patients, series, folds=2, repeats=1, seed=0, designs=["site"])
    assert splits["fold"].unique().tolist() == ["site-E2"]


def test_published_split_uses_the_test_images_that_exist() -> None:
    patients, series = cohort([2] * 9, ["AO"] * 9, [1.0] * 9)
    splits = image_splits(patients, series[series["image_index"] != 1], folds=2, repeats=1, seed=0)
    part = splits[(splits["design"] == "published_split") & (splits["role"] == "test")]
    assert part["image_index"].tolist() == [16]
    with pytest.raises(DataError, match="none of the images 1, 16, 24, 33"):
        image_splits(patients, series.iloc[[0]], folds=2, repeats=1, seed=0, designs=["published_split"])


def with_published(series: pd.DataFrame, places: dict[int, int]) -> pd.DataFrame:
    """``series`` in which the image of each key is of the published test series of that number."""
    uids = {image: PUBLISHED_TEST[number].series for image, number in places.items()}
    return series.assign(series_uid=series["image_index"].map(uids).fillna(series["series_uid"]))


def single_test(patients: pd.DataFrame, series: pd.DataFrame, **options: bool) -> list[int]:
    splits = image_splits(patients, series, folds=7, repeats=1, seed=0, **options)
    return splits.loc[splits["design"].eq("published_split") & splits["role"].eq("test"), "image_index"].tolist()


@pytest.mark.parametrize("stand_in", [True, False])
@pytest.mark.parametrize(
    ("places", "tested"),
    [
        ({40: 1, 3: 16, 17: 24, 50: 33}, [3, 17, 40, 50]),
        ({40: 1, 41: 1, 3: 16, 17: 24, 50: 33}, [3, 17, 40, 41, 50]),  # a series may give several volumes
        ({16: 1, 1: 24}, [1, 16]),  # the other two are not here, and no image takes their place
    ],
)
def test_published_split_follows_the_series_wherever_they_stand(
    places: dict[int, int], tested: list[int], stand_in: bool
) -> None:
    patients, series = like_released()
    assert single_test(patients, with_published(series, places), stand_in=stand_in) == tested


def test_no_other_image_is_tested_in_the_name_of_the_papers(caplog: pytest.LogCaptureFixture) -> None:
    patients, series = like_released()
    assert single_test(patients, series) == [1, 16, 24, 33]
    with caplog.at_level(logging.WARNING, logger="radgen"):
        splits = image_splits(patients, series, folds=7, repeats=1, seed=0, stand_in=False)
    assert splits["design"].unique().tolist() == ["published_folds", "grouped", "site", "full"]
    assert "58 images: no folds of published_split" in caplog.text
    with pytest.raises(DataError, match="none of the images 1, 16, 24, 33 is there, by its series"):
        image_splits(patients, series, folds=7, repeats=1, seed=0, stand_in=False, designs=["published_split"])


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        (["grouped"], "folds = 7: only 4 patients have images. Allowed: 2 to 4"),
        (["published_folds"], "15 folds need as many images, this cohort has 4"),
    ],
)
def test_more_folds_than_patients_is_a_clear_error(designs: list[str], message: str) -> None:
    patients, series = cohort([1] * 4 + [0] * 9, ["E2"] * 13, [1.0] * 13)
    with pytest.raises(ConfigError, match=message):
        image_splits(patients, series, folds=7, repeats=1, seed=0, designs=designs)


def test_a_planted_crossing_is_found_counted_and_refused() -> None:
    patients, series = like_released()
    splits = image_splits(patients, series, folds=7, repeats=1, seed=0, designs=["grouped"])
    several = splits["patient"].eq("TCGA-AO-A000") & splits["fold"].eq("r0f2")
    flipped = splits.index[several][0]
    splits.at[flipped, "role"] = "train" if splits.at[flipped, "role"] == "test" else "test"
    crossings = check_splits(splits, split_unit="image")
    assert crossings[["design", "fold", "patient"]].to_numpy().tolist() == [["grouped", "r0f2", "TCGA-AO-A000"]]
    assert sorted(crossings[["train_images", "test_images"]].iloc[0]) == [1, 6]
    with pytest.raises(LeakageError, match=r"fold r0f2: patient TCGA-AO-A000 stands on both sides \(1 such"):
        check_splits(splits, split_unit="patient")


def test_full_alone_has_no_crossing() -> None:
    patients, series = like_released()
    splits = image_splits(patients, series, folds=7, repeats=1, seed=0, designs=["full"])
    assert len(check_splits(splits, split_unit="patient")) == 0


def test_unknown_design() -> None:
    patients, series = like_released()
    with pytest.raises(ConfigError, match=r"design 'leave_one_out' is not known. Allowed: published_split"):
        image_splits(patients, series, folds=7, repeats=1, seed=0, designs=["leave_one_out"])


def test_all_designs_leave_out_the_published_ones_a_small_cohort_cannot_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    patients, series = cohort([1] * 8, ["E2"] * 4 + ["AO"] * 4, [1.0] * 8)
    with caplog.at_level(logging.WARNING, logger="radgen"):
        splits = image_splits(patients, series.iloc[2:], folds=2, repeats=1, seed=0)
    assert splits["design"].unique().tolist() == ["grouped", "site", "full"]
    assert "6 images: no folds of published_split, published_folds" in caplog.text
    assert image_splits(patients, series, folds=2, repeats=1, seed=0)["design"].iloc[0] == "published_split"
