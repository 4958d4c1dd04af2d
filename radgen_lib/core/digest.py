"""Digests of code, values and files, for the params of rules and the provenance of results."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import logging
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from radgen_lib.core.atomic import write_text

LIBRARY = Path(__file__).resolve().parents[1]
UNCOUNTED = tuple(f"radgen_lib.core.{name}" for name in ("config", "errors", "job", "progress", "provenance", "stop"))


# What the digests of files depend on beside their bytes: the syntax tree of this Python, and how it is digested.
_SCHEME = f"1:{sys.version_info.major}.{sys.version_info.minor}"


class _Source(NamedTuple):
    digest: str
    imports: frozenset[str]


_FOUND: dict[str, _Source] = {}
_RECALLED: set[str] = set()


def _docstring(node: ast.AST) -> ast.Constant | None:
    """The text that stands alone at the top of a block, where there is one."""
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not body or not isinstance(body[0], ast.Expr):
        return None
    first = body[0].value
    return first if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@cache
def read_source(path: Path) -> _Source:
    """Digest of one Python file's syntax tree, and the modules of radgen it imports, at its top or inside functions.

    Comments, docstrings and formatting do not count. Every ``snakemake`` call, and every job on a cluster, reads
    all files of the library: one parse and one walk give both, and :func:`keep_sources` keeps what was found
    for the next process, by the bytes of the file.
    """
    content = path.read_bytes()
    key = f"{_SCHEME}:{hashlib.sha256(content).hexdigest()}"
    if key not in _FOUND:
        _FOUND[key] = _parsed(content)
    return _FOUND[key]


def _parsed(content: bytes) -> _Source:
    tree = ast.parse(content)
    imports: set[str] = set()
    for node in ast.walk(tree):
        imports.update(name for name in _imported(node) if name.split(".")[0] == LIBRARY.name)
        text = _docstring(node)
        if text is not None:
            text.value = ""
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(imports))


def recall_sources(file: Path) -> None:
    """Take what :func:`read_source` found in an earlier process from ``file``, as :func:`keep_sources` wrote it.

    Entries are keyed by the bytes of the source, so none can be out of date. A file that is absent or holds something
    else counts as empty.
    """
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        _FOUND.update({key: _Source(str(digest), frozenset(names)) for key, (digest, names) in known.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logging.getLogger("radgen").debug("%s: not used: %s", file, error)
    _RECALLED.update(_FOUND)


def keep_sources(file: Path) -> None:
    """Write what :func:`read_source` found, where it is new; a folder that cannot be written only costs time."""
    if _FOUND.keys() <= _RECALLED:
        return
    try:
        write_text(file, json.dumps({key: [s.digest, sorted(s.imports)] for key, s in sorted(_FOUND.items())}))
    except OSError as error:
        logging.getLogger("radgen").debug("%s: not written: %s", file, error)


@cache
def _module_file(module: str) -> Path | None:
    """File of a module, or None for a package of nothing and for modules that are not there."""
    if module.split(".")[0] == LIBRARY.name:
        base = LIBRARY.parent.joinpath(*module.split("."))
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        return file if file.is_file() else None
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(found.origin) if found and found.origin and found.origin.endswith(".py") else None


@cache
def code_digest(*modules: str, files: tuple[str, ...] = ()) -> str:
    """Digest of what a rule runs: the named modules, everything of radgen they import, and named data files.

    ``modules`` are dotted names, e.g. ``"radgen_lib.analyses.fidelity"`` (a user's own module counts too); ``files``
    are folders or files below ``radgen_lib``. Modules that only log, record or check (:data:`UNCOUNTED`) do not count.
    Raises FileNotFoundError for a named module or file that does not exist, so that none can silently drop out.
    """
    parts: set[str] = set()
    waiting, seen = list(modules), set(modules)
    while waiting:
        module = waiting.pop()
        path = _module_file(module)
        if path is None:
            if module in modules:
                raise FileNotFoundError(f"{module}: no such module for a code digest")
            continue
        source = read_source(path)
        parts.add(f"{module}:{source.digest}")
        new = {name for name in source.imports if not name.startswith(UNCOUNTED)} - seen
        seen |= new
        waiting += sorted(new)
    for place in files:
        root = LIBRARY / place
        if not root.exists():
            raise FileNotFoundError(f"radgen_lib/{place}: no such place for a code digest")
        for file in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
            parts.add(f"{file.relative_to(LIBRARY).as_posix()}:{file_sha256(file)}")
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def value_digest(value: object) -> str:
    """Digest of a plain value (numbers, strings, lists, dicts), independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
