"""The page of the factors: what was factorised, what came out, how sure it is, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radgen_lib.core.atomic import write_bytes, write_text
from radgen_lib.core.factor_layout import FACTOR_FIGURES
from radgen_lib.omics.btf.gathering import WHOLE
from radgen_lib.reporting import factor_words as words
from radgen_lib.reporting.factor_cells import Grid
from radgen_lib.reporting.factor_charts import associations_figure, comparison_figure
from radgen_lib.reporting.factor_compared import comparison_grids, coverage_grid, decision_grid, gap_grid
from radgen_lib.reporting.factor_figures import (
    calibration_figure,
    loadings_figure,
    stability_figure,
    traces_figure,
)
from radgen_lib.reporting.factor_grids import association_grids, factor_grids, fit_grids, set_grid
from radgen_lib.reporting.factor_names import TITLES
from radgen_lib.reporting.factor_rank import rank_figure, rank_grids, rank_words
from radgen_lib.reporting.factor_tables import SOURCES, FactorResults, quantity
from radgen_lib.reporting.factor_verdicts import comparison_words
from radgen_lib.reporting.page import TEMPLATES, data_uri

CAPTIONS = {
    "factor_loadings.svg": (
        "Loadings",
        "Fit on all patients. Above, how each component acts in each omic; below, its strongest genes. Components are "
        "ordered by the variance they explain, and each is drawn relative to its largest loading. Blank: less than two "
        "posterior SDs from zero. A star: the chains do not agree on it. Where the sign of a gene and of an omic "
        "agree, the omic rises with the factor.",
    ),
    "factor_traces.svg": (
        "Log-likelihood by sweep",
        "Fit on all patients, a line a chain. After burn-in the chains should lie over each other and go nowhere; a "
        "chain that still climbs, or runs on a level of its own, has not converged. The first climb is cut off.",
    ),
    "factor_rank.svg": (
        "How many components held-out patients ask for",
        "Fits that start from more or fewer components; below each number how many it kept. Log density of hidden "
        "values (higher is better) of patients held out inside the training part of fold cv0-0, whose test patients "
        "are not used. Bars are 95 % intervals over patients and keep each fit as it is: how another training would "
        "move a point is not in them. The same values are hidden from every fit. Dashed: the "
        "number that all other fits of this page start from. A curve that still climbs there asks for more. A few "
        "values far from any prediction can lead a mean of log densities: errors stand beside it in the table.",
    ),
    "factor_stability.svg": (
        "Stability over seeds",
        "All patients factorised again from other seeds. Above, how many components were kept. Below, a dot for each "
        "other seed: how well a component of the first fit is found there; the tick is the median, and orange rows "
        "stay at or below 0.9 in half of the seeds or more.",
    ),
    "factor_associations.svg": (
        "Factors and what is known of the patients",
        "Colour: the effect, on one scale for all kinds (AUROC as 2 AUROC - 1, eta squared as its root and thus "
        "without a sign, log hazard ratio per SD cut at 1, Spearman's correlation). A dot: false discovery rate below "
        "5 % over all tests. A star: the chains do not agree on the factor. Intervals stand in the table.",
    ),
    "factor_comparison.svg": (
        "Comparison of methods",
        "Test patients of all folds, whom no fit has seen but the one as published; bars are 95 % intervals over "
        "patients, and n is the smallest to the largest of the methods. Blue: ours; grey: others, with as many "
        "components as ours starts with, not as many as ours keeps; orange: as published, fitted on test patients too. "
        "Hidden entries: single values of a test patient are hidden and predicted from the rest; hidden omic: one "
        "omic of the patient is, from the others. Errors: lower is better, 1 is about the mean of the training "
        "patients. AUROC and C-index (higher is better): the endpoint predicted from the factors alone, by L1 logistic "
        "regression or a penalised Cox model; for PAM50 the mean over its classes, each against the rest. PCA puts the "
        "training mean where a training patient lacks a value, the other methods leave it out.",
    ),
    "factor_calibration.svg": (
        "Do predictive intervals hold what they promise",
        "Values hidden from test patients: the share inside intervals of each nominal level, with 95 % intervals over "
        "patients. Below the line intervals are too narrow, above it too wide.",
    ),
}
APPROXIMATE = {
    "factor_traces.svg": (
        "Lower bound of the evidence by sweep",
        "Fit on all patients by variational approximation, from the starting point that began best. The bound "
        "never falls, and the fit ends where it has settled; a curve that still rises at its end was stopped too "
        "early. There are no chains and no burn-in, so that nothing here shows whether another optimum would do as "
        "well. The first climb is cut off.",
    ),
}


def captions(method: str) -> dict[str, tuple[str, str]]:
    """Title and caption of each figure for factors fitted by ``method``."""
    return CAPTIONS | (APPROXIMATE if method == "variational" else {})


@dataclass(frozen=True)
class Section:
    """A part of the page: words, figures (file names of :data:`CAPTIONS`), tables, tables that are folded away."""

    anchor: str
    title: str
    said: Sequence[words.Sentence]
    figures: Sequence[str] = ()
    grids: Sequence[Grid] = ()
    folded: Sequence[Grid] = ()


def draw_figures(results: FactorResults) -> dict[str, bytes]:
    """File name -> SVG, the names of ``FACTOR_FIGURES``."""
    model, settings = results.model, results.settings
    ranks = results.stability.groupby("seed")["rank"].first()
    others = results.stability[(results.stability["seed"] != 0) & (results.stability["component"] != "")]
    whole = results.traces[results.traces["fold"] == WHOLE]
    made = {
        "factor_loadings.svg": loadings_figure(
            model.loadings_,
            model.loadings_std_,
            model.omic_loadings_,
            results.genes_named,
            results.omics,
            results.doubtful,
        ),
        "factor_stability.svg": stability_figure(ranks, others),
        "factor_rank.svg": rank_figure(results.rank, settings.components),
        "factor_traces.svg": traces_figure(
            whole, burn_in=settings.burn_in, approximate=settings.method == "variational"
        ),
        "factor_calibration.svg": calibration_figure(results.coverage),
        "factor_comparison.svg": comparison_figure(results.comparison),
        "factor_associations.svg": associations_figure(results.associations, results.doubtful),
    }
    return {name: made[name] for name in FACTOR_FIGURES}


def _sections(results: FactorResults) -> list[Section]:
    fits, factors = fit_grids(results), factor_grids(results)
    surest = association_grids(results.associations, results.doubtful)
    return [
        Section(
            "tensor", "What was factorised", words.tensor_words(results), (), (), [decision_grid(results.decisions)]
        ),
        Section(
            "fits", "The fits", [*words.fit_words(results), *rank_words(results.rank), *words.published_words(results)],
            ["factor_traces.svg", "factor_rank.svg"], fits[:1], [*fits[1:], *rank_grids(results.rank)],
        ),
        Section("factors", "What the factors are", [], ["factor_loadings.svg"], factors[:1], factors[1:]),
        Section("sets", "Gene sets", words.set_words(results), (), [set_grid(results.enrichment, results.doubtful)]),
        Section(
            "associations", "Clinical associations", words.association_words(results), ["factor_associations.svg"],
            surest[:1], [*surest[1:], gap_grid("F.ASSOC", results.associations)],
        ),
        Section("stability", "Stability", words.stability_words(results), ["factor_stability.svg"]),
        Section(
            "comparison", "What the factors predict", comparison_words(results),
            ["factor_comparison.svg", "factor_calibration.svg"], (),
            [
                *comparison_grids(results.comparison), coverage_grid(results.coverage),
                gap_grid("F.CMP", results.comparison),
            ],
        ),
    ]  # fmt: skip


def limits(results: FactorResults, *, phantom: bool, released: bool) -> list[str]:
    """What a reader must know before believing any number of this page."""
    own = []
    if phantom:
        own.append("The patients are digital and their factors were planted: this shows the instrument, not cancer.")
    if released:
        own.append(
            "The public tensor holds 150 genes of chromosome 17 and 125 of chromosome 21. Its factors are about these "
            "two chromosomes, copy number first (the HER2 amplicon lies on 17), and not about the genome."
        )
    return [
        *own,
        "Rank is a property of model, priors and data size. A kept component explains more than noise would; it need "
        "not be one biological process, and a process may be spread over several.",
        "Components F01, F02, ... are ordered within each fit: F03 of one fold need not be F03 of another. Tables of "
        "genes, sets and associations are about the fit on all patients only.",
        "PAM50 is called from expression of the same tumours: that factors follow it is partly circular. Receptors are "
        "read by pathologists, but receptor genes shape expression and their status shapes PAM50: that factors follow "
        "them is expected and no finding of its own.",
        "Intervals resample patients and keep the fits: how much other training patients would change them is not in. "
        "Methods on the same patients err together, so that overlapping intervals do not show them to be equal; the "
        "paired differences in F.CMP do.",
        "Research software: nothing here is for clinical use.",
    ]


def render_factor_page(
    results: FactorResults, figures: Mapping[str, bytes], *, cohort: str, preset: str, phantom: bool, released: bool
) -> str:
    """HTML of the page: self-contained, no date, no external address; figures as :func:`draw_figures` gives them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    told = captions(results.settings.method)
    pictures = {name: (*told[name], data_uri(content)) for name, content in figures.items()}
    fits = results.fits
    return environment.get_template("factors.html").render(
        cohort=cohort, preset=preset, phantom=phantom, doubts=words.doubt_words(results),
        sections=_sections(results), pictures=pictures,
        limits=limits(results, phantom=phantom, released=released), settings=results.settings.model_dump(),
        counts={
            "patients": int(quantity(fits, WHOLE, "n_train")), "genes": len(results.model.loadings_),
            "omics": len(results.model.omic_loadings_), "components kept": results.model.n_components_,
            "fits": int(fits["fold"].nunique()), "seeds": int(results.stability["seed"].nunique()),
        },
        tables=[(item, TITLES[item], SOURCES[item]) for item in TITLES],
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )  # fmt: skip


def write_figures(targets: Sequence[Path], figures: Mapping[str, bytes]) -> None:
    """Write each figure to the target of its name, atomically; raises KeyError for another name."""
    for target in targets:
        write_bytes(target, figures[target.name])


def write_factor_page(target: Path, page: str) -> None:
    """Write the page, whole or not at all."""
    write_text(target, page)
