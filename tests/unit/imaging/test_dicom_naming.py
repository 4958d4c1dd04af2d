"""Which phase is pre-contrast: tags, then words, then order; where they contradict each other no phase has a name."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radgen_lib.imaging.choice import CONFLICT, keep_all
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import Series, ledger, ramp, write

NO_TIME = "no tag tells when the phase was acquired"
EARLY = "another phase before contrast agent"


def phase(place: int, words: str = "", agent: bool = False, **tags: Any) -> Series:
    """A series at minute ``place`` of its study, without any other evidence of order."""
    own = {"SeriesDescription": words, "AcquisitionTime": f"09{10 + place}00", **tags}
    if agent:
        own["ContrastBolusAgent"] = "Gd"
    return Series(ramp(start=1000 * place), uid=f"1.2.3.{place + 1}", tags=own)


def timeless(place: int, words: str = "", agent: bool = False) -> Series:
    return phase(place, words, agent, AcquisitionTime="")


def found_in(root: Path, made: list[Series]) -> pd.DataFrame:
    """Phase table of the series, in their order."""
    for number, series in enumerate(made):
        write(root, series.images(), f"f{number}", seed=number)
    table = find_phases(scan(root, ledger(*[(f"f{k}", "", series.uid) for k, series in enumerate(made)])).instances)[0]
    return table.set_index("series").loc[[series.uid for series in made]].reset_index()


NAMED = {
    "a description that says pre, after another series": (
        [phase(0, "SAG T1"), phase(1, "SAG VIBRANT pre"), phase(2, "SAG VIBRANT post")],
        ["other", "pre", "post1"],
    ),
    "every description says post": ([phase(k, "T1 post fat sat") for k in range(3)], ["post1", "post2", "post3"]),
    "every description says pre": ([phase(k, "sag 3d/pre") for k in range(3)], ["other", "other", "pre"]),
    "the first alone does not say post": (
        [phase(0, "ax 3d dyn"), phase(1, "Ph1/ax 3d dyn"), phase(2, "Ph2/ax 3d dyn")],
        ["pre", "post1", "post2"],
    ),
    "numbered phases before one that says post": (
        [phase(0, "dyn 1"), phase(1, "dyn 2"), phase(2, "dyn 3"), phase(3, "delayed post")],
        ["pre", "post1", "post2", "post3"],
    ),
    "a phase after the one that says pre has no word": (
        [phase(0, "dyn pre"), phase(1, "dyn 1st pas"), phase(2, "dyn 2nd pass")],
        ["pre", "post1", "post2"],
    ),
    "the agent is in all tags, which leaves it to the words": (
        [phase(0, "T1", True), phase(1, "dyn pre", True), phase(2, "dyn", True)],
        ["other", "pre", "post1"],
    ),
    "tags are stronger than the word of an earlier phase": (
        [phase(0, "ax t1 pre"), phase(1, "ax 3d dyn"), phase(2, "Ph1/ax 3d dyn", True)],
        ["other", "pre", "post1"],
    ),
    "a phase without agent in the tags says post": (
        [phase(0, "dyn pre"), phase(1, "dyn post"), phase(2, "dyn post", True)],
        ["pre", "post1", "post2"],
    ),
    "words and nothing of order": ([timeless(0, "dyn post"), timeless(1, "dyn pre")], ["post1", "pre"]),
    "one without agent and nothing of order": (
        [timeless(0, "", True), timeless(1), timeless(2, "", True)],
        ["other", "pre", "other"],
    ),
    "agent in the tags of one and nothing of order": (
        [timeless(0), timeless(1, "", True), timeless(2)],
        ["other", "post1", "other"],
    ),
    "every description says post and nothing of order": ([timeless(k, "post", True) for k in range(2)], ["other"] * 2),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_the_pre_contrast_phase_is_told_by_tags_then_words_then_order(tmp_path: Path, case: str) -> None:
    made, names = NAMED[case]
    table = found_in(tmp_path, made)
    assert table["phase"].tolist() == names
    assert table["kept"].tolist() == [name != "other" for name in names]
    assert table.loc[table["index_phase"], "phase"].tolist() == (
        ["post1"] if "post1" in names else ["pre"] * ("pre" in names)
    )
    assert set(table.loc[~table["kept"], "reason"]) <= {NO_TIME, EARLY, "another phase without contrast agent"}


CONTRADICTIONS = {
    "a post-contrast phase says pre": (
        [phase(0, "dyn"), phase(1, "dyn pre", True), phase(2, "dyn post", True)],
        "the tags name a contrast agent in a phase whose description says pre",
    ),
    "all have agent in the tags and say pre": (
        [phase(k, "dyn pre", True) for k in range(2)],
        "the tags name a contrast agent in a phase whose description says pre",
    ),
    "no order fits the tags": (
        [phase(0, "", True), phase(1, "")],
        "tags or description of the earliest phase call it post-contrast, those of others do not",
    ),
    "no order fits the words": (
        [phase(0, "dyn post"), phase(1, "dyn pre")],
        "a phase that tags or description call post-contrast is earlier than one whose description says pre",
    ),
    "the earliest alone says post": (
        [phase(0, "dyn post"), phase(1, "dyn"), phase(2, "dyn")],
        "tags or description of the earliest phase call it post-contrast, those of others do not",
    ),
    "unlike series before the first that says post": (
        [phase(0, "SAG T1"), phase(1, "SAG VIBRANT"), phase(2, "SAG VIBRANT post")],
        "2 unlike series are earlier than the first that says post",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_leave_every_phase_without_a_name(tmp_path: Path, case: str) -> None:
    made, why = CONTRADICTIONS[case]
    table = found_in(tmp_path, made)
    assert set(table["phase"]) == {"other"} and not table["kept"].any() and not table["index_phase"].any()
    assert set(table["reason"]) == {f"{CONFLICT}: {why}"}
    assert keep_all(table)["kept"].all(), "nothing is wrong with the images"


def test_one_series_that_says_pre_of_all_its_phases(tmp_path: Path) -> None:
    images = []
    for k in range(3):
        made = phase(k, "dyn pre", TemporalPositionIdentifier=k + 1).images()
        for image in made:
            image.SeriesInstanceUID = "1.2.3.1"
        images += made
    write(tmp_path, images, "f0")
    table = find_phases(scan(tmp_path, ledger(("f0", "", "1.2.3.1"))).instances)[0]
    assert set(table["reason"]) == {f"{CONFLICT}: the description of a series says pre of all its phases"}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_identifiers_decide_nothing_where_no_order_is_told(tmp_path: Path, order: tuple[int, ...]) -> None:
    words = ["dyn pre", "dyn post", "dyn"]
    made = [timeless(place, words[k]) for place, k in enumerate(order)]
    table = found_in(tmp_path, made)
    assert table["phase"].tolist() == ["pre" if words[k] == "dyn pre" else "other" for k in order]
    assert set(table.loc[table["phase"] == "other", "reason"]) == {NO_TIME}


def test_more_phases_than_names_say_so_and_are_kept_with_everything(tmp_path: Path) -> None:
    table = found_in(tmp_path, [phase(k, agent=k > 0) for k in range(11)])
    assert table["phase"].tolist() == ["pre", *[f"post{k}" for k in range(1, 9)], "other", "other"]
    assert set(table["reason"][9:]) == {"more post-contrast phases than have names"}
    assert keep_all(table)["kept"].all()


def test_another_step_between_slices_is_another_geometry(tmp_path: Path) -> None:
    """As of Duke: a T1 series that says pre, thick slices, before the dynamic one."""
    thick = phase(0, "ax t1 pre")
    thick.spacing = (6.0, 0.9, 0.8)
    made = [thick, phase(1, "ax 3d dyn"), phase(2, "Ph1/ax 3d dyn"), phase(3, "Ph2/ax 3d dyn")]
    assert found_in(tmp_path, made)["phase"].tolist() == ["other", "pre", "post1", "post2"]
