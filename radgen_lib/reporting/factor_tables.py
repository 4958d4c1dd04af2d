"""Tables of the factors as published: F.FIT, F.CMP, F.ASSOC, F.SETS, F.GENES, F.STAB and F.RANK, one CSV each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.factors.stability import rank_as_set, stability_rows
from radgen_lib.core.atomic import write_csv
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import data_error
from radgen_lib.core.factor_layout import FACTOR_TABLES
from radgen_lib.core.rows import RESULT_COLUMNS, result_frame, result_row
from radgen_lib.omics.btf.diagnostics import MAX_R_HAT, MIN_ESS
from radgen_lib.omics.btf.estimator import BayesianTensorFactorisation
from radgen_lib.omics.btf.gathering import WHOLE
from radgen_lib.reporting.factor_names import quantity_note

ONE_FIT = "none: a property of one fit"
NEEDED = {
    "fits": ("fold", "omic", "quantity", "value"), "published": ("fold", "omic", "quantity", "value"),
    "traces": ("fold", "chain", "sweep"), "stability": ("seed", "rank", "component", "match", "explained", "n"),
    "comparison": RESULT_COLUMNS, "coverage": ("omic", "level", "covered", "n_entries", "n_patients", "low", "high"),
    "genes": ("component", "rank", "gene", "mean", "sd", "omic", "omic_loading", "stability"),
    "enrichment": (*RESULT_COLUMNS, "fdr", "genes"), "associations": (*RESULT_COLUMNS, "fdr", "posterior_sd"),
    "decisions": ("step", "item", "decision", "reason", "count"), "selection": ("unit", "id", "kept", "reason"),
    "patients": ("patient", "n_images"), "rank": RESULT_COLUMNS,
}  # fmt: skip
# Where the numbers of each table come from, below the cohort's results; some rows of two tables from a second file.
PUBLISHED_FITS, COVERAGE = "factors/as_published/fits.parquet", "factors/coverage.parquet"
SOURCES = {
    "F.FIT": ("factors/rigorous/fits.parquet", PUBLISHED_FITS), "F.CMP": ("factors/comparison.parquet", COVERAGE),
    "F.ASSOC": ("factors/associations.parquet",), "F.SETS": ("factors/enrichment.parquet",),
    "F.GENES": ("factors/genes.parquet",), "F.STAB": ("factors/stability.parquet",),
    "F.RANK": ("factors/rank.parquet",),
}  # fmt: skip
AGREED = 0.9
DOUBT = "chains do not agree on it"
_DESIGNS = (
    (r"r\d+f\d+", "folds of imaged patients"),
    (r"site-.*", "left-out sites"),
    (r"cv\d+-\d+", "folds over all patients"),
)


@dataclass(frozen=True)
class FactorResults:
    """Everything the page is made of: the tables of :data:`NEEDED`, the settings, and the fit on every patient."""

    fits: pd.DataFrame
    published: pd.DataFrame
    traces: pd.DataFrame
    stability: pd.DataFrame
    comparison: pd.DataFrame
    coverage: pd.DataFrame
    genes: pd.DataFrame
    enrichment: pd.DataFrame
    associations: pd.DataFrame
    decisions: pd.DataFrame
    selection: pd.DataFrame
    patients: pd.DataFrame
    rank: pd.DataFrame
    settings: Factors
    model: BayesianTensorFactorisation

    @property
    def own(self) -> str:
        """Name of our factorisation in result rows."""
        return f"btf_{self.settings.method}"

    @property
    def omics(self) -> list[str]:
        """Names of the omics of the fit on all patients."""
        return [str(name) for name in self.model.omics_ or ()]

    @property
    def doubtful(self) -> frozenset[str]:
        """Components of that fit whose factors correlate below :data:`AGREED` between chains."""
        return frozenset(self.genes.loc[self.genes["stability"] < AGREED, "component"])

    @property
    def genes_named(self) -> list[str]:
        """Names of its genes."""
        return [str(name) for name in self.model.genes_ or ()]


def read_results(files: Mapping[str, str | Path], models: Path, settings: Factors) -> FactorResults:
    """Read the tables at ``files`` (the keys of :data:`NEEDED`) and the fit on all patients in folder ``models``.

    Raises DataError naming the file when a column is absent, and when the fit or a table is not there.
    """
    tables = {}
    for name, columns in NEEDED.items():
        path = Path(files[name])
        if not path.is_file():
            raise data_error(path, "is not there", "Run the rule that makes it first")
        tables[name] = pd.read_parquet(path)
        if lacking := [column for column in columns if column not in tables[name]]:
            raise data_error(path, f"has no column {lacking[0]!r}", "Run the rule that makes it again")
    whole = models / f"{WHOLE}.safetensors"
    if not whole.is_file():
        raise data_error(whole, "is not there", "Run rule fit_factors for the fold `full` first")
    return FactorResults(**tables, settings=settings, model=BayesianTensorFactorisation.load(whole))


def named(component: str, doubtful: Collection[str]) -> str:
    """A component as the page names it: with words behind it when it is one of the ``doubtful``."""
    return f"{component} ({DOUBT})" if component in doubtful else component


def quantity(fits: pd.DataFrame, fold: str, name: str, omic: str = "") -> float:
    """One number of a fit; NaN where it was not written."""
    found = fits[(fits["fold"] == fold) & (fits["quantity"] == name) & (fits["omic"] == omic)]["value"]
    return float(found.iloc[0]) if len(found) else float("nan")


def design_of(fold: str) -> str:
    """What a fold is for, from its name."""
    return next((name for pattern, name in _DESIGNS if re.fullmatch(pattern, fold)), "all patients")


def converged(fits: pd.DataFrame, fold: str, method: str) -> float:
    """1 or 0 whether a fit passes the limits, NaN where nothing was judged.

    What the fit says itself (quantity ``converged``). Of a table without it, Gibbs: R-hat of every quantity at most
    1.05 and at least 50 effective draws.
    """
    said = quantity(fits, fold, "converged")
    if np.isfinite(said) or method != "gibbs":
        return said
    worst, fewest = quantity(fits, fold, "r_hat_max"), quantity(fits, fold, "ess_min")
    if not (np.isfinite(worst) and np.isfinite(fewest)):
        return float("nan")
    return float(worst <= MAX_R_HAT and fewest >= MIN_ESS)


def fit_rows(fits: pd.DataFrame, published: pd.DataFrame, settings: Factors) -> pd.DataFrame:
    """Result rows of item F.FIT: design is the fold, task the omic, metric the quantity (note: what that is, in words).

    n counts training patients. The note of a rank that is the number of components at the start says so. What a method
    cannot say (chains of a variational fit, convergence of a published one) is a row with the reason.
    """
    rows = []
    for table, protocol, model, start in (
        (fits, "rigorous", f"btf_{settings.method}", settings.components),
        (published, "as_published", "tensorbf", settings.published.components),
    ):
        for row in table.to_dict("records"):
            n = quantity(table, row["fold"], "n_train")
            keys = {"item": "F.FIT", "protocol": protocol, "model": model, "design": row["fold"], "task": row["omic"]}
            known = bool(np.isfinite(row["value"]))
            interval, reason = (ONE_FIT, "") if known else ("", _no_diagnostic(settings))
            told = result_row(
                **keys, metric=row["quantity"], value=row["value"], n=int(n), interval=interval, reason=reason,
                note=quantity_note(row["quantity"]) + _at_start(row, start, published=table is published),
            )  # fmt: skip
            rows.append(told)
    keys = {"item": "F.FIT", "protocol": "as_published", "model": "tensorbf", "design": "all"}
    reason = "one chain, of which the last draw is the result: there is nothing to compare"
    n = quantity(published, "all", "n_train")
    rows.append(result_row(**keys, metric="r_hat_max", n=int(n), reason=reason, note=quantity_note("r_hat_max")))
    return result_frame(rows)


def _at_start(row: Mapping[str, Any], components: int, *, published: bool) -> str:
    """Words behind a rank: that it is the setting, or of the published fit why it is not the papers' fixed one."""
    if row["quantity"] != "rank":
        return ""
    if row["value"] >= components:
        return f"; {rank_as_set(components)}"
    lost = components - row["value"]
    return f"; tensorBF switched off {lost:.0f} of {components}; the papers' number is fixed" if published else ""


def _no_diagnostic(settings: Factors) -> str:
    if settings.method == "variational":
        return "a variational fit has no chains to compare"
    if settings.chains == 1:
        return "one chain: nothing to compare"
    return "of some quantity it could not be computed: the chains are too short, or nothing was kept"


def coverage_rows(coverage: pd.DataFrame, model: str) -> pd.DataFrame:
    """Result rows of item F.CMP for the share of hidden entries inside our predictive intervals (metric ``coverage``).

    task is the omic, design the nominal level; n counts patients.
    """
    rows = []
    for row in coverage.to_dict("records"):
        keys = {"item": "F.CMP", "protocol": "rigorous", "model": model, "task": row["omic"], "metric": "coverage"}
        known = bool(np.isfinite(row["covered"]))
        rows.append(
            result_row(
                **keys, design=f"level {row['level']:g}", value=row["covered"], low=row["low"], high=row["high"],
                n=int(row["n_patients"]), interval=row.get("interval", "patient bootstrap, 95 %") if known else "",
                reason="" if known else "nothing was hidden that could be predicted",
                note=f"{int(row['n_entries'])} hidden values",
            )
        )  # fmt: skip
    return result_frame(rows)


def build_factor_tables(results: FactorResults, preset: str) -> dict[str, pd.DataFrame]:
    """Item -> table as written to CSV, with its ``source`` and the ``preset`` in the last columns.

    Result rows keep all their columns; F.ASSOC and F.SETS have p, fdr and what else their analysis gives behind them;
    F.GENES is the list of genes with the n of its fit. The note of a row in F.ASSOC and F.SETS says when the chains do
    not agree on its component. Raises ValueError for a result that stands twice.
    """
    compared = pd.concat([results.comparison, coverage_rows(results.coverage, results.own)], ignore_index=True)
    genes = results.genes.copy()
    genes.insert(0, "item", "F.GENES")
    tables = {
        "F.FIT": fit_rows(results.fits, results.published, results.settings), "F.CMP": compared,
        "F.ASSOC": _doubted(results.associations, results.doubtful),
        "F.SETS": _doubted(results.enrichment, results.doubtful),
        "F.GENES": genes.assign(n=int(quantity(results.fits, WHOLE, "n_train"))),
        "F.STAB": stability_rows(results.stability, results.settings.components), "F.RANK": results.rank,
    }  # fmt: skip
    return {item: _sourced(item, tables[item]).assign(preset=preset) for item in FACTOR_TABLES}


def _doubted(table: pd.DataFrame, doubtful: frozenset[str]) -> pd.DataFrame:
    told = table["note"].where(table["note"] == "", table["note"] + "; ") + DOUBT
    return table.assign(note=table["note"].where(~table["arm"].isin(doubtful), told))


def _sourced(item: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the file that each row was made from."""
    first, *other = SOURCES[item]
    if not other:
        return table.assign(source=first)
    second = table["protocol"] == "as_published" if item == "F.FIT" else table["metric"] == "coverage"
    return table.assign(source=np.where(second, other[0], first))


def write_factor_tables(targets: list[Path], tables: Mapping[str, pd.DataFrame]) -> None:
    """Write each table to the target of its name (``F.FIT.csv``), atomically; raises KeyError for another name."""
    for target in targets:
        write_csv(target, tables[target.name.removesuffix(".csv")])
