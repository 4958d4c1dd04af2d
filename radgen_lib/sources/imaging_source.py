"""The one entrance to image series: the shard of a cohort from whatever source the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.sources.ledger import shard_of, stored_series
from radgen_lib.sources.series_lists import choose_series


def _module(imaging: Imaging) -> tuple[Any, bool]:
    """The module of the source, and whether its list of series needs the network; each carries its own packages."""
    if imaging.source == "idc":
        from radgen_lib.sources import idc

        return idc, False
    if imaging.source == "nbia":
        from radgen_lib.sources import nbia

        return nbia, True
    if imaging.source == "dicomweb":
        from radgen_lib.sources import dicomweb

        return dicomweb, True
    if imaging.source == "folder":
        from radgen_lib.sources import folder

        return folder, False
    raise ConfigError("imaging.source = 'phantom': the phantom writes its series itself. Use the phantom rule")


def list_source(imaging: Imaging, root: Path, *, offline: bool) -> pd.DataFrame:
    """Every MR series that the source has, as a listing (``ledger.LISTING_COLUMNS``).

    Offline, sources whose list is on the network (nbia, dicomweb) list what the store below ``root`` holds instead,
    and raise DownloadError when it holds nothing.
    """
    module, asks_network = _module(imaging)
    if not (offline and asks_network):
        listing: pd.DataFrame = module.list_series(imaging)
        return listing
    listing = stored_series(root)
    if listing.empty:
        raise DownloadError(
            f"series from {imaging.source}: offline and none are in the store. Allow the network (offline: false), or "
            "take source folder"
        )
    return listing


def choose_source(imaging: Imaging, root: Path, *, offline: bool, papers: Path | None = None) -> pd.DataFrame:
    """The listed series that ``imaging.series`` and ``imaging.patients`` ask for, and rows for what is not there."""
    return choose_series(list_source(imaging, root, offline=offline), imaging, papers)


def fetch_shard(
    imaging: Imaging,
    root: Path,
    *,
    shard: int,
    offline: bool,
    jobs: int,
    papers: Path | None = None,
    **retrying: Any,
) -> pd.DataFrame:
    """Bring the series of one shard's patients into the store below ``root`` (``data/{cohort}``) and return the ledger.

    ``papers`` is the file ``btf_features``, needed where ``imaging.series`` is ``papers``. ``retrying`` (``retries``,
    ``backoff``) goes to ``series_store.fill_store``. Raises ConfigError for an impossible configuration (source
    phantom included), DownloadError when a source cannot be listed, StopRequested on SIGTERM. Whatever befalls one
    series is its row.
    """
    module, _ = _module(imaging)
    chosen = choose_source(imaging, root, offline=offline, papers=papers)
    mine = chosen[[shard_of(patient, imaging.shards) == shard for patient in chosen["patient"]]]
    ledger: pd.DataFrame = module.fetch_series(mine, root, imaging, jobs=jobs, offline=offline, **retrying)
    return ledger
