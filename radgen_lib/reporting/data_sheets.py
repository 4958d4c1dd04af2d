"""Contact sheets of the page of ingestion: those shown, refused stacks first, and a list of every one there is."""

from __future__ import annotations

import base64
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.imaging.contact import sheet_name

SHOWN = 24


@dataclass(frozen=True)
class Sheet:
    """A sheet on the page: volume id, what is said of it, and the picture as a data URI."""

    volume: str
    text: str
    uri: str


@dataclass(frozen=True)
class StudySheets:
    """Sheets of a study in one archive: study, phases with a sheet, names of kept and refused ones in the archive."""

    study: str
    archive: str
    kept: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Sheets:
    """What the page shows of the archives.

    refused and used are the sheets shown, with the number there is of each; studies lists every sheet of every
    archive; archives maps the name of a shard to its archive, relative to the folder of the page.
    """

    refused: list[Sheet]
    used: list[Sheet]
    n_refused: int
    n_used: int
    studies: list[StudySheets]
    archives: dict[str, str]


def gather_sheets(phases: pd.DataFrame, archives: Iterable[str], page: Path) -> Sheets:
    """Sheets of the ``archives`` (one a shard) that belong to rows of ``phases``; ``page`` is the file of the page.

    Shown are the first refused stacks (contrast phases before unnamed stacks, those before stacks that are plainly
    none), and the first index phases before other kept ones. Pictures of the others stay in their archives.
    """
    listed = _listed(phases, archives)
    kept = listed["kept"].to_numpy(bool)
    used, refused = listed[kept].sort_values(["late", "volume"]), listed[~kept].sort_values(["rank", "volume"])
    links = {Path(path).parent.name: os.path.relpath(path, page.parent) for path in listed["archive"].unique()}
    return Sheets(
        _shown(refused.head(SHOWN)), _shown(used.head(SHOWN)), len(refused), len(used), _studies(listed), links
    )


def _listed(phases: pd.DataFrame, archives: Iterable[str]) -> pd.DataFrame:
    """The rows of ``phases`` that have a sheet, with its archive and name, in the order of archives and phases."""
    table = phases.assign(sheet=[sheet_name(str(volume)) for volume in phases["volume"]]).set_index("sheet", drop=False)
    parts = [table.head(0).assign(archive="")]
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
        parts.append(table[table["sheet"].isin(there)].assign(archive=str(path)))
    listed = pd.concat([part for part in parts if len(part)] or parts[:1])
    plain = listed["reason"].astype(str).str.contains("not a contrast phase", regex=False)
    contrast = listed["phase"].astype(str).str.startswith(("pre", "post"))
    return listed.assign(rank=np.where(contrast, 0, np.where(plain, 2, 1)), late=~listed["index_phase"].astype(bool))


def _shown(rows: pd.DataFrame) -> list[Sheet]:
    shown = []
    for row in rows.to_dict("records"):
        with zipfile.ZipFile(str(row["archive"])) as archive:
            content = archive.read(str(row["sheet"]))
        uri = "data:image/jpeg;base64," + base64.b64encode(content).decode()
        shown.append(Sheet(str(row["volume"]), str(row["reason"]), uri))
    return shown


def _studies(listed: pd.DataFrame) -> list[StudySheets]:
    """One row a study, those with refused stacks first."""
    studies = pd.Series([str(volume).rpartition("/")[0] for volume in listed["volume"]], listed.index, dtype=str)
    found = []
    for (study, archive), rows in listed.groupby([studies, "archive"], sort=True):
        kept = rows["kept"].to_numpy(bool)
        names = rows["sheet"].astype(str)
        shard = Path(str(archive)).parent.name
        found.append(StudySheets(str(study), shard, tuple(names[kept]), tuple(names[~kept])))
    return sorted(found, key=lambda study: not study.refused)
