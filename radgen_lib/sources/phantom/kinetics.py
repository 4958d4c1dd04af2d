"""Contrast kinetics: a population arterial input and the two-compartment (extended Tofts) tissue model.

Parker et al., Magn Reson Med 2006;56:993 (input function, their equation 2 and table 1); Tofts et al., J Magn Reson
Imaging 1999;10:223 (model and symbols). Concentrations are mmol/L, times minutes, rate constants 1/min.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

HAEMATOCRIT = 0.42
"""Share of cells in blood: plasma concentration = blood concentration / (1 - haematocrit)."""

_AREA = (0.809, 0.330)
_WIDTH = (0.0563, 0.132)
_CENTRE = (0.17046, 0.365)
_ALPHA, _BETA, _SLOPE, _TAU = 1.050, 0.1685, 38.078, 0.483


def parker_blood(minutes: np.ndarray) -> np.ndarray:
    """Concentration of contrast agent in blood, mmol/L, ``minutes`` after it arrives; 0 before (any shape)."""
    t = np.asarray(minutes, dtype=np.float64)
    passes = sum(
        area / (width * np.sqrt(2 * np.pi)) * np.exp(-((t - centre) ** 2) / (2 * width**2))
        for area, width, centre in zip(_AREA, _WIDTH, _CENTRE, strict=True)
    )
    # The logistic is written with a bounded exponent: minutes far before arrival would overflow otherwise.
    tail = _ALPHA * np.exp(-_BETA * np.maximum(t, 0)) / (1 + np.exp(np.clip(-_SLOPE * (t - _TAU), -700, 700)))
    return np.where(t >= 0, passes + tail, 0.0)


def washout_integral(plasma: np.ndarray, kep: float, step: float) -> np.ndarray:
    """Convolution of ``plasma`` (samples ``step`` min apart, from 0) with exp(-kep t), same shape.

    Exact for an input that is linear between samples, so that the step may be as long as the input is smooth.
    """
    if kep * step < 1e-6:
        return np.concatenate([[0.0], np.cumsum((plasma[1:] + plasma[:-1]) / 2 * step)])
    decay = np.exp(-kep * step)
    late = (1 - (1 - decay) / (kep * step)) / kep
    early = (1 - decay) / kep - late
    start = -late * plasma[0]  # the integral is 0 at time 0, whatever the input is there
    integral, _ = lfilter([late, early], [1.0, -decay], plasma, zi=[start])
    return np.asarray(integral)


def tissue_concentration(
    seconds: np.ndarray, *, ktrans: float, kep: float, vp: float, arrival: float, step: float = 1.0
) -> np.ndarray:
    """Extended Tofts: vp Cp(t) + Ktrans (Cp * exp(-kep t)), mmol/L of tissue, at ``seconds`` of the scanner's clock.

    ``arrival`` is when the agent reaches the tissue, s; ``step`` the inner time step, s. A tissue that is all blood
    has vp = 1 - HAEMATOCRIT and ktrans = 0. Raises ValueError for negative parameters.
    """
    if min(ktrans, kep, vp) < 0:
        raise ValueError(f"ktrans {ktrans}, kep {kep} and vp {vp} cannot be negative")
    after = np.asarray(seconds, dtype=np.float64) - arrival
    clock = np.arange(0.0, max(float(after.max(initial=0)), step) + 2 * step, step)
    plasma = parker_blood(clock / 60) / (1 - HAEMATOCRIT)
    curve = vp * plasma + ktrans * washout_integral(plasma, kep, step / 60)
    return np.asarray(np.interp(after, clock, curve, left=0.0))
