"""Names of folds and of the jobs that take them, from the configuration alone: the DAG is built without data."""

from __future__ import annotations

from pathlib import Path

from radgen_lib.core.config.cohort import Splits
from radgen_lib.core.config.model import Config
from radgen_lib.core.trainings import SINGLE_SPLIT, further_trainings

PUBLISHED_FOLDS = 15
PREDICTION_FOLD = "cv{}-{}"  # repeat, fold: of all patients of a tensor


def fold_names(design: str, splits: Splits) -> list[str]:
    """Folds of one design, in order; these are the fold names of ``splits.parquet``."""
    if design == "published_split":
        return [SINGLE_SPLIT]
    if design == "published_folds":
        return [f"image-{i:02d}" for i in range(PUBLISHED_FOLDS)]
    if design == "grouped":
        return [f"r{r}f{f}" for r in range(splits.repeats) for f in range(splits.folds)]
    if design == "site":
        return [f"site-{group}" for group in splits.sites]
    return ["full"]


def protocol_folds(config: Config, cohort: str, protocol: str) -> list[str]:
    """All trainings of a generator under one protocol: its folds, then further trainings of the published single split.

    Those come last, so that asking for one more leaves the jobs of the others as they are.
    """
    splits, designs = config.cohorts[cohort].splits, config.cpdm.protocols[protocol].designs
    further = further_trainings(splits.trainings) if "published_split" in designs else []
    return [*(fold for design in designs for fold in fold_names(design, splits)), *further]


def chunks(folds: list[str], folds_per_job: int | str) -> dict[str, list[str]]:
    """Job name -> its folds: ``all``, the fold itself, or ``from-FOLD`` for several folds a job."""
    if folds_per_job == "all":
        return {"all": folds}
    size = int(folds_per_job)
    groups = [folds[i : i + size] for i in range(0, len(folds), size)]
    return {group[0] if len(group) == 1 else f"from-{group[0]}": group for group in groups}


def synthetic_folds(folds: list[str], repeats: int) -> list[str]:
    """Folds whose generators draw images of patients without MRI: the published split, ``full``, first repeats."""
    first = tuple(f"r{r}f" for r in range(repeats))
    return [fold for fold in folds if fold in (SINGLE_SPLIT, "full") or fold.startswith(first)]


def accelerators(config: Config) -> int:
    """GPUs that a GPU rule asks for: none under ``auto`` on a machine without one."""
    present = Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists()
    return 0 if config.device == "auto" and not present else 1


def factor_folds(config: Config, cohort: str) -> list[str]:
    """Folds that the omics are factorised in: those of the generators, then those of predictions from factors."""
    splits, block = config.cohorts[cohort].splits, config.factors
    used = {design for p in config.cpdm.protocols.values() if "factors" in p.conditions for design in p.designs}
    designs = [design for design in ("grouped", "site", "full") if design in used or design == "full"]
    folds = [fold for design in designs for fold in fold_names(design, splits)]
    return folds + [PREDICTION_FOLD.format(r, f) for r in range(block.repeats) for f in range(block.folds)]


def generator_options(config: Config, protocol: str, generator: str) -> dict[str, object]:
    """Options of a generator block with the protocol's training switches (B-W04, B-W12) beneath them.

    The class's own options decide which of them it takes; see :func:`radgen_lib.generators.training.accepted`.
    """
    switches = config.cpdm.protocols[protocol]
    beneath = {"batch_size": switches.batch_size, "start_noise": switches.start_noise}
    return {**beneath, **config.cpdm.generators[generator].options}
