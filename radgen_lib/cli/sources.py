"""``radgen sources``: every download with its size, licence and checksum, where it lies; image sources of cohorts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.cli.common import add_config_option, columns, mirror_of, read_config
from radgen_lib.core.errors import ConfigError

if TYPE_CHECKING:
    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.core.config.model import Config


IMAGE_COLUMNS = ("cohort", "images from", "what", "series", "GB")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "sources",
        description="Every download: size, licence, checksum, where it lies. Exit 1 for a wrong or unreachable file.",
    )
    parser.add_argument("--check", action="store_true", help="ask the network whether each file can be fetched")
    parser.add_argument("--cite", action="store_true", help="print what each file is, its address and whom to cite")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table; 1 when a file that is there is not the one of the registry, or when --check misses one."""
    from radgen_lib.sources.registry import load_registry
    from radgen_lib.sources.status import source_status

    config = read_config(options.config)
    registry = load_registry(config.registry)
    if options.cite:
        for source in registry.values():
            print(f"{source.name}: {source.what}\n  {source.url or source.ask}\n  {source.citation}")
        return 0
    table = source_status(
        registry,
        downloads=Path(config.downloads),
        mirror=mirror_of(config),
        check_network=options.check and not config.offline,
        weights=Path(config.cpdm.weights) if config.cpdm.weights else None,
    )
    shown = table.astype(str).replace({"<NA>": "unknown", "": "-"})
    print(columns(list(shown.columns), shown.to_numpy().tolist()))
    print("\n" + columns(IMAGE_COLUMNS, image_sources(config)))
    unsure = table.loc[table["sum"] != "registry", "name"]
    if len(unsure):
        print(f"no SHA-256 in the registry, the first one found is recorded and then holds: {', '.join(unsure)}")
    if options.check and config.offline:
        print("offline: true in the configuration, so no address was asked")
    wrong = table["verified"].str.startswith("no") | table["reachable"].str.startswith("no:")
    return int(wrong.any())


def image_sources(config: Config) -> list[tuple[str, ...]]:
    """A row a cohort with images of its own: source, collection or form, number of MR series, gigabytes.

    Counts of idc come from the index in the package idc-index-data and are those of the whole collection; what other
    sources hold is told by ``radgen doctor --cohort NAME`` or, of servers, by the run.
    """
    return [
        (name, cohort.imaging.source, *_image_source(config, name, cohort.imaging))
        for name, cohort in config.cohorts.items()
        if cohort.imaging is not None
    ]


def _image_source(config: Config, name: str, imaging: Imaging) -> tuple[str, str, str]:
    from radgen_lib.core.layout import Layout
    from radgen_lib.sources.idc import list_series
    from radgen_lib.sources.idc_index_query import index_version

    if imaging.source == "idc":
        try:
            listing = list_series(imaging)
        except ConfigError as error:
            return str(error), "-", "-"
        what = f"{imaging.collection}, index {index_version()}, of which {imaging.series}"
        return what, str(len(listing)), f"{listing['bytes'].clip(lower=0).sum() / 1e9:.1f}"
    if imaging.source == "phantom":
        layout = Layout(config)
        size = layout.phantom_disk_mb(name) * len(layout.shards(name)) / 1e3
        return "written here, no network", "-", f"{size:.1f}"
    what = {"folder": "a folder of your own", "dicomweb": "a PACS"}.get(imaging.source, str(imaging.collection))
    return what, "-", "-"
