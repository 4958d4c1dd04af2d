"""Which series of a source are taken: all, those of the papers, or dynamic T1 by description; and system C's cohort."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, data_error
from radgen_lib.sources.ledger import listing_frame

_PAPERS_ROW = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})_([0-9]+(?:\.[0-9]+)+)")
FLOW_COLUMNS = ("step", "unit", "id", "source", "row", "kept", "reason")

# Read on the descriptions of TCGA-BRCA (1,858 series) and Duke-Breast-Cancer-MRI (5,034): the first one that fits
# names the reason. Series without a description are kept, since nothing speaks against them: tags decide later.
NOT_DYNAMIC: tuple[tuple[str, str], ...] = (
    (r"\bloc\b|locali[sz]|3[- ]?pl|scout|survey|pilot|calib|asset|_loc", "localiser or calibration"),
    (r"sub|^\(\d", "subtraction"),
    (r"mip|reformat|\bref\b|radial|cad~|derived|collection|screen|processed|\bpjn\b", "derived image"),
    (r"dwi|diff|\w*adc|dti|apparent|\bb ?= ?\d|b\d{3}", "diffusion"),
    (r"t2|stir|tirm|fse|tse|\bse\b|\bir\b|ideal|vista", "T2, inversion or spin echo"),
    (r"^(fat|inphase|outphase):", "fat or in-phase image of a Dixon pair"),
    (r"(non|not|w/o|no)[ -]?fat|non[ -]fs", "T1 without fat suppression"),
)  # fmt: skip
DYNAMIC = re.compile(
    r"dyn|vibrant|thrive|brava|fl3d|flash|multi-?phase|pre-?post|\+ ?c\b|gad|\bph ?\d|pass\b|^bind\("
    r"|\b3d\b.*(pre|post|sag)|(sag|pre|post).*\b3d\b|\bt1\b.*(pre|post)|(pre|post).*(\bt1\b|\bfs\b|sag)|post\b",
    re.I,
)
GE = re.compile(r"\bge\b", re.I)
# Models that exist at another field strength than 1.5 T only; Signa EXCITE, HDx and HDxt were sold at 1.5 and 3 T.
NOT_1_5_T = re.compile(r"MR750|SIGNA (?:Premier|Architect)|Pioneer", re.I)


def read_papers(path: Path) -> pd.DataFrame:
    """Patient and series UID of the papers' list (columns patient, series), in file order.

    ``path`` is the registry's ``btf_features``: CSV without a header whose first cells are
    ``TCGA-XX-XXXX_<SeriesInstanceUID>``. Raises DataError for another form and for a series that stands twice.
    """
    rows: dict[str, str] = {}
    with open(path, newline="", encoding="utf-8") as handle:
        for line, cells in enumerate(csv.reader(handle), start=1):
            found = _PAPERS_ROW.fullmatch(cells[0].strip()) if cells else None
            if found is None:
                raise data_error(path, "first cell is not TCGA-XX-XXXX_<series UID>", "Fetch btf_features", row=line)
            if found[2] in rows:
                raise data_error(path, "series stands twice", "Fetch btf_features", row=line)
            rows[found[2]] = found[1]
    if not rows:
        raise data_error(path, "is empty", "Fetch btf_features")
    return pd.DataFrame({"patient": list(rows.values()), "series": list(rows)})


def not_dynamic(description: str) -> str:
    """Why a series is no dynamic T1 series by its description, or "" (kept); an empty description is kept."""
    text = description.strip()
    if not text:
        return ""
    for pattern, reason in NOT_DYNAMIC:
        if re.search(pattern, text, re.I):
            return reason
    return "" if DYNAMIC.search(text) else "description does not say dynamic T1"


def reasons_against(listing: pd.DataFrame, how: str, papers: pd.DataFrame | None = None) -> pd.Series:
    """Per listed series the reason why ``imaging.series`` = ``how`` leaves it out, or "".

    SEG series (tumour masks; a PACS and a folder list them) stay under ``all`` and ``dynamic``, and so do rows that are
    lost already.
    """
    if how == "papers":
        if papers is None:
            raise ConfigError("imaging.series = 'papers': needs the file btf_features of the registry")
        return listing["series"].isin(set(papers["series"])).map({True: "", False: "not among the papers' series"})
    exempt = (listing["modality"] != "MR") | (listing["status"] != "")
    why = listing["description"].map(not_dynamic) if how == "dynamic" else listing["description"].map(lambda _: "")
    return why.mask(exempt, "").astype(object)


def choose_series(listing: pd.DataFrame, imaging: Imaging, papers: Path | None = None) -> pd.DataFrame:
    """Rows of ``listing`` that the configuration asks for, and a row with status ``missing`` for what is not there.

    ``imaging.patients`` limits patients; ``papers`` is the file for ``imaging.series = papers``. Raises ConfigError
    when nothing remains.
    """
    listed = read_papers(papers) if papers is not None and imaging.series == "papers" else None
    kept = listing[reasons_against(listing, imaging.series, listed) == ""]
    wanted: list[dict[str, object]] = []
    if imaging.patients is not None:
        kept = kept[kept["patient"].isin(imaging.patients)]
        absent = sorted(set(imaging.patients) - set(kept["patient"]))
        wanted = [_missing(name, "", f"no series of the patient ({imaging.series})") for name in absent]
    if listed is not None:
        listed = listed if imaging.patients is None else listed[listed["patient"].isin(imaging.patients)]
        here = set(kept["series"])
        pairs = zip(listed["patient"], listed["series"], strict=True)
        wanted = [_missing(name, uid, "the source does not list the series") for name, uid in pairs if uid not in here]
    if kept.empty and not wanted:
        raise ConfigError(
            f"imaging.series = {imaging.series!r}: none of {len(listing)} series of the source. Try 'all'"
        )
    extra = [name for name in kept.columns if name not in listing_frame([]).columns]
    rows = [{str(key): value for key, value in row.items()} for row in kept.to_dict("records")]
    return listing_frame([*rows, *wanted], *extra)


def _missing(patient: str, series: str, reason: str) -> dict[str, object]:
    return {"patient": patient, "series": series, "modality": "MR", "status": "missing", "reason": reason}


def system_c_flow(
    listing: pd.DataFrame,
    *,
    phases: pd.DataFrame | None = None,
    expression: Collection[str] | None = None,
) -> pd.DataFrame:
    """System C's cohort (PROTOCOLS 1.1) as rows of the selection table: step, unit, id, source, row, kept, reason.

    Steps, each over the patients that the one before kept: MRI downloaded; dynamic T1 on GE (index: manufacturer,
    description, models that exist at 3 T only); a post-contrast phase on GE that ingestion kept, and 1.5 T of such a
    phase, where ``phases`` (its phase table) is given; matched expression, where ``expression`` (patients that have
    it) is given. The paper goes from 137 to 118 to 110. The index of IDC has 107 patients with a GE series, so its 118
    cannot all have been scanned on GE.
    """
    rows: list[tuple[str, str, str, str, str, bool, str]] = []

    def step(name: str, source: str, reasons: Mapping[str, str]) -> list[str]:
        rows.extend((name, "patient", who, source, "", not why, why) for who, why in reasons.items())
        return [who for who, why in reasons.items() if not why]

    patients = step("C: MRI", "imaging index", dict.fromkeys(sorted(listing["patient"].unique()), ""))
    groups = dict(tuple(listing.groupby("patient")))
    patients = step("C: dynamic T1, GE", "imaging index", {who: _against_ge(groups[who]) for who in patients})
    if phases is not None:
        posts, strengths = _ge_posts(phases), field_strengths(phases)
        usable = set(posts.loc[posts["kept"].astype(bool), "patient"])
        why = {who: "" if who in usable else _against_posts(posts[posts["patient"] == who]) for who in patients}
        patients = step("C: post-contrast phase", "phases.parquet", why)
        fields = {who: _against_field(strengths.get(who, float("nan"))) for who in patients}
        patients = step("C: 1.5 T", "DICOM headers", fields)
    if expression is not None:
        have = {who: "" if who in expression else "no matched expression" for who in patients}
        patients = step("C: expression", "molecular study", have)
    return pd.DataFrame(rows, columns=list(FLOW_COLUMNS)).astype({"kept": bool})


def field_strengths(phases: pd.DataFrame) -> dict[str, float]:
    """Field strength in tesla by patient, from the headers of the post-contrast phases on GE that were kept.

    ``phases``: patient, phase, kept, manufacturer, field_strength. Of a patient scanned at several strengths it is the
    one nearest to 1.5 T, since one such study is enough; patients without such a phase that tells it are absent.
    """
    posts = _ge_posts(phases)
    told = posts[posts["kept"].astype(bool) & posts["field_strength"].notna()]
    nearest = (told["field_strength"] - 1.5).abs().sort_values(kind="stable").index
    first = told.loc[nearest].groupby("patient")["field_strength"].first()
    return {str(who): float(tesla) for who, tesla in first.items()}


def _ge_posts(phases: pd.DataFrame) -> pd.DataFrame:
    """The post-contrast phases on GE, kept or not."""
    ge = phases["manufacturer"].fillna("").str.contains(GE)
    return phases[ge & phases["phase"].str.fullmatch(r"post\d+")]


def _against_posts(posts: pd.DataFrame) -> str:
    """Why none of a patient's post-contrast phases on GE, none of which was kept, can be used."""
    if posts.empty:
        return "no post-contrast phase on GE"
    return f"no post-contrast phase kept: {posts['reason'].value_counts().index[0]}"


def with_expression(clinical: pd.DataFrame) -> set[str]:
    """Patients of whom a sample stands in the expression matrix of the study (``sample_expression`` is not empty)."""
    if "sample_expression" not in clinical:
        return set()
    return set(clinical.loc[clinical["sample_expression"].fillna("") != "", "patient"])


def _against_ge(series: pd.DataFrame) -> str:
    ge = series[series["manufacturer"].str.contains(GE)]
    if ge.empty:
        scanners = sorted(set(series["manufacturer"]) - {"Confirma Inc."}) or ["no scanner named"]
        return f"scanned on {', '.join(scanners)}"
    dynamic = ge[ge["description"].map(not_dynamic) == ""]
    if dynamic.empty:
        return "no dynamic T1 series by description"
    return "" if not dynamic["model"].str.contains(NOT_1_5_T).all() else "scanner model is not 1.5 T"


def _against_field(tesla: float) -> str:
    if tesla != tesla:
        return "field strength unknown"
    return "" if abs(tesla - 1.5) < 0.1 else f"{tesla:g} T"
