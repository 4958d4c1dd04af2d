"""Model cards: who was trained on, what for, what not for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.reporting.model_card import model_card, write_model_card


def card(**changes: Any) -> dict[str, Any]:
    fold = {
        "class_path": "radgen_lib.generators.edm:EDMDiffusion", "options": {"epochs": 60}, "image_size": 128,
        "names": ["CD6", "LTB"], "scaling": "cohort_zscore", "log": True,
    }  # fmt: skip
    folds = {
        "r0f0": {**fold, "patients": ["TCGA-A", "TCGA-B"]},
        "r0f1": {**fold, "patients": ["TCGA-B", "TCGA-C", "TCGA-B"]},
    }
    config = {"generator": "edm", "condition": "genes15", "protocol": "rigorous"}
    return {"folds": folds, "config": config, "seed": 7, "weights_sha256": "abc", "duration_s": 12.5, **changes}


def test_card_counts_patients_not_rows() -> None:
    text = model_card(card())
    assert "3 distinct patients in 2 folds" in text
    assert "| r0f0 | 2 |" in text and "| r0f1 | 2 |" in text
    assert "TCGA-A" not in text, "the card counts patients, it does not list them"


def test_card_says_what_it_is_and_what_it_is_not_for() -> None:
    text = model_card(card())
    assert text.startswith("# Model card: EDM, 15 genes, rigorous")
    for part in (
        "Not for clinical use",
        "CD6, LTB",
        "cohort_zscore",
        "`abc`",
        "## Licence",
        "## Limits",
        "| `epochs` | `60` |",
    ):
        assert part in text
    assert "12.5" not in text, "durations stay in the JSON card"


@pytest.mark.parametrize("log", [True, False])
def test_card_says_whether_expression_is_logged(log: bool) -> None:
    facts = card()
    for fold in facts["folds"].values():
        fold["log"] = log
    assert ("log2(x + 1), then scaled by `cohort_zscore`" in model_card(facts)) is log


def test_card_keeps_licence_and_use_of_the_json_card() -> None:
    text = model_card(card(licence="Ask first.", intended_use="Study."))
    assert "Ask first." in text and "Study." in text


def test_unknown_facts_are_told_as_such() -> None:
    assert "`not recorded`" in model_card(card(seed=None, weights_sha256=""))


@pytest.mark.parametrize(
    "content", ["not json", "[]", "{}", json.dumps(card(folds={})), json.dumps(card(folds={"f": {}}))]
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    source, target = tmp_path / "card.json", tmp_path / "card.md"
    source.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"card\.json: is not the card of a trained generator"):
        write_model_card(source, target)
    assert not target.exists()


def test_card_is_written(tmp_path: Path) -> None:
    source, target = tmp_path / "card.json", tmp_path / "docs" / "card.md"
    source.write_text(json.dumps(card()), encoding="utf-8")
    write_model_card(source, target)
    assert target.read_text(encoding="utf-8") == model_card(card())
