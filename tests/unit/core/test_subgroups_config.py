"""The table of ER+/HER2+ subgroups of an ingested cohort: the key that names it, and the paths that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from radgen_lib.core.config.load import load_config, resolve
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.layout import Layout

FILENAMES = {"subgroups": "groups.csv", "receptors": "receptors.csv"}


def with_table(table: str | None, cohort: str = "tcga_brca", **block: Any) -> dict[str, Any]:
    return {"downloads": "there", "cohorts": {cohort: {"subgroups": table, **block}}}


def test_only_the_cohorts_of_tcga_have_subgroups() -> None:
    config = load_config()
    named = {name for name, block in config.cohorts.items() if block.subgroups}
    assert named == {"tcga_brca", "tcga_brca_dynamic"}
    path = f"{config.downloads}/subgroups/groups.csv"
    assert {name for name in config.cohorts if Layout(config).subgroups(name, FILENAMES) == [path]} == named
    assert not any(Layout(config).subgroups(name, FILENAMES) for name in set(config.cohorts) - named)


@pytest.mark.parametrize(
    ("table", "expected"),
    [("subgroups", ["there/subgroups/groups.csv"]), ("mine/groups.tsv", ["mine/groups.tsv"]), (None, [])],
)
def test_the_table_is_an_entry_of_the_registry_or_a_file(table: str | None, expected: list[str]) -> None:
    layout = Layout(resolve({}, with_table(table)))
    assert layout.subgroups("tcga_brca", FILENAMES) == expected
    assert layout.clinical("tcga_brca", FILENAMES) == ["there/receptors/receptors.csv"]


@pytest.mark.parametrize(
    "over", [with_table("subgroups", "tcga_brca_released"), with_table("subgroups", imaging={"pseudonyms": True})]
)
def test_a_table_that_could_not_be_joined_is_refused(over: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="subgroups: for an ingested cohort under public names"):
        resolve({}, over)


def test_one_file_of_the_molecular_study() -> None:
    layout = Layout(load_config())
    results = layout.config.results
    assert layout.omics_file("tcga_brca", "clinical.parquet") == [f"{results}/tcga_brca/omics/clinical.parquet"]
    assert layout.omics_file("duke", "clinical.parquet") == []
