"""The cells every item must have, filled or with a reason (the row lists of the paper's tables)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING

from radgen_lib.reporting.facts import PUBLISHED, RunFacts
from radgen_lib.reporting.pivot import KEY_COLUMNS, Line
from radgen_lib.reporting.published import pixelrow_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TASKS = ("er", "subgroup", "mut_TP53", "mut_PIK3CA", "mut_CDH1")
EXTRACTORS = ("radiomics", "vgg16", "resnet50", "inception")
CLASSIFIERS = ("xgboost", "logistic", "lasso", "random_forest", "svm")
CONDITIONS = ("genes15", "factors17")
ADHERENCE_TESTS = {
    "1 sensitivity ratio": "*sensitivity*|*icc*", "2 permutation": "*permutation*",
    "3 retrieval": "*retrieval*|*top1*|*mrr*", "4 read-back": "*read*back*",
    "5 watermark control": "*watermark*|*random_decoder*", "6 monotone response": "*monoton*",
}  # fmt: skip
RISK_GROUPS = {"risk groups": "*logrank*", "subgroup clusters": "*pca*|*cluster*|*silhouette*|*separation*"}
CROSSINGS = {"patients on both sides of a split": "*cross*|*both_sides*|*shared*|*leak*"}
MEMORISATION = {"nearest training image": "*nearest*|*nn_*|*distance*", "membership": "*member*"}


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
