"""Scanners and protocols of the phantom: spacing, timing, sequence, noise and scaling, by vendor and field strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.sources.phantom.grid import Grid, make_grid
from radgen_lib.sources.phantom.outline import Body


@dataclass(frozen=True)
class Vendor:
    """What differs between vendors. Lengths in mm, times in ms; ``noise`` is the SD as share of a gland's signal."""

    sagittal_view: float
    axial_view: float
    slab: float
    tr: float
    te: tuple[float, float]
    flip: float
    noise: float
    fat_left: float
    reach: float
    scale: float
    interval: float


# Values lie in the range of the public series (see the acquisition columns of the Duke and TCGA-BRCA collections).
VENDORS = {
    "GE": Vendor(200, 340, 1.0, 6.4, (3.1, 2.3), 10, 0.028, 0.19, 96, 900, 129.0),
    "SIEMENS": Vendor(188, 352, 0.92, 4.4, (1.8, 1.6), 12, 0.04, 0.15, 84, 420, 134.0),
}


@dataclass(frozen=True)
class Protocol:
    """How one study is acquired. Times in s (from the first phase) and ms; ``offset`` is the patient's place in mm."""

    vendor: Vendor
    field_strength: float
    tr_ms: float
    te_ms: float
    flip_deg: float
    seconds: tuple[float, ...]
    arrival: float
    noise: float
    fat_left: float
    offset: tuple[float, float, float]

    @property
    def echo(self) -> dict[str, float]:
        """The sequence as keywords of the signal equation."""
        return {"tr_ms": self.tr_ms, "te_ms": self.te_ms, "flip_deg": self.flip_deg}


def draw_protocol(manufacturer: str, field_strength: float, posts: int, rng: np.random.Generator) -> Protocol:
    """Protocol of a study: one phase before contrast and ``posts`` after, a little different each time.

    ``manufacturer`` is recognised by its first word (GE..., SIEMENS...); others are scanned as by GE. The agent
    reaches the breast 70 to 95 s before the middle of the first phase after it.
    """
    vendor = VENDORS["SIEMENS" if manufacturer.upper().startswith("SIEMENS") else "GE"]
    interval = vendor.interval + rng.uniform(-9, 9)
    first = interval + rng.uniform(15, 50)
    seconds = [0.0, *(round(first + k * interval + rng.uniform(-0.4, 0.4), 1) for k in range(posts))]
    high = field_strength > 2.2
    return Protocol(
        vendor=vendor,
        field_strength=field_strength,
        tr_ms=round(vendor.tr * rng.uniform(0.95, 1.1), 3),
        te_ms=round(vendor.te[int(high)] * rng.uniform(0.97, 1.05), 3),
        flip_deg=vendor.flip,
        seconds=tuple(seconds),
        arrival=first - rng.uniform(70, 95),
        noise=vendor.noise * (0.7 if high else 1.0) * rng.uniform(0.55, 1.2),
        fat_left=vendor.fat_left * rng.uniform(0.75, 1.5),
        offset=tuple(rng.uniform((-12, -40, -30), (12, 20, 30)).round(1)),
    )


def native_grid(view: str, shape: tuple[int, int, int], protocol: Protocol, body: Body, side: int) -> Grid:
    """Grid of a study in the body's system, the nipple(s) some mm from the anterior edge.

    Sagittal: slices from left to right through one breast, rows from head to foot, columns from front to back.
    Axial: slices from foot to head through both, rows from front to back, columns from right to left.
    """
    slices, rows, columns = shape
    tip = min(body.base(k) - body.height[k] for k in ((0, 1) if view == "axial" else (side,)))
    if view == "axial":
        width = protocol.vendor.axial_view
        deep = np.clip(2.5 * body.radius[side] * protocol.vendor.slab, 105, 160)
        top = tip - 0.115 * width
        return make_grid(
            ("z", "y", "x"),
            (_line(-0.48 * deep, deep, slices), _line(top, width, rows), _line(-width / 2, width, columns)),
        )
    width = protocol.vendor.sagittal_view
    deep = np.clip(2.15 * body.radius[side] * protocol.vendor.slab, 84, 158)
    centre = body.centre[side] * 0.97
    return make_grid(
        ("x", "z", "y"),
        (
            _line(centre + deep / 2, -deep, slices),
            _line(width * 0.53, -width, rows),
            _line(tip - 0.14 * width, width, columns),
        ),
    )


def _line(start: float, length: float, count: int) -> np.ndarray:
    """Centres of ``count`` voxels that fill ``length`` mm (negative: downwards) from ``start``."""
    return start + (np.arange(count) + 0.5) * (length / count)
