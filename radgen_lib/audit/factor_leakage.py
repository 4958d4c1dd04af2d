"""Leakage into the factors of the omics (S.LEAK): whom was the factorisation of a fold fitted on?"""

from __future__ import annotations

from typing import Any

import pandas as pd

from radgen_lib.core.errors import LeakageError
from radgen_lib.core.rows import result_row

COUNT = "none: a count"


def check_factor_fits(
    splits: pd.DataFrame, factors: pd.DataFrame, endpoints: pd.DataFrame, *, protocol_name: str
) -> list[dict[str, Any]]:
    """Held-out patients among those whom the factors of the same fold were fitted on.

    Args:
        splits: rows of splits.parquet that the protocol uses (design, fold, patient, role).
        factors: fold, patient and role (``train`` for those whom the factorisation saw); further columns are ignored.
        endpoints: endpoint_splits.parquet (task, patient). Their patients have no MRI and no fold of the generators
            leaves them out, so the factors of ``full`` were fitted on them, without any label: counted, never hidden.

    Returns:
        Rows ``factor_fit_crossings`` per design, and ``endpoint_test_patients_in_factor_fit`` per task.

    Raises:
        LeakageError: naming the first fold in which a test patient was fitted on, and those patients.
    """
    seen = factors.loc[factors["role"] == "train", ["fold", "patient"]].drop_duplicates()
    rows: list[dict[str, Any]] = []
    for design, part in splits.groupby("design", sort=False):
        test = part.loc[part["role"] == "test", ["fold", "patient"]].drop_duplicates()
        crossed = test.merge(seen, on=["fold", "patient"])
        if len(crossed):
            fold = crossed["fold"].iloc[0]
            names = sorted(crossed.loc[crossed["fold"] == fold, "patient"])
            raise LeakageError(
                f"factors, fold {fold}: {len(names)} test patients were fitted on ({', '.join(names[:5])}). "
                "Delete the folder of the factors and run again"
            )
        projected = test.merge(factors[["fold", "patient"]].drop_duplicates(), on=["fold", "patient"])
        keys: dict[str, Any] = {"item": "S.LEAK", "protocol": protocol_name, "condition": "factors", "design": design}
        n = int(projected["patient"].nunique())
        told = {"value": 0.0, "interval": COUNT, "note": f"of {n} projected test patients"}
        keys |= told if n else {"reason": "the design holds nobody out who has the omics"}
        rows.append(result_row(**keys, metric="factor_fit_crossings", n=n))
    whole = set(seen.loc[seen["fold"] == "full", "patient"])
    for task, part in endpoints.groupby("task", sort=False):
        tested = set(part["patient"].astype(str))
        rows.append(
            result_row(
                item="S.LEAK", protocol=protocol_name, condition="factors", design="full", task=str(task),
                metric="endpoint_test_patients_in_factor_fit", value=float(len(tested & whole)), n=len(tested),
                interval=COUNT, note="fitted without labels; F.CMP tests on patients whom no fit saw",
            )
        )  # fmt: skip
    return rows
