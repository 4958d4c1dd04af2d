"""Result rows of the single tests of condition adherence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.audit.matching import FoldDistances, Ranking, paired_differences, permutation_test, retrieval
from radgen_lib.audit.nulls import told
from radgen_lib.audit.preparation import FoldSpace, feature_draws
from radgen_lib.audit.readback import FEWEST_PATIENTS, Arm, ReadBack, read_back, stack
from radgen_lib.audit.sensitivity import Draws, sensitivity
from radgen_lib.core.rows import result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import Interval, patient_bootstrap

TRAINED = "gallery patients of other folds trained this generator, which works against the true patient"
NO_PAIRS = "no fold holds two held-out patients of one stratum"
READERS = ("r2", "r")
ARMS: tuple[Arm, Arm] = ("real", "synthetic")


@dataclass(frozen=True)
class Context:
    """Key columns that the rows share, and how much is drawn."""

    base: dict[str, Any]
    permutations: int
    draws: int
    seed: int

    def row(self, metric: str, *, note: str = "", **values: Any) -> dict[str, Any]:
        """One result row; ``note`` is added to the note of the design."""
        notes = "; ".join(text for text in (note, self.base.get("note", "")) if text)
        return result_row(**{**self.base, "metric": metric, "note": notes, **values})

    def interval_row(self, metric: str, found: Interval, **values: Any) -> dict[str, Any]:
        """One result row from an interval."""
        reason = "" if np.isfinite(found.value) else "not a number: nothing varies"
        return self.row(
            metric, value=found.value, low=found.low, high=found.high, n=found.n, interval=found.method, reason=reason,
            **values,
        )  # fmt: skip

    def rng(self, *names: object) -> np.random.Generator:
        """Generator that depends on the run and on ``names`` alone."""
        keys = [self.base[name] for name in ("protocol", "condition", "generator", "design")]
        return make_rng(self.seed, "adherence", *keys, *names)

    def mean(self, values: np.ndarray, patients: np.ndarray, *names: object) -> Interval:
        """Mean of ``values`` with a patient bootstrap; the patients are pooled over folds."""
        return patient_bootstrap(
            lambda rows: float(values[rows].mean()), patients, draws=self.draws, rng=self.rng("bootstrap", *names)
        )


def sensitivity_rows(draws: Sequence[Draws], extractor: str, context: Context) -> list[dict[str, Any]]:
    """Test 1: ``sensitivity_ratio`` and ``icc`` in one space."""
    found = sensitivity(draws)
    n = len({name for fold in draws for name in fold.patients})
    rows = []
    for metric, interval in (("sensitivity_ratio", found.ratio), ("icc", found.icc)):
        if interval is None:
            rows.append(context.row(metric, extractor=extractor, reason=found.reason, n=n))
        else:
            rows.append(context.interval_row(metric, interval, extractor=extractor))
    return rows


def feature_sensitivity_rows(spaces: Sequence[FoldSpace], extractor: str, context: Context) -> list[dict[str, Any]]:
    """Test 1 in a feature space."""
    return sensitivity_rows(feature_draws(spaces), extractor, context)


def matching_rows(folds: Sequence[FoldDistances], scope: str, extractor: str, context: Context) -> list[dict[str, Any]]:
    """Tests 2 and 3 within ``scope``: p and z of both permutations inside the folds, and the distance difference."""
    keys = {"extractor": extractor}
    rows = []
    for name, statistic in (("permutation", "distance"), ("retrieval", "rank")):
        rng = context.rng(name, scope, extractor)
        found = permutation_test(folds, statistic, permutations=context.permutations, rng=rng)
        for metric in ("p", "z"):
            key = f"{name}_{metric}_{scope}"
            if found is None:
                rows.append(context.row(key, reason=NO_PAIRS, **keys))
                continue
            text = f"{context.permutations} permutations inside fold, {found.repeats} repeats"
            text = told(text, found.folds) if metric == "p" else f"{text}; in SD of the permutations as they are"
            rows.append(context.row(key, value=getattr(found, metric), n=found.patients, interval=text, **keys))
    values, names = paired_differences(folds)
    if len(values):
        found_mean = context.mean(values, names, "difference", scope, extractor)
        rows.append(context.interval_row(f"permutation_difference_{scope}", found_mean, **keys))
    return rows


def retrieval_rows(
    folds: Sequence[FoldDistances], wide: Sequence[Ranking], scope: str, extractor: str, context: Context
) -> list[dict[str, Any]]:
    """Test 3 within ``scope``: scores and chance among all held-out patients, and ``retrieval_fold_`` in the fold."""
    narrow = [Ranking.within(fold) for fold in folds]
    note = TRAINED if any(len(a.gallery) > len(b.gallery) for a, b in zip(wide, narrow, strict=True)) else ""
    rows = _gallery_rows("retrieval", wide, note, scope, extractor, context)
    return rows + _gallery_rows("retrieval_fold", narrow, "", scope, extractor, context)


def _gallery_rows(
    name: str, rankings: Sequence[Ranking], note: str, scope: str, extractor: str, context: Context
) -> list[dict[str, Any]]:
    found = retrieval(rankings)
    rows = []
    for key in ("top1", "top5", "mrr"):
        one, metric, chance = found.get(key), f"{name}_{key}_{scope}", f"{name}_{key}_chance_{scope}"
        if one is None:
            why = "every gallery holds 5 patients or fewer" if key == "top5" else "every gallery holds one patient"
            rows += [context.row(each, extractor=extractor, reason=why) for each in (metric, chance)]
            continue
        size = " to ".join(str(value) for value in sorted({int(one.sizes.min()), int(one.sizes.max())}))
        level = float(one.chance.mean())
        said = "; ".join(text for text in (f"chance {level:.3g}, gallery of {size} patients", note) if text)
        interval = context.mean(one.scores, one.patients, name, key, scope, extractor)
        rows.append(context.interval_row(metric, interval, note=said, extractor=extractor))
        exact = "none: known exactly from the size of each gallery"
        rows.append(context.row(chance, value=level, n=interval.n, interval=exact, extractor=extractor))
    return rows


def read_back_rows(
    spaces: Sequence[FoldSpace], conditions: pd.DataFrame, condition: str, context: Context
) -> list[dict[str, Any]]:
    """Test 4: each factor read from real (the ceiling) and synthetic images, and whether these exceed the ceiling."""
    table = conditions.set_index(conditions["patient"].astype(str)).drop(columns="patient").astype(float)
    # Expression is skewed over decades: read on the log scale, whatever the protocol's condition_log gave generators.
    log = condition.startswith("genes")
    parts = [part for part in (_fold_read_back(space, table, log) for space in spaces) if part is not None]
    if not parts:
        why = f"no fold has {FEWEST_PATIENTS} training patients with the condition"
        return [context.row("readback_above_ceiling", task="all", extractor="radiomics", reason=why)]
    joined = stack(parts)
    rows = []
    for column, factor in [(None, "all"), *enumerate(joined.factors)]:
        found = {(name, arm): _read(joined, name, arm, column, factor, context) for name in READERS for arm in ARMS}
        for (name, arm), interval in found.items():
            keys: dict[str, Any] = {"task": factor, "arm": arm, "extractor": "radiomics"}
            rows.append(context.interval_row(f"readback_{name}", interval, **keys))
        rows.append(_above(found, factor, context))
    return rows


def _above(found: dict[tuple[str, Arm], Interval], factor: str, context: Context) -> dict[str, Any]:
    """1 when a synthetic reading lies above the interval of the real one, by R2 or by correlation.

    Its own interval must lie above 0 too: where real images tell nothing, their R2 is negative, and a generator
    without any content would otherwise count as a watermark.
    """
    keys: dict[str, Any] = {"task": factor, "extractor": "radiomics", "n": found["r2", "real"].n}
    if not all(np.isfinite([found[name, "real"].high, found[name, "synthetic"].low]).all() for name in READERS):
        return context.row("readback_above_ceiling", reason="the ceiling has no interval", **keys)
    over = [
        found[name, "synthetic"].value > found[name, "real"].high and found[name, "synthetic"].low > 0
        for name in READERS
    ]
    note = "; ".join(
        f"{name}: synthetic {found[name, 'synthetic'].value:.3f}, ceiling up to {found[name, 'real'].high:.3f}"
        for name in READERS
    )
    rule = "none: 1 when synthetic lies above the ceiling's interval (a watermark)"
    return context.row("readback_above_ceiling", value=float(any(over)), interval=rule, note=note, **keys)


def _read(joined: ReadBack, name: str, arm: Arm, column: int | None, factor: str, context: Context) -> Interval:
    measure = joined.r_squared if name == "r2" else joined.correlation
    # The same draws of patients for every arm and measure, so that their intervals can be compared.
    rng = context.rng("readback", factor)
    return patient_bootstrap(lambda rows: measure(arm, rows, column), joined.patients, draws=context.draws, rng=rng)


def _fold_read_back(space: FoldSpace, table: pd.DataFrame, log: bool) -> ReadBack | None:
    train = space.train.of(table.index.to_numpy(dtype=str))
    held_out = np.array([name for name in space.patients if name in table.index])
    if len(train.owners) < FEWEST_PATIENTS or not len(held_out):
        return None
    real, synthetic = space.real.of(held_out), space.synthetic.of(held_out)
    return read_back(train, table, held_out, real, synthetic, log=log)
