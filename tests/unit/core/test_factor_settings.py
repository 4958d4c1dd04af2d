"""What each job of the factors is told of their settings, and what it is not."""

from __future__ import annotations

from typing import Any

import pytest

from radgen_lib.core.config.factors import Factors
from radgen_lib.core.factor_layout import KEYS_READ, factor_settings

FITS = {"fit_factors", "factor_stability", "factor_rank"}
# One changed value of every key -> the rules that are told of it. Folds and jobs reach them as lists of names, genes as
# a tensor, and `as_published` is a rule of its own.
TOLD: dict[str, tuple[Any, set[str]]] = {
    "rank_grid": ([5], {"factor_rank"}),
    "seeds": (3, {"factor_stability"}),
    "peers": (["pca"], {"factor_comparison"}),
    "hidden_share": (0.1, {"factor_rank", "factor_comparison"}),
    "published": ({"components": 3}, {"factor_comparison"}),
    "components": (7, {"fit_factors", "factor_stability", "factor_comparison"}),
    "method": ("variational", {*FITS, "factor_comparison"}),
    "genes": (["TP53"], set()),
    "folds": (3, set()),
    "repeats": (2, set()),
    "folds_per_job": ("all", set()),
    "on_accelerator": (True, set()),
    **{
        key: (value, FITS)
        for key, value in {
            "max_genes": 50, "chains": 3, "burn_in": 20, "draws": 30, "thin": 2, "max_sweeps": 99, "tolerance": 0.01,
            "noise": "global", "sparsity": None,
        }.items()
    },
}  # fmt: skip


def test_every_key_is_looked_at() -> None:
    assert set(TOLD) == set(Factors.model_fields)


@pytest.mark.parametrize("key", TOLD)
def test_another_value_reaches_the_rules_that_read_it_alone(key: str) -> None:
    value, rules = TOLD[key]
    before, after = Factors(), Factors(**{key: value})
    assert {rule for rule in KEYS_READ if factor_settings(before, rule) != factor_settings(after, rule)} == rules


def test_settings_of_a_job_know_what_it_was_given_alone() -> None:
    """No default stands in for a key that was configured otherwise and not handed on."""
    block = Factors(components=7, seeds=4, rank_grid=[3], published={"components": 5})  # type: ignore[arg-type]
    part = Factors.part(factor_settings(block, "factor_comparison"))
    assert (part.components, part.published.components) == (7, 5)
    for key in set(Factors.model_fields) - set(KEYS_READ["factor_comparison"]):
        with pytest.raises(AttributeError, match=key):
            getattr(part, key)
    assert part.model_copy(update={"components": 2}).components == 2 and part.components == 7
    with pytest.raises(ValueError, match="seeds"):
        Factors.part({"seeds": 0})


def test_an_unheard_rule_is_refused() -> None:
    with pytest.raises(KeyError, match="nobody"):
        factor_settings(Factors(), "nobody")
