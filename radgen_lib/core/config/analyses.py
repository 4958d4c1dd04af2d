"""Configuration of what system B draws and analyses: images, prediction, survival, condition adherence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from radgen_lib.core.config.base import Block

Task = Literal["er", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1"]
Classifier = Literal["xgboost", "logistic", "lasso", "random_forest", "svm"]


class Sampling(Block):
    """How many images are drawn."""

    draws_heldout: Annotated[int, Field(ge=1, le=100, description="Images per held-out patient's condition")] = 10
    synthetic_repeats: Annotated[
        int,
        Field(ge=1, le=50, description="Grouped repeats whose generators draw patients without MRI (the costly part)"),
    ] = 1
    max_synthetic: Annotated[
        int | None,
        Field(ge=20, description="Patients without MRI that get images (a seeded, stratified sample); null: all"),
    ] = None


class Prediction(Block):
    """Clinical prediction from image features."""

    tasks: Annotated[list[Task], Field(min_length=1, description="Endpoints")] = [
        "er", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1",
    ]  # fmt: skip
    classifiers: Annotated[list[Classifier], Field(min_length=1, description="Classifiers")] = [
        "xgboost", "logistic", "lasso", "random_forest", "svm",
    ]  # fmt: skip
    primary_tasks: Annotated[list[Task], Field(description="Endpoints for which settings are searched")] = [
        "er", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1",
    ]  # fmt: skip
    primary_classifiers: Annotated[list[Classifier], Field(description="Classifiers whose settings are searched")] = [
        "xgboost", "logistic", "lasso", "random_forest", "svm",
    ]  # fmt: skip
    search_draws: Annotated[int, Field(ge=1, le=500, description="Settings tried inside the training folds")] = 10
    inner_folds: Annotated[int, Field(ge=2, le=10, description="Inner folds of that search")] = 5
    holdout_seeds: Annotated[
        int, Field(ge=1, le=100, description="Random 10 % tests drawn under `evaluation: holdout10`")
    ] = 20
    bootstrap: Annotated[int, Field(ge=100, le=20000, description="Patient bootstrap draws behind intervals")] = 2000


class Survival(Block):
    """Survival from image features."""

    penalizer: Annotated[float, Field(ge=0, le=100, description="Ridge penalty of lifelines' Cox model")] = 0.1
    horizon_days: Annotated[float, Field(gt=0, description="Uno's C-index counts events up to here")] = 1826.25
    search_settings: Annotated[
        int | None, Field(ge=1, le=3630, description="Settings of the published search; null: all 3,630")
    ] = None
    search_permutations: Annotated[
        int, Field(ge=0, le=1000, description="Outcome permutations that measure the optimism of that search")
    ] = 20


class Adherence(Block):
    """Does the condition change the image, in the right direction?"""

    permutations: Annotated[
        int, Field(ge=100, le=100000, description="Permutations of tests 2, 3 and 6, shuffles of test 6")
    ] = 2000
    response_generators: Annotated[
        list[str],
        Field(description="Generators that draw shifted conditions (test 6), beside the primary one of a protocol"),
    ] = ["cpdm", "edm"]
    response_variables: Annotated[
        int | None,
        Field(ge=1, description="Variables shifted one at a time: the first of the condition's columns; null: all"),
    ] = None
    response_patients: Annotated[
        int | None,
        Field(ge=1, description="Held-out patients of a design drawn with shifts (a seeded sample); null: all"),
    ] = None
    response_repeats: Annotated[
        int, Field(ge=1, le=50, description="Grouped repeats whose generators draw shifted conditions")
    ] = 1
