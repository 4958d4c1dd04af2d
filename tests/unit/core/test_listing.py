"""What lies below a folder, told without opening a file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from radgen_lib.core.config.load import defaults, resolve
from radgen_lib.core.listing import files_below, listing_digest
from radgen_lib.core.source_layout import SourceLayout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("b.csv", "a.csv", "deep/IM1", "deep/.hidden"):
        (tmp_path / "in" / name).write_text("12")
    return tmp_path / "in"


def test_files_come_sorted_and_hidden_ones_stay_out(place: Path) -> None:
    (place / ".git").mkdir()
    (place / ".git/config").write_text("")
    (place / "loop").symlink_to(place)
    assert [path.relative_to(place).as_posix() for path in files_below(place)] == ["a.csv", "b.csv", "deep/IM1"]


def test_nothing_changed_gives_the_same_digest_wherever_the_folder_is(place: Path, tmp_path: Path) -> None:
    before = listing_digest(place)
    assert len(before) == 16 and listing_digest(str(place)) == before
    shutil.copytree(place, tmp_path / "out")
    (tmp_path / "link").symlink_to(place)
    assert listing_digest(tmp_path / "out") == before == listing_digest(tmp_path / "link")
    (place / ".~lock.a.csv#").write_text("somebody")
    assert listing_digest(place) == before


def keep_time(path: Path, text: str) -> None:
    old = path.stat()
    path.write_text(text)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


CHANGES = {
    "new": lambda place: (place / "deep/IM2").write_text(""),
    "removed": lambda place: (place / "deep/IM1").unlink(),
    "renamed": lambda place: (place / "a.csv").rename(place / "c.csv"),
    "moved": lambda place: (place / "a.csv").rename(place / "deep/a.csv"),
    "longer": lambda place: keep_time(place / "a.csv", "123"),
    "written anew": lambda place: os.utime(place / "a.csv", ns=(1, (place / "a.csv").stat().st_mtime_ns + 1)),
    "swapped": lambda place: [os.replace(place / one, place / other) for one, other in
                              (("a.csv", "x"), ("b.csv", "a.csv"), ("x", "b.csv"))],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_file_changes_the_digest(place: Path, change: str) -> None:
    for number, name in enumerate(("a.csv", "b.csv", "deep/IM1")):
        os.utime(place / name, ns=(0, 10**18 + number))
    before = listing_digest(place)
    CHANGES[change](place)
    assert listing_digest(place) != before


def test_no_file_is_opened(place: Path) -> None:
    before = listing_digest(place)
    (place / "a.csv").chmod(0)
    assert listing_digest(place) == before


def test_what_is_not_there_has_no_digest_and_is_no_error(place: Path) -> None:
    assert listing_digest(None) == "" == listing_digest(place / "nowhere")
    empty = place / "empty"
    empty.mkdir()
    assert listing_digest(empty) != ""
    before = listing_digest(place)
    (place / "gone").symlink_to(place / "nowhere")
    assert listing_digest(place) != before
    (place / "itself").symlink_to(place / "itself")
    assert "itself" in [path.name for path in files_below(place)] and listing_digest(place) != ""


def test_a_single_file(place: Path) -> None:
    before = listing_digest(place / "a.csv")
    keep_time(place / "a.csv", "123")
    assert listing_digest(place / "a.csv") not in (before, "")


def test_names_that_are_no_text(place: Path) -> None:
    before = listing_digest(place)
    Path(os.fsdecode(os.fsencode(place) + b"/M\xfcller")).write_text("")
    assert listing_digest(place) not in (before, "")


def test_only_folders_of_the_user_are_walked() -> None:
    own = {"kind": "ingested", "imaging": {"source": "folder", "location": "hospital/dicom"},
           "omics": {"source": "folder", "location": "hospital/omics"}}  # fmt: skip
    layout = SourceLayout(resolve({**defaults(), "cohorts": {**defaults()["cohorts"], "local": own}}))
    assert (layout.own_images("local"), layout.own_study("local")) == ("hospital/dicom", "hospital/omics")
    others = [name for name in layout.config.cohorts if name != "local"]
    assert others and {layout.own_images(name) for name in others} == {None}
    assert {layout.own_study(name) for name in others} == {None}
