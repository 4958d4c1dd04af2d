"""The page of ingestion."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.cohort.selection import SELECTION_COLUMNS
from radgen_lib.core.digest import file_sha256
from radgen_lib.reporting.data_page import (
    DataFacts,
    gather_data,
    identifying_table,
    phase_table,
    render_data_page,
    write_data_page,
)
from radgen_lib.reporting.data_sheets import SHOWN
from radgen_lib.reporting.data_sources import source_rows
from radgen_lib.reporting.data_table import LINES, table_of
from radgen_lib.sources.checksums import record_sum
from radgen_lib.sources.registry import Source

JPEG = b"\xff\xd8\xff\xe0 not really"


def phases(n: int) -> pd.DataFrame:
    names = ["pre" if i % 2 == 0 else "post1" for i in range(n)]
    return pd.DataFrame(
        {
            "volume": [f"PHAN-S1-{i // 2:04d}/1/{name}" for i, name in enumerate(names)],
            "patient": [f"PHAN-S1-{i // 2:04d}" for i in range(n)],
            "study_number": 1,
            "phase": names,
            "decision": "contrast agent <given>",
            "seconds": [0.0 if name == "pre" else 131.0 for name in names],
            "view": "sagittal",
            "slices": 8,
            "rows": 32,
            "cols": 32,
            "spacing_slice": 2.0,
            "spacing_row": 1.0,
            "spacing_col": 1.0,
            "index_phase": [name == "post1" for name in names],
            "registration": ["" if name == "pre" else "rigid" for name in names],
            "motion_before_mm": [np.nan if name == "pre" else 1.5 for name in names],
            "motion_after_mm": [np.nan if name == "pre" else 0.2 for name in names],
            "kept": [i != 2 for i in range(n)],
            "reason": ["3 slices are missing" if i == 2 else "" for i in range(n)],
        }
    )


def write_shard(folder: Path, n: int) -> dict[str, list[str]]:
    folder.mkdir(parents=True)
    ledger = {
        "origin": "idc",
        "series": ["1.1", "1.2"],
        "status": ["ok", "missing"],
        "reason": ["", "offline"],
        "patient": ["a", "b"],
    }
    pd.DataFrame({**ledger, "n_files": [8, 0], "bytes": [10**6, 0]}).to_parquet(folder / "ledger.parquet")
    phases(n).to_parquet(folder / "phases.parquet")
    series = {"patient": ["a"], "series": ["1.2"], "kind_of_pixels": ["16"], "transfer_syntax": ["explicit"]}
    pd.DataFrame({**series, "identifying": ["PatientBirthDate"], "kept": [True], "reason": [""]}).to_parquet(
        folder / "series.parquet"
    )
    columns = ["volume", "source", "label", "voxels", "volume_mm3", "kept", "reason"]
    pd.DataFrame(columns=columns).to_parquet(folder / "masks.parquet")
    row = ("series", "series", "1.2", "ledger", "", True, "")
    pd.DataFrame([row], columns=list(SELECTION_COLUMNS)).to_parquet(folder / "selection.parquet")
    with zipfile.ZipFile(folder / "sheets.zip", "w") as archive:
        for i in range(n):
            archive.writestr(f"PHAN-S1-{i // 2:04d}_1_{'post1' if i % 2 else 'pre'}.jpg", JPEG)
    names = {"ledgers": "ledger", "series": "series", "phases": "phases", "masks": "masks", "selection": "selection"}
    files = {key: [str(folder / f"{name}.parquet")] for key, name in names.items()}
    return {**files, "sheets": [str(folder / "sheets.zip")]}


@pytest.fixture
def facts(tmp_path: Path) -> DataFacts:
    omics = tmp_path / "omics"
    omics.mkdir()
    np.save(omics / "tensor.npy", np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32))
    (omics / "tensor_omics.json").write_text(json.dumps(["expression", "copy_number"]))
    pd.DataFrame(
        {"check": ["missing share", "matrix twice"], "item": ["", "cna"], "value": [0.1, 1.0], "flag": [False, True]}
    ).to_parquet(omics / "quality.parquet")
    pd.DataFrame({"step": ["genes"], "decision": ["mean"], "reason": ["several probes"], "count": [3]}).to_parquet(
        omics / "decisions.parquet"
    )
    pd.DataFrame(columns=list(SELECTION_COLUMNS)).to_parquet(omics / "selection.parquet")
    files = write_shard(tmp_path / "shard", 60)
    return gather(files, omics, cohort="phantom", settings={"phantom": {"patients": 4}})


def gather(
    files: Mapping[str, Sequence[str]], omics: Path | None, *, cohort: str = "duke", settings: Any = None,
    registry: Mapping[str, Source] | None = None,
) -> DataFacts:  # fmt: skip
    """The facts of a page two folders beside the shard, as in the results."""
    page = Path(files["sheets"][0]).parents[1] / "report/data.html"
    return gather_data(cohort, "mini", settings or {}, files, omics, page=page, registry=registry or {})


def test_page_shows_what_was_decided_and_why(facts: DataFacts) -> None:
    page = render_data_page(facts)
    for words in ("Digital patients", "3 slices are missing", "1.50 to 0.20", "PatientBirthDate", "matrix twice"):
        assert words in page
    assert "contrast agent &lt;given&gt;" in page
    links = set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)', page))
    assert links == {"../shard/sheets.zip"}, "self-contained but for the archives"
    assert page == render_data_page(facts)
    assert "<strong>0</strong>kept without the registration asked for" in page
    # What is flagged comes first, and so does what is not used.
    assert page.index("matrix twice") < page.index("missing share")
    assert phase_table(facts.phases).rows[0][-1] == "3 slices are missing"


def test_registration_that_is_not_as_asked_for_comes_before_the_rest() -> None:
    table = phases(8)
    table.loc[5, "registration"] = "none: rigid dropped, it does not raise mutual information"
    table.loc[[5], ["motion_before_mm", "motion_after_mm"]] = 0.4
    table.loc[2, ["phase", "registration"]] = ["unreadable", "none: no pre-contrast phase"]
    table.loc[2, ["slices", "rows", "cols"]] = 0
    table.loc[2, ["spacing_slice", "spacing_row", "spacing_col", "seconds"]] = np.nan
    shown = phase_table(table)
    named = dict(zip(shown.columns, zip(*shown.rows, strict=True), strict=True))
    assert named["Phase"][:3] == ("PHAN-S1-0001/1/pre", "PHAN-S1-0002/1/post1", "PHAN-S1-0000/1/post1")
    assert named["Registration"][1:3] == ("none: rigid dropped, it does not raise mutual information", "rigid")
    assert named["Motion before to after, mm"][1] == "0.40 to 0.40"
    assert named["Slices x rows x columns"][0] == named["Spacing, mm"][0] == "" and "nan" not in str(shown.rows)


def test_sheets_are_few_and_refused_stacks_come_before_index_phases(facts: DataFacts) -> None:
    assert [sheet.volume for sheet in facts.sheets.refused] == ["PHAN-S1-0001/1/pre"]
    assert len(facts.sheets.used) == SHOWN and all(sheet.volume.endswith("post1") for sheet in facts.sheets.used)
    page = render_data_page(facts)
    assert page.index("Contact sheet of PHAN-S1-0001/1/pre, not used: 3 slices") < page.index("PHAN-S1-0000/1/post1")
    assert f"{59 - SHOWN} more are in the archives" in page


def test_every_sheet_of_every_study_is_named_with_its_archive(facts: DataFacts, tmp_path: Path) -> None:
    page = tmp_path / "report/data.html"
    write_data_page(page, facts)
    shown = page.read_text()
    with zipfile.ZipFile(tmp_path / "shard/sheets.zip") as archive:
        assert all(name in shown for name in archive.namelist())
    for link in re.findall(r'href="(?!#)([^"]*)', shown):
        assert zipfile.is_zipfile(page.parent / link)
    first, second = facts.sheets.studies[:2]
    assert (first.study, first.archive) == ("PHAN-S1-0001/1", "shard")
    assert (first.refused, first.kept) == (("PHAN-S1-0001_1_pre.jpg",), ("PHAN-S1-0001_1_post1.jpg",))
    assert second.refused == () and len(second.kept) == 2 and len(facts.sheets.studies) == 30


def test_contrast_phases_are_looked_at_before_stacks_that_are_plainly_none(tmp_path: Path) -> None:
    files = write_shard(tmp_path / "shard", 8)
    table = phases(8).assign(kept=False, index_phase=False)
    table["phase"] = ["other", "other", "post1", "other", "pre", "other", "other", "post2"]
    table["reason"] = ["other: not a contrast phase", "mixed orientations", *["3 slices are missing"] * 6]
    table.to_parquet(files["phases"][0])
    found = gather(files, None).sheets
    names = [table.loc[place, "volume"] for place in (2, 4, 7, 3, 1, 5, 6, 0)]
    ranks = [table.set_index("volume").loc[sheet.volume, "phase"] for sheet in found.refused]
    assert ranks[:3] == ["post1", "pre", "post2"] and set(ranks[3:]) == {"other"} and not found.used
    assert found.refused[-1].volume == table.loc[0, "volume"] and {one.volume for one in found.refused} == set(names)


def test_every_phase_that_is_not_used_is_shown_however_many() -> None:
    table = phases(3 * LINES).assign(kept=lambda rows: [place % 3 == 0 for place in range(len(rows))])
    table["reason"] = np.where(table["kept"], "", "3 slices are missing")
    shown = phase_table(table)
    assert [row[-1] for row in shown.rows] == ["3 slices are missing"] * (2 * LINES) and shown.more == LINES


def test_identifying_attributes_are_counted_by_series_and_patient() -> None:
    series = pd.DataFrame(
        {"patient": ["a", "a", "b"], "series": ["1", "2", "3"],
         "identifying": ["PatientName,StudyID", "StudyID", ""]}
    )  # fmt: skip
    assert identifying_table(series).rows == [("PatientName", "1", "1"), ("StudyID", "2", "1")]


def test_real_patients_without_omics(tmp_path: Path) -> None:
    page = render_data_page(gather(write_shard(tmp_path / "s", 4), None))
    assert "Digital patients" not in page and "Quality of the molecular tables" not in page


def source(name: str, **changes: Any) -> Source:
    entry = {"url": f"https://example.org/{name}", "filename": f"{name}.tar", "bytes": None, "sha256": "unknown"}
    return Source.model_validate({"name": name, "what": "w", "licence": "l", "citation": "c", **entry, **changes})


@pytest.fixture
def used(tmp_path: Path) -> tuple[dict[str, Source], list[Path]]:
    """A file whose sum the registry knows, one whose sum was recorded, one that was changed since, one of no sum."""
    paths = [tmp_path / f"data/{name}/{name}.tar" for name in ("known", "recorded", "changed", "unknown")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(f"content of {path.stem}")
    for path in paths[1:3]:
        record_sum(path, file_sha256(path))
    paths[2].write_text("another content")
    registry = {path.stem: source(path.stem) for path in paths}
    return {**registry, "known": source("known", sha256=file_sha256(paths[0]))}, paths


def test_files_of_the_registry_stand_with_their_sums(used: tuple[dict[str, Source], list[Path]]) -> None:
    registry, paths = used
    rows = source_rows(registry, paths).set_index("name")
    assert [rows.loc[path.stem, "SHA-256"] for path in paths] == [file_sha256(path) for path in paths]
    assert rows["bytes"].tolist() == [path.stat().st_size for path in paths]
    found = rows["sum known from"]
    assert found[["known", "recorded", "unknown"]].tolist() == ["registry", "recorded at first use", "nowhere"]
    assert found["changed"].startswith("NOT THAT FILE: SHA-256 is") and rows.loc["known", "address"].endswith("/known")


def test_the_page_lists_files_and_answers_of_the_portal(
    tmp_path: Path, used: tuple[dict[str, Source], list[Path]]
) -> None:
    registry, paths = used
    rest = tmp_path / "data/duke/rest.tsv"
    rest.parent.mkdir()
    rest.write_text("PATIENT_ID")
    card = {"service": "https://portal.example/api", "asked_on": "2026-01-02"}
    rest.with_name("rest.card.json").write_text(json.dumps(card))
    files = {**write_shard(tmp_path / "s", 4), "sources": list(map(str, paths)), "rest": [str(rest)]}
    page = render_data_page(gather(files, None, registry=registry))
    words = ("recorded at first use", "https://example.org/known", "https://portal.example/api", "on 2026-01-02")
    for word in (*words, *map(file_sha256, [*paths, rest])):
        assert word in page
    rest.with_name("rest.card.json").unlink()
    assert "its card is not there" in render_data_page(gather(files, None, registry=registry))


def test_long_tables_say_what_is_left_out() -> None:
    table = table_of("a", "A", "", pd.DataFrame({"x": [0.123456789, np.nan, 2.0]}), lines=2)
    assert table.rows == [("0.1235",), ("",)] and table.more == 1
