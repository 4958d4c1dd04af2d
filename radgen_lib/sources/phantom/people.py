"""Who the phantom's patients are and where they were imaged: identifiers, sites, scanners, age, race, menopause."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.seeds import make_rng

_T = TypeVar("_T")
_Choice = tuple[Sequence[_T], Sequence[float]]
_Machine = tuple[str, str, float]

SITES = ("S1", "S2", "S3")
RACES = ("White", "Black or African American", "Asian")
_RACE_SHARES = (0.75, 0.18, 0.07)
_YOUNGEST, _OLDEST = 26, 90
# View: (sites and their shares), (scanner, manufacturer, tesla) and their shares. Vendors go with views as they do in
# the public cohorts: sagittal GE at one site, axial Siemens at another, both at the third.
_SITE_SHARES = {"sagittal": (0.70, 0.0, 0.30), "axial": (0.0, 0.70, 0.30), "": (0.50, 0.25, 0.25)}
_SCANNERS: dict[str, _Choice[_Machine]] = {
    "": ((("", "", np.nan),), (1.0,)),
    "sagittal": (
        (("GE Signa 1.5T", "GE MEDICAL SYSTEMS", 1.5), ("GE Signa HDxt 3T", "GE MEDICAL SYSTEMS", 3.0)),
        (0.85, 0.15),
    ),
    "axial": ((("Siemens Avanto 1.5T", "SIEMENS", 1.5), ("Siemens Skyra 3T", "SIEMENS", 3.0)), (0.6, 0.4)),
}
_DIGITS = string.digits + string.ascii_uppercase


def patient_name(site: str, number: int) -> str:
    """``PHAN-S1-0007``; numbers above 9999 go on with a letter first (``A000``, four places of base 36)."""
    if number <= 9999:
        return f"PHAN-{site}-{number:04d}"
    rest = number - 10_000 + 10 * 36**3
    places = [rest // 36**power % 36 for power in (3, 2, 1, 0)]
    return f"PHAN-{site}-{''.join(_DIGITS[place] for place in places)}"


def draw_people(spec: Phantom, seed: int) -> pd.DataFrame:
    """One row a patient, imaged ones first: identity, imaging and demography; none depends on a factor.

    Shares of axial views and of second studies are met as exactly as whole patients allow. A patient who is not
    imaged has view, scanner and manufacturer "", field_strength NaN and no studies.
    """
    rng = make_rng(seed, "phantom", "people")
    n, imaged = spec.patients + spec.omics_only, spec.patients
    view = np.full(n, "", dtype=object)
    view[:imaged] = np.where(_share(spec.axial_share, imaged, rng), "axial", "sagittal")
    frame = pd.DataFrame({"view": view, "imaged": np.arange(n) < imaged})
    frame["site"] = _by_view(view, {key: (SITES, share) for key, share in _SITE_SHARES.items()}, rng)
    machines = _by_view(view, _SCANNERS, rng)
    frame["scanner"], frame["manufacturer"] = [m[0] for m in machines], [m[1] for m in machines]
    frame["field_strength"] = [m[2] for m in machines]
    frame.insert(0, "patient", [patient_name(site, i + 1) for i, site in enumerate(frame["site"])])
    second = _share(spec.second_study_share, imaged, rng)
    fewer = rng.random(imaged) < 0.5
    frame["n_studies"] = np.concatenate([1 + second, np.zeros(n - imaged)]).astype(np.int64)
    frame["n_posts"] = np.concatenate(
        [np.maximum(spec.post_phases - fewer, 1), np.zeros(n - imaged)]
    ).astype(np.int64)  # fmt: skip
    frame["age"] = np.clip(np.rint(rng.normal(58.0, 13.0, n)), _YOUNGEST, _OLDEST)
    frame["race"] = rng.choice(np.array(RACES, dtype=object), size=n, p=_RACE_SHARES)
    frame["menopause"] = _menopause(frame["age"].to_numpy(), rng)
    frame["laterality"] = rng.choice(np.array(["L", "R"], dtype=object), size=n)
    return frame


def _share(share: float, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.permutation(count) < round(share * count))


def _by_view(view: np.ndarray, choices: Mapping[str, _Choice[_T]], rng: np.random.Generator) -> list[_T]:
    """One of the choices of each view, by its shares."""
    picked = []
    for key, at in zip(view, rng.random(len(view)), strict=True):
        options, shares = choices[key]
        picked.append(options[min(int(np.searchsorted(np.cumsum(shares), at)), len(options) - 1)])
    return picked


def _menopause(age: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    at = rng.normal(51.0, 3.0, len(age))
    return np.where(age < at - 1, "pre", np.where(age < at + 1, "peri", "post")).astype(object)
