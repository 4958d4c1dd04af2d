"""Fitted generators on disk: one safetensors file for all folds of a job, and the card that makes it usable.

The card names the weights file and its SHA-256, and for each fold the class, its options, the condition and how it is
scaled; ``trained_on`` (written by the training job) holds the training patients and images. Arrays are keyed
``fold/generator/name``, ``fold/scaler/name`` and ``fold/range``. Nothing is pickled; a card is data, but the class it
names is imported, so use cards from a source you trust.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from radgen_lib.core.atomic import atomic_path
from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import ConfigError, data_error
from radgen_lib.core.provenance import Card
from radgen_lib.generators.base import Generator, build_generator
from radgen_lib.omics.conditions import ConditionScaler

LICENCE = (
    "The weights derive from the training images and follow their terms of use; the project's own licence (MIT) "
    "covers the code alone."
)
INTENDED_USE = (
    "Research on methods: reproduction and audit of image synthesis from omics. Not for diagnosis, treatment or any "
    "decision about a person; a synthetic image shows nobody's breast."
)
AGAIN = "Take card and weights from one training run, or train again"


@dataclass(frozen=True)
class FittedGenerator:
    """A generator with what turns raw omics into its input.

    names: conditions in order; ranges: lowest and highest raw training value of each, float64 [2, c], or None;
    patients: training patients (filled in by :func:`load_generators` from the card); kept: the file in a resume
    folder that holds it until the job's outputs are written (:mod:`radgen_lib.generators.resume`).
    """

    generator: Generator
    scaler: ConditionScaler
    names: tuple[str, ...]
    ranges: np.ndarray | None = None
    patients: tuple[str, ...] = ()
    kept: Path | None = None

    def sample(self, conditions: pd.DataFrame, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Float32 [n, H, W] for raw ``conditions`` (columns ``names`` and possibly others), one seed a row."""
        raw = conditions[list(self.names)].to_numpy(dtype=np.float64)
        return self.generator.sample(self.scaler.transform(raw), seeds, device=device)


class FoldFacts(BaseModel):
    """What the card says about one fold."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    class_path: str
    options: dict[str, Any]
    image_size: int
    names: tuple[str, ...]
    scaling: Literal["per_patient_minmax", "cohort_zscore"]
    log: bool
    patients: tuple[str, ...]
    image_indexes: tuple[int, ...]


class GeneratorCard(BaseModel):
    """The part of a card that loading relies on; other fields (provenance) are left alone."""

    model_config = ConfigDict(extra="ignore")

    weights: str
    weights_sha256: str
    folds: dict[str, FoldFacts]


def save_generators(
    weights: str | Path, card_path: str | Path, fitted: Mapping[str, FittedGenerator], card: Card
) -> None:
    """Write the arrays of all folds and then the card, each atomically.

    ``card.fields["trained_on"]``, where the training job set it, maps a fold to its ``patient`` and ``image_index``
    lists. ``weights`` must lie in the folder of ``card_path``; the card names it without a path, so that the two can
    be moved together.
    """
    from safetensors.numpy import save_file

    weights, card_path = Path(weights), Path(card_path)
    if weights.parent.resolve() != card_path.parent.resolve():
        raise ValueError(f"{weights.name} and {card_path.name} must lie in one folder")
    arrays: dict[str, np.ndarray] = {}
    for fold, one in fitted.items():
        arrays.update(fold_arrays(fold, one))
    with atomic_path(weights) as path:
        save_file(arrays, path)
    trained_on: Mapping[str, Any] = card.fields.get("trained_on", {})  # type: ignore[assignment]
    card.add(
        weights=weights.name,
        weights_sha256=file_sha256(weights),
        folds={fold: fold_facts(one, trained_on.get(fold, {})).model_dump(mode="json") for fold, one in fitted.items()},
        licence=LICENCE,
        intended_use=INTENDED_USE,
    )
    card.write(card_path)


def fold_arrays(fold: str, fitted: FittedGenerator) -> dict[str, np.ndarray]:
    """Copies, in C order, of all arrays of one fold under the names that a weights file has."""
    arrays = {f"{fold}/generator/{key}": value for key, value in fitted.generator.state().items()}
    arrays.update({f"{fold}/scaler/{key}": value for key, value in fitted.scaler.state().items()})
    if fitted.ranges is not None:
        arrays[f"{fold}/range"] = fitted.ranges
    return {key: np.array(value, order="C") for key, value in arrays.items()}


def fold_facts(fitted: FittedGenerator, trained_on: Mapping[str, Sequence[Any]]) -> FoldFacts:
    """What a card says about one fold; ``trained_on`` holds the lists ``patient`` and ``image_index``, or nothing."""
    kind = type(fitted.generator)
    return FoldFacts(
        class_path=f"{kind.__module__}:{kind.__qualname__}",
        options=fitted.generator.options.model_dump(mode="json"),
        image_size=fitted.generator.image_size,
        names=fitted.names,
        scaling=fitted.scaler.method,
        log=fitted.scaler.log,
        patients=tuple(sorted(set(trained_on.get("patient", fitted.patients)))),
        image_indexes=tuple(int(i) for i in trained_on.get("image_index", ())),
    )


def load_generators(card_path: str | Path) -> dict[str, FittedGenerator]:
    """Rebuild every fold's generator from its card and the weights beside it.

    Raises DataError, one line, when the card is no generator card, the weights are absent or not the ones the card
    names, the class cannot be imported or is no Generator, options are refused, or arrays are missing, superfluous or
    of another shape.
    """
    card_path = Path(card_path)
    card = read_card(card_path)
    arrays = _read_arrays(card_path, card)
    known = {key.split("/", 1)[0] for key in arrays}
    if known - set(card.folds):
        raise data_error(card_path, f"the weights hold folds {sorted(known - set(card.folds))} unknown to it", AGAIN)
    return {fold: rebuild_fold(card_path, fold, facts, arrays) for fold, facts in card.folds.items()}


def read_card(card_path: Path) -> GeneratorCard:
    """The checked fields of a generator's card; raises DataError naming the first field that is wrong."""
    try:
        fields = json.loads(card_path.read_text(encoding="utf-8"))
    except OSError as error:
        raise data_error(card_path, f"cannot be read ({error.strerror})", "Check the path of the card") from error
    except ValueError as error:
        raise data_error(card_path, f"is not JSON ({error})", "Name the card.json of a training run") from error
    try:
        card = GeneratorCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "card"
        action = "Name the card.json of a training run"
        raise data_error(card_path, f"is no generator card: {where}: {first['msg']}", action) from error
    if Path(card.weights).name != card.weights or not re.fullmatch(r"[0-9a-f]{64}", card.weights_sha256):
        raise data_error(card_path, f"weights {card.weights!r} must be a file name with a SHA-256", AGAIN)
    return card


def _read_arrays(card_path: Path, card: GeneratorCard) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = card_path.with_name(card.weights)
    if not path.is_file():
        raise data_error(path, f"is not there, but {card_path.name} names it", AGAIN)
    found = file_sha256(path)
    if found != card.weights_sha256:
        raise data_error(path, f"SHA-256 is {found}, {card_path.name} names {card.weights_sha256}", AGAIN)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise data_error(path, f"is no safetensors file ({error})", AGAIN) from error


def rebuild_fold(source: Path, fold: str, facts: FoldFacts, arrays: Mapping[str, np.ndarray]) -> FittedGenerator:
    """One fold from its facts and the arrays of :func:`fold_arrays`; DataError naming ``source`` when they disagree."""
    try:
        generator = build_generator(
            facts.class_path, facts.options, image_size=facts.image_size, n_conditions=len(facts.names)
        )
        generator.load_state(_section(arrays, f"{fold}/generator/"))
        scaler = ConditionScaler.from_state(facts.names, facts.scaling, facts.log, _section(arrays, f"{fold}/scaler/"))
    except (ConfigError, ValueError) as error:
        raise data_error(source, f"fold {fold}: {error}", AGAIN) from error
    return FittedGenerator(generator, scaler, facts.names, arrays.get(f"{fold}/range"), facts.patients)


def _section(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}
