"""Reading a configuration: defaults, then the file, then the preset, then the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from radgen_lib.core.config.base import as_config_error
from radgen_lib.core.config.model import Config
from radgen_lib.core.errors import ConfigError

Tree = dict[str, Any]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Lay ``over`` on ``base``: blocks merge key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def defaults() -> Tree:
    """The configuration that an empty file gives, before any preset."""
    return Config().model_dump(by_alias=True)


def _typed(overrides: Any, depth: int = 0) -> Any:
    """Numbers, booleans and null of nested values: Snakemake's ``--config 'a={b: 1}'`` delivers them as text."""
    if isinstance(overrides, Mapping):
        return {key: _typed(value, depth + 1) for key, value in overrides.items()}
    if isinstance(overrides, list):
        return [_typed(value, depth + 1) for value in overrides]
    # At the top Snakemake reads numbers itself, and True and False, but not the words of YAML.
    if isinstance(overrides, str) and (depth > 1 or overrides in ("true", "false", "null")):
        try:
            return yaml.safe_load(overrides) if overrides.strip() else overrides
        except yaml.YAMLError:
            return overrides
    return overrides


def resolve(file: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Config:
    """Merge defaults, ``file``, the preset and ``overrides`` (the command line), and check everything.

    The preset is laid over the file because the file states the full-size values; what the command line says is laid
    over the preset. Raises ConfigError with the key, the value found and what is allowed.
    """
    overrides = _typed(overrides or {})
    for given in (file, overrides):
        if not isinstance(given, Mapping):
            raise ConfigError(f"config: the file must hold keys and values, found {type(given).__name__}")
    tree = merge(merge(defaults(), file), overrides)
    presets, preset = tree["presets"], tree["preset"]
    if preset not in presets:
        raise ConfigError(f"config: preset = {preset!r}: unknown preset. Allowed: {', '.join(sorted(presets))}")
    tree = merge(merge(tree, presets[preset] or {}), overrides)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise as_config_error(error, Config) from error


def read_tree(path: str | Path) -> Any:
    """What a YAML file holds, unchecked; {} of an empty one. Raises ConfigError for what is no YAML."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error


def load_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None, preset: str | None = None
) -> Config:
    """Read a YAML file (None: the defaults) and resolve it; ``preset`` overrides the file's."""
    over = merge(overrides or {}, {"preset": preset}) if preset else overrides
    return resolve({} if path is None else read_tree(path), over)


def as_tree(config: Config) -> Tree:
    """The configuration as plain values, without the presets it was made from."""
    return config.model_dump(by_alias=True, exclude={"presets"})
