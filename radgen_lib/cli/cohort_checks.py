"""What ``radgen doctor`` finds out about one cohort before anything runs: files, series, sizes, what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.cli.checks import Check, check_files, check_sources, standing
from radgen_lib.core.errors import ConfigError, DataError, DownloadError

if TYPE_CHECKING:
    import pandas as pd

    from radgen_lib.core.config.cohort import Cohort, Imaging
    from radgen_lib.core.config.model import Config
    from radgen_lib.sources.registry import Source

# Volumes and masks on the training grid (float16 and uint8), of about five phases a study; with NIfTI as acquired.
PHASES, BYTES_A_VOXEL = 5, 3


def check_cohort(config: Config, registry: Mapping[str, Source], name: str, mirror: Path | None) -> Iterator[Check]:
    """Every check of a cohort: of the released files, or of images, molecular study, tables beside it and disk."""
    cohort = config.cohorts[name]
    if cohort.imaging is None:
        yield check_sources(config, registry, name, mirror)
        return
    parts: list[Callable[[], Iterator[Check]]] = [
        lambda: _images(config, registry, name, cohort.imaging, mirror),  # type: ignore[arg-type]  # is not None
        lambda: _tables(config, registry, name, cohort, mirror),
    ]
    if cohort.imaging.source == "folder" or (cohort.omics and cohort.omics.source == "folder"):
        from radgen_lib.cli.local_checks import check_local

        parts.append(lambda: check_local(config, name))
    for part in parts:
        try:
            yield from part()
        except (ConfigError, DataError, DownloadError) as error:
            yield Check("FAIL", f"cohort {name}", str(error), "Correct the block of the cohort, or its files")


def _images(
    config: Config, registry: Mapping[str, Source], name: str, imaging: Imaging, mirror: Path | None
) -> Iterator[Check]:
    if imaging.source == "phantom":
        yield _phantom(config, name)
    elif imaging.source == "idc":
        yield from _idc(config, registry, name, imaging, mirror)
    elif imaging.source in ("nbia", "dicomweb"):
        yield _served(config, name, imaging)


def _phantom(config: Config, name: str) -> Check:
    from radgen_lib.core.layout import Layout

    phantom, layout = config.cohorts[name].phantom, Layout(config)
    assert phantom is not None
    size = layout.phantom_disk_mb(name) * len(layout.shards(name)) / 1e3
    shape = " x ".join(map(str, phantom.shape))
    text = f"{phantom.patients} digital patients at {shape}, {phantom.omics_only} more without images; no network"
    return disk_check(config, f"images of {name}", text, size)


def _idc(
    config: Config, registry: Mapping[str, Source], name: str, imaging: Imaging, mirror: Path | None
) -> Iterator[Check]:
    from radgen_lib.core.source_layout import PAPER_SERIES
    from radgen_lib.sources.idc import list_series
    from radgen_lib.sources.idc_index_query import index_version
    from radgen_lib.sources.series_lists import choose_series
    from radgen_lib.sources.status import locate

    what, listing, papers = f"images of {name}", list_series(imaging), None
    if imaging.series == "papers":
        source = registry.get(PAPER_SERIES)
        _, papers = locate(source, downloads=Path(config.downloads), mirror=mirror) if source else ("", None)
        if papers is None:
            todo = f"`radgen sources --check` tells whether {PAPER_SERIES} can be fetched"
            yield Check("WARN", what, f"series of the papers: their list ({PAPER_SERIES}) is not here yet", todo)
            imaging = imaging.model_copy(update={"series": "all"})
    chosen = choose_series(listing, imaging, papers)
    lost = chosen[chosen["status"] != ""]
    if len(lost):
        yield Check("WARN", what, f"{len(lost)} wanted series are not in the index", "They will be rows with a reason")
    chosen = chosen[chosen["status"] == ""]
    text = f"{describe(chosen)} of {imaging.collection}, index {index_version()}"
    yield _network(config, name, len(chosen))
    yield disk_check(config, what, text, _need(chosen, imaging, fetched=True))


def _network(config: Config, name: str, wanted: int) -> Check:
    """Series that are in the store already, and whether the others may be fetched."""
    from radgen_lib.sources.ledger import stored_series

    there = len(stored_series(Path(config.downloads) / name))
    text = f"{there} of {wanted} series in {config.downloads}/{name}"
    if there < wanted and config.offline:
        return Check("FAIL", f"fetching {name}", f"{text}, offline: true", "Set `offline: false`, or bring the series")
    return Check("OK", f"fetching {name}", text + ("" if there >= wanted else ", the rest comes over the network"))


def _served(config: Config, name: str, imaging: Imaging) -> Check:
    what, place = f"images of {name}", "TCIA" if imaging.source == "nbia" else "the PACS of `imaging.location`"
    if config.offline:
        return _network(config, name, 1)._replace(what=what)
    return Check("WARN", what, f"from {place}; not asked here", "Counts are known once the run has listed the series")


def _tables(
    config: Config, registry: Mapping[str, Source], name: str, cohort: Cohort, mirror: Path | None
) -> Iterator[Check]:
    from radgen_lib.core.layout import Layout
    from radgen_lib.core.source_layout import DUKE_TABLES

    what = f"omics of {name}"
    if cohort.omics is None:
        yield Check("OK", what, "none: images alone are read, no system runs")
    elif cohort.omics.source == "phantom":
        yield Check("OK", what, "written with the digital patients")
    elif cohort.omics.source == "cbioportal":
        yield check_files(config, registry, [str(cohort.omics.study)], what, mirror)
    if cohort.omics is not None and cohort.omics.rest:
        yield _asked(config, name, cohort.omics.rest)
    own = cohort.omics is not None and cohort.omics.source == "folder"
    named = {"clinical": "" if own else cohort.clinical, "subgroups": cohort.subgroups}
    for key, table in named.items():
        if table:
            yield _named_table(config, registry, name, key, table, mirror)
    if cohort.phantom is None and Layout(config).has_duke_tables(name):
        yield check_files(config, registry, DUKE_TABLES, f"Duke tables of {name}", mirror)


def _named_table(
    config: Config, registry: Mapping[str, Source], name: str, key: str, table: str, mirror: Path | None
) -> Check:
    """A table that the cohort's ``key`` names: a file, or an entry of the registry; read with the study alone."""
    what = f"{'clinical table' if key == 'clinical' else key} of {name}"
    if config.cohorts[name].omics is None:
        return Check("WARN", what, f"{table}: without a molecular study nothing reads it", "Add `omics`, or remove it")
    if table in registry:
        return check_files(config, registry, [table], what, mirror)
    if Path(table).is_file():
        return Check("OK", what, table)
    return Check(
        "FAIL", what, f"{table}: no such file, nor such entry of the registry", f"Correct `{key}` of the cohort"
    )


def _asked(config: Config, name: str, attributes: list[str]) -> Check:
    """Clinical attributes that the portal's service is asked for: kept from an earlier run, or asked in this one."""
    from radgen_lib.core.layout import Layout

    what, (table,) = f"attributes of {name}", Layout(config).rest(name)
    if Path(table).is_file():
        return Check("OK", what, f"{table}, of an earlier run")
    text = f"{len(attributes)} of the portal's REST service, asked in the run"
    if config.offline:
        return Check("FAIL", what, f"{text}, offline: true", f"Set `offline: false`, or bring {table} and its card")
    return Check("OK", what, text)


def describe(listing: pd.DataFrame) -> str:
    """Patients, studies, series, files and gigabytes of a listing."""
    counts = f"{listing['patient'].nunique()} patients, {listing['study'].nunique()} studies, {len(listing)} series"
    return f"{counts}, {int(listing['n_files'].clip(lower=0).sum())} files, {_size(listing) / 1e9:.2f} GB"


def _size(listing: pd.DataFrame) -> int:
    return int(listing["bytes"].clip(lower=0).sum())


def _need(listing: pd.DataFrame, imaging: Imaging, *, fetched: bool) -> float:
    """Gigabytes that a run adds: the store where files are ``fetched``, and what is read from it."""
    depth, rows, columns = imaging.volume
    volumes = PHASES * listing["study"].nunique() * depth * rows * columns * BYTES_A_VOXEL
    return (volumes + _size(listing) * (int(fetched) + int(imaging.nifti))) / 1e9


def linked_need(config: Config, listing: pd.DataFrame, imaging: Imaging) -> float:
    """Gigabytes that a run adds where the user's files are linked, or copied from another file system.

    Series of NIfTI files are written as DICOM.
    """
    if "store_bytes" in listing.columns:
        return _need(listing, imaging, fetched=True)
    same = standing(Path(config.downloads)).stat().st_dev == Path(str(imaging.location)).stat().st_dev
    return _need(listing, imaging, fetched=not same)


def disk_check(config: Config, what: str, text: str, need: float) -> Check:
    """Compare ``need`` (GB) with the free disk below the downloads."""
    free = shutil.disk_usage(standing(Path(config.downloads))).free / 1e9
    found = f"{text}; about {need:.2f} GB needed, {free:.1f} GB free"
    if need > free:
        return Check("FAIL", what, found, "Free space, set `downloads:`, or ask for less (`imaging.patients`)")
    if 2 * need > free:
        return Check("WARN", what, found, "It fits; weights and samples need room as well")
    return Check("OK", what, found)
