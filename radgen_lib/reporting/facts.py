"""What a report knows about its run: sizes, seed, configuration, packages, cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radgen_lib.reporting.labels import OTHER_COHORT, PHANTOM

PUBLISHED, RIGOROUS = "as_published", "rigorous"
# Column group of numbers that no protocol touches; there only where rows without a protocol are.
SHARED = "shared"

GENERAL_LIMITS = (
    "Endpoints that are made from gene expression (the ER+/HER2+ subgroup, and survival, by which its 15 genes were "
    "chosen) are circular when the images are made from the same genes. A claim about images is a difference "
    "between arms, not the level of one arm.",
    "Fréchet distances are biased upwards at this size; read them beside their reference rows, and KID first.",
    "A 95 % interval of an AUROC or a C-index resamples patients and keeps the fits: it is too narrow. Where nothing "
    "can be predicted, that of a pooled out-of-fold AUROC misses one half in about one run of five, not in one of "
    "twenty, so among many cells some arms without information will exclude it. Compare arms, and read the untrained, "
    "shuffled and noise arms beside every level.",
    "P-values of S.ADH are as computed, but those of test 6 by variable, which have a second value corrected for the "
    "number of variables (Holm); across tests, generators and designs nothing is corrected. Test 6 moves one variable "
    "while the others keep the patient's own values: such a combination may exist in nobody, and what the image does "
    "is a property of the generator, not an effect of the gene.",
    "Research software: nothing here is for clinical use.",
)
# Of the papers' own cohorts.
VERDICT_LIMITS = (
    "The preprint's FID of 1.33 is of a split that tests four patients, and an interval over patients needs five: its "
    "verdict rests on several trainings of that split and says so, or there is none. The final C-index of 0.88, a "
    "maximum over settings, has no interval and gets no verdict under any preset.",
)
RELEASED_LIMITS = (
    "28 patients have a released projection (58 images): 18 luminal A, 5 luminal B, 4 basal, 1 normal-like. "
    "Every statement about real images rests on 28 people.",
    "None of the 28 imaged patients died, so survival of imaged patients cannot be analysed; survival numbers are "
    "about synthetic images of patients who never had the scan that is shown.",
    "Image-to-row order inside a patient is not proven in the released files; every rigorous split is by patient.",
)
PHANTOM_LIMITS = (
    "Every patient of this cohort is digital: a program drew images, omics, labels and outcomes, and planted what they "
    "have to do with each other. No statement here is about people, and no published number can be confirmed or "
    "refuted here; published numbers stand beside ours to show the layout.",
)

OTHER_LIMITS = (
    "The single split of CPDM is known by the series of its four test images. Where none of them is in a cohort of "
    "other series, those of the images number 1, 16, 24 and 33 that exist stand in: the design is the same, the test "
    "is another one. Where only some of the papers' series are used, only those of the four that are here are tested.",
)


@dataclass(frozen=True)
class RunFacts:
    """Size, seed and resolved configuration (plain values, see ``core.config.load.as_tree``) of one cohort's run."""

    cohort: str
    preset: str
    seed: int
    config: Mapping[str, Any]

    @property
    def system(self) -> Mapping[str, Any]:
        """The configuration block of system B."""
        return self.config["cpdm"]

    @property
    def block(self) -> Mapping[str, Any]:
        """The configuration block of the cohort; empty where the configuration does not name it."""
        return self.config.get("cohorts", {}).get(self.cohort, {})

    @property
    def is_phantom(self) -> bool:
        """Whether the patients are digital."""
        return bool(self.block.get("phantom"))

    @property
    def is_released(self) -> bool:
        """Whether the cohort is what the authors of CPDM released."""
        return self.block.get("kind", "released") == "released"

    @property
    def elsewhere(self) -> str:
        """The verdict of every number of a cohort that the published numbers are not about; "" for the papers' own.

        Their own are the released files, and all series of their list under public names: of some patients numbers
        differ, and with pseudonyms nobody can tell which series the published split tests.
        """
        if self.is_phantom:
            return PHANTOM
        imaging = self.block.get("imaging") or {}
        whole = imaging.get("series") == "papers" and not imaging.get("patients") and not imaging.get("pseudonyms")
        return "" if self.is_released or whole else OTHER_COHORT

    @property
    def limits(self) -> tuple[str, ...]:
        """What a reader must know before believing any number of this cohort."""
        own = PHANTOM_LIMITS if self.is_phantom else RELEASED_LIMITS if self.is_released else ()
        return (*own, *(OTHER_LIMITS if self.elsewhere else VERDICT_LIMITS), *GENERAL_LIMITS)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of the protocols: as_published and rigorous first, then the user's own, in their order."""
        named = self.system["protocols"]
        first = [name for name in (PUBLISHED, RIGOROUS) if name in named]
        return (*first, *(name for name in named if name not in first))

    def switch(self, protocol: str, name: str) -> Any:
        """One switch of a protocol, e.g. ``designs`` or ``primary``; None where the protocol is unknown."""
        return self.system["protocols"].get(protocol, {}).get(name)

    @property
    def generators(self) -> tuple[str, ...]:
        """Generators that any protocol runs, in the order of the protocols."""
        found = (name for protocol in self.protocols for name in self.switch(protocol, "generators"))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class ReportFacts(RunFacts):
    """Facts of the page, beside those of the run.

    ``cards`` maps the name of a card to its path relative to ``root``; ``root`` leads from the page's folder to the
    folder that every ``source`` path is relative to, and ``tables_at`` to the folder of the item tables.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""
    cards: Mapping[str, str] = field(default_factory=dict)
    root: str = ".."
    tables_at: str = "../tables"
