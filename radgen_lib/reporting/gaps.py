"""Why a cell of a table has no number."""

from __future__ import annotations

from itertools import combinations

from radgen_lib.reporting.claims import PUBLISHED_GENERATOR
from radgen_lib.reporting.facts import PUBLISHED, RunFacts
from radgen_lib.reporting.labels import label
from radgen_lib.reporting.pivot import Row

NO_IMAGES = "factors exist only for the 61 imaged patients: no images of further patients can be made from them"
NO_FACTORS = "the 17 published factors exist for the released patients only"
FACTORS_ONLY_PUBLISHED = "the 17 factors were fitted on all patients: as_published only"
POOLED = "not split by fold: the analysis pools the held-out images of the folds"
NOT_BUILT = (
    "not built: the published study's 16 deaths in 123 labelled patients do not support a neural survival model, and "
    "the published one chose its stopping epoch on the test fold"
)
PUBLISHED_DESIGNS, RIGOROUS_DESIGNS = ("published_split", "published_folds"), ("grouped", "site", "full")
# Arms that are made with a protocol's primary generator alone, as first or second part of a difference too.
PRIMARY_ARMS = ("both", "shuffled", "clinical+synthetic")
WEIGHTS = "weights not present"
OWN_LINES = "every arm and model has lines of its own"
# In this order a lack is looked for: the arm says more than the metric that only this arm has.
_PARTS = ("arm", "model", "generator", "metric", "task", "extractor", "condition")


class Evidence:
    """The result rows of one item: what they say, and which combinations of keys a protocol has none of."""

    def __init__(self, rows: list[Row]) -> None:
        self.reasons = [row for row in rows if row["reason"]]
        self._rows = rows
        self._seen: dict[tuple[str, ...], set[tuple[str, ...]]] = {}

    def has(self, protocol: str, column: str, value: str) -> bool:
        """Whether any row of ``protocol`` has ``value`` in ``column``."""
        return (protocol, value) in self._combinations((column,))

    def has_number(self, protocol: str, column: str, value: str) -> bool:
        """Whether any row of ``protocol`` that gives no reason has ``value`` in ``column``."""
        return any(row["protocol"] == protocol and row[column] == value and not row["reason"] for row in self._rows)

    def numbered(self, protocol: str, keys: dict[str, str]) -> bool:
        """Whether ``protocol`` has a number of a cell's condition, features, task and model (those it names)."""
        columns = [column for column in ("condition", "extractor", "task", "model") if keys[column]]
        rows = (row for row in self._rows if row["protocol"] == protocol and not row["reason"])
        return any(all(row[column] == keys[column] for column in columns) for row in rows)

    def lacks(self, keys: dict[str, str], protocol: str) -> str:
        """The smallest combination of keys that the protocol has no row of, in words; "" where nothing was run."""
        named = [column for column in _PARTS if keys[column]]
        if not any(row["protocol"] == protocol for row in self._rows):
            return ""
        for size in range(1, len(named) + 1):
            for columns in combinations(named, size):
                wanted = tuple(keys[column] for column in columns)
                if (protocol, *wanted) not in self._combinations(columns):
                    told = ", ".join(label(column, keys[column]) for column in columns)
                    return f"{told}: {'not computed' if columns == ('metric',) else 'not run'} under {protocol}"
        return ""

    def _combinations(self, columns: tuple[str, ...]) -> set[tuple[str, ...]]:
        if columns not in self._seen:
            self._seen[columns] = {(row["protocol"], *(row[c] for c in columns)) for row in self._rows}
        return self._seen[columns]


def missing_reason(item: str, keys: dict[str, str], protocol: str, facts: RunFacts, told: Evidence) -> str:
    """Why a cell has no number under ``protocol``: what the configuration excludes, or what the analysis said.

    ``told``: the item's result rows.
    """
    rules = (*_condition_rules(item, keys, protocol, facts), *_task_rules(item, keys, protocol, facts, told))
    said = next((reason for holds, reason in rules if holds), "")
    if not said and item in ("B.TB", "B.TC") and not keys["arm"] and told.numbered(protocol, keys):
        return OWN_LINES  # the line holds a reason of another protocol for all of them
    said = said or _said_by_analysis(keys, protocol, told.reasons)
    said = said or _not_drawn(keys, protocol, facts, told) or told.lacks(keys, protocol)
    # A line for every model holds a reason of another protocol; where this one has numbers, they stand model by model.
    own_lines = item == "B.TB" and not keys["model"] and told.has(protocol, "extractor", keys["extractor"])
    return said or (OWN_LINES if own_lines else "no result came from the analysis")


Rules = tuple[tuple[bool, str], ...]


def _condition_rules(item: str, keys: dict[str, str], protocol: str, facts: RunFacts) -> Rules:
    condition, absent = keys["condition"], keys["condition"] not in (facts.switch(protocol, "conditions") or ())
    return (
        (keys["model"] == "neural", NOT_BUILT),
        (condition == "factors17" and not facts.is_released, NO_FACTORS),
        (item in ("B.TB", "B.TC", "B.F2") and condition == "factors17", NO_IMAGES),
        (condition == "factors17" and absent, FACTORS_ONLY_PUBLISHED),
        (bool(condition) and absent, f"condition {condition} is not run under {protocol}"),
    )


def _task_rules(item: str, keys: dict[str, str], protocol: str, facts: RunFacts, told: Evidence) -> Rules:
    generator, design, task, model = (keys[c] for c in ("generator", "design", "task", "model"))
    prediction, elsewhere, not_now = facts.system["prediction"], f"under {protocol}", f"under the {facts.preset} preset"
    tested = facts.switch(protocol, "test_on") or ()
    absent = design not in (facts.switch(protocol, "designs") or ())
    not_here = generator in facts.generators and generator not in (facts.switch(protocol, "generators") or ())
    # A control that is not drawn may have rows that say so, and more, of the model or the endpoint.
    not_here = not_here and keys["arm"] != generator and not told.has(protocol, "generator", generator)
    return (
        (keys["metric"] == "subgroup clusters", "a picture without a number: the figure of subgroups in feature space"),
        *(
            (item == "B.TB" and design.endswith(f"test_on_{kind}"), f"not tested on {kind} images {elsewhere}")
            for kind in ("real", "synthetic")
            if kind not in tested
        ),
        (not_here, f"{label('generator', generator)} is not run {elsewhere}"),
        (item == "B.TB" and bool(task) and task not in prediction["tasks"], f"task {task} is not run {not_now}"),
        (
            item == "B.TB" and bool(model) and model not in prediction["classifiers"],
            f"classifier {model} is not run {not_now}",
        ),
        *_generator_rules(item, keys, protocol, facts),
        (design == "fold_mean", POOLED if protocol == PUBLISHED else "see the folds by patient"),
        (protocol == PUBLISHED and design in PUBLISHED_DESIGNS and absent, f"design {design} is not run {not_now}"),
        (design in (*PUBLISHED_DESIGNS, *RIGOROUS_DESIGNS) and absent, f"design {design} is not run {elsewhere}"),
    )  # fmt: skip


def _not_drawn(keys: dict[str, str], protocol: str, facts: RunFacts, told: Evidence) -> str:
    """That a control arm (untrained, noise) is not among the generators of a protocol, or ``""``."""
    generator, drawn = keys["generator"], facts.switch(protocol, "generators") or ()
    known = generator in drawn or told.has_number(protocol, "generator", generator)
    if generator not in facts.generators or keys["arm"] != generator or known:
        return ""
    return f"not drawn under {protocol}: {generator} is not among its generators"


def _generator_rules(item: str, keys: dict[str, str], protocol: str, facts: RunFacts) -> Rules:
    """Which arms and endpoints are evaluated for a protocol's primary generator alone (B.TB, B.TC)."""
    generator, arm, task, model = (keys[c] for c in ("generator", "arm", "task", "model"))
    primary, asked = str(facts.switch(protocol, "primary")), facts.system["prediction"]
    beside = item in ("B.TB", "B.TC") and generator not in ("", primary) and generator in facts.generators
    searched = task in asked["primary_tasks"] and model in asked["primary_classifiers"]
    return (
        (
            beside and any(part in PRIMARY_ARMS for part in arm.split(" minus ")),
            f"the arm {label('arm', arm)} is made with {label('generator', primary)} alone under {protocol}",
        ),
        (
            beside and item == "B.TB" and arm.startswith("synthetic") and not searched
            and (task, generator) != ("subgroup", PUBLISHED_GENERATOR),
            f"beside {label('generator', primary)}, generators are evaluated under {protocol} only where settings are "
            "searched (cpdm.prediction.primary_tasks and primary_classifiers)",
        ),
    )  # fmt: skip


def _said_by_analysis(keys: dict[str, str], protocol: str, told: list[Row]) -> str:
    """The reason of a row without a number whose keys, where it has any, are those of the cell."""
    for row in told:
        if row["protocol"] not in (protocol, "") or row["extractor"] != keys["extractor"]:
            continue
        if all(not keys[c] or row[c] in ("", keys[c]) for c in ("condition", "task", "model", "arm", "generator")):
            return str(row["reason"])
    missing = (row["reason"] for row in told if row["extractor"] == keys["extractor"] != "")
    return next((str(reason) for reason in missing if str(reason).startswith(WEIGHTS)), "")
