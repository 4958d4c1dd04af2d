"""Survival: concordance, log-rank and Kaplan-Meier (PROTOCOLS 8.4).

``time`` [n] is in any one unit (days here), ``event`` [n] is 1 for a death and 0 for censored, ``risk`` [n] is higher
for those expected to die earlier. Where nothing can be compared the answer is NaN; times or risks that are not finite,
negative times and other event codes raise ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

TIED = 1e-8  # risks closer than this are ties, as in scikit-survival


def checked_survival(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times as float64 and events as bool; raises ValueError for what is neither."""
    time, event = np.asarray(time, dtype=float), np.asarray(event)
    if time.ndim != 1 or time.shape != event.shape:
        raise ValueError(f"times {time.shape} and events {event.shape} must be vectors of one length")
    if not np.isfinite(time).all() or (time < 0).any() or not np.isin(event, (0, 1)).all():
        raise ValueError("times must be finite and not negative, events 0 or 1")
    return time, event.astype(bool)


def checked_risk(risk: np.ndarray, n: int) -> np.ndarray:
    """Risks as float64 [n]; raises ValueError for another shape or values that are not finite."""
    risk = np.asarray(risk, dtype=float)
    if risk.shape != (n,) or not np.isfinite(risk).all():
        raise ValueError(f"risks {risk.shape} must be {n} finite numbers")
    return risk


def comparable_pairs(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices (earlier, later) of the pairs whose order is known.

    The earlier one died, and the other lived longer or was censored at the same time.
    """
    time, event = checked_survival(time, event)
    later = (time[:, None] < time[None, :]) | ((time[:, None] == time[None, :]) & ~event[None, :])
    earlier, late = np.nonzero(event[:, None] & later)
    return earlier, late


def harrell_c(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C: (concordant + tied / 2) / comparable pairs."""
    from sksurv.metrics import concordance_index_censored

    time, event = checked_survival(time, event)
    risk = checked_risk(risk, len(time))
    if not len(comparable_pairs(time, event)[0]):
        return float("nan")
    return float(concordance_index_censored(event, time, risk, tied_tol=TIED)[0])


def uno_c(
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    *,
    train_time: np.ndarray,
    train_event: np.ndarray,
    horizon: float,
) -> float:
    """Uno's C for deaths before ``horizon``, weighted by the censoring distribution of the training patients.

    NaN without a comparable death before the horizon, or where the censoring distribution is zero or unknown at one of
    those deaths (later than every training patient).
    """
    from sksurv.metrics import concordance_index_ipcw
    from sksurv.nonparametric import CensoringDistributionEstimator
    from sksurv.util import Surv

    time, event = checked_survival(time, event)
    risk = checked_risk(risk, len(time))
    train_time, train_event = checked_survival(train_time, train_event)
    earlier, _ = comparable_pairs(time, event)
    if not train_event.any() or not (time[earlier] < horizon).any():
        return float("nan")
    train = Surv.from_arrays(event=train_event, time=train_time)
    latest = time[event & (time < horizon)].max()
    if latest > train_time.max() or _censoring_at(CensoringDistributionEstimator().fit(train), latest) <= 0:
        return float("nan")
    return float(concordance_index_ipcw(train, Surv.from_arrays(event=event, time=time), risk, tau=horizon)[0])


def _censoring_at(estimator: object, time: float) -> float:
    return float(estimator.predict_proba(np.array([time]))[0])  # type: ignore[attr-defined]


def pair_scores(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """1 where the one who died earlier has the higher risk, 0.5 where the risks tie, else 0."""
    gap = earlier - later
    return np.where(np.abs(gap) <= TIED, 0.5, (gap > 0).astype(float))


def logrank_p(time: np.ndarray, event: np.ndarray, group: np.ndarray) -> float:
    """Log-rank p-value that the groups (two or more labels, [n]) have the same survival.

    NaN where no death tells groups apart: without an event, with one group only, or when at every death only one group
    is still at risk or all who are at risk die. Patients who left before the first death are not part of the test.
    """
    from lifelines.statistics import multivariate_logrank_test

    time, event = checked_survival(time, event)
    group = np.asarray(group)
    if group.shape != time.shape:
        raise ValueError(f"groups {group.shape} and times {time.shape} must be vectors of one length")
    if not any(_tells_apart(time, event, group, when) for when in np.unique(time[event])):
        return float("nan")
    # A group gone before the first death would count as a degree of freedom although nothing is known of it.
    seen = time >= time[event].min()
    return float(multivariate_logrank_test(time[seen], group[seen], event[seen].astype(int)).p_value)


def _tells_apart(time: np.ndarray, event: np.ndarray, group: np.ndarray, when: float) -> bool:
    at_risk = time >= when
    some_survive = (event & (time == when)).sum() < at_risk.sum()
    return bool(some_survive and len(np.unique(group[at_risk])) > 1)


def kaplan_meier(time: np.ndarray, event: np.ndarray) -> pd.DataFrame:
    """Kaplan-Meier estimate: time (0 first), survival, low, high (95 %, log-log Greenwood), at_risk.

    Raises ValueError without patients.
    """
    import pandas as pd
    from lifelines import KaplanMeierFitter

    time, event = checked_survival(time, event)
    if not len(time):
        raise ValueError("a survival curve needs patients")
    fitted = KaplanMeierFitter().fit(time, event.astype(int))
    limits = fitted.confidence_interval_
    return pd.DataFrame(
        {
            "time": fitted.timeline,
            "survival": fitted.survival_function_.iloc[:, 0].to_numpy(),
            "low": limits.iloc[:, 0].to_numpy(),
            "high": limits.iloc[:, 1].to_numpy(),
            "at_risk": fitted.event_table["at_risk"].to_numpy(dtype=int),
        }
    )
