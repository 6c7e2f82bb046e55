"""From config classes to descriptions: a section for each table of the TOML, and for each kind.

Found by walking the classes' fields, so that a setting that is added is described by being there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import Any, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from flows.reference.type_words import plain_value, toml_value, type_words
from ratchet.config import NotIdentity
from ratchet.config_errors import models_in

RUN = "run"
"""The section of the keys that stand before any table."""

Models = tuple[type[BaseModel], ...]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: what it may be, what it is if left out, and what it does."""

    name: str
    type: str
    default: Any
    """A plain JSON value; None for nothing, and where `required`."""
    required: bool
    changes_result: bool
    """Whether it is part of the identity of what is made with it."""
    text: str
    table: str = ""
    """The section that describes the table which the key holds, if it holds one."""

    @property
    def default_words(self) -> str:
        """The default as TOML has it."""
        if self.required:
            return "required"
        return "left out" if self.default is None else toml_value(self.default)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the TOML, or one kind of it."""

    name: str
    """`trainer`, `trainer.dpo`, `trainer.lora`."""
    header: str
    """How the table begins in the TOML: `[trainer.lora]`; empty for the keys before any table."""
    text: str
    settings: tuple[Setting, ...]
    kind: str = ""
    kinds: tuple[str, ...] = ()
    """The kinds of a table that has several; its settings are those that all of them share."""
    group: str = ""
    """Of a kind, the section with what all kinds share."""
    shared: frozenset[str] = frozenset()
    """Names of the settings that are described in that section already."""
    places: tuple[str, ...] = ()
    """Everywhere the table may stand, its kinds included."""

    @property
    def own(self) -> tuple[Setting, ...]:
        """The settings that this section is the one to describe."""
        return tuple(each for each in self.settings if each.name not in self.shared)


@dataclass(frozen=True, slots=True)
class _Table:
    """What stands at a place of the TOML: one class, or several told apart by `kind`."""

    path: Path
    models: Models
    header: str
    text: str
    group: Models = ()
    changes_result: bool = True


def describe(config: type[BaseModel]) -> list[Section]:
    """The sections of a config class, as they follow in its fields."""
    tables = list(_walk(_Table(path=(), models=(config,), header="", text=_doc(config))))
    places: dict[Models, list[Path]] = {}
    for table in tables:
        places.setdefault(table.models, []).append(table.path)
    names = _names(places)
    first = {table.models: table for table in reversed(tables)}
    return [_section(first[models], names, places[models]) for models in places]


def _walk(table: _Table) -> Iterator[_Table]:
    yield table
    kinds = list(_kinds(table))
    yield from kinds
    for each in kinds or [table]:
        for inner in _tables_in(each):
            yield from _walk(inner)


def _kinds(table: _Table) -> Iterator[_Table]:
    if len(table.models) > 1:
        for model in table.models:
            path = (*table.path, _kind(model))
            yield replace(table, path=path, models=(model,), text=_doc(model), group=table.models)


def _tables_in(table: _Table) -> Iterator[_Table]:
    for name, field in table.models[0].model_fields.items():
        if inner := tuple(models_in(field.annotation)):
            yield _Table(
                path=(*table.path, name),
                models=inner,
                header=_header(table.header, name, field),
                text=_doc(inner[0]) if len(inner) == 1 else _one_line(field.description or ""),
                changes_result=table.changes_result and _changes_result(field),
            )


def _header(outer: str, name: str, field: FieldInfo) -> str:
    inside = ".".join(filter(None, (outer.strip("[]"), name)))
    may_be_one = any(isinstance(mark, BeforeValidator) for mark in field.metadata)
    is_list = get_origin(field.annotation) is tuple and not may_be_one
    return f"[[{inside}]]" if is_list else f"[{inside}]"


def _names(places: dict[Models, list[Path]]) -> dict[Models, str]:
    """What each section is called: the keys that all places of its first table have in common."""
    names: dict[Models, str] = {}
    for models, paths in places.items():
        first, *others = [path for path in paths if path[:1] == paths[0][:1]]
        common = ".".join(part for part in first if all(part in other for other in others))
        names[models] = common if common not in names.values() else ".".join(first)
    return {models: name or RUN for models, name in names.items()}


def _section(table: _Table, names: dict[Models, str], places: Sequence[Path]) -> Section:
    section = Section(
        name=names[table.models],
        header=table.header,
        text=table.text,
        settings=_marked(table, _common(table.models, names)),
        places=tuple(map(".".join, places)),
    )
    if len(table.models) > 1:
        return replace(section, kinds=tuple(names[(model,)] for model in table.models))
    if not table.group:
        return section
    shared = frozenset(setting.name for setting in _common(table.group, names))
    kind = _kind(table.models[0])
    return replace(section, kind=kind, group=names[table.group], shared=shared)


def _marked(table: _Table, settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """What is inside a table that changes no result changes none either."""
    if table.changes_result:
        return settings
    return tuple(replace(setting, changes_result=False) for setting in settings)


def _common(models: Models, names: dict[Models, str]) -> tuple[Setting, ...]:
    """The settings that are the same in all of the classes."""
    first, *others = [_settings(model, names) for model in models]
    return tuple(setting for setting in first if all(setting in other for other in others))


def _settings(model: type[BaseModel], names: dict[Models, str]) -> tuple[Setting, ...]:
    return tuple(
        _setting(name, field, names)
        for name, field in model.model_fields.items()
        if not _tells_kind(name, field)
    )


def _tells_kind(name: str, field: FieldInfo) -> bool:
    return name == "kind" and not field.description


def _setting(name: str, field: FieldInfo, names: dict[Models, str]) -> Setting:
    takes_others = field.default_factory is not None and field.default_factory_takes_validated_data
    default = None if takes_others else field.get_default(call_default_factory=True)
    required = field.is_required()
    return Setting(
        name=name,
        type=type_words(field.annotation, field.metadata),
        default=None if required else plain_value(default),
        required=required,
        changes_result=_changes_result(field),
        text=_one_line(field.description or ""),
        table=names.get(tuple(models_in(field.annotation)), ""),
    )


def _changes_result(field: FieldInfo) -> bool:
    return not any(isinstance(mark, NotIdentity) for mark in field.metadata)


def _kind(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default)


def _doc(model: type[BaseModel]) -> str:
    return cleandoc(model.__doc__ or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
