from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.audit.leakage import check_leakage, read_fits, read_runs
from radgen_lib.core.errors import DataError, LeakageError
from radgen_lib.core.rows import result_frame


def splits(test: dict[str, set[str]]) -> pd.DataFrame:
    """Six patients with two images each; ``test`` maps a fold to its test patients."""
    rows = []
    for fold, held_out in test.items():
        for image in range(12):
            patient = f"TCGA-E2-A{image // 2:03d}"
            role = "test" if patient in held_out else "train"
            rows.append({"design": "grouped", "fold": fold, "image_index": image, "patient": patient, "role": role})
    return pd.DataFrame(rows)


CLEAN = {"r0f0": {"TCGA-E2-A000", "TCGA-E2-A001"}, "r0f1": {"TCGA-E2-A002"}}


def fits(table: pd.DataFrame, **more: Any) -> list[dict[str, Any]]:
    train = table[table["role"] == "train"].groupby("fold")["patient"].unique()
    keys = {"condition": "genes15", "generator": "edm", **more}
    return [{"fit": "edm", "fold": fold, "patients": list(names), **keys} for fold, names in train.items()]


def endpoint_splits(*tests: tuple[str, int, str]) -> pd.DataFrame:
    """Rows of (task, fold, patient)."""
    rows = [{"task": task, "repeat": 0, "fold": fold, "patient": patient} for task, fold, patient in tests]
    return pd.DataFrame(rows, columns=["task", "repeat", "fold", "patient"])


def run(table: pd.DataFrame, trained: list[dict[str, Any]], unit: str = "patient", **more: Any) -> pd.DataFrame:
    settings = {"endpoints": endpoint_splits(), "protocol_name": "rigorous", "split_unit": unit, **more}
    return result_frame(check_leakage(table, trained, **settings))


def counts(table: pd.DataFrame) -> dict[str, float]:
    return dict(zip(table["metric"], table["value"], strict=True))


def test_clean_split_counts_zero_everywhere() -> None:
    found = run(splits(CLEAN), fits(splits(CLEAN)))
    assert set(counts(found).values()) == {0.0}
    assert found.loc[found["metric"] == "patients_on_both_sides", "n"].iloc[0] == 3


def test_planted_crossing_stops_the_run_and_names_fold_and_patient() -> None:
    table = splits(CLEAN)
    table.loc[0, "role"] = "train"
    with pytest.raises(LeakageError, match=r"grouped, fold r0f0: 1 patients .*TCGA-E2-A000"):
        run(table, [])


def test_planted_crossing_is_counted_when_folds_are_by_image() -> None:
    table = splits(CLEAN)
    table.loc[0, "role"] = "train"
    found = counts(run(table, fits(table), "image"))
    assert found["patients_on_both_sides"] == 1
    assert found["test_images_of_training_patients"] == 1
    assert found["test_conditions_seen_in_training"] == 1
    assert found["fit_crossings"] == 1
    assert found["fit_mismatches"] == 0


@pytest.mark.parametrize("change", ["extra", "missing"])
def test_fit_on_other_patients_than_the_split_says_stops_the_run(change: str) -> None:
    table = splits(CLEAN)
    trained = fits(table)
    if change == "extra":
        trained[0]["patients"] = [*trained[0]["patients"], "TCGA-E2-A000"]
        with pytest.raises(LeakageError, match=r"edm, fold r0f0: 1 patients were trained on and tested .*A000"):
            run(table, trained)
    else:
        trained[0]["patients"] = trained[0]["patients"][1:]
        with pytest.raises(LeakageError, match="differ from the split's training patients"):
            run(table, trained)
        assert counts(run(table, trained, "image"))["fit_mismatches"] == 1


def test_patients_without_the_condition_may_be_absent_from_a_fit() -> None:
    table = splits(CLEAN)
    trained = fits(table)
    known = set(table["patient"]) - {"TCGA-E2-A005"}
    for fit in trained:
        fit["patients"] = [name for name in fit["patients"] if name in known]
    found = counts(run(table, trained, eligible={"genes15": known}))
    assert found["fit_mismatches"] == 0
    with pytest.raises(LeakageError):
        run(table, trained)


def test_endpoint_test_patients_must_not_have_trained_the_generator_that_drew_them() -> None:
    table = splits(CLEAN)
    good = endpoint_splits(("er", 0, "TCGA-A1-A0SG"), ("er", 1, "TCGA-A1-A0SK"), ("survival", 0, "TCGA-A1-A0SG"))
    found = run(table, fits(table), endpoints=good)
    rows = found[found["metric"] == "endpoint_test_patients_trained_on"]
    assert dict(zip(rows["task"], rows["value"], strict=True)) == {"er": 0, "survival": 0}
    assert dict(zip(rows["task"], rows["n"], strict=True)) == {"er": 2, "survival": 1}
    assert set(rows["generator"]) == {"edm"} and set(rows["design"]) == {"grouped"}
    # A000 is a test patient of r0f0 and trains r0f1, whose generator draws images of every patient without MRI.
    bad = pd.concat([good, endpoint_splits(("er", 1, "TCGA-E2-A000"))])
    with pytest.raises(LeakageError, match=r"task er, repeat 0, fold 1: 1 test patients trained edm, fold r0f1 .*A000"):
        run(table, fits(table), endpoints=bad)
    counted = run(table, fits(table), "image", endpoints=bad)
    rows = counted[counted["metric"] == "endpoint_test_patients_trained_on"]
    assert dict(zip(rows["task"], rows["value"], strict=True)) == {"er": 1, "survival": 0}


def test_design_that_holds_nobody_out_gives_reasons() -> None:
    found = run(splits({"full": set()}).assign(design="full"), [])
    assert found["value"].isna().all()
    assert set(found["reason"]) == {"the design holds nobody out"}


def test_card_is_read_and_one_without_patients_is_refused(tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text(
        json.dumps({"name": "train", "trained_on": {"f": {"patient": ["b", "a", "a"], "image_index": [1, 2, 3]}}})
    )
    (fit,) = read_fits(card, generator="edm", condition="genes15")
    assert (fit["patients"], fit["generator"], fit["condition"], fit["fold"]) == (["a", "b"], "edm", "genes15", "f")
    for content in ({"name": "x"}, {"trained_on": {"f": {"images": [1]}}}, {"trained_on": {"f": ["x"]}}):
        card.write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"card\.json"):
            read_fits(card)


def test_fits_of_all_jobs_are_read_and_a_further_training_answers_for_its_split(tmp_path: Path) -> None:
    cards = []
    for name, folds in (("one", ["split", "split-s1"]), ("two", ["r0f0"])):
        cards.append(tmp_path / f"{name}.json")
        cards[-1].write_text(json.dumps({"name": name, "trained_on": {fold: {"patient": ["a"]} for fold in folds}}))
    found = read_runs(cards, [["genes15", "edm", "0"], ["factors17", "vae", "1"]])
    told = [(fit["condition"], fit["generator"], fit["fold"]) for fit in found]
    assert told == [*[("genes15", "edm", "split")] * 2, ("factors17", "vae", "r0f0")]
    with pytest.raises(ValueError, match="argument"):
        read_runs(cards, [["genes15", "edm", "0"]])


def test_published_split_puts_all_four_patients_on_both_sides(mirror: Path) -> None:
    index = pd.read_csv(mirror / "Kylelhc_BC_RadiogenomicCPDM/data/SideViewBTF.csv")
    text = index.astype(str).apply(lambda row: next(cell for cell in row if cell.startswith("TCGA-")), axis=1)
    patients = text.str[:12].to_numpy()
    role = np.where(np.isin(np.arange(58), [1, 16, 24, 33]), "test", "train")
    table = pd.DataFrame(
        {"design": "published_split", "fold": "split", "image_index": np.arange(58), "patient": patients, "role": role}
    )
    found = counts(run(table, [], "image"))
    assert len(set(patients)) == 28
    assert set(found.values()) == {4.0}
    with pytest.raises(LeakageError, match="TCGA-AO-A03M"):
        run(table, [])
