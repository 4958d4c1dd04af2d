"""Every decision of ingestion as rows: the series table with what was lost, and the selection table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from radgen_lib.cohort.selection import UNREADABLE, Selection
from radgen_lib.imaging.dicom.phases import site_name
from radgen_lib.imaging.pseudonyms import Names

_UNKNOWN, _NAN = "unknown", float("nan")
# Reasons for which a lost series was none of images, or one that stands elsewhere too.
_NO_PHASE = ("not MR (", "segmentation: ", "no pixel data", "duplicate SOP instance")


def series_table(
    series: pd.DataFrame, phases: pd.DataFrame, members: dict[str, pd.DataFrame], lost: pd.DataFrame, called: Names
) -> pd.DataFrame:
    """``series`` under the names that leave ingestion, and the rows of :func:`lost_series`.

    A series is kept when a kept phase has images of it; else its reason is that of its phases, of its files, or of
    the ledger. Segmentations are masks and have no row.
    """
    owners: dict[str, list[str]] = {}
    for volume, rows in members.items():
        for name in rows["series"].astype(str).unique():
            owners.setdefault(name, []).append(volume)
    verdicts = phases.set_index("volume")[["kept", "reason"]]
    table = series.copy()
    kept = [bool(verdicts.loc[owners.get(str(name), []), "kept"].any()) for name in table["series"]]
    table["reason"] = [
        ""
        if good
        else _reasons(verdicts.loc[owners.get(str(name), []), "reason"]) or str(reason) or "no phase of it is kept"
        for name, good, reason in zip(table["series"], kept, table["reason"], strict=True)
    ]
    table["kept"] = kept
    if len(lost):
        table = pd.concat([table.astype(object), lost.reindex(columns=table.columns).astype(object)], ignore_index=True)
    for kind in ("patient", "study", "series"):
        table[kind] = called.column(kind, table[kind])
    return _typed(table)


def _reasons(reasons: pd.Series) -> str:
    return "; ".join(dict.fromkeys(str(reason) for reason in reasons if reason))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers, numbers, text and truth values as such, whatever rows were joined."""
    whole = ("study_number", "rows", "cols", "n_instances", "n_phases")
    numbers = ("days", "field_strength")
    kinds = {name: "int64" if name in whole else "float64" if name in numbers else "object" for name in table.columns}
    return table.astype({**kinds, "kept": "bool"})


def lost_series(ledger: pd.DataFrame, found: set[str], faults: pd.DataFrame) -> pd.DataFrame:
    """Rows of a series table for the series of the ledger of which no header is known, those of ``found`` left out.

    Column ``came`` (no part of that table): whether the series was fetched whole, so that it was lost in reading.
    """
    reasons = faults.groupby("folder", sort=False)["reason"].agg(lambda values: values.value_counts(sort=True).index[0])
    rows = []
    for line in ledger.to_dict("records"):
        if str(line["series"]) in found:
            continue
        said = "" if line["status"] == "ok" else str(line["reason"])  # of whole series: what was not compared
        reason = str(reasons.get(str(line["folder"]), "")) or said or "no usable file"
        row = {name: line[name] for name in ("series", "patient", "study")}
        row |= dict.fromkeys(("modality", "manufacturer", "model", "view", "kind_of_pixels", "transfer_syntax"), "")
        row |= {"study_number": -1, "rows": 0, "cols": 0, "n_instances": 0, "n_phases": 0, "identifying": ""}
        row |= {"days": _NAN, "field_strength": _NAN, "kept": False, "reason": reason}
        rows.append({**row, "came": line["status"] == "ok"})
    return pd.DataFrame(rows)


def with_unreadable(phases: pd.DataFrame, lost: pd.DataFrame) -> pd.DataFrame:
    """``phases`` and a row, never kept, for each of the :func:`lost_series` that came and may be any phase.

    Nothing says when it was acquired, so that it moves no other phase; those of its study are told of it in their
    decision. A study of which nothing else is known comes after the patient's others.
    """
    if lost.empty:
        return phases
    may_be = lost["came"] & (lost["patient"] != "") & ~lost["reason"].str.startswith(_NO_PHASE)
    known: dict[tuple[str, str], int] = {}
    for patient, study, number in zip(phases["patient"], phases["study"], phases["study_number"], strict=True):
        known[patient, study] = int(number)
    rows, seen = [], Counter[str]()
    for line in lost[may_be].sort_values(["patient", "study", "series"], kind="stable").to_dict("records"):
        place = (str(line["patient"]), str(line["study"]))
        others = [number for (patient, _), number in known.items() if patient == place[0]]
        number = known.setdefault(place, max(others, default=0) + 1)
        volume = f"{place[0]}/{number}/{UNREADABLE}"
        seen[volume] += 1
        volume += f"-{seen[volume]}" if seen[volume] > 1 else ""
        rows.append({**_unknown_phase(line), "volume": volume, "study_number": number})
    if not rows:
        return phases
    unread = Counter((str(row["patient"]), str(row["study"])) for row in rows)
    before = [{**row, "decision": _told_of(row, unread)} for row in phases.to_dict("records")]
    table = pd.DataFrame([*before, *rows], columns=phases.columns)
    return table.sort_values(["patient", "study_number"], kind="stable", ignore_index=True)


def _unknown_phase(line: Mapping[Hashable, Any]) -> dict[str, Any]:
    """A row of the phase table about a series of which nothing but its identifiers and the reason is known."""
    row = {name: line[name] for name in ("patient", "study", "series", "reason")}
    row |= {"phase": UNREADABLE, "decision": "no header of the series can be read", "site": site_name(row["patient"])}
    row |= dict.fromkeys(("seconds_source", "view", "side", "manufacturer"), "")
    row |= dict.fromkeys(("slices", "rows", "cols"), 0)
    row |= dict.fromkeys(("seconds", "spacing_slice", "spacing_row", "spacing_col", "field_strength"), _NAN)
    return {**row, "index_phase": False, "kept": False}


def _told_of(row: Mapping[Hashable, Any], unread: Mapping[tuple[str, str], int]) -> str:
    count = unread.get((row["patient"], row["study"]), 0)
    contrast = str(row["phase"]).startswith(("pre", "post"))
    return f"{row['decision']}; {count} series of the study cannot be read" if count and contrast else row["decision"]


def ingest_selection(
    ledger: pd.DataFrame, series: pd.DataFrame, phases: pd.DataFrame, masks: pd.DataFrame, faults: pd.DataFrame,
    called: Names,
) -> pd.DataFrame:  # fmt: skip
    """The decisions in order: series of the ledger, files, series, phases, masks, patients; ``id`` is the patient.

    ``row`` is the series, the volume or the file. File names appear only where patients keep their identifiers.
    """
    selection = Selection()
    for line in ledger.to_dict("records"):
        fault = "" if line["status"] == "ok" else f"{line['status']}: {line['reason']}"
        _decide(selection, "fetched", "series", line["patient"], called, called.series(str(line["series"])), fault)
    for line in faults[faults["file"] != ""].to_dict("records"):
        file = "" if called.hidden else line["file"]
        _decide(selection, "files", "file", _owner(line, ledger), called, file, str(line["reason"]))
    tables = (
        ("series", series, "series", "series"),
        ("phases", phases, "volume", "volume"),
        ("masks", masks, "mask", "volume"),
    )
    for step, table, unit, row in tables:
        for line in table.to_dict("records"):
            reason = "" if line["kept"] else str(line["reason"]) or "not a phase of interest"
            _add(selection, step, unit, str(line["patient"]), str(line[row]), reason)
    with_volume = set(phases.loc[phases["kept"], "patient"])
    known = [called.patient(str(patient)) for patient in ledger["patient"].unique() if patient]
    for patient in sorted({*known, *phases["patient"]}):
        _add(selection, "patients", "patient", patient, "", "" if patient in with_volume else "no usable phase")
    return selection.frame()


def _owner(fault: dict[object, object], ledger: pd.DataFrame) -> str:
    """Patient of a faulty file: its own, or that of the folder's series."""
    if fault["patient"]:
        return str(fault["patient"])
    owners = ledger.loc[ledger["folder"] == fault["folder"], "patient"]
    return str(owners.iloc[0]) if len(owners) else ""


def _decide(selection: Selection, step: str, unit: str, patient: object, called: Names, row: str, reason: str) -> None:
    _add(selection, step, unit, called.patient(str(patient)), row, reason)


def _add(selection: Selection, step: str, unit: str, patient: str, row: str, reason: str) -> None:
    source = "DICOM store"
    if reason:
        selection.drop(step, unit, patient or _UNKNOWN, source, row, reason=reason)
    else:
        selection.keep(step, unit, patient or _UNKNOWN, source, row)
