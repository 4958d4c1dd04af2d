from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from snakemake.iocontainers import InputFiles

from radgen_lib.audit.adherence import adherence_of_protocol, adherence_rows
from radgen_lib.audit.files import FILES, protocol_runs
from radgen_lib.audit.memorisation import PAIR_COLUMNS, audit_protocol
from radgen_lib.audit.runs import AuditRun
from radgen_lib.core.rows import RESULT_COLUMNS, result_frame


@pytest.fixture
def folder(cohort: Any, build_run: Callable[..., AuditRun], tmp_path: Path) -> tuple[list[list[str]], dict[str, Any]]:
    """Files of one generator trained in two jobs, as the workflow writes them."""
    run = build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8))
    names, paths = [], {key: [] for key in ("samples", "index", "features", "status")}
    for chunk, folds in {"r0f0": ["r0f0"], "from-r0f1": ["r0f1", "r0f2"]}.items():
        at = np.flatnonzero(run.index["fold"].isin(folds))
        place = tmp_path / chunk
        place.mkdir()
        np.save(place / "samples.npy", run.samples[at].astype(np.float16))
        run.index.iloc[at].assign(row=range(len(at))).to_parquet(place / "samples.parquet")
        run.features.iloc[at].reset_index(drop=True).assign(row=range(len(at))).to_parquet(place / "features.parquet")
        (place / "features_status.csv").write_text("extractor,status,reason\nradiomics,ok,\n")
        names.append(["factors17", "planted", chunk])
        for key, file in zip(
            paths, ("samples.npy", "samples.parquet", "features.parquet", "features_status.csv"), strict=True
        ):
            paths[key].append(str(place / file))
    tables = {"real": cohort.real_features, "patients": cohort.patients, "splits": cohort.splits}
    for key, table in {**tables, "factors17": cohort.conditions}.items():
        table.to_parquet(tmp_path / f"{key}.parquet")
        paths[key] = str(tmp_path / f"{key}.parquet")
    return names, paths


def test_adherence_from_files_equals_that_from_memory(
    cohort: Any, build_run: Callable[..., AuditRun], folder: tuple[list[list[str]], dict[str, Any]]
) -> None:
    settings: dict[str, Any] = {"permutations": 200, "draws": 100, "seed": 1, "protocol_name": "rigorous"}
    empty = pd.DataFrame(columns=list(RESULT_COLUMNS))
    found = adherence_of_protocol(*folder, prediction=empty, **settings)
    assert found["metric"].iloc[-1] == "watermark_auroc_difference"
    run = build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8))
    expected = result_frame(
        adherence_rows(run, cohort.real_features, cohort.conditions, cohort.patients, cohort.splits, **settings)
    )
    features = found[found["extractor"] == "radiomics"].reset_index(drop=True)
    wanted = expected[expected["extractor"] == "radiomics"].reset_index(drop=True)
    pd.testing.assert_frame_equal(features, wanted)


def test_snakemakes_input_object_is_understood(folder: tuple[list[list[str]], dict[str, Any]]) -> None:
    names, paths = folder
    plain = [path for key in FILES for path in paths[key]]
    files = InputFiles(plain)
    for i, key in enumerate(FILES):
        files._set_name(key, 2 * i, end=2 * i + 2)
    (run,) = protocol_runs(names, files, ("heldout",))
    assert len(run.features) == len(run.index) > 0


def test_kinds_that_are_not_asked_for_are_not_read(folder: tuple[list[list[str]], dict[str, Any]]) -> None:
    (run,) = protocol_runs(*folder, ("synthetic",))
    assert len(run.index) == 0


def test_memorisation_of_a_protocol_and_its_switch(cohort: Any, folder: tuple[list[list[str]], dict[str, Any]]) -> None:
    series = cohort.real_features[["image_index", "patient"]]
    images = np.random.default_rng(0).integers(0, 256, size=(len(series), 32, 32)).astype(np.uint8)
    settings: dict[str, Any] = {
        "images": images, "series": series, "splits": cohort.splits, "draws": 100, "seed": 1, "protocol_name": "mine",
    }  # fmt: skip
    rows, pairs = audit_protocol(*folder, **settings)
    assert set(rows["protocol"]) == {"mine"}
    assert tuple(pairs.columns) == PAIR_COLUMNS
    assert len(pairs) == 10 and pairs["rmse"].is_monotonic_increasing
    rows, pairs = audit_protocol(*folder, **settings, wanted=False)
    assert rows["reason"].tolist() == ["memorisation_audit is off in this protocol"]
    assert pairs.empty and tuple(pairs.columns) == PAIR_COLUMNS
