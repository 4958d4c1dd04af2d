"""Registration of the phantom scored against the shift that was planted (``shift_*`` of truth/lesions_images)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.imaging.registration import registered
from radgen_lib.imaging.volume import Volume
from radgen_lib.sources.phantom.acquisition import Acquisition
from radgen_lib.sources.phantom.patients import imaged_patients
from radgen_lib.sources.phantom.truth import draw_truth

SEED, PATIENTS = 20230803, 12


def volumes(scan: Acquisition) -> tuple[Volume, Volume, np.ndarray]:
    """Pre-contrast and first post-contrast phase, and the planted shift (x, y, z; mm) between them."""
    across, down = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    step = np.array(scan.slice_step)
    axes = np.column_stack([across, down, step / np.linalg.norm(step)])
    shift = axes @ np.array(scan.phases[1].shift_mm[::-1])
    origin, flip = np.array(scan.origin, dtype=float), np.linalg.det(axes) < 0
    if flip:
        origin, axes = origin + step * (len(scan.phases[0].values) - 1), axes * np.array([1, 1, -1])
    place = (float(origin[0]), float(origin[1]), float(origin[2]))
    pre, post = (
        Volume(np.ascontiguousarray(phase.values[:: -1 if flip else 1], dtype=np.float32), scan.spacing, place, axes)
        for phase in scan.phases[:2]
    )
    return pre, post, shift


def scored(motion_mm: float) -> pd.DataFrame:
    """True motion before and after registration, root mean square over bright places, and what it says of itself."""
    spec, rows = Phantom(motion_mm=motion_mm), []
    for patient in imaged_patients(draw_truth(spec, SEED), spec, SEED)[:PATIENTS]:
        pre, post, shift = volumes(patient.acquired(1))
        found = registered(post, pre, "rigid")
        bright = np.argwhere(pre.values > pre.values.mean())[::97]
        places = [pre.point(place.astype(float)) for place in bright]
        moved = [
            np.zeros(3) if found.transform is None else np.array(found.transform.TransformPoint(place)) - place
            for place in places
        ]
        error = float(np.sqrt(np.square(np.array(moved) - shift).sum(axis=1).mean()))
        rows.append((float(np.linalg.norm(shift)), error, found.after_mm, found.transform is not None, pre.spacing))
    return pd.DataFrame(rows, columns=["true", "error", "said", "used", "spacing"])


@pytest.mark.parametrize(("motion_mm", "left"), [(2.0, 0.8), (4.0, 0.5)])
def test_registration_brings_the_phantom_nearer_to_where_it_was(motion_mm: float, left: float) -> None:
    found = scored(motion_mm)
    assert found["error"].mean() < left * found["true"].mean()
    voxel = found["spacing"].map(lambda edges: float(np.prod(edges)) ** (1 / 3))
    assert ((found["error"] - found["true"]) / voxel).max() < 0.2, "none is made worse by a fifth of a voxel"
    used = found[found["used"]]
    assert len(used) >= PATIENTS / 2, "keeping everything as acquired would be no registration"
    assert used["said"].mean() == pytest.approx(used["error"].mean(), rel=0.5), "the reported rest is the true one"


def test_a_phantom_that_lies_still_is_mostly_left_alone() -> None:
    found = scored(0.0)
    assert found["used"].sum() <= PATIENTS / 3
    assert found["error"].mean() < 0.25
