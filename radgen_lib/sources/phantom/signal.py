"""Spoiled gradient echo (FLASH): signal of a tissue, with contrast agent, and the noise of a magnitude image."""

from __future__ import annotations

import numpy as np

RELAXIVITY = {1.5: (4.1, 4.6), 3.0: (3.7, 5.2)}
"""r1 and r2 of gadopentetate in plasma at 37 C, 1/(s mmol/L), by field strength (Rohrer, Invest Radiol 2005;40:715)."""


def spoiled_echo(t1_ms: np.ndarray, t2_ms: np.ndarray, *, tr_ms: float, te_ms: float, flip_deg: float) -> np.ndarray:
    """Steady-state signal for unit proton density: sin a (1 - E1) / (1 - cos a E1) exp(-TE / T2*), E1 = exp(-TR/T1).

    Haase et al., J Magn Reson 1986;67:258. Times in ms, any shapes that broadcast; the result lies in 0..1.
    """
    flip = np.deg2rad(flip_deg)
    e1 = np.exp(-tr_ms / np.asarray(t1_ms, dtype=np.float64))
    steady = np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1)
    return np.asarray(steady * np.exp(-te_ms / np.asarray(t2_ms, dtype=np.float64)))


def with_contrast(
    t1_ms: float, t2_ms: float, concentration: np.ndarray, field_strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """T1 and T2* (ms) at a concentration of contrast agent (mmol/L): 1/T = 1/T0 + r C, each with its relaxivity.

    Field strengths between the tabulated ones take the nearest.
    """
    r1, r2 = RELAXIVITY[min(RELAXIVITY, key=lambda known: abs(known - field_strength))]
    amount = np.asarray(concentration, dtype=np.float64)
    return 1000 / (1000 / t1_ms + r1 * amount), 1000 / (1000 / t2_ms + r2 * amount)


def rician(values: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of ``values`` with complex Gaussian noise of SD ``sd`` in each part (Rice), float32, same shape.

    Where the signal is 0 the result has mean sd sqrt(pi/2) and SD sd sqrt(2 - pi/2) (Gudbjartsson, Magn Reson Med
    1995;34:910).
    """
    noise = rng.standard_normal((2, *values.shape), dtype=np.float32)
    noise *= np.float32(sd)
    noise[0] += values
    return np.hypot(noise[0], noise[1])
