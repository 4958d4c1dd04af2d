"""Configuration of cohorts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from radgen_lib.core.config.base import Block


class Splits(Block):
    """How patients are split; written once as a file that every fit reads."""

    folds: Annotated[int, Field(ge=2, le=28, description="Folds of the grouped design, by patient")] = 7
    repeats: Annotated[int, Field(ge=1, le=50, description="Times the grouped folds are drawn again")] = 5
    endpoint_folds: Annotated[int, Field(ge=2, le=20, description="Folds over patients without MRI, per endpoint")] = 5
    endpoint_repeats: Annotated[int, Field(ge=1, le=50, description="Times those folds are drawn again")] = 10


class Cohort(Block):
    """One cohort; all cohorts run through the same rules."""

    kind: Annotated[
        Literal["released"], Field(description="What the files are; `released`: what the authors of CPDM released")
    ] = "released"
    max_excluded_share: Annotated[
        float, Field(ge=0, le=1, description="Stop when a larger share of image series is lost to faults of rows")
    ] = 0.2
    splits: Annotated[Splits, Field(description="Splits by patient")] = Splits()
