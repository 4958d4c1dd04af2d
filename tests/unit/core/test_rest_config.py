"""Attributes asked of the portal's REST service: the block that names them, and the paths that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from radgen_lib.core.config.load import load_config, resolve
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.layout import Layout

STUDY = "brca_tcga_pan_can_atlas_2018"


def cohorts(**omics: Any) -> dict[str, Any]:
    return {"cohorts": {"tcga_brca": {"omics": omics}}}


def test_nothing_is_asked_unless_it_is_said() -> None:
    config = load_config()
    layout = Layout(config)
    assert not any(layout.rest(name) for name in config.cohorts)
    assert all(block.omics is None or block.omics.rest == [] for block in config.cohorts.values())


def test_an_attribute_is_of_the_study_or_of_a_named_one() -> None:
    config = resolve({}, cohorts(rest=["SUBTYPE", "brca_tcga/ER_STATUS_BY_IHC"]) | {"downloads": "there"})
    omics = config.cohorts["tcga_brca"].omics
    assert omics is not None and omics.asked == [(STUDY, "SUBTYPE"), ("brca_tcga", "ER_STATUS_BY_IHC")]
    assert Layout(config).rest("tcga_brca") == ["there/tcga_brca/rest.tsv"]
    assert Layout(config).rest("duke") == Layout(config).rest("tcga_brca_dynamic") == []


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (cohorts(rest=["a/b/c"]), "cohorts.tcga_brca.omics.rest"),
        (cohorts(rest=["ER STATUS"]), "cohorts.tcga_brca.omics.rest"),
        (cohorts(rest=["http://x"]), "cohorts.tcga_brca.omics.rest"),
        (cohorts(rest="ER_STATUS"), "list"),
        (cohorts(rest=["a/ER_STATUS", "ER_STATUS"]), "stands twice"),
        (cohorts(rest=["ER_STATUS"], study=None), "without its study"),
        (
            {"cohorts": {"tcga_brca": {"omics": {"rest": ["a/ER_STATUS"]}, "imaging": {"pseudonyms": True}}}},
            "knows no patients of yours",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(over: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({}, over)
    assert words in str(caught.value) and "\n" not in str(caught.value)
