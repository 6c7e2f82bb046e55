"""Configs: TOML in, frozen pydantic models out, and every error of a file at once.

TOML because YAML reads `4e-6` as a string (docs/decisions/0002-toml.md).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo

from ratchet.config_errors import Known, find_faults, shown_value
from ratchet.errors import InputError
from ratchet.secrets import is_secret


class Config(BaseModel):
    """Base of every config class: frozen; unknown keys and numbers without end are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )

    @model_validator(mode="wrap")
    @classmethod
    def _remembered(
        cls, table: Any, parse: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Noted for `find_faults`, which goes on where a setting is wrong."""
        if not isinstance(info.context, Known):
            return parse(table)
        try:
            config = parse(table)
        except ValidationError as error:
            info.context.add_parts(table, cls, error)
            raise
        info.context.add(table, config)
        return config


@dataclass(frozen=True, slots=True)
class TextForm:
    """The check of a text that must match a pattern, and what that means in words."""

    pattern: str
    words: str

    def __call__(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"must be {self.words}, not {shown_value(text)}")
        return text


def of_form(pattern: str, words: str) -> AfterValidator:
    """Marks a text that must match a pattern; an error says it in words: "must be {words}"."""
    return AfterValidator(TextForm(pattern, words))


class NotIdentity:
    """Marks a field that cannot change a result: `size: Annotated[int, NotIdentity()]`."""


class AddedLater:
    """Marks a field that came after artifacts had been made without it.

    While it has its default it is no part of the identity, so that those artifacts stay valid.
    """


def identity_settings(config: BaseModel) -> dict[str, Any]:
    """The settings that can change a result, as plain JSON values; a secret counts by its digest.

    They are written beside artifacts, which are passed on more easily than a run's record.
    """
    settings: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if not _is_left_out(field, value):
            settings[name] = _plain(value)
    return settings


def _is_left_out(field: FieldInfo, value: Any) -> bool:
    came_later = any(isinstance(mark, AddedLater) for mark in field.metadata)
    return any(isinstance(mark, NotIdentity) for mark in field.metadata) or (
        came_later and value == field.default
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity_settings(value)
    if isinstance(value, Mapping):
        return {
            str(key): _fingerprint(inner) if is_secret(key) else _plain(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _fingerprint(secret: Any) -> str:
    return hashlib.sha256(repr(_plain(secret)).encode()).hexdigest()[:16]


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


def parse_override(
    text: str, option: str = "--set", example: str = "sampler.group_size=4"
) -> tuple[list[str], Any]:
    """`a.b=1` -> (["a", "b"], 1). The value is read as TOML; what isn't TOML is taken as text.

    Raises:
        InputError: if there is no `=`, or no key before it; it names the `option` of the command
            line, and shows the `example`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{option} {text!r} has no key=value; write {option} {example}")
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
    except ValidationError:
        faults = find_faults(model, tables)
    count = f"{len(faults)} error{'s' if len(faults) > 1 else ''}"
    raise InputError(f"{origin} has {count}:\n" + "\n".join(f"  {fault}" for fault in faults))
