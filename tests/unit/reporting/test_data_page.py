"""The page of ingestion."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.cohort.selection import SELECTION_COLUMNS
from radgen_lib.reporting.data_page import SHEETS, DataFacts, gather_data, phase_table, render_data_page, table_of

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
            archive.writestr(f"PHAN-S1-{i:04d}_1_{'pre' if i % 2 else 'post1'}.jpg", JPEG)
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
    return gather_data("phantom", "mini", {"phantom": {"patients": 4}}, files, omics)


def test_page_shows_what_was_decided_and_why(facts: DataFacts) -> None:
    page = render_data_page(facts)
    for words in ("Digital patients", "3 slices are missing", "1.50 to 0.20", "PatientBirthDate", "matrix twice"):
        assert words in page
    assert "contrast agent &lt;given&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page), "self-contained"
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


def test_sheets_are_few_and_show_the_first_post_contrast_phase(facts: DataFacts) -> None:
    assert len(facts.sheets) == SHEETS and all(name.endswith("post1") for name in facts.sheets)
    assert "35 more are in the files" in render_data_page(facts)


def test_real_patients_without_omics(tmp_path: Path) -> None:
    page = render_data_page(gather_data("duke", "paper", {}, write_shard(tmp_path / "s", 4), None))
    assert "Digital patients" not in page and "Quality of the molecular tables" not in page


def test_long_tables_say_what_is_left_out() -> None:
    table = table_of("a", "A", "", pd.DataFrame({"x": [0.123456789, np.nan, 2.0]}), lines=2)
    assert table.rows == [("0.1235",), ("",)] and table.more == 1
