"""R-hat and effective sample sizes against arviz 0.21.0 on stored series, and the table of convergence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.btf.diagnostics import COLUMNS, by_chain, convergence, ess_bulk, ess_tail, r_hat
from radgen_lib.omics.btf.model import Draws

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "btf"
EXPECTED = pd.read_csv(REFERENCE / "arviz_values.csv", index_col="series")


def stored(name: str) -> np.ndarray:
    series = pd.read_csv(REFERENCE / "arviz_series.csv.gz")
    chosen = series[series["series"] == name]
    return chosen["value"].to_numpy().reshape(chosen["chain"].nunique(), -1, 1)


def independent(seed: int, chains: int = 4, draws: int = 200, quantities: int = 1) -> np.ndarray:
    return make_rng(seed, "series").normal(size=(chains, draws, quantities))


def posterior(seed: int, *, draws: int = 100, shift: float = 0.0) -> Draws:
    """Two chains that scatter about the same two components; ``shift`` moves the second chain's first factor."""
    rng = make_rng(seed, "posterior")
    x, w, u = rng.normal(size=(12, 2)), rng.normal(size=(15, 2)), rng.normal(size=(3, 2))
    total, chain = 2 * draws, np.repeat([0, 1], draws)

    def about(a: np.ndarray) -> np.ndarray:
        return a + 0.05 * rng.normal(size=(total, *a.shape))

    x = about(x)
    x[chain == 1, :, 0] += shift * rng.normal(size=12)
    sweeps = np.tile(np.arange(3 * draws), 2)
    trace = pd.DataFrame({"chain": np.repeat([0, 1], 3 * draws), "sweep": sweeps})
    # On its way up during burn-in, which must not count.
    trace["log_likelihood"] = rng.normal(size=len(trace)) - np.maximum(draws - sweeps, 0)
    tau = rng.gamma(50, 1 / 50, size=(total, 3))
    return Draws(x, about(w), about(u), tau, np.ones((total, 2)), chain, trace)


@pytest.mark.parametrize("name", EXPECTED.index)
def test_measures_equal_arviz(name: str) -> None:
    series, expected = stored(name), EXPECTED.loc[name]
    assert ess_bulk(series)[0] == pytest.approx(expected["ess_bulk"], rel=1e-6)
    assert ess_tail(series)[0] == pytest.approx(expected["ess_tail"], rel=1e-6)
    if series.shape[0] > 1:  # arviz gives no R-hat of a single chain, though it splits chains
        assert r_hat(series)[0] == pytest.approx(expected["r_hat"], rel=1e-6)


def test_many_quantities_equal_one_at_a_time() -> None:
    series = np.concatenate([independent(1), np.cumsum(independent(2), axis=1), independent(3) ** 3], axis=2)
    for measure in (r_hat, ess_bulk, ess_tail):
        alone = [measure(series[:, :, k : k + 1])[0] for k in range(3)]
        np.testing.assert_allclose(measure(series), alone, rtol=1e-12)


def test_independent_draws_pass_and_count_in_full() -> None:
    series = independent(4, draws=1000, quantities=20)
    assert np.abs(r_hat(series) - 1).max() < 0.01
    assert np.median(ess_bulk(series)) == pytest.approx(4000, rel=0.1)
    assert np.median(ess_tail(series)) == pytest.approx(4000, rel=0.1)


def test_chains_apart_in_place_spread_or_time_are_seen() -> None:
    apart = independent(5) + np.arange(4)[:, None, None]
    wide = independent(6) * np.array([1, 1, 1, 8])[:, None, None]
    drifting = independent(7, chains=1) + np.linspace(0, 4, 200)[None, :, None]
    for series in (apart, wide, drifting):
        assert r_hat(series)[0] > 1.1


def test_autocorrelation_lowers_the_effective_sample_size() -> None:
    """For an autoregressive series the sample size shrinks by (1 - rho) / (1 + rho)."""
    noise, rho = independent(8, draws=4000), 0.8
    series = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        series[:, t] = rho * series[:, t - 1] + noise[:, t]
    assert ess_bulk(series)[0] == pytest.approx(16_000 / 9, rel=0.2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(-8, 8))
def test_ranks_do_not_feel_scale_sign_or_tails(seed: int, power: int) -> None:
    series = independent(seed, draws=40)
    # A power of two moves no rounding: the two middle draws are at the same distance from the median.
    np.testing.assert_allclose(r_hat(-series * 2.0**power), r_hat(series), rtol=1e-9)
    np.testing.assert_allclose(ess_bulk(np.exp(series)), ess_bulk(series), rtol=1e-9)


def test_a_constant_quantity_has_no_measure() -> None:
    series = np.concatenate([np.ones((2, 50, 1)), independent(9, chains=2, draws=50)], axis=2)
    for measure in (r_hat, ess_bulk, ess_tail):
        assert np.isnan(measure(series)).tolist() == [True, False]


def test_table_of_chains_that_agree() -> None:
    table = convergence(posterior(1)).set_index("quantity")
    assert [*table.reset_index().columns] == list(COLUMNS)
    expected = ["log_likelihood", "tau_0", "tau_1", "tau_2", "signal_worst", "signal_q95", "share_0", "share_1"]
    assert list(table.index) == [*expected, "x_worst", "x_q95"]
    assert table.drop(["signal_worst", "x_worst"])["ok"].all()
    assert (table["n"] == 200).all() and (table["reason"] == "").all()
    assert table.loc["x_worst", "r_hat"] >= table.loc["x_q95", "r_hat"]
    assert table.loc["x_worst", "ess_bulk"] <= table.loc["x_q95", "ess_bulk"]


def test_table_of_chains_that_do_not_agree() -> None:
    table = convergence(posterior(1, shift=1.0)).set_index("quantity")
    assert table.loc["x_worst", "r_hat"] > 1.5 and table.loc["signal_worst", "r_hat"] > 1.5
    assert not table.loc[["x_worst", "x_q95", "signal_q95"], "ok"].any()
    assert table.loc["tau_0", "ok"]


def test_table_is_the_same_twice_and_follows_its_seed() -> None:
    draws = posterior(2)
    pd.testing.assert_frame_equal(convergence(draws), convergence(draws))
    one, other = (convergence(draws, entries=5, seed=s).set_index("quantity") for s in (0, 1))
    assert one.loc["signal_worst", "r_hat"] != other.loc["signal_worst", "r_hat"]
    assert one.loc["tau_0", "r_hat"] == other.loc["tau_0", "r_hat"]


def test_order_of_components_does_not_matter() -> None:
    draws = posterior(3)
    second = draws.chain == 1
    for part in (draws.x, draws.w, draws.u):
        part[second] = part[second][:, :, ::-1]
    table = convergence(draws).set_index("quantity")
    assert table.loc["x_q95", "ok"] and table.loc["x_q95", "r_hat"] < 1.05


def test_limits_decide() -> None:
    table = convergence(posterior(1), max_r_hat=0.9)
    assert not table["ok"].any()
    assert not convergence(posterior(1), min_ess=1e6)["ok"].any()


def test_too_few_draws_and_no_trace_are_rows_with_a_reason() -> None:
    table = convergence(posterior(1, draws=5)).set_index("quantity")
    assert not table["ok"].any() and table["r_hat"].isna().all()
    assert (table["reason"] == "5 draws a chain, at least 8 are needed").all()
    draws = posterior(1)
    bare = convergence(replace(draws, trace=draws.trace.drop(columns="log_likelihood"))).set_index("quantity")
    assert "no log-likelihood" in bare.loc["log_likelihood", "reason"] and not bare.loc["log_likelihood", "ok"]
    assert bare.loc["tau_0", "reason"] == ""


def test_what_does_not_vary_or_is_not_there_is_a_row_with_a_reason() -> None:
    draws = posterior(1)
    off = replace(draws, w=draws.w * 0, tau=np.ones_like(draws.tau))
    table = convergence(off).set_index("quantity")
    assert table.loc["tau_1", "reason"] == "does not vary" and not table.loc["tau_1", "ok"]
    assert table.loc["signal_worst", "reason"] == "does not vary"
    assert table.loc["x_worst", "reason"] == "nothing to judge"


def test_unequal_chains_keep_their_last_draws() -> None:
    chain = np.array([0, 0, 0, 1, 1])
    found = by_chain(np.arange(5.0), chain)
    np.testing.assert_array_equal(found[:, :, 0], [[1, 2], [3, 4]])
