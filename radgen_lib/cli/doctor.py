"""``radgen doctor``: is everything there that a run needs, and what to do where it is not."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial

from radgen_lib.cli.checks import (
    Check,
    check_device,
    check_disk,
    check_folders,
    check_memory,
    check_packages,
    check_python,
    check_radiomics,
    check_weights,
)
from radgen_lib.cli.cohort_checks import check_cohort
from radgen_lib.cli.common import add_config_option, columns, mirror_of, read_config
from radgen_lib.core.errors import ConfigError, DownloadError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor", description="Is everything there that a run needs, and what to do where it is not. Exit 1 on FAIL."
    )
    parser.add_argument("--cohort", metavar="NAME", help="look at this cohort (default: those under `run:`)")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one row a check; 1 when a row says FAIL."""
    checks: list[Check] = []
    for check in [check_python, check_packages, check_memory, check_radiomics]:
        checks += _rows(check)
    checks += _rows(partial(_configured, options))
    print(columns(["", "check", "found", "what to do"], checks))
    failed, warned = (sum(check.status == status for check in checks) for status in ("FAIL", "WARN"))
    print(f"{failed} to be mended before a run, {warned} to know about" if failed or warned else "all is there")
    return int(failed > 0)


def _configured(options: argparse.Namespace) -> list[Check]:
    """The checks that need the configuration."""
    from radgen_lib.sources.registry import load_registry

    config = read_config(options.config)
    cohorts = [options.cohort] if options.cohort else config.run
    unknown = [name for name in cohorts if name not in config.cohorts]
    if unknown:
        raise ConfigError(f"--cohort {unknown[0]}: no such cohort. Allowed: {', '.join(sorted(config.cohorts))}")
    registry, mirror = load_registry(config.registry), mirror_of(config)
    parts: list[Callable[[], Check | Iterable[Check]]] = [
        partial(check_device, config),
        partial(check_disk, config),
        partial(check_folders, config),
        *(partial(check_cohort, config, registry, name, mirror) for name in cohorts),
        partial(check_weights, config, registry),
    ]
    return [row for part in parts for row in _rows(part)]


def _rows(check: Callable[[], Check | Iterable[Check]]) -> list[Check]:
    """Rows of one check; a package that is missing or a mirror that is none is a finding, not an end."""
    try:
        found = check()
        return [found] if isinstance(found, Check) else list(found)
    except ImportError as error:
        return [Check("FAIL", "import", str(error), "Run `make setup` in the project folder")]
    except DownloadError as error:
        return [Check("FAIL", "mirror", str(error), "Correct the path")]
