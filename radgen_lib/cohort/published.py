"""The four test images of CPDM's single split: which series they show, and which images of a cohort those are."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from radgen_lib.cohort.selection import Selection

STEP = "image of the published test"


class PublishedSeries(NamedTuple):
    """A patient and the SeriesInstanceUID."""

    patient: str
    series: str


_AO, _AR = "1.3.6.1.4.1.14519.5.2.1.9203.4002.", "1.3.6.1.4.1.14519.5.2.1.3344.4002."
# Places 1, 16, 24 and 33 among the 58 sagittal series as CPDM counts them (PROTOCOLS B.2): rows of the released
# SideViewBTF.csv, which are sorted by patient and UID.
PUBLISHED_TEST = {
    1: PublishedSeries("TCGA-AO-A03M", _AO + "193499689386770689211199603682"),
    16: PublishedSeries("TCGA-AO-A12E", _AO + "130277155167120028819494200073"),
    24: PublishedSeries("TCGA-AO-A12G", _AO + "248402203034281408676756249341"),
    33: PublishedSeries("TCGA-AR-A1AX", _AR + "206857113053280210440199820089"),
}


def published_test(series: pd.DataFrame, *, stand_in: bool) -> frozenset[int]:
    """Indexes of the images that the published single split tests, among ``series`` (image_index, series_uid).

    Those of the papers' four series, every image that a series gave. Where none of them is here, ``stand_in`` says
    whether the images of the same numbers take their place; without it the result is empty.
    """
    theirs = series["series_uid"].isin({test.series for test in PUBLISHED_TEST.values()})
    if theirs.any() or not stand_in:
        return frozenset(series.loc[theirs, "image_index"].tolist())
    return frozenset(PUBLISHED_TEST) & frozenset(series["image_index"].tolist())


def tell_published_test(series: pd.DataFrame, selection: Selection, *, hidden: bool) -> None:
    """A row of the selection for each of the four series: whether an image of ``series`` (series_uid) shows it.

    hidden: whether series bear pseudonyms, so that nobody can tell.
    """
    here = frozenset() if hidden else frozenset(series["series_uid"])
    reason = "series bear pseudonyms: nobody can tell which it is" if hidden else "no usable image of the series"
    for place, test in PUBLISHED_TEST.items():
        if test.series in here:
            selection.keep(STEP, "series", test.patient, "published split", place)
        else:
            selection.drop(STEP, "series", test.patient, "published split", place, reason=reason)
