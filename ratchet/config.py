"""Configs: TOML in, frozen pydantic models out, and every error of a file at once.

TOML because YAML reads `4e-6` as a string (docs/decisions/0002-toml.md).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ratchet.errors import InputError


class Config(BaseModel):
    """Base of every config class: frozen, and unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=()
    )


class NotIdentity:
    """Marks a field that cannot change a result: `size: Annotated[int, NotIdentity()]`."""


class Later:
    """Marks a field that came after artifacts had been made without it.

    While it has its default it is no part of the identity, so that those artifacts stay valid.
    """


def identity_settings(config: BaseModel) -> dict[str, Any]:
    """The settings that can change a result, as plain JSON values."""
    settings: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if not _is_left_out(field, value):
            settings[name] = _plain(value)
    return settings


def _is_left_out(field: FieldInfo, value: Any) -> bool:
    came_later = any(isinstance(mark, Later) for mark in field.metadata)
    return any(isinstance(mark, NotIdentity) for mark in field.metadata) or (
        came_later and value == field.default
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity_settings(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: if the file is missing or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no config file {path}; recipes to start from lie in configs/") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no valid TOML: {error}") from None


def parse_override(text: str) -> tuple[list[str], Any]:
    """`a.b=1` -> (["a", "b"], 1). The value is read as TOML; what isn't TOML is taken as text.

    Raises:
        InputError: if there is no `=`, or no key before it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {text!r} has no key=value; write --set sampler.group_size=4")
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return [part.strip() for part in key.split(".")], parsed


def apply_overrides(tables: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`tables` with each override put in; a number in a key indexes a list (`filters.0.kind`)."""
    for override in overrides:
        keys, value = parse_override(override)
        tables = _put(tables, keys, value, override)
    return tables


def _put(node: Any, keys: list[str], value: Any, override: str) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise InputError(f"--set {override!r}: {key!r} is no index of a list of {len(node)}")
        at = int(key)
        return [*node[:at], _put(node[at], rest, value, override), *node[at + 1 :]]
    if not isinstance(node, dict):
        raise InputError(f"--set {override!r}: {key!r} lies inside {node!r}, which is no table")
    return {**node, key: _put(node.get(key, {}), rest, value, override)}


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def parse_config(model: type[ConfigT], tables: Mapping[str, Any], origin: str) -> ConfigT:
    """A validated config.

    Raises:
        InputError: with every error of the config, one to a line.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        lines = [_explain(model, item) for item in error.errors()]
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise InputError(f"{origin} has {count}:\n" + "\n".join(f"  {x}" for x in lines)) from None


def _explain(model: type[BaseModel], item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    match item["type"]:
        case "extra_forbidden":
            near = get_close_matches(str(item["loc"][-1]), _known_keys(model), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"{place}: unknown key{hint}"
        case "missing":
            return f"{place}: missing, and it has no default"
        case "value_error":
            return f"{place}: {item['ctx']['error']}" if place else str(item["ctx"]["error"])
        case _:
            return f"{place}: {item['msg']} (got {item['input']!r})"


def _known_keys(model: type[BaseModel]) -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(name)
        for inner in _models_in(field.annotation):
            keys |= _known_keys(inner)
    return keys


def _models_in(hint: Any) -> list[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    if get_origin(hint) in (Annotated, Union, list, tuple, dict) or hasattr(hint, "__args__"):
        return [model for arg in get_args(hint) for model in _models_in(arg)]
    return []
