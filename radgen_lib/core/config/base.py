"""Base of every configuration block, and the validation error a user reads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from radgen_lib.core.errors import ConfigError


class Block(BaseModel):
    """A configuration block: unknown keys are refused, strings do not turn into numbers."""

    model_config = ConfigDict(extra="forbid", validate_default=True, strict=True)


def as_config_error(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """Turn pydantic's errors into lines ``key = value: what is wrong (allowed ...)``."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or model.__name__
        if item["type"] == "value_error":
            lines.append(item["msg"].removeprefix("Value error, "))
        elif item["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key (value found: {item['input']!r}). {_neighbours(model, item['loc'])}")
        else:
            lines.append(f"{key} = {item.get('input')!r}: {item['msg']}")
    return ConfigError("config: " + "; ".join(lines))


def _neighbours(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    current: object = model
    for part in location[:-1]:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _block_of(fields[part].annotation)
    fields = getattr(current, "model_fields", None)
    return f"Allowed here: {', '.join(sorted(fields))}" if fields else "Remove it"


def _block_of(annotation: object) -> object:
    """The config block inside an annotation such as ``Block``, ``Block | None`` or ``dict[str, Block]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _block_of(inner)
        if found is not None:
            return found
    return None
