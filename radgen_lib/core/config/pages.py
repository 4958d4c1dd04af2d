"""What is generated from the typed configuration: config.yaml, its JSON schema, the reference page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from radgen_lib.core.atomic import write_text
from radgen_lib.core.config.model import Config

SCHEMA, YAML, PAGE = "schemas/config.schema.json", "config.yaml", "docs/reference/config.md"
HEAD = f"""# yaml-language-server: $schema={SCHEMA}
# Every key with its default. A preset (see `presets` at the end) is laid over these values; what you pass with
# --config or --configfile is laid over the preset. Made by `make config` from radgen_lib/core/config.
"""


def _model_in(value: Any) -> BaseModel | None:
    return value if isinstance(value, BaseModel) else None


def _dump(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    if isinstance(value, dict):
        return {key: _dump(item) for key, item in value.items()}
    return value


class _Plain(yaml.SafeDumper):
    """Writes a value that stands in two places twice, not as an anchor and its alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).strip()
    return text.removesuffix("...").strip()


def _yaml_lines(block: BaseModel, depth: int, seen: set[str]) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(block).model_fields.items():
        value, key = getattr(block, name), field.alias or name
        mark = f"{type(block).__name__}.{name}"
        if field.description and mark not in seen:
            yield f"{pad}# {field.description}"
        seen.add(mark)
        if _model_in(value):
            yield f"{pad}{key}:"
            yield from _yaml_lines(value, depth + 1, seen)
        elif isinstance(value, dict) and value and all(_model_in(item) for item in value.values()):
            yield f"{pad}{key}:"
            for inner, item in value.items():
                yield f"{pad}  {inner}:"
                yield from _yaml_lines(item, depth + 2, seen)
        elif isinstance(value, dict) and name == "presets":
            yield f"{pad}{key}:"
            options = {"sort_keys": False, "default_flow_style": None, "width": 116, "allow_unicode": True}
            text = yaml.dump(_dump(value), Dumper=_Plain, **options)
            yield from (f"{pad}  {line}" for line in text.splitlines())
        else:
            yield f"{pad}{key}: {_scalar(_dump(value))}"


def config_yaml() -> str:
    """The commented ``config.yaml``."""
    return HEAD + "\n".join(_yaml_lines(Config(), 0, set())) + "\n"


def config_schema() -> str:
    """JSON schema for editors, and for people who check a file without running anything."""
    return json.dumps(Config.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"


def _rows(block: BaseModel, prefix: str) -> Iterator[tuple[str, FieldInfo, Any]]:
    for name, field in type(block).model_fields.items():
        value, key = getattr(block, name), f"{prefix}{field.alias or name}"
        if _model_in(value):
            yield from _rows(value, f"{key}.")
        elif isinstance(value, dict) and value and all(_model_in(item) for item in value.values()):
            for inner, item in value.items():
                yield from _rows(item, f"{key}.{inner}.")
        elif name != "presets":
            yield key, field, value


def config_page() -> str:
    """The reference page: a table of every key, its default and its meaning."""
    lines = [
        "# Configuration",
        "",
        "Made by `make config`. Order of precedence: defaults, `config.yaml`, the preset,",
        "",
    ]
    lines[2] += " the command line."
    lines += ["| key | default | meaning |", "|---|---|---|"]
    for key, field, value in _rows(Config(), ""):
        shown = _scalar(_dump(value)).replace("|", "\\|")
        lines.append(f"| `{key}` | `{shown}` | {(field.description or '').replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Path in the repository -> text of every generated file."""
    return {YAML: config_yaml(), SCHEMA: config_schema(), PAGE: config_page()}


def write_pages(root: Path) -> list[str]:
    """Bring the generated files under ``root`` up to date; returns the ones that had drifted."""
    drifted = [
        name for name, text in pages().items() if not (root / name).exists() or (root / name).read_text() != text
    ]
    for name in drifted:
        write_text(root / name, pages()[name])
    return drifted
