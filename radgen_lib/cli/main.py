"""``radgen``: a small command line over the library. Commands are loaded when they are asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import radgen_lib
from radgen_lib.core.errors import RadgenError

COMMANDS = {
    "doctor": "is everything there: packages, device, disk, memory, weights, and the data of a cohort?",
    "sources": "every download: size, licence, checksum, where it lies; image sources of the cohorts",
    "explain": "what would run and why, and what a target makes",
    "synthesize": "images of new patients from trained weights",
}
FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 for an error (one line on standard error), 2 for misuse."""
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None:
        _log_to_terminal()
    try:
        options = build_parser(arguments).parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    except RadgenError as error:
        return _tell(error)
    return _run(options)


def _log_to_terminal() -> None:
    import logging

    from radgen_lib.core.progress import log_to

    log_to(None)
    logging.getLogger().setLevel(logging.WARNING)  # other libraries speak only when something is wrong
    logging.getLogger("radgen").setLevel(logging.INFO)


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the module of the command that ``arguments`` name is imported, so that help is fast.

    A command's module offers ``add_parser(subparsers)``, which sets ``run``, a callable from the parsed arguments to
    the exit status. Raises RadgenError when the module is not installed.
    """
    parser = argparse.ArgumentParser(
        prog="radgen", description="Breast-cancer radiogenomics, reproduced: tools beside the workflow."
    )
    parser.add_argument("--version", action="version", version=f"radgen {radgen_lib.__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        if name == wanted:
            _command(name).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text, add_help=False)
    return parser


def _command(name: str) -> ModuleType:
    module = f"radgen_lib.cli.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise RadgenError(f"{name} needs the package {error.name}. Install it, see `radgen doctor`") from error
        raise RadgenError(f"the command {name} is not part of this installation. Install radgen again") from error


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except RadgenError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _tell(error: RadgenError) -> int:
    sys.stderr.write(f"radgen: error: {' '.join(str(error).split())}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
