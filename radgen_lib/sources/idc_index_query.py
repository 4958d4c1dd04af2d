"""Series in the index of the Imaging Data Commons, which the package idc-index-data carries: no network is needed."""

from __future__ import annotations

import difflib
from functools import cache

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from radgen_lib.core.errors import ConfigError
from radgen_lib.sources.ledger import listing_frame

# Columns of idc_index.parquet (idc_index_schema.json of idc-index-data) by the names used here.
_NAMES = {
    "PatientID": "patient", "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "Modality": "modality",
    "SeriesDescription": "description", "Manufacturer": "manufacturer", "ManufacturerModelName": "model",
    "instanceCount": "n_files", "series_size_MB": "bytes", "series_aws_url": "url",
}  # fmt: skip


def index_version() -> str:
    """Version of the index, e.g. ``25.0.5``: its first number is the IDC release."""
    import idc_index_data

    return str(idc_index_data.__version__)


def collection_name(name: str) -> str:
    """Collection as IDC spells it (``tcga_brca``) for TCIA's spelling (``TCGA-BRCA``) or its own."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def index_series(collection: str, modality: str = "MR") -> pd.DataFrame:
    """All series of ``modality`` in a collection, as a listing (``ledger.LISTING_COLUMNS``); a copy.

    Sizes are exact: the index gives the sum of the instance sizes over 10^6. Only images are asked for: the index lists
    SEG series too, but the table that says which series each was drawn on (seg_index) is not in the package.
    Raises ConfigError for a collection that the index does not have.
    """
    return _series(collection_name(collection), modality).copy()


@cache
def _series(collection: str, modality: str) -> pd.DataFrame:
    import idc_index_data

    path = idc_index_data.IDC_INDEX_PARQUET_FILEPATH
    # The reader of Parquet filters while it reads: a second where IDCClient's start takes eight.
    wanted = (pc.field("collection_id") == collection) & (pc.field("Modality") == modality)
    table = pq.read_table(path, columns=list(_NAMES), filters=wanted).to_pandas().rename(columns=_NAMES)
    if table.empty:
        _unknown(collection, modality)
    text = [name for name in _NAMES.values() if name not in ("n_files", "bytes")]
    table[text] = table[text].fillna("").astype(object)
    table["bytes"] = (table["bytes"] * 1e6).round().astype("int64")
    return listing_frame({str(key): value for key, value in row.items()} for row in table.to_dict("records"))


def _unknown(collection: str, modality: str) -> None:
    import idc_index_data

    path = idc_index_data.IDC_INDEX_PARQUET_FILEPATH
    names = pq.read_table(path, columns=["collection_id"]).column(0).unique().to_pylist()
    if collection in names:
        raise ConfigError(f"imaging.collection = {collection!r}: has no {modality} series in IDC {index_version()}")
    near = difflib.get_close_matches(collection, names, n=3)
    raise ConfigError(
        f"imaging.collection = {collection!r}: not in the index of IDC {index_version()} ({len(names)} collections). "
        f"Nearest: {', '.join(near) or 'none'}"
    )
