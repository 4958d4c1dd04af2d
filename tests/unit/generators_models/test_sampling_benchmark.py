"""The sampling benchmark's rule, floor, folds and samplers of the published network, without any training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.sampling import SEEDS, Scores, judge, samplers, swap_floor, verdict
from benchmarks.sampling_cohort import SIDE, conditions, halves, pairs
from benchmarks.sampling_karras import KarrasPublished, own_levels
from radgen_lib.core.progress import Progress
from radgen_lib.generators.base import build_generator
from radgen_lib.generators.diffusion import GaussianDiffusion
from radgen_lib.metrics.intervals import Interval

FLOOR = Interval(0.0, -1.0, 1.0, 28, "")


def value(number: float) -> Interval:
    return Interval(number, number - 1, number + 1, 28, "")


def scores(*, ratio: float = 30.0, sampler: float = 0.5, real: float = 0.5) -> Scores:
    return Scores(2.0, 2.0 * ratio, value(sampler), FLOOR, value(real), value(9.0), FLOOR)


def test_the_rule_has_three_parts_that_fail_one_by_one():
    assert all(scores().parts().values()) and all(scores(ratio=25.0).parts().values())
    for change, part in (
        ({"ratio": 24.9}, "time"), ({"sampler": 1.1}, "sampler"), ({"real": -1.1}, "network"),
        ({"real": float("nan")}, "network"), ({"sampler": float("nan")}, "sampler"),
    ):  # fmt: skip
        assert [name for name, met in scores(**change).parts().items() if not met] == [part]
    assert "KID to real 1.5 [0.5, 2.5]" in scores(real=1.5).note() and "network no" in scores(real=1.5).note()


def test_the_verdict_needs_every_training_seed():
    lines = list(verdict({"a": [scores(), scores()], "b": [scores(), scores(real=3.0), scores(real=3.0, ratio=2.0)]}))
    assert lines == ["a, 2 trainings: target met at all", "b, 3 trainings: failed: time at 1, network at 2"]


def test_settings_are_fixed_and_the_network_is_one():
    """Options differ in sampling alone; the first sampler takes all 1,500 steps."""
    sampling = {"sampler", "sampling_steps", "eta"}
    for network in SEEDS:
        made = samplers(network, quick=False)
        trained = [{k: v for k, v in options.items() if k not in sampling} for _, options in made.values()]
        assert all(options == trained[0] for options in trained)
        built = [build_generator(*one, image_size=SIDE, n_conditions=15).options for one in made.values()]
        assert built[0].sampler == "ancestral"
        assert (built[0].sampling_steps if network == "EDM" else built[0].timesteps) == 1500
    assert list(samplers("EDM", quick=False))[1:4] == ["8 Heun steps", "12 Heun steps", "18 Heun steps"]


def test_folds_share_no_patient_and_hold_out_everyone_once():
    data = pairs(quick=True)
    first, second = halves(data.patients)
    assert len(first) == len(second) == 5 and not set(first) & set(second)
    assert sorted([*first, *second]) == sorted(set(data.patients))
    assert data.images.shape == (16, SIDE, SIDE) and data.images.min() >= 0 and data.images.max() <= 1


def test_conditions_are_scaled_on_training_patients_alone():
    data = pairs(quick=True)
    held_out = halves(data.patients)[0]
    given, wanted = conditions(data, held_out)
    once = np.unique(data.patients[~np.isin(data.patients, held_out)], return_index=True)[1]
    np.testing.assert_allclose(given[once].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(given[once].std(axis=0, ddof=1), 1, rtol=1e-5)
    other = data.genes.copy()
    other.loc[held_out] = other.loc[held_out] * 7 + 1
    again, moved = conditions(data._replace(genes=other), held_out)
    np.testing.assert_array_equal(again, given)
    assert np.abs(moved - wanted).min(axis=0).max() > 0.1


def test_the_swap_floor_holds_equal_draws_and_not_shifted_ones():
    """Coverage: of 40 pairs of draws from one distribution about 2 leave their floor; a shift leaves it far behind."""
    from radgen_lib.metrics.kid import kid_interval

    rng = np.random.default_rng(3)
    people = np.array([f"p{i}" for i in range(16)])
    outside = 0
    for _ in range(40):
        own = rng.normal(size=(16, 1))  # the two draws of a patient are alike
        first, second, third = (own + 0.5 * rng.normal(size=(16, 6)) for _ in range(3))
        floor = swap_floor(first, second, people, swaps=40, rng=rng)
        found = kid_interval(third, first, people, people, draws=1, rng=rng).value
        outside += not floor.low <= found <= floor.high
    assert outside <= 8
    assert floor.low < floor.value < floor.high and floor.n == 16
    shifted = kid_interval(first + 1.5, second, people, people, draws=1, rng=rng).value
    assert shifted > 3 * floor.high


def test_judging_finds_the_sampler_that_draws_something_else():
    """Few-step images that are real ones of others pass the sampler's part, noise passes none."""
    data = pairs(quick=True)
    rng = np.random.default_rng(0)
    first = np.unique(data.patients, return_index=True)[1]
    real = data.images[first]

    def near() -> np.ndarray:
        return np.clip(real[rng.permutation(10)] + 0.01 * rng.normal(size=real.shape), 0, 1).astype(np.float32)

    many, like = np.stack([near(), near()]), np.stack([near(), near()])
    noise = rng.random(many.shape).astype(np.float32)
    found = judge(data, {"ancestral": many, "like": like, "noise": noise}, {"ancestral": 90.0, "like": 3.0, "noise": 4})
    assert found["like"].parts()["time"] and not found["noise"].parts()["time"]
    assert abs(found["like"].sampler.value) < 0.05 * found["noise"].sampler.value
    assert not found["noise"].parts()["sampler"] and not found["noise"].parts()["network"]
    assert found["like"].peer_real == found["noise"].peer_real


class GaussianNoisePredictor:
    """The best noise predictor for pixels N(mean, spread^2) under a diffusion."""

    def __init__(self, diffusion: GaussianDiffusion, mean: float, spread: float) -> None:
        self.kept, self.mean, self.spread, self.calls = diffusion.kept, mean, spread, 0

    def __call__(self, x, time, conditions):
        self.calls += 1
        kept = float(self.kept[int(time)])
        expected = kept**0.5 * self.mean
        return (x - expected) * (1 - kept) ** 0.5 / (kept * self.spread**2 + 1 - kept)


@pytest.mark.parametrize(("steps", "eta", "share"), [(18, 0.0, 0.15), (60, 0.0, 0.02), (50, 1.0, 0.05)])
def test_few_steps_of_the_published_network_give_back_gaussian_data(steps, eta, share):
    mean, spread, rows = 0.5, 0.1, 200
    options = {"width": 8, "epochs": 1, "sampler": "ddim", "sampling_steps": steps, "eta": eta}
    made = build_generator("benchmarks.sampling_karras:KarrasPublished", options, image_size=8, n_conditions=2)
    assert isinstance(made, KarrasPublished)
    diffusion = GaussianDiffusion(1500)
    network = GaussianNoisePredictor(diffusion, mean, spread)
    images = made._sample_batch(network, diffusion, torch.zeros(rows, 2), range(rows), Progress("steps", steps))
    assert images.shape == (rows, 8, 8) and network.calls == (steps if eta else 2 * steps - 1)
    assert images.mean() == pytest.approx(mean, abs=0.005)
    assert images.std() == pytest.approx(spread, rel=share)


def test_levels_of_the_published_network_are_its_own_and_fall():
    levels = np.sqrt((1 - GaussianDiffusion(1500).kept) / GaussianDiffusion(1500).kept)
    chosen = own_levels(levels, 12)
    assert len(chosen) == 12 and chosen == sorted(set(chosen), reverse=True) and chosen[-1] == 0
    assert levels[chosen[0]] == pytest.approx(80, rel=0.01)
    assert len(own_levels(levels[:5], 12)) == 5
