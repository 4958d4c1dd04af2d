"""The pages under docs/ say what is so: examples run, lists are complete, links lead somewhere."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from radgen_lib.analyses.arms import Material, source_fold
from radgen_lib.audit.memorisation import PAIR_COLUMNS
from radgen_lib.core.config.cpdm import AS_PUBLISHED, RIGOROUS, Protocol
from radgen_lib.core.config.load import resolve
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.layout import TABLES, Layout
from radgen_lib.core.rows import RESULT_COLUMNS
from radgen_lib.generators.base import FitContext, Generator, TrainingData, build_generator

DOCS = Path(__file__).resolve().parents[3] / "docs"
MODULE = "radgen_lib.generators.neighbours"
# Written by other parts of the project: the configuration page and the results.
PAGES = sorted(path for path in DOCS.rglob("*.md") if "results" not in path.parts and path.name != "config.md")


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of one language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


@pytest.fixture
def neighbours(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example of add-a-generator, importable under the name that the page gives it."""
    (code,) = blocks("how-to/add-a-generator.md", "python")
    module = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    exec(compile(code, MODULE, "exec"), module.__dict__)
    yield f"{MODULE}:NeighbourMean"


def fitted(path: str, options: dict[str, Any]) -> tuple[Generator, TrainingData]:
    rng = np.random.default_rng(0)
    images, conditions = rng.random((9, 8, 8)).astype("f4"), rng.normal(size=(9, 3)).astype("f4")
    data = TrainingData(images, conditions, np.array([f"p{i}" for i in range(9)]))
    generator = build_generator(path, options, image_size=8, n_conditions=3)
    generator.fit(data, FitContext(seed=1))
    return generator, data


def test_example_generator_keeps_the_contract(neighbours: str) -> None:
    generator, data = fitted(neighbours, {"k": 1})
    drawn = generator.sample(data.conditions, list(range(9)))
    np.testing.assert_array_equal(drawn, data.images)
    np.testing.assert_array_equal(generator.sample(data.conditions[3:4], [3]), drawn[3:4])
    again = build_generator(neighbours, {"k": 1}, image_size=8, n_conditions=3)
    again.load_state(generator.state())
    np.testing.assert_array_equal(again.sample(data.conditions, list(range(9))), drawn)
    assert fitted(neighbours, {"k": 99})[0].sample(data.conditions, [0] * 9).std(axis=0).max() < 1e-6


def test_example_refuses_what_the_page_says_it_refuses(neighbours: str) -> None:
    with pytest.raises(ConfigError, match="k = 0"):
        build_generator(neighbours, {"k": 0}, image_size=8, n_conditions=3)
    generator, _ = fitted(neighbours, {})
    narrow = build_generator(neighbours, {}, image_size=8, n_conditions=2)
    with pytest.raises(ValueError, match="conditions"):
        narrow.load_state(generator.state())


@pytest.mark.parametrize("page", ["how-to/add-a-generator.md", "how-to/own-protocol-mixture.md"])
def test_configuration_examples_are_valid(page: str) -> None:
    examples = blocks(page, "yaml")
    assert examples
    for text in examples:
        resolve({}, yaml.safe_load(text))


def test_mixture_differs_from_the_published_study_in_the_split_alone() -> None:
    config = resolve({}, yaml.safe_load(blocks("how-to/own-protocol-mixture.md", "yaml")[0]))
    mixture, published = config.cpdm.protocols["published_by_patient"], AS_PUBLISHED
    changed = {key for key in Protocol.model_fields if getattr(mixture, key) != getattr(published, key)}
    assert changed == {"designs", "split_unit", "conditions"}


def test_mixture_has_the_generator_that_predictions_draw_from() -> None:
    config = resolve({}, yaml.safe_load(blocks("how-to/own-protocol-mixture.md", "yaml")[0]))
    layout, (cohort,) = Layout(config), config.run
    drawn = {
        fold
        for condition, generator, chunk in layout.run_names(cohort, "published_by_patient")
        if generator == config.cpdm.protocols["published_by_patient"].primary
        for fold in layout.drawn_folds(cohort, "published_by_patient", condition, generator, chunk)
    }
    table = pd.DataFrame({"x": [0.0]}, index=["p"])
    material = Material(table, table, {("cpdm", "synthetic", fold): table for fold in drawn}, 0)
    assert source_fold(material, "cpdm") == "full"


def test_protocol_page_states_every_switch_with_its_values() -> None:
    rows = re.findall(
        r"^\| (B-W\d\d) \| `(\w+)` \| `(.+?)` \| `(.+?)` \|", (DOCS / "explanation/protocols.md").read_text(), re.M
    )
    said = {key: (weakness, *values) for weakness, key, *values in rows}
    for key, field in Protocol.model_fields.items():
        weakness = re.match(r"B-W\d\d", field.description or "")
        if weakness is None:
            continue
        values = [yaml.safe_load(text) for text in said[key][1:]]
        assert said[key][0] == weakness[0]
        assert values == [getattr(AS_PUBLISHED, key), getattr(RIGOROUS, key)], key
    assert {weakness for weakness, *_ in said.values()} == {f"B-W{i:02d}" for i in range(1, 14)}


def test_reference_names_every_table_and_column() -> None:
    text = (DOCS / "reference/tables.md").read_text()
    for item in TABLES:
        assert f"| {item} |" in text
    for column in (*RESULT_COLUMNS, *PAIR_COLUMNS):
        assert f"`{column}`" in text, column


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_citation_file_and_licence_agree_with_the_project() -> None:
    import radgen_lib

    citation = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text())
    assert citation["version"] == radgen_lib.__version__
    assert citation["license"] == "MIT" and (DOCS.parent / "LICENSE").read_text().startswith("MIT License")
