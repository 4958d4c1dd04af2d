"""What the commands share: reading the configuration, and a table for the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.core.digest import LIBRARY
from radgen_lib.core.errors import ConfigError

if TYPE_CHECKING:
    from radgen_lib.core.config.model import Config

CONFIG_FILE = Path("config.yaml")


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--config FILE``."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="laid over config.yaml and its preset, as by Snakemake's --configfile (default: config.yaml here)",
    )


def read_config(path: Path | None) -> Config:
    """What Snakemake would run with: ``config.yaml``, the preset, and over both, as by ``--configfile``, ``path``.

    ``config.yaml`` is that of the Snakefile's folder; without ``path`` that of this folder, or else the defaults.
    """
    from radgen_lib.core.config.load import load_config, read_tree

    if path is None:
        return load_config(CONFIG_FILE if CONFIG_FILE.is_file() else None)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file. Check the path given to --config")
    base = LIBRARY.parent / CONFIG_FILE
    return load_config(base if base.is_file() else None, read_tree(path))


def mirror_of(config: Config) -> Path | None:
    """The mirror folder of the configuration, else of RADGEN_MIRROR."""
    from radgen_lib.sources.download import mirror_folder

    return mirror_folder(config.mirror)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of text with aligned columns; the last column is not padded, so that it may be long."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
