"""Breast DCE-MRI of a phantom patient: anatomy, contrast, sequence, motion, coil, noise, numbers of a scanner."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom.anatomy import Patient, make_patient, make_scene, tissue_shares
from radgen_lib.sources.phantom.coil import sensitivity
from radgen_lib.sources.phantom.grid import Grid, coarsen, refine
from radgen_lib.sources.phantom.scanner import Protocol, draw_protocol, native_grid
from radgen_lib.sources.phantom.signal import rician
from radgen_lib.sources.phantom.tissue import patient_tissues

_LOG = logging.getLogger("radgen")

ORIENTATION = {"sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}
"""ImageOrientationPatient: direction of a row (growing column), then of a column (growing row)."""

_LESION_NUMBERS = ("diameter_mm", "irregularity", "spiculation", "rim", "ktrans", "kep", "vp", "x", "y", "z")
_FINE_COLUMNS = 128
_STORED_MAX = 4095


@dataclass(frozen=True)
class PhaseImage:
    """One dynamic phase. ``values`` uint16 [z, y, x] of at most 12 bits; ``seconds`` after the phase before contrast.

    ``shift_mm`` is how far the patient has moved since the first phase, along the array's axes (z, y, x): positive
    is towards larger indices, so that ``values[i]`` shows what the first phase shows at ``i - shift_mm / spacing``.
    """

    values: np.ndarray
    seconds: float
    label: str
    shift_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Acquisition:
    """One study of a phantom patient, with its truth.

    ``spacing`` is (slice, row, column) in mm; ``origin`` the centre of the first voxel of slice 0 and ``slice_step``
    the way to the next slice, mm in DICOM's patient system; ``lesion`` and ``breast`` are bool [z, y, x] at the time
    of the first phase. Axial studies show both breasts, and ``breast`` both of them. ``kinetics`` holds what the
    images were made with: the lesion's and the protocol's numbers.
    """

    phases: tuple[PhaseImage, ...]
    spacing: tuple[float, float, float]
    orientation: tuple[float, ...]
    origin: tuple[float, float, float]
    slice_step: tuple[float, float, float]
    lesion: np.ndarray
    breast: np.ndarray
    te_ms: float
    tr_ms: float
    flip_deg: float
    kinetics: dict[str, float]


def acquire(patient: pd.Series, lesion: pd.Series, spec: Phantom, *, study: int, seed: int) -> Acquisition:
    """Image a patient.

    ``patient`` and ``lesion`` are rows of the truth's tables (columns: see ``truth.py``); ``study`` counts a
    patient's studies from 1: the anatomy stays, position, protocol, motion and noise are new. The same arguments give
    the same bytes. Raises ValueError for a view that is neither sagittal nor axial.
    """
    view = str(patient["view"])
    if view not in ORIENTATION:
        raise ValueError(f"view {view!r} of {patient['patient']}: a phantom is imaged 'sagittal' or 'axial'")
    rng = make_rng(seed, "phantom acquisition", patient["patient"], study)
    found = {name: float(lesion[name]) for name in _LESION_NUMBERS} if bool(lesion["present"]) else None
    side = int(str(patient["laterality"]) != "R")
    person = make_patient(seed, str(patient["patient"]), float(lesion["density"]), found, side)
    posts = max(1, min(int(patient["n_posts"]), spec.post_phases))
    protocol = draw_protocol(str(patient["manufacturer"]), float(patient["field_strength"]), posts, rng)
    slices, rows, columns = spec.shape
    grid = native_grid(view, (slices, rows, columns), protocol, person.body, side)
    background = float(lesion["bpe"])
    echoes, pulse, masks = _echoes(person, grid, protocol, background)
    shifts = _shifts(posts, spec.motion_mm, rng)
    phases = _phases(echoes, pulse, grid, protocol, shifts, _sensitivity(person, view, grid, protocol, rng), rng)
    kinetics = {"background": background, "arrival_seconds": protocol.arrival, "fat_left": protocol.fat_left}
    kinetics |= {name: found[name] for name in ("ktrans", "kep", "vp")} if found is not None else {}
    return Acquisition(
        phases=phases,
        spacing=grid.steps,
        orientation=ORIENTATION[view],
        origin=_origin(grid, protocol),
        slice_step=_slice_step(grid),
        lesion=masks[0],
        breast=masks[1],
        te_ms=protocol.te_ms,
        tr_ms=protocol.tr_ms,
        flip_deg=protocol.flip_deg,
        kinetics=kinetics,
    )


def _origin(grid: Grid, protocol: Protocol) -> tuple[float, float, float]:
    x, y, z = (float(p.ravel()[0]) + o for p, o in zip((grid.x, grid.y, grid.z), protocol.offset, strict=True))
    return x, y, z


def _slice_step(grid: Grid) -> tuple[float, float, float]:
    line, axis = grid.line(0), grid.axes()[0]
    step = float(line[-1] - line[0]) / (line.size - 1)
    return (step if axis == "x" else 0.0, step if axis == "y" else 0.0, step if axis == "z" else 0.0)


def _shifts(posts: int, largest: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """A shift for each phase, at most ``largest`` mm long; patients drift, so that later phases are further away."""
    drift = np.cumsum(rng.standard_normal((posts, 3)) * (0.5, 1.0, 0.8), axis=0)
    length = np.linalg.norm(drift, axis=1)
    drift *= largest * rng.uniform(0.3, 1.0) / max(float(length.max()), 1e-9)
    return [(0.0, 0.0, 0.0), *((float(a), float(b), float(c)) for a, b, c in drift.round(3))]


def _factors(grid: Grid) -> tuple[int, int, int]:
    """In-plane parts of a voxel so that at least 128 columns are simulated; voxels are averaged afterwards."""
    part = max(1, -(-_FINE_COLUMNS // grid.shape[2]))
    return 1, part, part


def _echoes(
    person: Patient, grid: Grid, protocol: Protocol, background: float
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Noise-free signal before motion on the fine grid [phase, z, y, x]; strength of ghosts and masks on ``grid``."""
    factors = _factors(grid)
    scene = make_scene(person, refine(grid, factors))
    seconds = np.asarray(protocol.seconds)
    signals = {
        name: tissue.signal(seconds, protocol.arrival, protocol.field_strength, protocol.echo)
        for name, tissue in patient_tissues(person.lesion, background).items()
    }
    shares: dict[str, np.ndarray] = {}
    for name, share in tissue_shares(scene, protocol.fat_left):
        if name in shares:
            shares[name] += share
        else:
            shares[name] = np.array(share, dtype=np.float32)
    echoes = np.zeros((len(seconds), *scene.grid.shape), dtype=np.float32)
    part = np.empty(scene.grid.shape, dtype=np.float32)
    for name, share in shares.items():
        for phase, signal in zip(echoes, signals[name], strict=True):
            phase += np.multiply(share, np.float32(signal), out=part)
    breast = coarsen(scene.breast(), factors) > 0.5
    heart, lung = coarsen(shares["blood"] + shares["heart"], factors), coarsen(shares["lung"], factors)
    pulse = _pulse(heart, lung, grid) * signals["heart"].astype(np.float32)[:, None, None, None]
    return echoes, pulse, (_lesion_mask(coarsen(scene.tumour(), factors), breast, person), breast)


def _lesion_mask(share: np.ndarray, breast: np.ndarray, person: Patient) -> np.ndarray:
    """Voxels that are mostly lesion; the fullest voxel alone when the lesion is smaller than every voxel."""
    if person.lesion is None:
        return np.zeros(share.shape, dtype=bool)
    mask = (share > 0.5) & breast
    if not mask.any():
        mask[np.unravel_index(int(np.argmax(share * (breast + 1e-3))), share.shape)] = True
        _LOG.debug("%s: the lesion fills no voxel by half, its mask is one voxel", person.name)
    return mask


def _sensitivity(person: Patient, view: str, grid: Grid, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    body = person.body
    sides = (0, 1) if view == "axial" else (person.side,)
    centres = [(body.centre[k], body.base(k) - 0.4 * body.height[k], -5.0) for k in sides]
    return sensitivity(grid, centres, protocol.vendor.reach, rng)


def _phases(
    echoes: np.ndarray,
    pulse: np.ndarray,
    grid: Grid,
    protocol: Protocol,
    shifts: list[tuple[float, float, float]],
    coil: np.ndarray,
    rng: np.random.Generator,
) -> tuple[PhaseImage, ...]:
    factors = _factors(grid)
    sd = protocol.noise * 0.04  # 0.04 is about the signal of a gland before contrast
    images = []
    for echo, beat, shift in zip(echoes, pulse, shifts, strict=True):
        fine = [mm / step * factor for mm, step, factor in zip(shift, grid.steps, factors, strict=True)]
        still = coarsen(moved(echo, (fine[0], fine[1], fine[2])), factors) * coil
        images.append(rician(still + beat * coil * _streaks(grid, rng), sd, rng))
    # One scale for all phases: enhancement is a ratio of stored numbers.
    scale = np.float32(protocol.vendor.scale / 0.04 * rng.uniform(0.8, 1.25) * 0.5)
    scale = min(scale, np.float32(_STORED_MAX / np.quantile(images[-1], 0.9999)))
    labels = ["pre", *(f"post{k}" for k in range(1, len(images)))]
    return tuple(
        PhaseImage(np.clip(np.rint(image * scale), 0, _STORED_MAX).astype(np.uint16), seconds, label, shift)
        for image, seconds, label, shift in zip(images, protocol.seconds, labels, shifts, strict=True)
    )


def _pulse(heart: np.ndarray, lung: np.ndarray, grid: Grid) -> np.ndarray:
    """Strength of the heart's ghosts: as much as beats at a depth, spread over the rows (the phase encoding).

    ``heart`` and ``lung`` are shares of voxels. Ghosts are seen in the dark lung and, weakly, everywhere else.
    """
    beats = heart.mean(axis=1, keepdims=True) + np.float32(0.16)
    wide = gaussian_filter(beats, (1.0, 0, 14 / grid.steps[2]))
    return np.asarray(wide * (0.006 + 0.8 * lung + 0.2 * heart), dtype=np.float32)


def _streaks(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Coarse grain of mean 0.6 and SD 0.5, longer than wide, new in each phase."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    grain = gaussian_filter(noise, (0, 1.6 / grid.steps[1], 2.6 / grid.steps[2]))
    return np.asarray(0.6 + 0.5 * grain / grain.std(), dtype=np.float32)


def moved(values: np.ndarray, shift: tuple[float, float, float]) -> np.ndarray:
    """``values`` displaced by ``shift`` voxels along each axis (positive: to larger indices), edges repeated.

    Cubic convolution between voxels (Keys, IEEE Trans ASSP 1981;29:1153).
    """
    for axis, amount in enumerate(shift):
        whole = int(np.floor(-amount))
        part = -amount - whole
        if amount == 0:
            continue
        weights = (
            ((-0.5 * part + 1) * part - 0.5) * part,
            (1.5 * part - 2.5) * part * part + 1,
            ((-1.5 * part + 2) * part + 0.5) * part,
            (0.5 * part - 0.5) * part * part,
        )
        last = values.shape[axis] - 1
        total = np.zeros_like(values)
        for offset, weight in zip(range(-1, 3), weights, strict=True):
            index = np.clip(np.arange(last + 1) + whole + offset, 0, last)
            total += np.take(values, index, axis=axis) * np.float32(weight)
        values = total
    return values
