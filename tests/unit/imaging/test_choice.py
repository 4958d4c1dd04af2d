"""Which phases become volumes."""

from __future__ import annotations

import pandas as pd

from radgen_lib.cohort.selection import NO_CONTRAST_PHASE
from radgen_lib.imaging.choice import keep_all


def test_other_phases_are_kept_unless_something_is_wrong_with_them() -> None:
    phases = pd.DataFrame(
        {
            "phase": ["pre", "post1", "subtraction", "localiser"],
            "kept": [True, False, False, False],
            "reason": [
                "",
                "2 slices are missing",
                f"subtraction: {NO_CONTRAST_PHASE}",
                f"localiser: {NO_CONTRAST_PHASE}",
            ],
        }
    )
    found = keep_all(phases)
    assert found["kept"].tolist() == [True, False, True, True]
    assert found["reason"].tolist() == ["", "2 slices are missing", "", ""]
    assert phases["kept"].sum() == 1, "the table given stays as it was"
