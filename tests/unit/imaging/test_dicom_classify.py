"""Words of series descriptions, image types and timing as real scanners write them, and what they make of a series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radgen_lib.imaging.dicom.classify import POST, PRE, classify, words_of
from radgen_lib.imaging.dicom.split import Part
from radgen_lib.imaging.dicom.timing import column, in_time, seconds_after

_NAN = float("nan")


def part(description: str = "", *, slices: int = 40, series: str = "1", **facts: object) -> Part:
    """A part whose rows say no more than what decisions read."""
    row = {"description": description, "image_type": "ORIGINAL\\PRIMARY\\OTHER", "samples": 1, "te": 3.0, "tr": 6.0,
           "photometric": "MONOCHROME2", "sequence": "GR", "instance": 1.0}  # fmt: skip
    clocks = ("temporal", "trigger", "acquisition_time", "content_time", "acquisition", "series_time", "series_number",
              "temporal_resolution")  # fmt: skip
    table = pd.DataFrame([{**dict.fromkeys(clocks, _NAN), **row, **facts} for _ in range(slices)])
    return Part(table.assign(position=[(float(k), 0.0, 0.0) for k in range(slices)]), "", series=(series,))


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("Sag Vibrant MPH", "dynamic"), ("Ax Vibrant ASSET+C", "dynamic"), ("T1 Sagittal post fat sat", "dynamic"),
        ("Bind(11251/7/1..50)", "dynamic"), ("Ph2/Ax dynamic", "dynamic"), ("ax dyn 1st pass", "dynamic"),
        ("ax 3d dyn pre", "dynamic"), ("t1_fl3d_tra_dynaVIEWS_spair_1+4", "dynamic"), ("", "dynamic"),
        ("3 PLANE LOC", "localiser"), ("Localizer", "localiser"), ("localiser_quick", "localiser"),
        ("scout", "localiser"), ("SUB post 2", "subtraction"), ("Subtraction_1", "subtraction"),
        ("(769/2/1)-(769/1/1)", "subtraction"), ("PJN MIP left", "derived"), ("MIP SUB", "derived"),
        ("ADC (10^-6 mm2/s)", "derived"), ("reformatted cor", "derived"), ("t2_tirm_tra", "other"),
        ("AX STIR", "other"), ("DWI b0 b600", "other"), ("ep2d diff", "other"), ("ASSET calibration", "other"),
        ("Sag T2 FSE", "other"),
    ],
)  # fmt: skip
def test_descriptions_of_real_scanners(description: str, kind: str) -> None:
    assert classify(part(description)).kind == kind


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        ({"description": "t2huber tra"}, "description says t2"),
        ({"description": "spectroHuber"}, "description says spectroscopy"),
        ({"description": "rotathuber"}, "description says rotation"),
        ({"description": "PJN MIPS"}, "description says mip"),
        ({"sequence": "EP\\HUBER"}, "scanning sequence EP: not a gradient echo"),
    ],
)
def test_a_clause_names_the_meaning_and_not_the_text(facts: dict[str, object], decision: str) -> None:
    found = classify(part(**facts)).decision  # type: ignore[arg-type]
    assert found == decision


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"image_type": "DERIVED\\PRIMARY\\M\\ND\\SUB"}, "subtraction"),
        ({"image_type": "DERIVED\\PRIMARY\\PROJECTION IMAGE\\SUB"}, "derived"),
        ({"image_type": "DERIVED\\SECONDARY\\PROCESSED"}, "dynamic"),
        ({"image_type": "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"}, "dynamic"),
        ({"image_type": "ORIGINAL\\PRIMARY\\P\\ND"}, "other"),
        ({"photometric": "RGB", "samples": 3}, "derived"),
        ({"te": 19.0, "tr": 150.0}, "dynamic"), ({"te": 90.0}, "other"), ({"tr": 4000.0}, "other"),
        ({"te": _NAN, "tr": _NAN, "sequence": ""}, "dynamic"), ({"sequence": "SE"}, "other"),
        ({"sequence": "GR\\SE"}, "dynamic"),
    ],
)  # fmt: skip
def test_image_type_and_timing_parameters(facts: dict[str, object], kind: str) -> None:
    assert classify(part(**facts)).kind == kind  # type: ignore[arg-type]


@pytest.mark.parametrize("words", ["ax dyn pre", "pre-contrast", "T1_PRE", "non contrast", "dynamic mask"])
def test_words_for_before_contrast(words: str) -> None:
    said = words_of(part(words))
    assert PRE.search(said) and not POST.search(said)


@pytest.mark.parametrize("words", ["t1 post", "POST-GAD", "sag +C", "Ph1/Vibrant", "2nd pass", "Gd T1"])
def test_words_for_after_contrast(words: str) -> None:
    said = words_of(part(words))
    assert POST.search(said) and not PRE.search(said)


@pytest.mark.parametrize(
    "words", ["preset", "compression", "posterior coil", "t1 vibrant", "gradient", "without fat sat"]
)
def test_words_that_only_look_like_it(words: str) -> None:
    said = words_of(part(words))
    assert not PRE.search(said) and not POST.search(said)


def test_decisions_hold_no_free_text() -> None:
    for description in ("SUB Roe^Jane 1950", "MIP Jane", "stir Roe", "loc jane"):
        verdict = classify(part(description))
        assert verdict.kind != "dynamic" and not any(
            word in verdict.decision.lower() for word in ("jane", "roe", "1950")
        )


def test_the_strongest_evidence_that_tells_all_apart_orders() -> None:
    parts = [part(temporal=1.0, trigger=300.0, acquisition_time=50.0 - k, series=str(k)) for k in range(3)]
    order = in_time(parts)
    assert order.indices == [2, 1, 0] and order.evidence == "acquisition times" and not order.disagreements
    for k, one in enumerate(parts):
        one.rows["temporal"] = float(k)
    order = in_time(parts)
    assert order.indices == [0, 1, 2] and order.disagreements == ["acquisition times say another order"]


def test_parts_without_any_clock_have_an_order_but_no_evidence() -> None:
    parts = [part(series="b"), part(series="a")]
    assert in_time(parts) == ([1, 0], "", [])
    seconds, source = seconds_after(parts, 0)
    assert seconds[0] == 0 and np.isnan(seconds[1]) and source == ""
    assert np.isnan(seconds_after(parts, None)[0]).all()


def test_clocks_that_stand_still_or_run_back_are_not_believed() -> None:
    parts = [part(acquisition_time=60.0, content_time=100.0 + k, series=str(k)) for k in range(3)]
    seconds, source = seconds_after(parts, 0)
    assert seconds.tolist() == [0, 1, 2] and source == "content"
    parts = [part(acquisition_time=60.0 - k, series=str(k)) for k in range(3)]
    assert seconds_after(parts, 0)[1] == ""


def test_times_of_a_phase_are_those_of_its_first_slice() -> None:
    one = part(slices=3)
    one.rows["acquisition_time"] = [_NAN, 71.0, 70.0]
    assert column([one], "acquisition_time").tolist() == [70.0]
