"""What a factorisation says of values that were hidden from it, in patients whom no fit saw.

Every method gets the same hidden entries and the same scaled values. Errors are in standard deviations of an omic over
the training patients, so that 1 is about what the training mean reaches; densities are in nats an entry on the scale
of the model. A total and a count are kept for every patient, who is the unit of the intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import norm

from radgen_lib.analyses import resampling
from radgen_lib.core.rows import result_row
from radgen_lib.omics.btf.baselines import Baseline
from radgen_lib.omics.btf.data import observe
from radgen_lib.omics.btf.model import Draws
from radgen_lib.omics.btf.projection import Conditional, conditionals

LEVELS = (0.5, 0.8, 0.9, 0.95)
EVERY = "all omics"
ENTRIES, OMIC, DENSITY = "impute_rmse_entries", "impute_rmse_omic", "log_density_entries"
SCORE_COLUMNS = ("metric", "model", "omic", "patient", "total", "count")
COVERAGE_COLUMNS = ("omic", "level", "covered", "n_entries", "n_patients", "low", "high", "interval")


class Entries(NamedTuple):
    """Hidden entries, ordered by patient: row, gene and omic of each, int [e]."""

    rows: np.ndarray
    genes: np.ndarray
    omics: np.ndarray


class Said(NamedTuple):
    """Predicted means of all entries [n, D, L]; of the hidden ones log density and predictive distribution [e].

    ``place`` is the predictive distribution function at the hidden value. NaN where a method says nothing.
    """

    mean: np.ndarray
    log_density: np.ndarray
    place: np.ndarray


Says = Callable[[np.ndarray, Entries, np.ndarray], Said]


def hide(values: np.ndarray, usable: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, Entries]:
    """A copy of ``values`` [n, D, L] without a random ``share`` of its measured entries, and which they are.

    usable: bool [D, L], the entries that may be hidden.
    """
    hidden = ~np.isnan(values) & usable & (rng.random(values.shape) < share)
    return np.where(hidden, np.nan, values), Entries(*np.nonzero(hidden))


def none_hidden() -> Entries:
    """No entry at all: only means are asked for."""
    return Entries(*(np.zeros(0, dtype=np.intp) for _ in range(3)))


def training_mean(masked: np.ndarray, entries: Entries, truth: np.ndarray) -> Said:
    """The control: scaled values are centred on the training patients, so that their mean is 0."""
    unsaid = np.full(len(truth), np.nan)
    return Said(np.zeros(masked.shape), unsaid, unsaid)


def ours(draws: Draws, masked: np.ndarray, entries: Entries, truth: np.ndarray) -> Said:
    """Predictions of the posterior ``draws`` (as sampled) given the values that are left in ``masked``.

    Exact: given a draw of loadings and noise an entry is Gaussian, and its prediction is the mixture over draws. A
    central interval at level p holds a value exactly when its ``place`` lies between (1 - p) / 2 and (1 + p) / 2.
    """
    observed = observe(np.asarray(masked, dtype=float))
    total, place, logs = np.zeros(masked.shape), np.zeros(len(truth)), np.full(len(truth), -np.inf)
    for number, given in enumerate(conditionals(draws, observed)):
        w, u, tau = draws.w[number].astype(float), draws.u[number], draws.tau[number]
        for omic, row in enumerate(u):
            total[:, :, omic] += (given.mean * row) @ w.T
        if not len(truth):
            continue
        loadings = w[entries.genes] * u[entries.omics]
        mean = np.einsum("ek,ek->e", given.mean[entries.rows], loadings)
        sd = np.sqrt(_spread(given, loadings, entries.rows) + 1 / tau[entries.omics])
        z = (truth - mean) / sd
        logs = np.logaddexp(logs, norm.logpdf(z) - np.log(sd))
        place += ndtr(z)
    known = np.asarray(observed.patients.any(axis=1))
    mean = np.where(known[:, None, None], total / len(draws), np.nan)
    said = known[entries.rows]
    return Said(mean, *(np.where(said, part, np.nan) for part in (logs - np.log(len(draws)), place / len(draws))))


def _spread(given: Conditional, loadings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Variance of loadings [e, K] times the factors of the patients at ``rows`` (ascending), [e]."""
    spread = np.empty(len(rows))
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        root = given.roots[given.group[rows[begin]]]
        spread[begin:end] = np.square(loadings[begin:end] @ root.T).sum(axis=1)
    return spread


def of_peer(model: Baseline, masked: np.ndarray, entries: Entries, truth: np.ndarray) -> Said:
    """Predictions of a comparison method; where its loadings have a variance, that is part of the density."""
    x, mean = model.project(masked), model.reconstruct(masked)
    logs = np.full(len(truth), np.nan)
    for row in np.unique(entries.rows):
        at = np.flatnonzero(entries.rows == row)
        used = ~np.isnan(masked[row]) & ~np.isnan(model.noise)
        if not used.any():
            continue
        loadings, spread, noise = model.loadings[used], model.spread[used], model.noise[used][:, None]
        precision = np.eye(loadings.shape[1]) + (loadings / noise).T @ loadings + np.diag((spread / noise).sum(axis=0))
        covariance = np.linalg.inv(precision)
        where = entries.genes[at], entries.omics[at]
        uncertain = np.einsum("ek,kj,ej->e", model.loadings[where], covariance, model.loadings[where])
        uncertain += model.spread[where] @ (x[row] ** 2 + np.diag(covariance))
        logs[at] = norm.logpdf(truth[at], mean[row][where], np.sqrt(uncertain + model.noise[where]))
    return Said(mean, logs, np.full(len(truth), np.nan))


def fold_scores(
    says: Mapping[str, Says],
    test: np.ndarray,
    patients: Sequence[str],
    omics: Sequence[str],
    *,
    unit: np.ndarray,
    usable: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Totals and counts of every patient of one fold: columns :data:`SCORE_COLUMNS`.

    says: model -> what it predicts; test: scaled values [n, D, L] of ``patients``, whom no model saw; unit: SD of each
    omic [L] in training; usable: bool [D, L], entries with variance in training; share: of the entries to hide.
    """
    masked, entries = hide(test, usable, share, rng)
    truth = test[entries]
    parts = []

    def keep(metric: str, model: str, scores: np.ndarray) -> None:
        """Add up scores [n, D, L] (NaN: none) over genes."""
        count = np.isfinite(scores).sum(axis=1)
        total = np.where(np.isfinite(scores), scores, 0.0).sum(axis=1)
        rows, places = np.nonzero(count)
        columns = (metric, model, np.array(omics)[places], np.array(patients)[rows], total[rows, places])
        values = dict(zip(SCORE_COLUMNS, (*columns, count[rows, places]), strict=True))
        parts.append(pd.DataFrame(values, columns=list(SCORE_COLUMNS)))

    for model, say in says.items():
        said = say(masked, entries, truth)
        keep(ENTRIES, model, _dense(entries, ((truth - said.mean[entries]) / unit[entries.omics]) ** 2, test.shape))
        keep(DENSITY, model, _dense(entries, said.log_density, test.shape))
        for level in LEVELS:
            inside = np.where(np.isnan(said.place), np.nan, np.abs(said.place - 0.5) <= level / 2)
            keep(f"coverage {level:g}", model, _dense(entries, inside, test.shape))
        for omic in range(len(omics)):
            keep(OMIC, model, _without(say, test, omic, usable) / unit[omic] ** 2)
    return pd.concat(parts, ignore_index=True)


def _dense(entries: Entries, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.full(shape, np.nan)
    out[entries] = values
    return out


def _without(say: Says, test: np.ndarray, omic: int, usable: np.ndarray) -> np.ndarray:
    """Squared errors [n, D, L] in one omic when all of it is hidden; NaN in the others and without any other omic."""
    others = np.arange(test.shape[2]) != omic
    rest = np.where(others, test, np.nan)
    mean = say(rest, none_hidden(), np.zeros(0)).mean
    informed = np.asarray(~np.isnan(rest).all(axis=(1, 2)))
    scored = usable & ~others & informed[:, None, None]
    return np.where(scored, (test - mean) ** 2, np.nan)


def imputation_rows(
    scores: pd.DataFrame, reasons: Mapping[str, str], omics: Sequence[str], keys: Mapping[str, Any], *, draws: int,
    seed: int, failed: Collection[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each model, metric and omic, and one over all omics for hidden entries, with patient bootstrap.

    scores: of all folds; reasons: model -> why it has no score (used where it has none), in the order of the rows;
    keys: further columns of every row; failed: models that could not be fitted in some fold. These have no number at
    all, since it would be of other patients than the numbers they stand beside.
    """
    rows = []
    for model, reason in reasons.items():
        for metric, tasks in ((ENTRIES, (EVERY, *omics)), (OMIC, omics), (DENSITY, (EVERY, *omics))):
            known = scores[(scores["metric"] == metric) & (scores["model"] == model)]
            if model in failed:
                known = known.iloc[:0]
            whole = set(omics) <= set(known["omic"])
            for task in tasks:
                part = known if task == EVERY else known[known["omic"] == task]
                row = {**keys, "model": model, "task": task, "metric": metric}
                if part.empty or (task == EVERY and not whole):
                    rows.append(result_row(**row, reason=reason or "nothing was hidden that it could predict"))
                    continue
                band = _banded(part, draws, seed, root=metric != DENSITY)
                note = f"{int(part['count'].sum())} hidden values"
                rows.append(result_row(**row, **band, note=note))
    return rows


def coverage_table(scores: pd.DataFrame, omics: Sequence[str], *, draws: int, seed: int) -> pd.DataFrame:
    """How many hidden values our predictive intervals hold, by omic and level: columns :data:`COVERAGE_COLUMNS`."""
    rows = []
    for omic in (EVERY, *omics):
        for level in LEVELS:
            part = scores[(scores["metric"] == f"coverage {level:g}") & scores["omic"].isin(members(omic, omics))]
            if part.empty:
                rows.append((omic, level, np.nan, 0, 0, np.nan, np.nan, "none: nothing was hidden"))
                continue
            band = _banded(part, draws, seed, root=False)
            limits = (band["low"], band["high"], band["interval"])
            rows.append((omic, level, band["value"], int(part["count"].sum()), band["n"], *limits))
    return pd.DataFrame(rows, columns=list(COVERAGE_COLUMNS))


def members(omic: str, omics: Sequence[str]) -> list[str]:
    """The omics that a task is about: itself, or every one."""
    return list(omics) if omic == EVERY else [omic]


def _banded(part: pd.DataFrame, draws: int, seed: int, *, root: bool) -> dict[str, Any]:
    """Mean over all entries (its root if asked for) with a bootstrap over patients; fields of a result row."""
    sums = part.groupby("patient", sort=True)[["total", "count"]].sum().to_numpy(dtype=float)
    weights = np.vstack([np.ones(len(sums)), resampling.patient_weights(len(sums), draws, seed)])
    drawn = (weights @ sums[:, 0]) / (weights @ sums[:, 1])
    found = np.sqrt(drawn) if root else drawn
    return resampling.banded(found[0], found[1:], len(sums))
