"""Clinical attributes that the tarball of a study lacks, asked of cBioPortal's REST service and kept as one table."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from radgen_lib.core.atomic import atomic_path
from radgen_lib.core.errors import ConfigError, DownloadError

if TYPE_CHECKING:
    from radgen_lib.sources.cbioportal_rest import PortalClient

_LOG = logging.getLogger("radgen")
# One row a value: portal's names of patient and sample ("" for an attribute of patients), where it is from, and text.
REST_COLUMNS = ("PATIENT_ID", "SAMPLE_ID", "STUDY_ID", "ATTRIBUTE", "VALUE")


def fetch_attributes(
    asked: Sequence[Sequence[str]], target: Path, *, client: PortalClient, offline: bool
) -> dict[str, dict[str, object]]:
    """Ask for (study, attribute) pairs and write their values to ``target``, a table of :data:`REST_COLUMNS`.

    Tab-separated text, rows sorted, whatever order they came in; line ends and tabs within a value become blanks. It
    is whole or not there. Returns per ``study/attribute`` its level and the number of values. Raises ConfigError for
    an attribute that the study has not, DownloadError when ``offline`` and when the service does not answer.
    """
    if offline:
        raise DownloadError(
            f"omics.rest: offline, so the portal cannot be asked for {', '.join('/'.join(pair) for pair in asked)}. "
            f"Set `offline: false` once, put {target.name} and its card of an earlier run into {target.parent}, or "
            "empty `omics.rest`"
        )
    known = {study: client.attributes(study) for study in dict.fromkeys(study for study, _ in asked)}
    rows: list[tuple[str, ...]] = []
    told: dict[str, dict[str, object]] = {}
    for study, attribute in asked:
        if attribute not in known[study]:
            near = difflib.get_close_matches(attribute, sorted(known[study]), 3)
            allowed = f"near ones are {', '.join(near)}" if near else f"it has {len(known[study])} others"
            raise ConfigError(f"omics.rest: study {study} has no attribute {attribute!r}; {allowed}")
        kind = known[study][attribute]
        values = client.values(study, attribute, kind)
        rows += [(value.patient, value.sample, study, attribute, value.value) for value in values]
        told[f"{study}/{attribute}"] = {"level": kind.lower(), "values": len(values)}
        _LOG.info("%s/%s: %d values, one a %s", study, attribute, len(values), kind.lower())
    clean = sorted({tuple(" ".join(cell.split()) for cell in row) for row in rows})
    with atomic_path(target) as path:
        pd.DataFrame(clean, columns=list(REST_COLUMNS)).to_csv(path, sep="\t", index=False, lineterminator="\n")
    return told
