"""``radgen synthesize``: images of new patients from trained weights and a table of their omics."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.cli.omics_table import range_warnings, read_omics
from radgen_lib.core.atomic import write_array, write_csv
from radgen_lib.core.errors import RadgenError, data_error
from radgen_lib.core.trainings import is_further

if TYPE_CHECKING:
    from radgen_lib.generators.store import FittedGenerator

BATCH = 64
FAR = 10.0
MINMAX_NOTE = (
    "condition scaling is per-patient min-max, as published: each patient's values are spread over 0 to 1, so that "
    "only their pattern within the patient counts and the overall level of expression is lost"
)
RANGE_NOTE = "the card holds no range of the training conditions, so values outside it cannot be told"


class Synthesis(NamedTuple):
    """What was made: number of images and patients, the fold whose generator was used, and what to know about it."""

    images: int
    patients: int
    fold: str
    notes: tuple[str, ...]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("synthesize", help="images of new patients", description=__doc__)
    parser.add_argument(
        "--generator", metavar="CARD", type=Path, required=True, help="card.json of a trained generator"
    )
    parser.add_argument(
        "--omics", metavar="TABLE", type=Path, required=True,
        help="CSV or TSV, a row a patient: identifier in the first column, then one column a gene, raw values",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="new folder for the images")
    parser.add_argument("--fold", help="whose generator to use (default: full, or the only one)")
    parser.add_argument("--draws", type=_positive, default=1, help="images per patient (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default: 0)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    parser.add_argument(
        "--force", action="store_true", help=f"go on where values lie more than {FAR:g} training ranges outside"
    )
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: must be 1 or more")
    return value


def run(options: argparse.Namespace) -> int:
    """Make the images and say what was made."""
    made = synthesize(
        options.generator, options.omics, options.out,
        fold=options.fold, draws=options.draws, seed=options.seed, device=options.device,
        force=options.force,
    )  # fmt: skip
    print(f"{made.images} images of {made.patients} patients by the generator of fold {made.fold}: {options.out}")
    for note in made.notes:
        print(f"note: {note}")
    return 0


def synthesize(
    generator_card: Path,
    omics: Path,
    out: Path,
    *,
    fold: str | None = None,
    draws: int = 1,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
) -> Synthesis:
    """Apply a trained generator to new patients and write a folder of images.

    Args:
        generator_card: card of :func:`radgen_lib.generators.store.save_generators`, weights beside it.
        omics: table of raw values, patients in rows; columns that the generator does not know are ignored.
        out: folder to make; it appears only when complete. Must not exist or be empty.
        fold: whose generator; None: ``full``, or the only one there is.
        draws: images per patient.
        seed: an image depends on it, the fold, the patient's identifier and the draw, not on the other rows.
        device: auto, cpu or cuda.
        force: draw even where a value lies more than :data:`FAR` training ranges outside the training range.

    Writes ``images/*.png`` (8 bit, values clamped to [0, 1]), ``images.npy`` (float32 [n, H, W], not clamped),
    ``samples.csv`` (a row an image, with a warning where values lie outside the training range) and ``card.json``.
    Raises DataError, one line, for whatever is wrong with card, weights, table or folder. What the caller should know
    is in the notes of the result and the card; nothing is logged, so that the command says it once.
    """
    from radgen_lib.core.digest import code_digest
    from radgen_lib.core.provenance import Card
    from radgen_lib.generators.store import INTENDED_USE, LICENCE, load_generators, read_card

    _refuse_full(out)
    card = Card(
        "synthesize", config={"fold": fold, "draws": draws, "device": device, "force": force}, seed=seed,
        code=code_digest("radgen_lib.cli.synthesize"),
    )  # fmt: skip
    card.inputs([omics, generator_card, generator_card.with_name(read_card(generator_card).weights)])
    fitted = load_generators(generator_card)
    fold = _choose_fold(generator_card, fold, sorted(fitted))
    one = fitted[fold]
    table, notes = read_omics(omics, one)
    if not force:
        _refuse_far(omics, table, one)
    samples = sample_rows(table, one, fold=fold, draws=draws, seed=seed)
    images = _draw(one, table, samples, device)
    notes += _sample_notes(one, samples)
    card.add(
        fold=fold, generator_class=type(one.generator).__name__, conditions=list(one.names), patients=len(table),
        images=len(images), condition_scaling=one.scaler.method, condition_log=one.scaler.log, notes=notes,
        licence=LICENCE, intended_use=INTENDED_USE,
    )  # fmt: skip
    with _new_folder(out) as folder:
        _write_images(folder, images, samples)
        card.write(folder / "card.json")
    return Synthesis(len(images), len(table), fold, tuple(notes))


def _refuse_far(omics: Path, table: pd.DataFrame, fitted: FittedGenerator) -> None:
    """DataError naming the value furthest outside, when that is more than :data:`FAR` training ranges (raw scale)."""
    if fitted.ranges is None or table.empty:
        return
    low, high = (np.asarray(side, dtype=float) for side in fitted.ranges)
    values = table.to_numpy(dtype=float)
    # A column that does not vary in training has no range to measure by: one unit stands for it.
    far = np.maximum(low - values, values - high) / np.where(high > low, high - low, 1.0)
    row, column = np.unravel_index(int(far.argmax()), far.shape)
    if far[row, column] > FAR:
        problem = (
            f"{fitted.names[column]} is {values[row, column]:g}, {far[row, column]:.0f} training ranges outside "
            f"{low[column]:g} to {high[column]:g}"
        )
        action = "Check the unit of the table; --force draws the images all the same"
        raise data_error(omics, problem, action, row=str(table.index[row]))


def sample_rows(table: pd.DataFrame, fitted: FittedGenerator, *, fold: str, draws: int, seed: int) -> pd.DataFrame:
    """One row an image: row, file, patient, draw, seed, in_training, warning."""
    from radgen_lib.core.seeds import derive_seed

    warnings = range_warnings(table, fitted)
    rows: list[tuple[int, str, str, int, int, bool, str]] = []
    for patient, warning in zip(table.index, warnings, strict=True):
        for draw in range(draws):
            name = f"images/{len(rows):05d}_{re.sub(r'[^A-Za-z0-9._-]', '_', patient)}_{draw}.png"
            image_seed = derive_seed(seed, "synthesize", fold, patient, draw)
            rows.append((len(rows), name, patient, draw, image_seed, patient in fitted.patients, warning))
    return pd.DataFrame(rows, columns=["row", "file", "patient", "draw", "seed", "in_training", "warning"])


def _sample_notes(fitted: FittedGenerator, samples: pd.DataFrame) -> list[str]:
    once = samples[samples["draw"] == 0]
    notes = [MINMAX_NOTE] if fitted.scaler.method == "per_patient_minmax" else []
    notes += [RANGE_NOTE] if fitted.ranges is None else []
    outside, known = int((once["warning"] != "").sum()), int(once["in_training"].sum())
    if outside:
        notes.append(f"{outside} of {len(once)} patients have values outside the training range, see samples.csv")
    if known:
        notes.append(f"{known} of {len(once)} patients trained this generator: their images are no new information")
    return notes


def _draw(fitted: FittedGenerator, table: pd.DataFrame, samples: pd.DataFrame, device: str) -> np.ndarray:
    from radgen_lib.core.progress import Progress
    from radgen_lib.generators.common import pick_device

    device = pick_device(device) if fitted.generator.accelerated else "cpu"
    size = fitted.generator.image_size
    images = np.empty((len(samples), size, size), dtype=np.float32)
    progress = Progress("synthesize", len(samples))
    for start in range(0, len(samples), BATCH):
        part = samples.iloc[start : start + BATCH]
        images[start : start + len(part)] = fitted.sample(
            table.loc[part["patient"]], part["seed"].tolist(), device=device
        )
        progress.advance(len(part))
    if not np.isfinite(images).all():
        raise RadgenError("the generator gave values that are no numbers. Check the omics for extreme values")
    return images


def _write_images(folder: Path, images: np.ndarray, samples: pd.DataFrame) -> None:
    from PIL import Image

    (folder / "images").mkdir()
    grey = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    for picture, name in zip(grey, samples["file"], strict=True):
        Image.fromarray(picture).save(folder / name)
    write_array(folder / "images.npy", images)
    write_csv(folder / "samples.csv", samples)


def _choose_fold(card: Path, wanted: str | None, folds: Sequence[str]) -> str:
    if wanted is None:
        own = [fold for fold in folds if not is_further(fold)]
        wanted = own[0] if len(own) == 1 else "full"
    if wanted not in folds:
        raise data_error(card, f"no generator of fold {wanted!r}", f"Choose one with --fold: {', '.join(folds)}")
    return wanted


def _refuse_full(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise data_error(out, "is there and not an empty folder", "Name a new folder; nothing is overwritten")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out`` that takes its name when the block succeeds and goes when it fails."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{out.name}.{os.getpid()}.part"
    folder.mkdir()
    try:
        yield folder
        _refuse_full(out)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
