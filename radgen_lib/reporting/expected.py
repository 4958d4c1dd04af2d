"""The cells every item must have, filled or with a reason (the row lists of the paper's tables)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING

from radgen_lib.reporting.facts import PUBLISHED, RunFacts
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line, Row
from radgen_lib.reporting.published import pixelrow_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TASKS = ("er", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1")
EXTRACTORS = ("radiomics", "vgg16", "resnet50", "inception")
CLASSIFIERS = ("xgboost", "logistic", "lasso", "random_forest", "svm")
PUBLISHED_DESIGNS, RIGOROUS_DESIGNS = ("published_split", "published_folds"), ("grouped", "site", "full")
CONDITIONS = ("genes15", "factors17")
ADHERENCE_TESTS = {
    "1 sensitivity ratio": "*sensitivity*|*icc*", "2 permutation": "*permutation*",
    "3 retrieval": "*retrieval*|*top1*|*mrr*", "4 read-back": "*read*back*",
    "5 watermark control": "*watermark*|*random_decoder*", "6 monotone response": "*monoton*",
}  # fmt: skip
RISK_GROUPS = {"risk groups": "*logrank*", "subgroup clusters": "*pca*|*cluster*|*silhouette*|*separation*"}
CROSSINGS = {"patients on both sides of a split": "*cross*|*both_sides*|*shared*|*leak*"}
MEMORISATION = {"nearest training image": "*nearest*|*nn_*|*distance*", "membership": "*member*"}
NO_IMAGES = "factors exist only for the 61 imaged patients: no images of further patients can be made from them"
FACTORS_ONLY_PUBLISHED = "the 17 factors were fitted on all patients: as_published only"
NOT_BUILT = (
    "not built: 16 deaths in the 123 labelled patients do not support a neural survival model, and the published one "
    "chose its stopping epoch on the test fold"
)
POOLED = "not split by fold: the analysis pools the held-out images of the folds"


@dataclass(frozen=True)
class Cell:
    """One required cell: its keys, and a shell pattern per key that a line must fit.

    ``anywhere`` asks instead that any key of the line fits one of the patterns (joined by ``|``), for items whose
    rows are named by the analysis alone.
    """

    keys: dict[str, str]
    patterns: dict[str, str]
    anywhere: str = ""

    def met_by(self, line: Line) -> bool:
        """Whether ``line`` is this cell."""
        if self.anywhere:
            texts = [text.lower() for text in line.keys.values()]
            return any(fnmatchcase(text, pattern) for text in texts for pattern in self.anywhere.split("|"))
        return line.matches(self.patterns)

    def line(self) -> Line:
        """The empty line that stands for this cell."""
        return Line({column: self.keys.get(column, "") for column in KEY_COLUMNS})


def _cell(metric_pattern: str, **keys: str) -> Cell:
    return Cell(keys, {**keys, "metric": metric_pattern})


def _image_quality(facts: RunFacts) -> Iterator[Cell]:
    published = facts.switch(PUBLISHED, "generators") or ()
    for condition, generator in product(CONDITIONS, dict.fromkeys((*published, *facts.generators))):
        designs = ("published_split", "published_folds", "fold_mean") if generator in published else ("grouped",)
        for design, metric in product(designs, ("pixelrow_frechet", "mse", "ssim")):
            keys = {"condition": condition, "generator": generator, "design": design, "metric": metric}
            yield _cell(f"{metric}*", **keys)


def _prediction(facts: RunFacts) -> Iterator[Cell]:
    metrics = (("auroc", "auroc"), ("auprc", "a*pr*"), ("f1", "f1*"))
    extractors = dict.fromkeys((*EXTRACTORS, *facts.system["encoders"]))
    for task, extractor, condition, model in product(TASKS, extractors, CONDITIONS, CLASSIFIERS):
        for metric, pattern in metrics:
            keys = {"task": task, "extractor": extractor, "condition": condition, "model": model, "arm": "synthetic"}
            yield _cell(pattern, **keys, metric=metric)


def _survival(facts: RunFacts) -> Iterator[Cell]:
    metrics = (("c_harrell", "c_harrell"), ("c_harrell_train", "c*train*"), ("logrank_p", "logrank*"))
    extractors = dict.fromkeys((*EXTRACTORS, *facts.system["encoders"]))
    for extractor, model, condition in product(extractors, ("cox", "neural"), CONDITIONS):
        for metric, pattern in metrics:
            keys = {"extractor": extractor, "model": model, "condition": condition, "metric": metric}
            yield Cell(keys, {**keys, "model": f"{model}*", "metric": pattern})


def _reference(facts: RunFacts) -> Iterator[Cell]:
    table = pixelrow_reference()
    for image, reference in zip(table["image"], table["reference"], strict=True):
        keys = {"task": str(image), "arm": str(reference), "metric": "pixelrow_frechet"}
        yield _cell("pixelrow_frechet*", **keys)
    for image, generator in product(table["image"].unique(), facts.switch(PUBLISHED, "generators") or ()):
        keys = {"task": str(image), "arm": "model", "generator": generator, "metric": "pixelrow_frechet"}
        yield _cell("pixelrow_frechet*", **keys)


def _named(tests: Iterable[tuple[str, str]]) -> Iterator[Cell]:
    for name, patterns in tests:
        yield Cell({"task": name, "metric": name}, {}, anywhere=patterns)


_MAKERS: dict[str, Callable[[RunFacts], Iterable[Cell]]] = {
    "B.TA": _image_quality,
    "B.TB": _prediction,
    "B.TC": _survival,
    "B.TD": _reference,
    "B.F2": lambda _: _named(RISK_GROUPS.items()),
    "S.ADH": lambda _: _named(ADHERENCE_TESTS.items()),
    "S.LEAK": lambda _: _named(CROSSINGS.items()),
    "S.PRIV": lambda _: _named(MEMORISATION.items()),
}  # fmt: skip


def required(item: str, facts: RunFacts) -> list[Cell]:
    """Cells that the table of ``item`` must hold; none for items without a fixed list."""
    return list(_MAKERS[item](facts)) if item in _MAKERS else []


def unmet(cells: Iterable[Cell], lines: Iterable[Line]) -> list[Cell]:
    """Required cells that no line fills, in their order."""
    lines, missing = list(lines), []
    index: dict[tuple[str, ...], dict[tuple[str, ...], list[Line]]] = {}
    for cell in cells:
        exact = tuple(column for column, pattern in cell.patterns.items() if "*" not in pattern)
        if exact not in index:
            index[exact] = _indexed(exact, lines)
        near = index[exact].get(tuple(cell.patterns[column] for column in exact), [])
        if not any(cell.met_by(line) for line in near):
            missing.append(cell)
    return missing


def _indexed(columns: tuple[str, ...], lines: list[Line]) -> dict[tuple[str, ...], list[Line]]:
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        found.setdefault(tuple(line.keys[column] for column in columns), []).append(line)
    return found


def missing_reason(item: str, keys: dict[str, str], protocol: str, facts: RunFacts, told: list[Row]) -> str:
    """Why a cell has no number under ``protocol``: what the configuration excludes, or what the analysis said.

    ``told``: the item's result rows that have a reason instead of a number.
    """
    rules = (*_condition_rules(item, keys, protocol, facts), *_task_rules(item, keys, protocol, facts))
    said = next((reason for holds, reason in rules if holds), "") or _said_by_analysis(keys, protocol, told)
    return said or "no result came from the analysis"


Rules = tuple[tuple[bool, str], ...]


def _condition_rules(item: str, keys: dict[str, str], protocol: str, facts: RunFacts) -> Rules:
    condition, absent = keys["condition"], keys["condition"] not in (facts.switch(protocol, "conditions") or ())
    return (
        (keys["model"] == "neural", NOT_BUILT),
        (item in ("B.TB", "B.TC", "B.F2") and condition == "factors17", NO_IMAGES),
        (condition == "factors17" and absent, FACTORS_ONLY_PUBLISHED),
        (bool(condition) and absent, f"condition {condition} is not run under {protocol}"),
    )


def _task_rules(item: str, keys: dict[str, str], protocol: str, facts: RunFacts) -> Rules:
    generator, design, task, model = (keys[c] for c in ("generator", "design", "task", "model"))
    prediction, elsewhere, not_now = facts.system["prediction"], f"under {protocol}", f"under the {facts.preset} preset"
    absent = design not in (facts.switch(protocol, "designs") or ())
    not_here = generator in facts.generators and generator not in (facts.switch(protocol, "generators") or ())
    return (
        (keys["metric"] == "subgroup clusters", "a picture without a number: the figure of subgroups in feature space"),
        (not_here, f"{label('generator', generator)} is not run {elsewhere}"),
        (item == "B.TB" and bool(task) and task not in prediction["tasks"], f"task {task} is not run {not_now}"),
        (
            item == "B.TB" and bool(model) and model not in prediction["classifiers"],
            f"classifier {model} is not run {not_now}",
        ),
        (design == "fold_mean", POOLED if protocol == PUBLISHED else "see the folds by patient"),
        (protocol == PUBLISHED and design in PUBLISHED_DESIGNS and absent, f"design {design} is not run {not_now}"),
        (design in RIGOROUS_DESIGNS and absent, f"design {design} is not run {elsewhere}"),
    )  # fmt: skip


def _said_by_analysis(keys: dict[str, str], protocol: str, told: list[Row]) -> str:
    """The reason of a row without a number whose keys, where it has any, are those of the cell."""
    for row in told:
        if row["protocol"] not in (protocol, "") or row["extractor"] != keys["extractor"]:
            continue
        if all(not keys[c] or row[c] in ("", keys[c]) for c in ("condition", "task", "model", "arm", "generator")):
            return str(row["reason"])
    return ""
