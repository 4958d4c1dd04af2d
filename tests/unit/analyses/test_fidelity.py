"""Fidelity rows: pixels, diversity and feature distances, against direct computation and planted truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import feature_distance as distances
from radgen_lib.analyses import resampling
from radgen_lib.analyses.fidelity import fidelity_rows, pair_table, pixel_rows
from radgen_lib.analyses.runs import Run, featured_runs
from radgen_lib.core.config.cpdm import Protocol
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.frechet import frechet_distance, pixelrow_frechet
from radgen_lib.metrics.intervals import patient_bootstrap

Pick = Callable[..., pd.Series]


@pytest.fixture(scope="module")
def rows(world: Any) -> pd.DataFrame:
    from radgen_lib.core.config.cpdm import RIGOROUS

    tables = world.tables
    return fidelity_rows(
        world.images, tables.real_features, world.runs, tables.splits, name="rigorous", protocol=RIGOROUS, seed=3,
        draws=200,
    )  # fmt: skip


def test_mse_is_the_mean_over_patients_of_the_mean_over_their_images(
    world: Any, rows: pd.DataFrame, pick: Pick
) -> None:
    run, splits = world.runs[0], world.tables.splits
    tests = splits[(splits["design"] == "grouped") & (splits["role"] == "test")]
    held = run.index[run.index["kind"] == "heldout"]
    errors: dict[str, list[float]] = {}
    for test in tests.itertuples():
        made = held[(held["fold"] == test.fold) & (held["patient"] == test.patient)]["row"]
        real = world.images[test.image_index] / 255
        found = [np.mean((np.clip(run.samples[r].astype(float), 0, 1) - real) ** 2) for r in made]
        errors.setdefault(test.patient, []).append(float(np.mean(found)))
    expected = np.mean([np.mean(v) for v in errors.values()])
    found = pick(rows, generator="edm", design="grouped", metric="mse")
    assert found["value"] == pytest.approx(expected, rel=1e-4)
    assert found["n"] == 16
    assert found["low"] < found["value"] < found["high"]


def test_image_unit_weighs_images_and_best_is_the_smallest_draw(world: Any, published: Protocol, pick: Pick) -> None:
    protocol = published.model_copy(update={"designs": ["published_split"]})
    tables = world.tables
    found = fidelity_rows(
        world.images, tables.real_features, world.runs[:1], tables.splits, name="as_published", protocol=protocol,
        seed=3, draws=100,
    )  # fmt: skip
    pairs = pair_table(world.images, world.runs[0], tables.splits, clamp=False)
    split = pairs[pairs["fold"] == "split"].groupby("image_index")["pixelrow"]
    best = pick(found, design="published_split", metric="pixelrow_frechet_best")
    assert best["value"] == pytest.approx(split.min().mean())
    assert best["note"].startswith("headline; mean over 4 test images")
    mean = pick(found, design="published_split", metric="pixelrow_frechet_mean")
    assert mean["value"] == pytest.approx(split.mean().mean())
    assert best["value"] < mean["value"]


def test_best_is_of_the_first_three_draws_however_many_there_are(world: Any, published: Protocol) -> None:
    pairs = pair_table(world.images, world.runs[0], world.tables.splits, clamp=True)
    pairs = pairs[pairs["fold"] == "split"]
    parts = [pairs[pairs["draw"] == 0].assign(draw=d, pixelrow=10.0 - d) for d in range(6)]
    keys = {"item": "B.TA", "design": "published_split"}
    rows = {r["metric"]: r for r in pixel_rows(pd.concat(parts), keys, published, draws=20, seed=1)}
    assert rows["pixelrow_frechet_best"]["value"] == pytest.approx(8.0)
    assert rows["pixelrow_frechet_mean"]["value"] == pytest.approx(9.0)
    assert rows["pixelrow_frechet_best"]["note"].endswith("first 3 draws each")
    assert rows["mse"]["note"].endswith(", 6 draws each")


def test_error_intervals_are_bca_over_patients(world: Any, rigorous: Protocol, published: Protocol) -> None:
    pairs = pair_table(world.images, world.runs[0], world.tables.splits, clamp=True)
    pairs = pairs[pairs["design"] == "grouped"]
    by_image = pairs.groupby(["patient", "image_index"])["mse"].mean()
    by_patient = by_image.groupby("patient").mean()
    for protocol, values in ((rigorous, by_patient), (published, by_image)):
        found = {r["metric"]: r for r in pixel_rows(pairs, {"item": "B.TA"}, protocol, draws=200, seed=9)}
        table, patients = values.to_numpy(), values.index.get_level_values("patient").to_numpy(dtype=str)
        direct = patient_bootstrap(
            lambda rows, table=table: float(table[rows].mean()), patients, draws=200, bca=True,
            rng=make_rng(9, "patient bootstrap", 16),
        )  # fmt: skip
        row = found["mse"]
        assert (row["value"], row["low"], row["high"]) == pytest.approx(direct[:3])
        assert row["interval"] == found["ssim"]["interval"] == direct.method
        assert "BCa" not in found["pixelrow_frechet_mean"]["interval"]


def test_diverged_sampling_is_noted(world: Any, rows: pd.DataFrame) -> None:
    wild = replace(world.runs[0], samples=(world.runs[0].samples.astype(np.float32) * 1000).astype(np.float16))
    keys = {"item": "B.TA", "design": "grouped"}
    from radgen_lib.core.config.cpdm import RIGOROUS

    for clamp, noted in ((False, True), (True, False)):
        pairs = pair_table(world.images, wild, world.tables.splits, clamp=clamp)
        found = pixel_rows(pairs[pairs["design"] == "grouped"], keys, RIGOROUS, draws=20, seed=1)
        text = "most pixels lie outside [-1, 2]: sampling diverged"
        assert all((text in row["note"]) == noted for row in found)
    assert not rows["note"].str.contains("diverged").any()


def test_how_the_genes_were_chosen_stands_on_every_row_of_that_condition(rows: pd.DataFrame) -> None:
    flagged = rows["note"].str.contains("chosen by survival")
    assert (flagged == (rows["condition"] == "genes15")).all()


def test_pairs_compare_a_patients_draws_to_that_patients_images(world: Any) -> None:
    run = world.runs[0]
    pairs = pair_table(world.images, run, world.tables.splits, clamp=True)
    row = pairs[pairs["design"] == "grouped"].iloc[5]
    made = np.clip(run.samples[row["row"]].astype(np.float32), 0, 1)
    assert row["pixelrow"] == pytest.approx(pixelrow_frechet(world.images[row["image_index"]] / 255, made), rel=1e-4)
    owner = world.series.set_index("image_index")["patient"]
    assert (pairs["image_index"].map(owner) == pairs["patient"]).all()


def test_clamping_follows_the_protocol(world: Any) -> None:
    run = world.runs[0]
    wild = replace(run, samples=(run.samples * 3).astype(np.float16))
    clamped, free = (pair_table(world.images, wild, world.tables.splits, clamp=c)["mse"].mean() for c in (True, False))
    assert clamped < free


def test_diversity_tells_copies_of_one_image_from_varied_ones(rows: pd.DataFrame, pick: Pick) -> None:
    varied = pick(rows, generator="edm", design="grouped", metric="diversity_ratio")
    one = pick(rows, generator="mean", design="grouped", metric="diversity_ratio")
    wild = pick(rows, generator="noise", design="grouped", metric="diversity_ratio")
    assert one["value"] < varied["value"] < wild["value"]
    assert 0.7 < varied["value"] < 1.3
    assert varied["low"] <= varied["value"] <= varied["high"]


def test_good_generator_is_nearer_than_a_bad_one_and_floor_stands_beside(rows: pd.DataFrame, pick: Pick) -> None:
    keys = {"design": "grouped", "extractor": "radiomics"}
    good, bad = (pick(rows, generator=g, metric="kid", **keys) for g in ("edm", "mean"))
    assert good["value"] < bad["value"]
    assert good["note"].startswith("headline; ")
    floor = pick(rows, arm="floor", metric="kid")
    assert floor["generator"] == "real"
    assert floor["low"] <= floor["value"] <= floor["high"]
    frd = pick(rows, generator="edm", metric="frd", **keys)
    assert frd["low"] < frd["value"] < frd["high"]
    assert frd["interval"].startswith("patient jackknife")
    for metric in ("frd", "precision", "recall", "density", "coverage"):
        row = pick(rows, generator="edm", metric=metric, **keys)
        assert row["low"] <= row["high"]
        assert row["value"] >= 0


def test_every_number_has_n_and_an_interval(rows: pd.DataFrame) -> None:
    numbers = rows[rows["reason"] == ""]
    assert (numbers["n"] > 0).all()
    assert (numbers["interval"] != "").all()
    assert set(numbers["design"]) == {"grouped", "site", ""}


def test_encoder_without_weights_is_a_reason_per_generator(rows: pd.DataFrame) -> None:
    missing = rows[rows["extractor"] == "vgg16"]
    assert len(missing) == 4
    assert (missing["reason"] == "weights not present: file vgg16.safetensors").all()


def test_chunks_of_one_generator_give_the_same_rows(world: Any, rigorous: Protocol) -> None:
    run = world.runs[0]
    first = run.index["fold"].isin(["r0f0", "full"])
    parts = []
    for keep in (first, ~first):
        table = run.index[keep]
        renumbered = table.assign(row=np.arange(len(table)))
        features = run.features[keep].assign(row=np.arange(len(table)))
        parts.append(Run(run.condition, run.generator, run.samples[table["row"]], renumbered, features, run.status))
    made = [
        fidelity_rows(
            world.images, world.tables.real_features, runs, world.tables.splits, name="rigorous",
            protocol=rigorous.model_copy(update={"designs": ["grouped"]}), seed=3, draws=50,
        )
        for runs in ([run], parts)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(*made)


def _pair(seed: int = 0, n: int = 20, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 0.5 + 1.3 * rng.normal(size=(n, d))


def test_undrawn_frechet_is_the_plain_one() -> None:
    a, b = _pair()
    assert distances.frechet_draws(a, b, np.ones((1, len(a))))[0] == pytest.approx(frechet_distance(a, b).value)


def test_drawn_frechet_is_that_of_the_repeated_rows() -> None:
    a, b = _pair(1)
    weights = resampling.patient_weights(len(a), 4, 2)
    for value, w in zip(distances.frechet_draws(a, b, weights), weights.astype(int), strict=True):
        rows = np.repeat(np.arange(len(a)), w)
        assert value == pytest.approx(frechet_distance(a[rows], b[rows]).value)


def test_scaling_is_fitted_on_the_folds_training_images(world: Any) -> None:
    tables = world.tables
    table = featured_runs(world.runs[:1])["genes15", "edm"]
    sets, patients, dropped = distances.matched_sets(tables.real_features, table, tables.splits, "grouped", "radiomics")
    assert len(sets) == 1
    assert len(patients) == len(tables.real_features)
    assert dropped == 0
    first = tables.splits[(tables.splits["fold"] == "r0f0") & (tables.splits["role"] == "test")]
    index = int(first["image_index"].min())
    train = tables.real_features[~tables.real_features["image_index"].isin(first["image_index"])]
    column = "radiomics:f0"
    value = tables.real_features.set_index("image_index").loc[index, column]
    assert sets[0][0][index, 0] == pytest.approx((value - train[column].mean()) / train[column].std())


def test_an_exploding_column_of_one_image_does_not_decide(world: Any) -> None:
    tables = world.tables
    table = featured_runs(world.runs[:1])["genes15", "edm"]
    held = table.index[table["kind"] == "heldout"]
    wild = table.copy()
    wild.loc[held, "radiomics:f3"] *= 1e5
    keys = {"item": "B.TA", "extractor": "radiomics", "design": "grouped"}
    asked = {"headline": "kid", "draws": 50, "seed": 1}
    limited = distances.distance_rows(tables.real_features, wild, tables.splits, keys, **asked)
    assert max(abs(row["value"]) for row in limited) < 100
    assert all("z-scored on training images, limited to 5 SD" in row["note"] for row in limited)
    sets, _, _ = distances.matched_sets(tables.real_features, wild, tables.splits, "grouped", "radiomics")
    assert np.abs(sets[0][1]).max() == 5
    real = tables.real_features.copy()
    real.loc[0, "radiomics:f3"] = 1e9
    floor = distances.floor_rows(real, {"item": "B.TA", "extractor": "radiomics"}, seed=1)
    assert max(abs(row["high"]) for row in floor) < 100
    assert all("limited to 5 SD" in row["note"] for row in floor)


def test_constant_and_infinite_features_are_left_out(world: Any) -> None:
    tables = world.tables
    real = tables.real_features.assign(**{"radiomics:f1": 4.0})
    table = featured_runs(world.runs[:1])["genes15", "edm"].assign(**{"radiomics:f2": np.nan})
    sets, _, dropped = distances.matched_sets(real, table, tables.splits, "grouped", "radiomics")
    assert dropped == 2
    assert sets[0][0].shape[1] == 3


def test_features_of_which_none_is_finite_are_a_reason(world: Any) -> None:
    tables = world.tables
    table = featured_runs(world.runs[:1])["genes15", "edm"]
    lost = table.assign(**{name: np.nan for name in table.columns if name.startswith("radiomics:")})
    keys = {"item": "B.TA", "extractor": "radiomics", "design": "grouped"}
    rows = distances.distance_rows(tables.real_features, lost, tables.splits, keys, headline="kid", draws=50, seed=1)
    assert [row["metric"] for row in rows] == ["kid"]
    assert rows[0]["reason"].startswith("cannot be compared: ") and "5 unusable left out" in rows[0]["reason"]


def test_test_patient_without_a_draw_is_an_error(world: Any) -> None:
    tables = world.tables
    table = featured_runs(world.runs[:1])["genes15", "edm"]
    gone = table[~((table["kind"] == "heldout") & (table["patient"] == tables.real_features["patient"][0]))]
    with pytest.raises(ValueError, match="without a held-out draw"):
        distances.matched_sets(tables.real_features, gone, tables.splits, "grouped", "radiomics")


def test_patients_without_the_condition_are_not_asked_for(world: Any) -> None:
    from radgen_lib.core.config.cpdm import RIGOROUS

    tables, lost = world.tables, world.tables.splits["patient"].iloc[0]
    known = {"genes15": set(tables.splits["patient"]) - {lost}}
    runs = [replace(run, index=run.index[run.index["patient"] != lost]) for run in world.runs[:1]]
    kept = [replace(run, features=run.features[run.features["row"].isin(run.index["row"])]) for run in runs]
    options = {"name": "rigorous", "protocol": RIGOROUS, "seed": 3, "draws": 100}
    with pytest.raises(ValueError, match=f"test patients without a held-out draw: {lost}"):
        fidelity_rows(world.images, tables.real_features, kept, tables.splits, **options)
    found = fidelity_rows(world.images, tables.real_features, kept, tables.splits, known=known, **options)
    distances = found[(found["metric"] == "kid") & (found["design"] == "grouped")]
    assert len(distances) == 1
    assert distances["n"].iloc[0] == 15
