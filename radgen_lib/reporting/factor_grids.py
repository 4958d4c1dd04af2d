"""Tables of the page of factors: the fits, each factor, gene sets and associations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.reporting.factor_cells import Cell, Grid, result_cell
from radgen_lib.reporting.factor_charts import SIGNIFICANT
from radgen_lib.reporting.factor_figures import omic_label
from radgen_lib.reporting.factor_names import QUANTITIES, metric_name, task_label
from radgen_lib.reporting.factor_tables import FactorResults, converged, design_of, named, quantity
from radgen_lib.reporting.factor_words import percent, span
from radgen_lib.reporting.view import number

MOST_ROWS, MOST_GENES = 40, 8
SHOWN = 8
# Columns of the tables of fits, and the count that stands below a column's number where it is not 0.
SHOWN_FACTS = ("n_train", "n_test", "rank", "r_hat_max", "ess_min", "converged", "stability_min", "genes")
SHOWN_BELOW = {"n_train": "n_left_out", "converged": "unjudged"}
STABILITY = (
    "Stability between chains: |correlation| of a factor in one chain with that in the other chains, lowest over "
    "chains, 1 is best. "
)
SIGN = "The sign of a factor is arbitrary: an AUROC below 0.5 says as much as one above."


def fit_grids(results: FactorResults) -> list[Grid]:
    """Fits by what they are for, and every fit by itself."""
    folds = list(dict.fromkeys(results.fits["fold"]))
    groups: dict[str, list[str]] = {}
    for fold in folds:
        groups.setdefault(design_of(fold), []).append(fold)
    omics = results.omics
    columns = (*(QUANTITIES[name].short for name in SHOWN_FACTS), *(omic_label(omic).capitalize() for omic in omics))
    text = (
        "Medians over the fits of a line, smallest to largest below. Left out: training patients without any value in "
        "the genes of the fit. Largest R-hat: spread between chains against the spread within them, 1 when they agree. "
        "Fewest draws: of the stored draws, which resemble each other, what they are worth in independent ones. "
        "Unjudged: watched numbers without R-hat or effective draws. "
        f"{STABILITY}Here the lowest over factors. "
        "Under each omic: the share of its variance that the components explain, and the noise SD, scaled tensor."
    )
    lines = [(f"{name}: {len(group)} fits" if len(group) > 1 else name, _fit_cells(results, group, omics))
             for name, group in groups.items()]  # fmt: skip
    single = [(fold, _fit_cells(results, [fold], omics)) for fold in folds]
    return [
        Grid("Fits", text, ("Fits", *columns), lines, "tables/F.FIT.csv"),
        Grid("Every fit", "", ("Fold", *columns), single, "tables/F.FIT.csv"),
    ]


def _fit_cells(results: FactorResults, folds: Sequence[str], omics: Sequence[str]) -> tuple[Cell, ...]:
    fits, method = results.fits, results.settings.method
    found = {name: _over([quantity(fits, fold, name) for fold in folds]) for name in SHOWN_FACTS}
    judged = [value for fold in folds if np.isfinite(value := converged(fits, fold, method))]
    found["converged"] = Cell(f"{sum(judged):.0f} of {len(judged)}") if judged else Cell(reason="not judged")
    for name, fact in SHOWN_BELOW.items():
        counts = [value for fold in folds if np.isfinite(value := quantity(fits, fold, fact))]
        if any(counts):
            more = f"{QUANTITIES[fact].short} {span(counts)}"
            found[name] = replace(found[name], below=(*found[name].below, more))
    cells = list(found.values())
    for omic in omics:
        shares = [quantity(fits, fold, "explained", omic) for fold in folds]
        noise = [quantity(fits, fold, "noise_sd", omic) for fold in folds]
        told = (f"noise {span(noise)}",) if np.isfinite(noise).all() else ()
        cells.append(Cell(percent(float(np.median(shares))), told))
    return tuple(cells)


def _over(values: Sequence[float]) -> Cell:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return Cell(reason="not computable for this method")
    return Cell(number(float(np.median(known))), (span(known),) if len(known) > 1 else ())


def factor_grids(results: FactorResults) -> list[Grid]:
    """Each factor of the fit on all patients in a line: where it acts, its genes, its surest set and association.

    The first table has the factors that explain most; a second one has all, where there are more.
    """
    genes = results.genes
    rows = []
    for name, part in genes.groupby("component", sort=True):
        top = part.drop_duplicates("gene").sort_values("rank").head(MOST_GENES)
        told = ", ".join(f"{row.gene} ({row.mean:.2g})" for row in top[["gene", "mean"]].itertuples(index=False))
        cells = (
            _agreement(float(part["stability"].iloc[0])), _acts(part), Cell(told),
            _surest(results.enrichment, str(name), lambda row: _set_name(row["task"])),
            _surest(results.associations, str(name), lambda row: task_label(row["task"])),
        )  # fmt: skip
        rows.append((named(str(name), results.doubtful), cells))
    columns = (
        "Factor", "Stability between chains", "Acts in: loading (variance explained)", "Strongest genes (loading)",
        "Surest gene set", "Surest association",
    )  # fmt: skip
    text = (
        "Factors of the fit on all patients. A gene moves in an omic by its loading times that of the omic, an SD of "
        "the factor; the sign of a factor as a whole is arbitrary. "
        f"{STABILITY}A set or an association stands here only with a "
        "false discovery rate below 5 %."
    )
    first = Grid("The factors that explain most", text, columns, rows[:SHOWN], "tables/F.GENES.csv")
    return [first, Grid("Every factor", text, columns, rows, "tables/F.GENES.csv")][: 1 + (len(rows) > SHOWN)]


def _agreement(stability: float) -> Cell:
    return Cell(f"{stability:.2f}") if np.isfinite(stability) else Cell(reason="no chains to compare")


def _acts(part: pd.DataFrame) -> Cell:
    omics = part.drop_duplicates("omic")
    column = "explained" if "explained" in omics else "omic_loading"
    leading = omics.loc[omics[column].abs().idxmax()]
    told = [
        f"{omic_label(str(row['omic']))} {_two(row['omic_loading'])}"
        + (f" ({100 * row['explained']:.1f} %)" if "explained" in omics else "")
        for row in omics.to_dict("records")
    ]
    return Cell(omic_label(str(leading["omic"])), tuple(told))


def _two(value: float) -> str:
    """Two decimals, without a minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def _surest(table: pd.DataFrame, component: str, name: Any) -> Cell:
    part = table[(table["arm"] == component) & (table["fdr"] < SIGNIFICANT)]
    if part.empty:
        return Cell(reason="none")
    row = part.sort_values("fdr", kind="stable").iloc[0].to_dict()
    found = result_cell(row)
    return Cell(name(row), (f"{metric_name(row['metric']).short} {found.text}", *found.below, _rate(row["fdr"])))


def _rate(fdr: float) -> str:
    return "FDR below 0.001" if fdr < 0.001 else f"FDR {fdr:.2g}"


def _set_name(name: str) -> str:
    return name.removeprefix("KEGG_").replace("_", " ").lower()


def association_grids(table: pd.DataFrame, doubtful: Collection[str] = ()) -> list[Grid]:
    """Associations below 5 %, surest first: a few, and a longer table where there are more."""
    known = table[table["value"].notna()]
    sure = known[known["fdr"] < SIGNIFICANT].sort_values("fdr", kind="stable")
    rows = [
        (
            f"{task_label(row['task'])}, {named(row['arm'], doubtful)}",
            (
                Cell(metric_name(row["metric"]).short), result_cell(row), Cell(_rate(row["fdr"]).removeprefix("FDR ")),
                Cell(number(row["posterior_sd"])), Cell(row["interval"], tuple(filter(None, (row["note"],)))),
            ),
        )
        for row in sure.head(MOST_ROWS).to_dict("records")
    ]  # fmt: skip
    columns = ("Endpoint, factor", "Effect", "Value", "FDR", "Posterior SD of the factor", "Interval and note")
    text, title, file = f"Of {len(known)} tests, surest first. {SIGN}", "Associations", "tables/F.ASSOC.csv"
    first = Grid(f"Surest {title.lower()}", text, columns, rows[:SHOWN], file)
    more = Grid(f"{title} with a false discovery rate below 5 %", text, columns, rows, file, len(sure) - len(rows))
    return [first, more][: 1 + (len(rows) > SHOWN)]


def set_grid(table: pd.DataFrame, doubtful: Collection[str] = ()) -> Grid:
    """Gene sets below 5 %, surest first."""
    known = table[table["value"].notna()]
    sure = known[known["fdr"] < SIGNIFICANT].sort_values("fdr", kind="stable")
    rows = [
        (
            f"{_set_name(row['task'])}, {named(row['arm'], doubtful)}",
            (
                Cell(metric_name(row["metric"]).name), result_cell(row), Cell(_rate(row["fdr"]).removeprefix("FDR ")),
                Cell(row["genes"].replace(";", ", ")),
            ),
        )
        for row in sure.head(MOST_ROWS).to_dict("records")
    ]  # fmt: skip
    columns = ("Set, factor", "Measure", "Value", "FDR", "Genes")
    text = f"Of {len(known)} tests, surest first; n counts genes of the set in the tensor."
    return Grid("Gene sets with a false discovery rate below 5 %", text, columns, rows, "tables/F.SETS.csv",
                max(len(sure) - MOST_ROWS, 0))  # fmt: skip
