"""What the tables of the factors say, in sentences: every count with its n, every claim with what limits it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from radgen_lib.analyses.factors.stability import RETURNED
from radgen_lib.omics.btf.gathering import WHOLE
from radgen_lib.reporting.factor_charts import SIGNIFICANT
from radgen_lib.reporting.factor_convergence import convergence_words, failure_words
from radgen_lib.reporting.factor_figures import omic_label
from radgen_lib.reporting.factor_names import listed, metric_name, task_label
from radgen_lib.reporting.factor_tables import AGREED, FactorResults, converged, named, quantity
from radgen_lib.reporting.view import number

MOST_TOLD = 3


@dataclass(frozen=True)
class Sentence:
    """Text, and the table or file (below the cohort's results) that its numbers stand in."""

    text: str
    file: str


def percent(share: float) -> str:
    """A share as a percentage; "unknown" for NaN."""
    return f"{100 * share:.0f} %" if np.isfinite(share) else "unknown"


def span(values: Sequence[float]) -> str:
    """Smallest to largest value, or the one value that all have."""
    low, high = min(values), max(values)
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def tensor_words(results: FactorResults) -> list[Sentence]:
    """Who and what was factorised."""
    model = results.model
    omics = [omic_label(name) for name in results.omics]
    size = f"{len(model.factors_)} patients, {len(model.loadings_)} genes and {len(omics)} omics ({listed(omics)})"
    said = [Sentence(f"The fit on everyone has {size}.", "factors/decisions.parquet")]
    imaged = set(results.patients.loc[results.patients["n_images"] > 0, "patient"])
    if imaged:
        there = imaged & set(model.patients_ or ())
        text = f"Of {len(imaged)} patients with images, {len(there)} are in the tensor and have factors."
        said.append(Sentence(text, "factors/selection.parquet"))
    left_out = results.selection[~results.selection["kept"].astype(bool)]
    for reason, part in left_out.groupby("reason", sort=False):
        said.append(Sentence(f"Left out: {len(part)}, because {reason}.", "factors/selection.parquet"))
    return said


def fit_words(results: FactorResults) -> list[Sentence]:
    """Rank, variance explained and convergence of the fits."""
    fits, settings = results.fits, results.settings
    rank, n = quantity(fits, WHOLE, "rank"), quantity(fits, WHOLE, "n_train")
    text = f"On all {n:.0f} patients {rank:.0f} of {settings.components} components are kept."
    if rank >= settings.components:
        text += (
            " None was switched off: this number is the one that was set, not one that the data chose. More may be "
            "there; raise factors.components to see."
        )
    parts = [
        f"{percent(quantity(fits, WHOLE, 'explained', omic))} of {omic_label(omic)} "
        f"(noise SD {number(quantity(fits, WHOLE, 'noise_sd', omic))})"
        for omic in results.omics
    ]
    if rank:
        text += f" They explain {listed(parts)} of the scaled tensor's variance."
    said = [Sentence(text, "tables/F.FIT.csv")]
    others = [fold for fold in dict.fromkeys(fits["fold"]) if fold != WHOLE]
    if others:
        trained = span([quantity(fits, fold, "n_train") for fold in others])
        ranks = [quantity(fits, fold, "rank") for fold in others]
        middle = f" (median {number(float(np.median(ranks)))})" if min(ranks) < max(ranks) else ""
        text = f"{len(others)} further fits leave their test patients out (n {trained} in training); they keep "
        text += f"{span(ranks)} components{middle}."
        said.append(Sentence(text, "tables/F.FIT.csv"))
    return [*said, Sentence(convergence_words(results), "tables/F.FIT.csv")]


def doubt_words(results: FactorResults) -> list[str]:
    """What a reader must know first: the fit did not converge, or its chains do not agree on some of its factors."""
    fits, said = results.fits, []
    if converged(fits, WHOLE, results.settings.method) == 0:
        worst, fewest = quantity(fits, WHOLE, "r_hat_max"), quantity(fits, WHOLE, "ess_min")
        how = f" (largest R-hat {number(worst)}, fewest effective draws {number(fewest)})" if np.isfinite(worst) else ""
        said.append(f"The fit on all patients did not converge{how}. {failure_words(results)}")
    if doubtful := sorted(results.doubtful):
        said.append(
            f"The chains do not agree on {listed(doubtful)} ({len(doubtful)} of {results.model.n_components_} factors "
            f"correlate below {AGREED:g} between chains): read nothing into their genes, gene sets and associations. "
            "They are marked wherever they are named."
        )
    return said


def published_words(results: FactorResults) -> list[Sentence]:
    """The factorisation as published."""
    facts = results.published
    n, rank, noise = (quantity(facts, "all", name) for name in ("n_train", "rank", "noise_sd"))
    text = (
        f"As published, tensorBF's model is fitted once on all {n:.0f} patients, test patients included: {rank:.0f} of "
        f"{results.settings.published.components} components stay on, one noise SD ({number(noise)}) serves all "
        "omics, nothing is centred, and the last draw is the result, without interval or convergence check. What is "
        "predicted from it has seen the omics of the patients it is tested on."
    )
    return [Sentence(text, "factors/as_published/fits.parquet")]


def stability_words(results: FactorResults) -> list[Sentence]:
    """What comes back from other seeds."""
    table = results.stability
    ranks, others = table.groupby("seed")["rank"].first(), table[(table["seed"] != 0) & (table["component"] != "")]
    file = "tables/F.STAB.csv"
    n = int(table["n"].iloc[0]) if len(table) else 0
    text = f"{len(ranks)} fits from different seeds (n {n} patients each) keep {span(list(ranks))} components."
    if others.empty:
        return [Sentence(f"{text} The first kept none, so nothing can come back.", file)]
    back = others.assign(back=others["match"] > RETURNED).groupby("component")["back"].mean()
    text += (
        f" {int((back == 1).sum())} of the {len(back)} components of the first fit come back in each of the "
        f"{others['seed'].nunique()} others with |r| above {RETURNED:g}; {int((back < 0.5).sum())} come back in fewer "
        "than half. A component that does not come back is one of several descriptions of the same data: do not name "
        "it. Seeds show what the algorithm leaves open, not what other patients would give."
    )
    return [Sentence(text, file)]


def set_words(results: FactorResults) -> list[Sentence]:
    """Gene sets."""
    table = results.enrichment
    if table["value"].notna().sum() == 0:
        return [Sentence(f"No gene set was tested: {table['reason'].iloc[0]}.", "tables/F.SETS.csv")]
    said = []
    for metric, part in table[table["value"].notna()].groupby("metric", sort=False):
        text = f"{metric_name(str(metric)).name}: {int((part['fdr'] < SIGNIFICANT).sum())} of {len(part)} tests "
        text += f"({part['task'].nunique()} sets, {part['arm'].nunique()} components) have a false discovery rate "
        said.append(Sentence(text + "below 5 %.", "tables/F.SETS.csv"))
    return said


def association_words(results: FactorResults) -> list[Sentence]:
    """Associations with what is known of the patients."""
    table = results.associations
    known = table[table["value"].notna()]
    file = "tables/F.ASSOC.csv"
    if known.empty:
        return [Sentence(f"Nothing could be tested: {table['reason'].iloc[0]}.", file)]
    sure = known[known["fdr"] < SIGNIFICANT].sort_values("fdr", kind="stable")
    text = f"{len(sure)} of {len(known)} tests have a false discovery rate below 5 % over all of them."
    strongest = sure.drop_duplicates("task").head(MOST_TOLD)
    if len(strongest):
        text += (
            " The surest, one an endpoint: "
            + listed([_effect(row, results.doubtful) for row in strongest.to_dict("records")])
            + "."
        )
    said = [Sentence(text, file)]
    if refused := table.loc[table["value"].isna(), "task"].nunique():
        said.append(Sentence(f"{refused} endpoints could not be tested in some component; the table says why.", file))
    spread = span(list(known["posterior_sd"]))
    text = f"Posterior SD of a factor (unit root mean square over patients), mean by component: {spread}."
    return [*said, Sentence(f"{text} The intervals leave it out, and it makes effects look smaller.", file)]


def _effect(row: dict[str, object], doubtful: Collection[str]) -> str:
    value, low, high = (number(float(str(row[name]))) for name in ("value", "low", "high"))
    people = f"n {number(float(str(row['n'])))}"
    return (
        f"{task_label(str(row['task']))} with {named(str(row['arm']), doubtful)} "
        f"({metric_name(str(row['metric'])).short} {value}, {low} to {high}, {people})"
    )
