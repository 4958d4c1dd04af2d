"""Tissues of the thorax as MRI sees them: relaxation times, water content, and how contrast agent passes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from radgen_lib.sources.phantom.kinetics import HAEMATOCRIT, tissue_concentration
from radgen_lib.sources.phantom.signal import spoiled_echo, with_contrast


@dataclass(frozen=True)
class Tissue:
    """One tissue. ``t1`` in ms at 1.5 T and at 3 T; ``t2`` is T2* in ms; ``amount`` is proton density, water 1."""

    t1: tuple[float, float]
    t2: float
    amount: float
    ktrans: float = 0.0
    kep: float = 0.0
    vp: float = 0.0

    def signal(
        self, seconds: np.ndarray, arrival: float, field_strength: float, echo: Mapping[str, float]
    ) -> np.ndarray:
        """Signal at each of ``seconds`` for the sequence ``echo`` (tr_ms, te_ms, flip_deg)."""
        contrast = tissue_concentration(seconds, ktrans=self.ktrans, kep=self.kep, vp=self.vp, arrival=arrival)
        t1 = self.t1[1] if field_strength > 2.2 else self.t1[0]
        now = with_contrast(t1, self.t2, contrast, field_strength)
        return self.amount * spoiled_echo(
            now[0], now[1], tr_ms=echo["tr_ms"], te_ms=echo["te_ms"], flip_deg=echo["flip_deg"]
        )


# T1: fat and gland Rakow-Penner, J Magn Reson Imaging 2006;23:87; muscle Gold, AJR 2004;183:343; blood, heart and
# liver Stanisz, Magn Reson Med 2005;54:507. Skin, lung, bone and tumour, T2* and densities are assumed round values.
TISSUES: Mapping[str, Tissue] = {
    "fat": Tissue((296, 367), 30, 0.95),
    "gland": Tissue((1266, 1445), 35, 0.85, ktrans=0.008, kep=0.12, vp=0.005),
    "gland_active": Tissue((1266, 1445), 35, 0.85, ktrans=0.06, kep=0.2, vp=0.015),
    "ligament": Tissue((1050, 1200), 22, 0.7, ktrans=0.01, kep=0.2, vp=0.01),
    "skin": Tissue((700, 850), 24, 0.95, ktrans=0.06, kep=0.35, vp=0.03),
    "nipple": Tissue((900, 1050), 24, 0.9, ktrans=0.1, kep=0.4, vp=0.03),
    "muscle": Tissue((1130, 1420), 25, 0.8, ktrans=0.03, kep=0.3, vp=0.02),
    "bone": Tissue((500, 600), 6, 0.3, ktrans=0.01, kep=0.2, vp=0.02),
    "blood": Tissue((1441, 1932), 60, 0.95, vp=1 - HAEMATOCRIT),
    "vein": Tissue((1441, 1932), 60, 0.95, vp=0.8 * (1 - HAEMATOCRIT)),
    "heart": Tissue((1030, 1471), 30, 0.85, ktrans=0.4, kep=1.4, vp=0.1),
    "liver": Tissue((576, 812), 22, 0.8, ktrans=0.35, kep=1.0, vp=0.1),
    "lung": Tissue((1200, 1400), 2.2, 0.2, vp=0.09),
    "tumour_edge": Tissue((1050, 1250), 40, 0.92),
    "tumour_core": Tissue((1250, 1450), 45, 0.95),
}
"""Every tissue by name; the tumour gets its kinetics from the lesion, the active gland from the patient."""


def patient_tissues(lesion: Mapping[str, float] | None, background: float) -> dict[str, Tissue]:
    """The tissues of one patient.

    ``background`` (0..1) is background enhancement: Ktrans of active gland runs from almost none to that of a weak
    lesion. ``lesion`` has ktrans, kep (1/min), vp and rim (0..1); a full rim takes nine tenths of the agent's supply
    from the core and gives the edge a quarter more. None leaves the tumour out.
    """
    found = dict(TISSUES)
    active = found["gland_active"]
    found["gland_active"] = replace(active, ktrans=0.01 + 0.09 * background, vp=0.005 + 0.02 * background)
    if lesion is None:
        return {name: tissue for name, tissue in found.items() if not name.startswith("tumour")}
    rim, supply = float(lesion["rim"]), float(lesion["ktrans"])
    kep, vp = float(lesion["kep"]), float(lesion["vp"])
    edge, core = found["tumour_edge"], found["tumour_core"]
    found["tumour_edge"] = replace(edge, ktrans=supply * (1 + 0.25 * rim), kep=kep, vp=vp)
    loss = 1 - 0.9 * rim
    found["tumour_core"] = replace(core, ktrans=supply * loss, kep=kep * (0.4 + 0.6 * loss), vp=vp * loss)
    return found
