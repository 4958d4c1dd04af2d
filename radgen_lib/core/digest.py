"""Digests of code, values and files, for the params of rules and the provenance of results."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body or not isinstance(body[0], ast.Expr):
            continue
        if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
            body[0].value.value = ""
    return tree


@cache
def source_digest(path: Path) -> str:
    """Digest of one Python file's syntax tree: comments, docstrings and formatting do not count."""
    tree = _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def code_digest(*places: str) -> str:
    """Digest of the library places a rule uses, e.g. ``code_digest("metrics", "analyses/survival.py")``.

    A place is a room, or a file of a room; every non-Python file of a room (registry, templates) counts by content.
    Raises FileNotFoundError for a place that does not exist, so that a moved module cannot silently drop out.
    """
    parts: list[str] = []
    for place in sorted(places):
        root = LIBRARY / place
        if not root.exists():
            raise FileNotFoundError(f"radgen_lib/{place}: no such place for a code digest")
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts:
                continue
            digest = source_digest(file) if file.suffix == ".py" else file_sha256(file)
            parts.append(f"{file.relative_to(LIBRARY).as_posix()}:{digest}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def value_digest(value: object) -> str:
    """Digest of a plain value (numbers, strings, lists, dicts), independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
