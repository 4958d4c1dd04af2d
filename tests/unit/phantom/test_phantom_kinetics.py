"""Contrast kinetics: input function, tissue model, and what the rate constants do to a curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from radgen_lib.sources.phantom.kinetics import HAEMATOCRIT, parker_blood, tissue_concentration, washout_integral
from radgen_lib.sources.phantom.tissue import TISSUES, patient_tissues

LESION = {"ktrans": 0.25, "kep": 0.7, "vp": 0.03, "rim": 0.0}


def test_parker_input_is_the_published_curve() -> None:
    # Table 1 and equation 2 written out once more, at one time, term by term.
    t = 0.5
    first = 0.809 / (0.0563 * np.sqrt(2 * np.pi)) * np.exp(-((t - 0.17046) ** 2) / (2 * 0.0563**2))
    second = 0.330 / (0.132 * np.sqrt(2 * np.pi)) * np.exp(-((t - 0.365) ** 2) / (2 * 0.132**2))
    tail = 1.050 * np.exp(-0.1685 * t) / (1 + np.exp(-38.078 * (t - 0.483)))
    assert parker_blood(np.array([t]))[0] == pytest.approx(first + second + tail, rel=1e-12)


def test_parker_input_peaks_early_and_is_zero_before_arrival() -> None:
    minutes = np.linspace(-1, 10, 11_001)
    blood = parker_blood(minutes)
    assert np.all(blood[minutes < 0] == 0)
    assert 5.5 < blood.max() < 6.5
    assert 0.15 < minutes[blood.argmax()] < 0.2
    assert np.all(np.diff(blood[minutes > 1.5]) < 0)


def test_parker_input_does_not_overflow_long_before_arrival() -> None:
    assert np.array_equal(parker_blood(np.array([-1e4, -1e8])), [0.0, 0.0])


@pytest.mark.parametrize("kep", [0.05, 0.4, 1.5, 8.0])
def test_tissue_model_equals_direct_numerical_convolution(kep: float) -> None:
    ktrans, vp, arrival = 0.3, 0.04, 47.0
    seconds = np.array([60.0, 130.0, 261.0, 523.0])

    def plasma(minutes: float) -> float:
        return float(parker_blood(np.array(minutes))) / (1 - HAEMATOCRIT)

    expected = []
    for second in seconds:
        t = (second - arrival) / 60
        cuts = [c for c in (0.1, 0.17, 0.3, 0.483, 0.7, t - 0.2) if 0 < c < t]
        area, _ = quad(lambda s, t=t: plasma(s) * np.exp(-kep * (t - s)), 0, t, points=cuts, limit=400)
        expected.append(vp * plasma(t) + ktrans * area)
    found = tissue_concentration(seconds, ktrans=ktrans, kep=kep, vp=vp, arrival=arrival, step=0.25)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    coarse = tissue_concentration(seconds, ktrans=ktrans, kep=kep, vp=vp, arrival=arrival)
    np.testing.assert_allclose(coarse, expected, rtol=0.02)


@given(kep=st.floats(0.01, 20), level=st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_constant_input_fills_the_tissue_exponentially(kep: float, level: float) -> None:
    minutes = np.arange(200) * 0.05
    found = washout_integral(np.full(200, level), kep, 0.05)
    np.testing.assert_allclose(found, level * (1 - np.exp(-kep * minutes)) / kep, rtol=1e-9, atol=1e-12)


def test_without_return_the_integral_is_the_area() -> None:
    ramp = np.linspace(0, 2, 101)
    assert washout_integral(ramp, 0.0, 0.1)[-1] == pytest.approx(10.0)
    assert washout_integral(ramp, 2e-5, 0.1)[-1] == pytest.approx(10.0, rel=1e-3)


def test_fast_return_gives_washout_and_slow_return_a_rising_curve() -> None:
    seconds = np.array([150.0, 280.0, 410.0, 540.0])
    washout = tissue_concentration(seconds, ktrans=0.3, kep=1.6, vp=0.02, arrival=70)
    rising = tissue_concentration(seconds, ktrans=0.05, kep=0.06, vp=0.005, arrival=70)
    assert np.all(np.diff(washout) < 0)
    assert np.all(np.diff(rising) > 0)


def test_the_late_slope_falls_with_kep() -> None:
    seconds = np.array([150.0, 540.0])
    ratios = []
    for kep in (0.1, 0.3, 0.6, 1.0, 1.6):
        early, late = tissue_concentration(seconds, ktrans=0.2, kep=kep, vp=0.02, arrival=70)
        ratios.append(late / early)
    assert np.all(np.diff(ratios) < 0)


def test_nothing_enhances_before_arrival() -> None:
    curve = tissue_concentration(np.array([0.0, 69.0]), ktrans=0.4, kep=1.0, vp=0.1, arrival=70)
    assert np.array_equal(curve, [0.0, 0.0])


def test_blood_is_the_input_itself() -> None:
    blood = TISSUES["blood"]
    curve = tissue_concentration(np.array([200.0]), ktrans=blood.ktrans, kep=blood.kep, vp=blood.vp, arrival=80)
    assert curve[0] == pytest.approx(float(parker_blood(np.array(2.0))), rel=1e-3)


@pytest.mark.parametrize("name", ["ktrans", "kep", "vp"])
def test_negative_parameters_are_refused(name: str) -> None:
    values = {"ktrans": 0.1, "kep": 0.1, "vp": 0.1, name: -0.1}
    with pytest.raises(ValueError, match="cannot be negative"):
        tissue_concentration(np.array([100.0]), arrival=0, **values)


def test_rim_moves_supply_from_core_to_edge() -> None:
    supplies = []
    for rim in (0.0, 0.5, 1.0):
        tissues = patient_tissues({**LESION, "rim": rim}, 0.3)
        supplies.append((tissues["tumour_edge"].ktrans, tissues["tumour_core"].ktrans))
    edge, core = np.transpose(supplies)
    assert edge[0] == core[0] == 0.25
    assert np.all(np.diff(edge) > 0)
    assert np.all(np.diff(core) < 0)


def test_background_enhancement_raises_the_gland_and_no_lesion_means_no_tumour_tissue() -> None:
    echo = {"tr_ms": 6.0, "te_ms": 3.0, "flip_deg": 10.0}
    seconds = np.array([0.0, 150.0])
    gains = []
    for background in (0.0, 0.5, 1.0):
        before, after = patient_tissues(None, background)["gland_active"].signal(seconds, 70, 1.5, echo)
        gains.append(after / before)
    assert 1.0 < gains[0] < gains[1] < gains[2]
    assert not [name for name in patient_tissues(None, 0.5) if name.startswith("tumour")]
