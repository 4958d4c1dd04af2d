"""Model card of a trained generator, from the JSON card beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radgen_lib.core.atomic import write_text
from radgen_lib.core.errors import data_error
from radgen_lib.reporting.labels import label

RELEASED_LIMITS = (
    "Trained on at most 28 patients of one public cohort (TCGA-BRCA), sagittal projections of two scanner makers' "
    "series; nothing is known about other scanners, views, or populations.",
)
PHANTOM_LIMITS = (
    "Trained on digital patients whom a program drew: it shows that the workflow runs, and is of no use on people.",
)
LIMITS = (
    "The images are projections of a few thousand pixels; they are no substitute for a scan and show no lesion that a "
    "person should look for.",
    "Images made from omics carry the omics they were made from. An image of a patient who was never scanned is a "
    "function of that patient's expression and of noise, not an observation.",
    "With so few training patients a generator may repeat training images: read the memorisation audit (S.PRIV) first.",
)
LICENCE = (
    "Code: MIT. The weights derive from files that others released, several without a stated licence: ask their "
    "owners before you pass the weights on."
)
PHANTOM_LICENCE = "Code: MIT. The weights derive from digital patients that this program drew: MIT as well."
PROVENANCE = ("seed", "code_digest", "weights_sha256")
INTENDED_USE = (
    "Study of what images made from omics do and do not carry. Not for any decision about a person, not as data for "
    "another model without saying that they are synthetic, never passed off as scans."
)


_COHORT_LIMITS = {"released": RELEASED_LIMITS, "phantom": PHANTOM_LIMITS}


def _table(title: str, values: Mapping[str, Any]) -> list[str]:
    rows = [f"| `{key}` | `{json.dumps(value, sort_keys=True)}` |" for key, value in sorted(values.items())]
    return [f"## {title}", "", "| key | value |", "|---|---|", *rows, ""] if rows else []


def _fact(card: Mapping[str, Any], name: str) -> str:
    """A fact of the card itself or of the config it holds."""
    config: Mapping[str, Any] = card.get("config") or {}
    return str(card.get(name) or config.get(name) or "not recorded")


def model_card(card: Mapping[str, Any], *, cohort: str = "released") -> str:
    """Markdown of a model card; ``cohort`` (released, phantom, or anything else) chooses what is said of its patients.

    card: the JSON card that ``generators.store.save_generators`` writes (``folds``: fold -> class_path, options, names,
    scaling, patients; ``weights_sha256``, ``licence``, ``intended_use``) with the provenance of its job (``config``
    with generator, condition and protocol, ``seed``, ``code_digest``); absent facts are told as not recorded. Holds
    no date and no duration. Raises KeyError when the folds or their patients are missing, ValueError for no fold.
    """
    folds: Mapping[str, Any] = card["folds"]
    if not folds:
        raise ValueError("folds is empty")
    patients = {fold: sorted(set(facts["patients"])) for fold, facts in folds.items()}
    everyone = {name for names in patients.values() for name in names}
    first = next(iter(folds.values()))
    generator, condition, protocol = (_fact(card, name) for name in ("generator", "condition", "protocol"))
    lines = [
        f"# Model card: {label('generator', generator)}, {label('condition', condition)}, "
        f"{label('protocol', protocol)}",
        "", "**Research only. Not for clinical use: not for diagnosis, prognosis, screening or treatment.**", "",
        "## What it is", "",
        f"`{generator}` (`{first['class_path']}`) draws a sagittal breast MRI projection of {first['image_size']} x "
        f"{first['image_size']} pixels from the condition `{condition}`, trained under the protocol `{protocol}`. "
        f"The condition has {len(first['names'])} values, {'log2(x + 1), then ' if first['log'] else ''}scaled by "
        f"`{first['scaling']}`: "
        f"{', '.join(first['names'])}.", "",
        "## Trained on", "",
        f"{len(everyone)} distinct patients in {len(folds)} folds; one set of weights per fold.", "",
        "| fold | training patients |", "|---|---|",
        *(f"| {fold} | {len(names)} |" for fold, names in patients.items()), "",
        "## Use", "", str(card.get("intended_use") or INTENDED_USE), "",
        "`radgen synthesize --generator CARD --omics table.csv --out folder` checks that the columns match and writes "
        "images with their card.", "",
        "## Limits", "", *(f"- {limit}" for limit in (*_COHORT_LIMITS.get(cohort, ()), *LIMITS)), "",
        *_table("Options", first["options"]),
        "## Provenance", "",
        *(f"- {name.replace('_', ' ')}: `{_fact(card, name)}`" for name in PROVENANCE), "",
        "## Licence", "", str(card.get("licence") or (PHANTOM_LICENCE if cohort == "phantom" else LICENCE)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def write_model_card(card_path: Path, target: Path) -> None:
    """Write the model card of the JSON card at ``card_path``; DataError when it is not the card of a generator."""
    try:
        card = json.loads(Path(card_path).read_text(encoding="utf-8"))
        text = model_card(card)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise data_error(card_path, f"is not the card of a trained generator ({error})", "Train it again") from error
    write_text(target, text)
