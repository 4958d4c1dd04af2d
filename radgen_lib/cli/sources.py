"""``radgen sources``: every download with its size, licence and checksum, where it lies and whether it is reachable."""

from __future__ import annotations

import argparse
from pathlib import Path

from radgen_lib.cli.common import add_config_option, columns, mirror_of, read_config


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
    unsure = table.loc[table["sum"] != "registry", "name"]
    if len(unsure):
        print(f"no SHA-256 in the registry, the first one found is recorded and then holds: {', '.join(unsure)}")
    if options.check and config.offline:
        print("offline: true in the configuration, so no address was asked")
    wrong = table["verified"].str.startswith("no") | table["reachable"].str.startswith("no:")
    return int(wrong.any())
