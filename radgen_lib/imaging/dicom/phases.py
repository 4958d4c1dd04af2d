"""The phase table and the series table of a scan, with the decision and its reason for each row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from pydicom.uid import UID

from radgen_lib.cohort.ids import site_of
from radgen_lib.cohort.selection import NO_CONTRAST_PHASE
from radgen_lib.imaging.dicom.classify import classify
from radgen_lib.imaging.dicom.dynamic import Named, name_dynamic
from radgen_lib.imaging.dicom.geometry import axes_of
from radgen_lib.imaging.dicom.refused import REFUSED, with_refused
from radgen_lib.imaging.dicom.split import Part, split_study
from radgen_lib.imaging.volume import VolumeFault, view_of

PHASE_COLUMNS = (
    "volume", "patient", "study", "study_number", "series", "phase", "decision", "seconds", "seconds_source", "view",
    "side", "slices", "rows", "cols", "spacing_slice", "spacing_row", "spacing_col", "field_strength", "manufacturer",
    "site", "index_phase", "kept", "reason",
)  # fmt: skip
SERIES_COLUMNS = (
    "series", "patient", "study", "study_number", "days", "modality", "manufacturer", "model", "field_strength", "view",
    "rows", "cols", "n_instances", "n_phases", "kind_of_pixels", "transfer_syntax", "identifying", "kept", "reason",
)  # fmt: skip


def find_phases(
    instances: pd.DataFrame, refused: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], pd.DataFrame]:
    """Phases of every study of a scan's ``instances``: the phase table, the instances of each volume, the series table.

    A phase table row (:data:`PHASE_COLUMNS`) is a stack of images that may be a phase, kept or not; ``kept`` rows are
    pre- and post-contrast phases whose planes make a volume. A volume is named ``<patient>/<study number>/<phase>``,
    with ``-2``, ``-3`` ... where a study has several of the kind: ``pre-2`` and ``post1-2`` are of the second breast,
    where each has stacks of its own (``side``). Segmentations are in none of the tables. Decisions and reasons quote no
    free text of the tags; the tables hold no dates or times of day.

    Images that the scan ``refused`` take part in the naming, so that the other phases are called what they would be
    called with them; a phase that has some is not kept, with the reason.
    """
    images = with_refused(instances, refused)
    phases: list[dict[str, object]] = []
    series: list[dict[str, object]] = []
    members: dict[str, pd.DataFrame] = {}
    for patient, rows in images.groupby("patient", sort=True):
        for number, (study, days) in enumerate(_studies(rows), start=1):
            found = _study_phases(rows[rows["study"] == study])
            names = _volume_names(f"{patient}/{number}", found)
            index = _index_phase(found)
            for item, name in zip(found, names, strict=True):
                phases.append(_phase_row(item, name, number, item is index))
                members[name] = item.part.rows
            series += _series_rows(rows[rows["study"] == study], found, number, days)
    return (
        pd.DataFrame(phases, columns=list(PHASE_COLUMNS)),
        members,
        pd.DataFrame(series, columns=list(SERIES_COLUMNS)),
    )


def _studies(rows: pd.DataFrame) -> list[tuple[str, float]]:
    """Studies of one patient in order of date, with the days since the first; unknown dates come last (NaN)."""
    dates = rows.groupby("study", sort=True)[["study_date", "study_time"]].min().reset_index()
    dates = dates.sort_values(["study_date", "study_time", "study"], kind="stable", na_position="last")
    since = dates["study_date"] - dates["study_date"].min()
    return list(zip(dates["study"].astype(str), since.astype(float), strict=True))


def _study_phases(rows: pd.DataFrame) -> list[Named]:
    """All parts of one study under their names, contrast phases in time first."""
    dynamic: list[Part] = []
    rest: list[Named] = []
    for part in split_study(rows):
        verdict = classify(part)
        if part.share < 0.5 and verdict.kind != "localiser":
            reason = f"mixed orientations: {len(part.rows)} images of a series whose others lie otherwise"
            rest.append(Named(part, "other", reason, reason))
        elif verdict.kind != "dynamic":
            reason = f"{verdict.kind}: {NO_CONTRAST_PHASE}" + (f"; {part.refused}" if part.refused else "")
            rest.append(Named(part, verdict.kind, verdict.decision, reason))
        elif not part.rows[["position", "orientation"]].notna().to_numpy().all():
            rest.append(Named(part, "other", part.fault, part.fault))
        else:
            dynamic.append(part)
    found = name_dynamic(dynamic)
    for item in found:
        mixed = "mixed orientations in the series; " if item.part.orientations > 1 and item.part.fault else ""
        if item.phase != "other" or not item.reason:
            item.reason = item.part.refused or item.reason or mixed + item.part.fault
    return sorted(found + rest, key=_table_order)


def _table_order(item: Named) -> tuple[int, bool, str, float, tuple[str, ...], str]:
    number = float(item.part.rows["series_number"].min())
    kinds = ("pre", "post", "subtraction", "other", "derived", "localiser")
    kind = next(k for k, name in enumerate(kinds) if item.phase.startswith(name))
    return kind, item.second, item.phase, number if number == number else np.inf, item.part.series, item.part.how


def _volume_names(prefix: str, found: list[Named]) -> list[str]:
    seen: Counter[str] = Counter()
    names = []
    for item in found:
        seen[item.phase] = max(seen[item.phase], int(item.second)) + 1
        names.append(f"{prefix}/{item.phase}" + (f"-{seen[item.phase]}" if seen[item.phase] > 1 else ""))
    return names


def _index_phase(found: list[Named]) -> Named | None:
    """First kept post-contrast phase, else the kept pre-contrast one, else none."""
    kept = [item for item in found if _is_kept(item)]
    posts = [item for item in kept if item.phase.startswith("post")]
    return next(iter(posts or kept), None)


def _is_kept(item: Named) -> bool:
    return not item.reason and item.phase.startswith(("pre", "post"))


def _phase_row(item: Named, name: str, number: int, index: bool) -> dict[str, object]:
    part = item.part
    head = part.rows.iloc[0]
    return {
        "volume": name,
        "patient": head["patient"],
        "study": head["study"],
        "study_number": number,
        "series": part.series[0],
        "phase": item.phase,
        "decision": item.decision,
        "seconds": item.seconds,
        "seconds_source": item.seconds_source,
        "view": _view(part.rows),
        "side": item.side,
        "slices": part.places,
        "rows": int(head["rows"]),
        "cols": int(head["columns"]),
        "spacing_slice": part.stack.step if part.stack else np.nan,
        "spacing_row": head["spacing_row"],
        "spacing_col": head["spacing_col"],
        "field_strength": head["field_strength"],
        "manufacturer": head["manufacturer"],
        "site": site_name(str(head["patient"])),
        "index_phase": index,
        "kept": _is_kept(item),
        "reason": item.reason,
    }


def site_name(patient: str) -> str:
    """Site of a patient's identifier, "" where it names none."""
    try:
        return site_of(patient)
    except ValueError:
        return ""  # a local identifier names no site


def _view(rows: pd.DataFrame) -> str:
    """View that most of the images have, "" when the tags give no orientation."""
    known = rows["orientation"].dropna()
    if known.empty:
        return ""
    try:
        return view_of(axes_of(np.array(known.mode().iloc[0]))[:, 2])
    except VolumeFault:
        return ""


def _series_rows(rows: pd.DataFrame, found: list[Named], number: int, days: float) -> list[dict[str, object]]:
    table = []
    for name, images in rows.groupby("series", sort=True):
        head = images.iloc[0]
        mine = [item for item in found if name in item.part.series]
        kept = any(_is_kept(item) for item in mine)
        reasons = dict.fromkeys(item.reason for item in mine if item.reason)
        signed = "signed" if head["signed"] else "unsigned"
        names = sorted({one for value in images["identifying"] for one in value.split(",") if one})
        row = {column: head[column] for column in ("patient", "study", "modality", "manufacturer", "model")}
        row |= {
            "series": name,
            "study_number": number,
            "days": days,
            "field_strength": head["field_strength"],
            "view": _view(images),
            "rows": int(head["rows"]),
            "cols": int(head["columns"]),
            "n_instances": int((images[REFUSED] == "").sum()),
            "n_phases": len(mine),
            "kind_of_pixels": f"{head['photometric']} {head['bits_allocated']}/{head['bits_stored']} {signed}",
            "transfer_syntax": UID(str(head["transfer_syntax"])).name,
            "identifying": ",".join(names),
            "kept": kept,
            "reason": "; ".join(reasons) if not kept else "",
        }
        table.append(row)
    return table
