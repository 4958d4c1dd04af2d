"""Baselines against brute force, scikit-learn and their own promises."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from radgen_lib.core.errors import ConfigError, DataError
from radgen_lib.generators.base import FitContext, TrainingData, build_generator

ALL = ["MeanImage", "NearestPatient", "PCARidge", "UniformNoise"]
SEEDS = list(range(4))


def fitted(make, toy, name, **options):
    generator = make(f"baselines:{name}", **options)
    generator.fit(toy, FitContext(seed=1))
    return generator


def patient_rows(toy: TrainingData) -> list[np.ndarray]:
    return [np.flatnonzero(toy.patients == p) for p in sorted(set(toy.patients))]


@pytest.mark.parametrize("name", ALL)
def test_state_gives_the_same_images_back(make, toy, name):
    first = fitted(make, toy, name)
    second = make(f"baselines:{name}")
    second.load_state(first.state())
    expected = first.sample(toy.conditions[:4], SEEDS)
    assert expected.shape == (4, 16, 16) and expected.dtype == np.float32
    np.testing.assert_array_equal(second.sample(toy.conditions[:4], SEEDS), expected)


@pytest.mark.parametrize("name", ALL)
def test_a_row_does_not_know_its_batch(make, toy, name):
    generator = fitted(make, toy, name)
    together = generator.sample(toy.conditions[:4], SEEDS)
    for i in range(4):
        np.testing.assert_array_equal(generator.sample(toy.conditions[i : i + 1], [SEEDS[i]])[0], together[i])
    assert generator.sample(toy.conditions[:0], []).shape == (0, 16, 16)


@pytest.mark.parametrize("name", ALL)
def test_deterministic_says_whether_the_seed_matters(make, toy, name):
    generator = fitted(make, toy, name)
    same = np.array_equal(generator.sample(toy.conditions[:1], [1]), generator.sample(toy.conditions[:1], [2]))
    assert same is type(generator).deterministic
    assert type(generator).accelerated is False


@pytest.mark.parametrize("name", ["MeanImage", "NearestPatient", "PCARidge"])
def test_a_wrong_array_is_named(make, toy, name):
    state = fitted(make, toy, name).state()
    for key in state:
        with pytest.raises(ValueError, match=f"{key}.*missing"):
            make(f"baselines:{name}").load_state({k: v for k, v in state.items() if k != key})
        with pytest.raises(ValueError, match="has shape"):
            make(f"baselines:{name}").load_state({**state, key: state[key][..., :-1]})
    with pytest.raises(RuntimeError, match="not fitted"):
        make(f"baselines:{name}").sample(toy.conditions[:1], [0])


def test_noise_refuses_a_foreign_array(make):
    with pytest.raises(ValueError, match="mean"):
        make("baselines:UniformNoise").load_state({"mean": np.zeros((16, 16))})


def test_options_are_checked():
    with pytest.raises(ConfigError, match=r"image.*median.*Allowed keys: image"):
        build_generator(
            "radgen_lib.generators.baselines:NearestPatient", {"image": "median"}, image_size=8, n_conditions=2
        )


def test_mean_image_by_image_and_by_patient(make, toy):
    by_image = fitted(make, toy, "MeanImage").sample(toy.conditions[:1], [0])[0]
    np.testing.assert_allclose(by_image, toy.images.mean(axis=0), atol=1e-6)
    by_patient = fitted(make, toy, "MeanImage", unit="patient").sample(toy.conditions[:1], [0])[0]
    expected = np.mean([toy.images[rows].mean(axis=0) for rows in patient_rows(toy)], axis=0)
    np.testing.assert_allclose(by_patient, expected, atol=1e-6)
    assert np.abs(by_image - by_patient).max() > 1e-3


def test_nearest_agrees_with_scikit_learn(make, toy):
    generator = fitted(make, toy, "NearestPatient")
    asked = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    first_rows = [rows[0] for rows in patient_rows(toy)]
    reference = NearestNeighbors(n_neighbors=1).fit(toy.conditions[first_rows]).kneighbors(asked)[1][:, 0]
    np.testing.assert_array_equal(generator.nearest(asked), reference)
    np.testing.assert_array_equal(generator.sample(asked, range(40)), toy.images[np.array(first_rows)[reference]])


def test_nearest_can_average_a_patients_images(make, toy):
    generator = fitted(make, toy, "NearestPatient", image="mean")
    rows = max(patient_rows(toy), key=len)
    assert len(rows) > 1
    drawn = generator.sample(toy.conditions[rows[:1]], [0])[0]
    np.testing.assert_allclose(drawn, toy.images[rows].mean(axis=0), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_nearest_breaks_ties_by_identifier_whatever_the_order(order):
    """Two patients with one condition: the identifier that sorts first wins, in any order of training rows."""
    patients = np.array(["TCGA-E2-B", "TCGA-E2-A", "TCGA-AO-C", "TCGA-AO-D", "TCGA-AR-E", "TCGA-AR-F"])
    conditions = np.array([[0.0], [0.0], [3.0], [3.0], [9.0], [8.0]], dtype=np.float32)
    images = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), dtype=np.float32)
    rows = np.array(order)
    generator = build_generator("radgen_lib.generators.baselines:NearestPatient", {}, image_size=8, n_conditions=1)
    generator.fit(TrainingData(images[rows], conditions[rows], patients[rows]), FitContext(seed=0))
    asked = np.array([[0.1], [2.9], [100.0]], dtype=np.float32)
    assert generator.sample(asked, [0, 0, 0])[:, 0, 0].tolist() == [1.0, 2.0, 4.0]


def leave_one_patient_out_error(conditions: np.ndarray, images: np.ndarray, alpha: float) -> float:
    errors = []
    for left in range(len(images)):
        keep = np.arange(len(images)) != left
        model = Ridge(alpha=alpha).fit(conditions[keep], images[keep])
        errors.append(((model.predict(conditions[left : left + 1]) - images[left : left + 1]) ** 2).sum())
    return float(np.mean(errors))


def test_ridge_penalty_is_the_best_when_a_patient_is_left_out(make, toy):
    """The closed form on scores equals brute force on the pixels themselves, patient by patient."""
    alphas = (0.01, 0.3, 1.0, 5.0, 30.0, 300.0)
    generator = fitted(make, toy, "PCARidge", alphas=alphas)
    rows = patient_rows(toy)
    conditions = np.array([toy.conditions[r].mean(axis=0) for r in rows], dtype=np.float64)
    images = np.array([toy.images[r].mean(axis=0).ravel() for r in rows], dtype=np.float64)
    errors = [leave_one_patient_out_error(conditions, images, alpha) for alpha in alphas]
    assert generator.state()["alpha"][0] == pytest.approx(alphas[int(np.argmin(errors))])
    assert 0 < np.argmin(errors) < len(alphas) - 1, "the choice must not lie at an end of the grid"


def test_ridge_equals_a_pipeline_of_scikit_learn(make, toy):
    generator = fitted(make, toy, "PCARidge", alpha=2.0, components=3)
    rows = patient_rows(toy)
    conditions = np.array([toy.conditions[r].mean(axis=0) for r in rows], dtype=np.float64)
    images = np.array([toy.images[r].mean(axis=0).ravel() for r in rows], dtype=np.float64)
    pca = PCA(n_components=3).fit(images)
    model = Ridge(alpha=2.0).fit(conditions, pca.transform(images))
    asked = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)
    expected = pca.inverse_transform(model.predict(asked.astype(np.float64)))
    np.testing.assert_allclose(generator.sample(asked, range(5)).reshape(5, -1), expected, atol=1e-5)


def test_ridge_counts_patients_not_images(make, toy):
    """The images of one patient given three times over change nothing."""
    again = np.concatenate([np.arange(len(toy.images)), np.repeat(patient_rows(toy)[3], 2)])
    repeated = TrainingData(toy.images[again], toy.conditions[again], toy.patients[again])
    first, second = fitted(make, toy, "PCARidge"), fitted(make, repeated, "PCARidge")
    asked = toy.conditions[:4] + 0.2
    np.testing.assert_allclose(first.sample(asked, SEEDS), second.sample(asked, SEEDS), atol=1e-5)


def test_ridge_has_at_most_patients_minus_one_components(make, toy):
    state = fitted(make, toy, "PCARidge", components=50).state()
    assert state["components"].shape == (7, 16, 16)
    assert state["coefficients"].shape == (3, 7)


def test_ridge_reports_its_choice(make, toy):
    rows: list[dict[str, float]] = []
    make("baselines:PCARidge", components=2).fit(toy, FitContext(seed=0, record=rows.append))
    assert rows[0]["components"] == 2 and rows[0]["alpha"] > 0


def test_ridge_refuses_two_patients(make, toy):
    few = TrainingData(toy.images[:2], toy.conditions[:2], toy.patients[:2])
    with pytest.raises(DataError, match="2 training patients"):
        make("baselines:PCARidge").fit(few, FitContext(seed=0))


def test_noise_is_uniform_and_blind(make, toy):
    generator = fitted(make, toy, "UniformNoise")
    noise = generator.sample(toy.conditions[:2], [5, 6])
    np.testing.assert_array_equal(generator.sample(-toy.conditions[:2], [5, 6]), noise)
    assert stats.kstest(noise.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.25


def test_options_of_networks_need_no_torch():
    """The DAG is built from the options of every generator; that must not cost the import of torch."""
    code = (
        "import sys; from radgen_lib.generators import baselines, edm, vae; "
        "edm.EDMOptions(), vae.VAEOptions(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
