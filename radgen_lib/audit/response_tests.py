"""Result rows of test 6 of condition adherence: one variable of the condition moved at a time.

Does the image follow (monotone share and direction, size)? Which radiomic families answer, and do different variables
answer differently (specificity)? Do real images of held-out patients say the same (agreement)?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.audit.adherence_tests import Context
from radgen_lib.audit.agreement import RealFold, agreement, mean_known
from radgen_lib.audit.nulls import told
from radgen_lib.audit.preparation import OVERALL, WITHIN_SITE
from radgen_lib.audit.response import Response, direction_agreement, holm, monotone_share
from radgen_lib.audit.runs import AuditRun, Fold
from radgen_lib.audit.shifted import DIRECTION, Shifted, ShiftedFold, shifted
from radgen_lib.metrics.intervals import patient_counts, percentile_interval
from radgen_lib.omics.conditions import of_fold

ALL = "all"  # the mean over the single variables
LEVEL = 0.05
OWN_COMPONENTS = "each fold has components of its own: none is the same variable in two folds"
STILL = "the shifts change no feature: the generator ignores them, or training patients do not differ in the variable"
ADJUSTED = (
    "monotone_share_p", "monotone_direction_p", *(f"response_agreement_p_{s}" for s in (WITHIN_SITE, OVERALL)),
)  # fmt: skip


def response_rows(
    run: AuditRun,
    folds: Sequence[Fold],
    real_features: pd.DataFrame,
    conditions: pd.DataFrame,
    sites: Mapping[str, str],
    extractor: str,
    context: Context,
) -> list[dict[str, Any]]:
    """Test 6: rows of every moved variable and of the common direction (``task``), and over the variables (``all``).

    Where each fold has a table of conditions of its own, its variables have no rows of their own.
    """
    found = shifted(run, folds, real_features, extractor)
    if found.reason:
        return [context.row("monotone_share", extractor=extractor, task=ALL, reason=found.reason)]
    own_tables = "fold" in conditions.columns
    variables = [name for name in found.factors() if name != DIRECTION]
    named = [name for name in found.factors() if name == DIRECTION or not own_tables]
    rows = []
    for factor in [*named, ALL] if variables else named:
        tests = _Factor(found, factor, extractor, context)
        rows += [*tests.monotone(), *tests.sizes()]
    if not variables:
        return rows
    rows.append(_distinct(found, extractor, context))
    for scope in (WITHIN_SITE, OVERALL):
        strata = {name: site if scope == WITHIN_SITE else "" for name, site in sites.items()}
        rows += _agreement(found, conditions, strata, scope, extractor, context)
    return [*rows, *_adjusted(rows, [] if own_tables else variables, extractor, context)]


class _Factor:
    """Rows of one factor, or of the mean over the variables."""

    def __init__(self, found: Shifted, factor: str, extractor: str, context: Context) -> None:
        self.found, self.factor, self.context = found, factor, context
        self.wanted = None if factor == ALL else factor
        self.keys: dict[str, Any] = {"task": factor, "extractor": extractor}

    def monotone(self) -> list[dict[str, Any]]:
        """Share of features that follow the shifts, and (of a single factor) whether patients agree on the direction.

        Of ``all``, a patient's variables are shuffled together, as they share the image at shift 0.
        """
        series = self.found.series(self.wanted)
        rows = self._monotone("monotone_share", monotone_share(series, **self._draws("monotone_share")))
        if self.factor == ALL:
            return rows
        directed = direction_agreement(series, **self._draws("monotone_direction"))
        return rows + self._monotone("monotone_direction", directed)

    def _draws(self, name: str) -> dict[str, Any]:
        return {"permutations": self.context.permutations, "rng": self.context.rng(name, self.factor)}

    def _monotone(self, name: str, found: Response) -> list[dict[str, Any]]:
        context, keys, n = self.context, self.keys, len(found.patients)
        note = f"mean under shuffled steps {found.null:.3g}"
        shuffled = f"{context.permutations} shuffles of the steps within patient"
        rows = [
            context.row(f"{name}_{metric}", value=getattr(found, metric), n=n, interval=shuffled, **keys)
            for metric in ("p", "z")
        ]
        if name == "monotone_share":
            interval = context.mean(found.per_patient, found.patients, name, self.factor)
            return [context.interval_row(name, interval, note=note, **keys), *rows]
        why = "none: a mean of absolute values over patients has no unbiased bootstrap; see its p"
        return [context.row(name, value=found.value, n=n, interval=why, note=note, **keys), *rows]

    def sizes(self) -> list[dict[str, Any]]:
        """Mean absolute change of a standardised feature per SD, and how it is shared among the families.

        A family counts by the mean over its features, so that a family of many features has no larger share.
        """
        parts = [(fold, fold.places(self.wanted)) for fold in self.found.folds]
        parts = [(fold, places) for fold, places in parts if places]
        change = np.concatenate([fold.sizes()[:, np.array(places)].mean(axis=1) for fold, places in parts])
        patients = np.concatenate([fold.patients for fold, _ in parts])
        size = self.context.mean(change.mean(axis=1), patients, "response_size", self.factor)
        note = STILL if size.value == 0 else ""
        rows = [self.context.interval_row("response_size", size, note=note, **self.keys)]
        families = {name: places for name, places in self.found.by_family().items() if len(places)}
        by_family = np.stack([change[:, places].mean(axis=1) for places in families.values()], axis=1)
        rng = self.context.rng("response_share", self.factor)
        drawn = patient_counts(patients, self.context.draws, rng) @ by_family
        shares, resampled = (_shares(table) for table in (by_family.sum(axis=0)[None], drawn))
        n, even = len(np.unique(patients)), 1 / len(families)
        for i, (name, places) in enumerate(families.items()):
            interval = percentile_interval(float(shares[0, i]), resampled[:, i], n)
            told = f"{len(places)} features; {even:.3g} if all families changed alike"
            metric = f"response_share_{name}"
            if np.isfinite(interval.value):
                rows.append(self.context.interval_row(metric, interval, note=told, **self.keys))
            else:
                rows.append(self.context.row(metric, n=n, reason=STILL, **self.keys))
        missing = [name for name in self.found.families if name not in families]
        why = "no feature of the family is finite and varies between training patients in every fold"
        return rows + [self.context.row(f"response_share_{name}", reason=why, **self.keys) for name in missing]


def _shares(table: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; NaN where that is 0."""
    sums = table.sum(axis=1, keepdims=True)
    found: np.ndarray = np.divide(table, sums, out=np.full(table.shape, np.nan), where=sums > 0)
    return found


def _distinct(found: Shifted, extractor: str, context: Context) -> dict[str, Any]:
    """Row ``response_cosine``: 1 when every variable changes the image in one way, up to size and sign."""
    keys: dict[str, Any] = {"task": ALL, "extractor": extractor}
    values = np.concatenate([_cosines(fold.slopes()[:, fold.places(None)]) for fold in found.folds])
    patients = np.concatenate([fold.patients for fold in found.folds])
    known = np.isfinite(values)
    if not known.any():
        why = "fewer than two variables were moved" if len(found.factors()) < 3 else STILL
        return context.row("response_cosine", reason=why, **keys)
    interval = context.mean(values[known], patients[known], "response_cosine")
    return context.interval_row("response_cosine", interval, **keys)


def _cosines(slopes: np.ndarray) -> np.ndarray:
    """Mean |cosine| between the responses [p, v, d] of any two variables that have one, [p]; NaN below two."""
    norms = np.linalg.norm(slopes, axis=2, keepdims=True)
    unit = np.divide(slopes, norms, out=np.full(slopes.shape, np.nan), where=norms > 0)
    pairs = np.abs(unit @ unit.transpose(0, 2, 1))[:, *np.triu_indices(slopes.shape[1], 1)]
    return mean_known(pairs, axis=1)


def _agreement(
    found: Shifted, conditions: pd.DataFrame, strata: Mapping[str, str], scope: str, extractor: str, context: Context
) -> list[dict[str, Any]]:
    """Rows of the agreement with real associations, of every variable and of their mean."""
    name, p_name = f"response_agreement_{scope}", f"response_agreement_p_{scope}"
    if found.crossing:
        return [context.row(name, task=ALL, extractor=extractor, reason=found.crossing)]
    own_tables = "fold" in conditions.columns
    variables = [name for name in found.factors() if name != DIRECTION]
    tasks: dict[str, int | None] = {ALL: None, **({} if own_tables else {name: i for i, name in enumerate(variables)})}
    rng = context.rng("response_agreement", scope)
    result = agreement(
        [_real_fold(fold, conditions, strata) for fold in found.folds],
        permutations=context.permutations,
        counts=lambda people: patient_counts(people, context.draws, rng),
        rng=rng,
        joined=own_tables,
    )
    if isinstance(result, str):
        return [context.row(name, task=ALL, extractor=extractor, reason=result)]
    rows = []
    if DIRECTION in found.factors():
        why = "a direction of all variables: real patients have no single value of it"
        rows.append(context.row(name, task=DIRECTION, extractor=extractor, reason=why))
    inside = "fold and site" if scope == WITHIN_SITE else "fold"
    for task, place in tasks.items():
        keys: dict[str, Any] = {"task": task, "extractor": extractor}
        value, p, drawn = result.of(place)
        if not np.isfinite(value):
            rows.append(context.row(name, n=result.n, reason=f"{STILL}; or no two held-out patients do", **keys))
            continue
        rows.append(context.interval_row(name, percentile_interval(value, drawn, result.n), **keys))
        text = f"{context.permutations} permutations of real patients inside {inside}, {len(result.observed)} repeats"
        rows.append(context.row(p_name, value=p, n=result.n, interval=told(text, max(result.folds)), **keys))
    return rows


def _real_fold(fold: ShiftedFold, conditions: pd.DataFrame, strata: Mapping[str, str]) -> RealFold:
    """Real images of the fold's held-out patients who have the condition, beside the responses."""
    table = of_fold(conditions, fold.fold.name)
    table = table.set_index(table["patient"].astype(str))
    names = np.array([name for name in fold.real.owners if name in table.index], dtype=str)
    places = fold.places(None)
    x = table.loc[names, [fold.factors[place] for place in places]].to_numpy(dtype=float)
    y = fold.real.of(names).values
    slopes = fold.slopes()[:, places]
    return RealFold(
        fold.fold.repeat, names, x, y, np.array([strata[name] for name in names], dtype=str), fold.patients, slopes
    )


def _adjusted(
    rows: Sequence[dict[str, Any]], variables: Sequence[str], extractor: str, context: Context
) -> list[dict[str, Any]]:
    """P-values of the single variables by Holm, and the number of variables whose share stays significant."""
    made = []
    for metric in ADJUSTED:
        there = [row for row in rows if row["metric"] == metric and row["task"] in variables]
        for row, p in zip(there, holm([row["value"] for row in there]), strict=True):
            text = f"{row['interval']}; Holm over {len(there)} variables"
            keys: dict[str, Any] = {"task": row["task"], "extractor": extractor}
            made.append(context.row(f"{metric}_holm", value=float(p), n=row["n"], interval=text, **keys))
    keys = {"task": ALL, "extractor": extractor}
    shares = [row for row in made if row["metric"] == "monotone_share_p_holm"]
    if not shares:
        return [*made, context.row("monotone_variables", reason=OWN_COMPONENTS, **keys)]
    count = sum(row["value"] <= LEVEL for row in shares)
    text = f"none: a count, of {len(shares)} variables, by the p of their share after Holm, 5 %"
    return [*made, context.row("monotone_variables", value=float(count), n=shares[0]["n"], interval=text, **keys)]
