"""Every rule that turns a molecular study into tables, and the log of where each of them was applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from radgen_lib.core.units import DAYS_PER_MONTH

if TYPE_CHECKING:
    from radgen_lib.core.config.cohort import Omics

DECISION_COLUMNS = ("step", "table", "item", "decision", "reason", "count")
STUDY = "study"  # what the tables of a study are counted under
LOSS_COLUMNS = ("table", "unit", "reason", "count")
MISSING_CELLS = frozenset({
    "", "NA", "na", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", ".", "-",
    "[Not Available]", "[Not Applicable]", "[Unknown]", "[Not Evaluated]",
})  # fmt: skip
# A linear RSEM matrix reaches 1e5 and more; no log2 scale of a transcript exceeds 2^30 copies.
LOG_CEILING = 30.0
BETA_EDGE = 1e-3
_PROBES = {
    "promoter_first": "the promoter probes, where none is described all probes,",
    "promoter": "the promoter probes",
    "all": "all probes",
}
Expression = Literal["auto", "linear", "log2"]


@dataclass(frozen=True)
class Choices:
    """What a user may choose, the keys of the same names below ``omics:``; all else is one rule (see :func:`rules`).

    ``genes``: genes of the tensor that all omics have, or all genes with NaN where an omic lacks one.
    ``copy_number``: the kind of copy number that is preferred where a study has several.
    ``methylation``: mean of M = log2(beta / (1 - beta)) (Du et al. 2010), or mean beta in [0, 1].
    ``probes``: of the probes given of a gene those that the file describes as promoter and, of a gene without such, all
    (``promoter_first``); none but the former; or all. A file that describes no probe, as one that has a row a gene, is
    read as with ``all``, but for ``promoter``, which leaves it out.
    ``expression``: whether expression is linear or log2(x + 1) already, or told from the values
    (:mod:`radgen_lib.omics.study.scale`).
    ``max_missing``: a gene of an omic is left out when a larger share of its patients is missing.
    """

    genes: Literal["intersection", "union"] = "intersection"
    copy_number: Literal["log2", "discrete"] = "log2"
    methylation: Literal["m_value", "beta"] = "m_value"
    probes: Literal["promoter_first", "promoter", "all"] = "promoter_first"
    expression: Expression = "auto"
    max_missing: float = 0.5

    @classmethod
    def of(cls, omics: Omics) -> Choices:
        """The choices of a block of the configuration."""
        return cls(**{field.name: getattr(omics, field.name) for field in fields(cls)})


class Decisions:
    """Collects decisions in the order in which they are taken; tables are named without their folder.

    ``quotes``: whether a reason may repeat what a cell holds; not in tables of people whose identifiers are replaced.
    """

    def __init__(self, *, quotes: bool = True) -> None:
        self.quotes = quotes
        self._rows: list[tuple[str, str, str, str, str, int]] = []
        self._lost: Counter[tuple[str, str, str]] = Counter()

    def add(
        self, step: str, table: str | Path, item: object, decision: str, reason: str = "", *, count: int = 1
    ) -> None:
        """Record one decision on ``item`` of ``table``; ``count`` is the number of cells, rows or files it concerns."""
        name = table.name if isinstance(table, Path) else table
        self._rows.append((step, name, str(item), decision, reason, count))

    def extend(self, step: str, table: str | Path, faults: list[tuple[str, str, str]], *, most: int = 50) -> None:
        """Record faults (item, decision, reason): the first ``most`` as rows, the rest as one row."""
        for item, decision, reason in faults[:most]:
            self.add(step, table, item, decision, reason)
        if left := faults[most:]:
            self.add(step, table, "further ones", left[0][1], f"as {left[0][2]!r} and alike", count=len(left))

    def tally(self, table: str | Path, unit: str, kept: int, lost: Sequence[str] = ()) -> None:
        """Count units (rows, samples ...) of a table that were ``kept``, and those lost to faults, a reason each.

        What a rule leaves out as planned (normal tissue, a second sample of a patient) is neither.
        """
        name = table.name if isinstance(table, Path) else table
        self._lost[name, unit, ""] += kept
        self._lost.update((name, unit, reason) for reason in lost)

    def untally(self, table: str | Path) -> None:
        """Forget the counts of a table that is left out whole: it counts once, as a table."""
        name = table.name if isinstance(table, Path) else table
        for what in [what for what in self._lost if what[0] == name]:
            del self._lost[what]

    def losses(self) -> pd.DataFrame:
        """What was counted: table, unit, reason ("": kept), count; kept and lost are the whole of a unit."""
        rows = [(*what, count) for what, count in self._lost.items()]
        return pd.DataFrame(rows, columns=list(LOSS_COLUMNS)).astype({"count": "int64"})

    def frame(self) -> pd.DataFrame:
        """All decisions: step, table, item, decision, reason, count."""
        return pd.DataFrame(self._rows, columns=list(DECISION_COLUMNS)).astype({"count": "int64"})


def rules(choices: Choices) -> list[tuple[str, str, str]]:
    """The rules (step, rule, reason) that hold for a study; they open its decision log."""
    union = choices.genes == "union"
    return [
        ("sample", "one sample a patient: primary before recurrent before metastatic; then the first name",
         "patients, not samples, are the unit of every analysis"),
        ("sample", "normal tissue and cell lines are left out", "the tables describe tumours"),
        ("gene", "a withdrawn symbol becomes the current HGNC symbol unless the Entrez id disagrees",
         "one gene has one name in all tables"),
        ("gene", "of rows of one gene the one with fewest missing cells is kept, then the one of highest variance",
         "a mean of rows would have values that nobody measured"),
        ("gene", f"a gene missing in more than {choices.max_missing:g} of an omic's patients is left out",
         "a factor model would learn the imputation"),
        ("gene", "genes of the tensor: " + ("any omic has them, NaN elsewhere" if union else "all omics have them"),
         f"choice genes = {choices.genes}"),
        ("patient", "patients of the tensor: any omic has them, NaN elsewhere", "missing blocks are kept as missing"),
        ("missing", "empty, NA, NaN, null and alike are missing; infinities are missing too", "no number is made up"),
        ("expression", f"log2(x + 1), x below 0 counts as 0; choice expression = {choices.expression}",
         "auto: linear above 30; up to 30 other with values below 0, linear if whole numbers, else by the median"),
        ("copy_number", f"{choices.copy_number} preferred where a study has several", "choice copy_number"),
        ("methylation", f"{choices.methylation}: mean over {_PROBES[choices.probes]} of a gene, missing ones left out",
         f"choices methylation, probes = {choices.probes}; no paper states a rule (PROTOCOLS 1.3: promoter-mean M)"),
        ("mutation", "1: any non-silent variant; 0: sequenced and none; NaN: not sequenced",
         "the papers' rule for driver genes"),
        ("survival", f"days = months x {DAYS_PER_MONTH}; a time that is not above 0 is missing with its status",
         "both or neither, so that no patient is censored at nothing"),
    ]  # fmt: skip
