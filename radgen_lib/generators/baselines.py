"""Baselines in the same interface as the networks: what an image costs that needs no training.

They are the yardstick of every table: a network that does not beat the mean image, the nearest patient or a ridge
decoder has learnt nothing from the omics that these do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from radgen_lib.core.errors import DataError
from radgen_lib.core.seeds import make_rng
from radgen_lib.generators.base import FitContext, Generator, Options, State, TrainingData

Fitted = TypeVar("Fitted")


def take(state: State, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return ``state[name]`` when its shape fits (None: any length), else raise ValueError naming the array."""
    if name not in state:
        raise ValueError(f"array {name!r} is missing; found: {', '.join(sorted(state)) or 'none'}")
    array = np.ascontiguousarray(state[name])
    fits = array.ndim == len(shape) and all(want in (None, size) for want, size in zip(shape, array.shape, strict=True))
    if not fits:
        raise ValueError(f"array {name!r} has shape {array.shape}, expected {shape}")
    return array


class MeanOptions(Options):
    """Options of :class:`MeanImage`."""

    unit: Annotated[
        Literal["image", "patient"],
        Field(description="image: every training image counts once; patient: every training patient counts once"),
    ] = "image"


class MeanImage(Generator):
    """The mean training image for every condition: the best constant answer in squared error.

    The default is the plain mean over images, the reference row of the published pixel-row Frechet distance.
    """

    Options: ClassVar[type[Options]] = MeanOptions
    deterministic: ClassVar[bool] = True
    accelerated: ClassVar[bool] = False
    _mean: np.ndarray | None = None

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Average the training images."""
        by_patient = self.options.unit == "patient"
        images = _patient_means(data.images, data.patients) if by_patient else data.images
        self._mean = images.mean(axis=0, dtype=np.float64).astype(np.float32)

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Return the same image for each row."""
        return np.repeat(_fitted(self._mean)[None], len(conditions), axis=0)

    def state(self) -> State:
        """Array ``mean`` [H, W]."""
        return {"mean": _fitted(self._mean)}

    def load_state(self, state: State) -> None:
        """Take back the mean image."""
        self._mean = take(state, "mean", (self.image_size, self.image_size))


class NearestOptions(Options):
    """Options of :class:`NearestPatient`."""

    image: Annotated[
        Literal["first", "mean"],
        Field(description="first: the patient's first image in training order, a real projection; mean: their average"),
    ] = "first"


class NearestPatient(Generator):
    """A real training image: that of the patient whose condition is nearest (Euclidean, scaled conditions).

    The default copies the patient's first image by training order, because the average of several series is blurred
    and is no projection of anyone. A tie goes to the patient whose identifier sorts first. Its state holds training
    images, so a stored card of it is as sensitive as the images are.
    """

    Options: ClassVar[type[Options]] = NearestOptions
    deterministic: ClassVar[bool] = True
    accelerated: ClassVar[bool] = False
    _conditions: np.ndarray | None = None
    _images: np.ndarray | None = None

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Keep one condition and one image per training patient."""
        self._conditions = _patient_means(data.conditions, data.patients)
        if self.options.image == "mean":
            self._images = _patient_means(data.images, data.patients)
        else:
            first = np.unique(data.patients, return_index=True)[1]
            self._images = np.ascontiguousarray(data.images[first], dtype=np.float32)

    def nearest(self, conditions: np.ndarray) -> np.ndarray:
        """Position (in sorted order of patients) of the nearest training patient, int [n]."""
        known = _fitted(self._conditions).astype(np.float64)
        return np.array([np.argmin(((known - row) ** 2).sum(axis=1)) for row in conditions], dtype=np.int64)

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Return the image of the nearest training patient for each row."""
        return _fitted(self._images)[self.nearest(conditions)]

    def state(self) -> State:
        """Arrays ``conditions`` [p, c] and ``images`` [p, H, W]."""
        return {"conditions": _fitted(self._conditions), "images": _fitted(self._images)}

    def load_state(self, state: State) -> None:
        """Take back the training patients."""
        self._conditions = take(state, "conditions", (None, self.n_conditions))
        self._images = take(state, "images", (len(self._conditions), self.image_size, self.image_size))


class PCARidgeOptions(Options):
    """Options of :class:`PCARidge`."""

    components: Annotated[
        int | None, Field(ge=1, description="Principal components of the images; null: as many as patients allow")
    ] = None
    alpha: Annotated[
        float | None,
        Field(gt=0, description="Ridge penalty; null: chosen by leaving out one training patient at a time"),
    ] = None
    alphas: Annotated[tuple[float, ...], Field(min_length=1, description="Penalties tried when alpha is null")] = tuple(
        float(a) for a in np.logspace(-2, 5, 15)
    )


class PCARidge(Generator):
    """A linear decoder: ridge regression from the condition to the principal components of the images.

    Components and ridge are fitted on patient means, so a patient counts once whatever the number of series. The
    penalty has the least squared error when one training patient is left out at a time (closed form of scikit-learn's
    ``RidgeCV``). With all components (at most patients - 1) the scores keep every distance between the training
    images, so that error is the one in pixels. The image is the conditional mean: smooth, and without noise.
    """

    Options: ClassVar[type[Options]] = PCARidgeOptions
    deterministic: ClassVar[bool] = True
    accelerated: ClassVar[bool] = False
    _weights: State | None = None

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Fit components, penalty and coefficients; raises DataError with fewer than three training patients."""
        from sklearn.decomposition import PCA
        from sklearn.linear_model import Ridge, RidgeCV

        images = _patient_means(data.images, data.patients).astype(np.float64)
        conditions = _patient_means(data.conditions, data.patients).astype(np.float64)
        n = len(images)
        if n < 3:
            raise DataError(f"PCARidge: {n} training patients; leaving one out needs at least 3. Use MeanImage")
        pca = PCA(n_components=min(self.options.components or n - 1, n - 1), svd_solver="full")
        scores = pca.fit_transform(images.reshape(n, -1))
        ridge = Ridge(alpha=self.options.alpha) if self.options.alpha else RidgeCV(alphas=self.options.alphas)
        ridge.fit(conditions, scores)
        alpha = self.options.alpha or float(ridge.alpha_)
        context.record({"step": 0.0, "components": float(scores.shape[1]), "alpha": alpha})
        self._weights = {
            "mean": pca.mean_.reshape(images.shape[1:]),
            "components": pca.components_.reshape(-1, *images.shape[1:]),
            "coefficients": np.ascontiguousarray(ridge.coef_.T),
            "intercept": np.asarray(ridge.intercept_),
            "alpha": np.array([alpha]),
        }

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Return the decoded image of each row; one row at a time, so that the batch cannot change a bit."""
        w = _fitted(self._weights)
        flat = w["components"].reshape(len(w["components"]), -1)
        scores = [np.asarray(row, dtype=np.float64) @ w["coefficients"] + w["intercept"] for row in conditions]
        images = [w["mean"] + (score @ flat).reshape(w["mean"].shape) for score in scores]
        return np.asarray(images, dtype=np.float32).reshape(-1, self.image_size, self.image_size)

    def state(self) -> State:
        """Arrays ``mean``, ``components`` [k, H, W], ``coefficients`` [c, k], ``intercept`` [k], ``alpha`` [1]."""
        return dict(_fitted(self._weights))

    def load_state(self, state: State) -> None:
        """Take back the decoder."""
        size = self.image_size
        components = take(state, "components", (None, size, size))
        k = len(components)
        self._weights = {
            "mean": take(state, "mean", (size, size)),
            "components": components,
            "coefficients": take(state, "coefficients", (self.n_conditions, k)),
            "intercept": take(state, "intercept", (k,)),
            "alpha": take(state, "alpha", (1,)),
        }


class UniformNoise(Generator):
    """Uniform noise in [0, 1), seeded by row: the arm that carries neither image nor omics."""

    accelerated: ClassVar[bool] = False

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Nothing is fitted."""

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Return independent noise per seed; conditions are not looked at."""
        shape = (self.image_size, self.image_size)
        images = [make_rng(int(seed), "uniform-noise").random(shape, dtype=np.float32) for seed in seeds]
        return np.asarray(images, dtype=np.float32).reshape(-1, *shape)

    def state(self) -> State:
        """No arrays."""
        return {}

    def load_state(self, state: State) -> None:
        """Nothing to take back; an array is refused because it belongs to another generator."""
        if state:
            raise ValueError(f"array {min(state)!r} does not belong to UniformNoise, which has no state")


def _patient_means(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Mean of ``values`` [n, ...] over the rows of each patient, patients sorted: [p, ...], float32."""
    return np.stack([values[patients == p].mean(axis=0, dtype=np.float64) for p in np.unique(patients)]).astype("f4")


def _fitted(value: Fitted | None) -> Fitted:
    if value is None:
        raise RuntimeError("the generator is not fitted: call fit or load_state first")
    return value
