"""The registry of downloads: what each file is, where it lies, how it is recognised, and whom to cite."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from radgen_lib.core.config.base import Block, as_config_error
from radgen_lib.core.errors import ConfigError

SHIPPED = Path(__file__).with_name("registry.yaml")
UNKNOWN = "unknown"


class Source(Block):
    """One file of the registry."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="Name in the registry and folder below `downloads`")
    ]
    what: Annotated[str, Field(min_length=1, description="What the file holds")]
    url: Annotated[str | None, Field(pattern=r"^https?://\S+$", description="Pinned address; null: none is public")]
    filename: Annotated[str, Field(pattern=r"^[^/\\\x00]+$", description="Name of the file on disk")]
    bytes: Annotated[int | None, Field(ge=0, description="Size, null when it was never seen")]
    sha256: Annotated[str, Field(pattern=r"^(unknown|[0-9a-f]{64})$", description="SHA-256, or `unknown`")]
    sha256_prefix: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{4,64}$", description="First digits, where a publisher names only those")
    ] = None
    licence: Annotated[str, Field(min_length=1, description="Licence that the publisher states")]
    citation: Annotated[str, Field(min_length=1, description="Whom to cite")]
    mirror_path: Annotated[str | None, Field(description="Path below a mirror folder")] = None
    ask: Annotated[str, Field(description="Where to ask for a file that has no public address")] = ""

    @property
    def sum_known(self) -> bool:
        """Whether the whole SHA-256 stands in the registry."""
        return self.sha256 != UNKNOWN

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.filename in (".", ".."):
            raise ValueError(f"sources.{self.name}.filename = {self.filename!r}: not the name of a file")
        path = PurePosixPath(self.mirror_path or "")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"sources.{self.name}.mirror_path = {self.mirror_path!r}: must stay below the mirror")
        if self.url is None and not self.ask:
            raise ValueError(f"sources.{self.name}: has no url; `ask` must say where to ask for the file")
        if self.sum_known and self.sha256_prefix and not self.sha256.startswith(self.sha256_prefix):
            raise ValueError(f"sources.{self.name}.sha256_prefix: is not the beginning of sha256")
        return self


class _Registry(Block):
    sources: Annotated[dict[str, Source], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for key, source in self.sources.items():
            if source.name != key:
                raise ValueError(f"sources.{key}.name = {source.name!r}: leave it out, the key is the name")
        return self


class _StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses a key written twice, where the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node; raises YAMLError, with the line of the block, for a key that stands twice."""
        keys = [str(key.value) for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"key {twice[0]!r} stands twice in the block that begins at line {line}")
        return super().construct_mapping(node, deep)


def load_registry(path: str | Path | None = None) -> dict[str, Source]:
    """Read and check a registry file (None: the one that comes with radgen); the key of an entry is its name.

    Raises ConfigError, one line, with the file, the entry's key, the value found and what is allowed.
    """
    return dict(_shipped()) if path is None else _read(Path(path))


@cache
def _shipped() -> dict[str, Source]:
    return _read(SHIPPED)


def _read(path: Path) -> dict[str, Source]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a registry: {' '.join(str(error).split())}") from error
    entries = tree.get("sources") if isinstance(tree, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ConfigError(f"{path}: a registry holds `sources:` and below it one block of keys per name")
    named = {str(name): {"name": str(name), **entry} for name, entry in entries.items()}
    try:
        return _Registry.model_validate({**tree, "sources": named}).sources
    except ValidationError as error:
        raise ConfigError(f"{path}: {str(as_config_error(error, _Registry)).removeprefix('config: ')}") from error
