"""What is wrong with a config: all of it at once, by the paths of the TOML, in our own words.

Where one setting is wrong, pydantic stops before it compares any with another. So the tables are
parsed once more for what can be known of each, and every check that needs nothing else is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ratchet.secrets import is_secret

Place = tuple[str | int, ...]
"""Keys and indexes, from a config's outermost table inwards."""

_MAX_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; `place` is below the table of the check that found it."""

    place: Place
    why: str

    def __str__(self) -> str:
        return f"{dotted(self.place)}: {self.why}" if self.place else self.why


class Faults(ValueError):
    """All that one check found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def refuse(faults: Sequence[Fault]) -> None:
    """Raise `Faults` if there are any."""
    if faults:
        raise Faults(faults)


def dotted(place: Place) -> str:
    """`("filters", 0, "kind")` -> `filters[0].kind`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


ModelT = TypeVar("ModelT", bound=BaseModel)


class Known:
    """What is known of each table of a config while it is parsed: a config, or parts of one."""

    def __init__(self) -> None:
        # The tables are held too, or another could come to have a gone one's id.
        self._configs: dict[int, tuple[Any, BaseModel]] = {}

    def add(self, table: Any, config: BaseModel) -> None:
        """Note what a table has been parsed to."""
        self._configs[id(table)] = (table, config)

    def add_parts(self, table: Any, of: type[BaseModel], error: ValidationError) -> None:
        """Note the settings of a table that are right, where others are wrong."""
        if isinstance(table, Mapping):
            self.add(table, _parts(table, of, error, self))

    def get(self, table: Any) -> BaseModel | None:
        """What is known of a table."""
        found = self._configs.get(id(table))
        return found[1] if found else None

    def configs(self) -> list[tuple[Any, BaseModel]]:
        """Tables and what they have been parsed to, outermost last."""
        return list(self._configs.values())


def _parts(
    table: Mapping[str, Any], of: type[ModelT], error: ValidationError, known: Known
) -> ModelT:
    """A config that has no attribute where a setting is wrong or missing."""
    wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
    given = _filled_in(table, of)
    values, lost = {}, set()
    for name, field in of.model_fields.items():
        if name in wrong:
            value = _inner_parts(field, given.get(name), known)
            lost |= {name} if value is None else set()
        elif name in given:
            value = _alone(of, name).validate_python(given[name], context=known)
        else:
            continue
        values[name] = value
    made = of.model_construct(**values)
    for name in lost:
        made.__dict__.pop(name, None)
    return made


@cache
def _alone(of: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """What parses one setting without the others."""
    field = of.model_fields[name]
    hint: Any = Annotated[field.annotation, field]
    return TypeAdapter(hint)


def _filled_in(table: Mapping[str, Any], of: type[BaseModel]) -> Mapping[str, Any]:
    """The table as the checks on whole tables leave it that come before those on settings."""
    for check in of.__pydantic_decorators__.model_validators.values():
        if check.info.mode == "before":
            table = check.func(table)
    return table


def _inner_parts(field: FieldInfo, value: Any, known: Known) -> Any:
    """What is known of the tables in a setting that is wrong; None where nothing is."""
    for mark in field.metadata:
        if isinstance(mark, BeforeValidator):
            value = mark.func(value)  # type: ignore[call-arg]
    if isinstance(value, list):
        parts = [known.get(item) for item in value]
        return tuple(parts) if parts and None not in parts else None
    return known.get(value)


def _failed_checks(config: BaseModel) -> Iterator[Fault]:
    """What the checks find that compare a config's settings with each other."""
    for check in type(config).__pydantic_decorators__.model_validators.values():
        if check.info.mode != "after":
            continue
        try:
            check.func(config)
        except (AttributeError, ValidationError):
            continue  # It asks for a setting that is wrong itself.
        except ValueError as error:
            yield from _faults_of(error)


def _faults_of(error: Exception) -> Sequence[Fault]:
    return error.faults if isinstance(error, Faults) else [Fault((), str(error))]


def find_faults(model: type[BaseModel], tables: Any) -> list[Fault]:
    """All that is wrong with the tables of a config, by the places where the user wrote it."""
    known = Known()
    try:
        model.model_validate(tables, context=known)
    except ValidationError as error:
        return _Examination(model, tables, known).faults(error)
    return []


class _Examination:
    """Turns pydantic's errors into faults."""

    def __init__(self, model: type[BaseModel], tables: Any, known: Known) -> None:
        self._model = model
        self._tables = tables
        self._known = known

    def faults(self, error: ValidationError) -> list[Fault]:
        """Each once, those of single settings first."""
        found: dict[Fault, None] = {}
        wanted: dict[Place, list[str]] = {}
        for item in error.errors():
            place = self._written(item)
            if item["type"] in _TOLD_OTHERWISE:
                found |= dict.fromkeys(self._told(place, item))
            else:
                wanted.setdefault(place, []).append(_wanted(item))
                found[Fault(place, "")] = None
        found |= dict.fromkeys(self._between())
        return [self._complete(fault, wanted) for fault in found]

    def _between(self) -> Iterator[Fault]:
        places = dict(_places(self._tables))
        for table, config in self._known.configs():
            for fault in _failed_checks(config):
                yield self._as_written(places.get(id(table), ()), fault)

    def _complete(self, fault: Fault, wanted: Mapping[Place, list[str]]) -> Fault:
        """Several things that a setting may be are one fault."""
        if fault.why:
            return fault
        kinds = ", or ".join(dict.fromkeys(wanted[fault.place]))
        value = _at(self._tables, fault.place)
        near = get_close_matches(str(value), re.findall(r'"([^"]*)"', kinds), n=1)
        hint = f'; did you mean "{near[0]}"?' if near and isinstance(value, str) else ""
        hidden = any(is_secret(part) for part in fault.place)
        value_shown = "what is there (not shown)" if hidden else shown_value(value)
        return Fault(fault.place, f"must be {kinds}, not {value_shown}{hint}")

    def _told(self, place: Place, item: Any) -> Iterator[Fault]:
        match item["type"]:
            case "value_error":
                for fault in _faults_of(item["ctx"]["error"]):
                    yield self._as_written(place, fault)
            case "extra_forbidden":
                yield Fault(place, self._unknown_key(place))
            case "missing":
                yield Fault(place, "missing, and it has no default")
            case "union_tag_not_found":
                kinds = listed(_kinds_at(self._model, item["loc"]))
                yield Fault((*place, "kind"), f"missing; choose from {kinds}")
            case _:
                kinds = _quoted(item["ctx"]["expected_tags"])
                tag = item["ctx"]["tag"]
                near = get_close_matches(tag, re.findall(r'"([^"]*)"', kinds), n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                yield Fault((*place, "kind"), f'no kind "{tag}"; choose from {kinds}{hint}')

    def _written(self, item: Any) -> Place:
        """Where an error lies in the TOML: pydantic's place also names the unions' kinds."""
        node, place = self._tables, []
        for at, part in enumerate(item["loc"]):
            inner = _inside(node, part)
            is_last = at == len(item["loc"]) - 1
            if inner is not _NOTHING:
                node = inner
                place.append(part)
            elif is_last and item["type"] == "missing":
                place.append(part)
        return tuple(place)

    def _as_written(self, table: Place, fault: Fault) -> Fault:
        """A check's fault by its whole place; a table that may be one of a list has no index."""
        place = table
        node = _at(self._tables, table)
        for part in fault.place:
            if isinstance(part, int) and isinstance(node, Mapping):
                continue
            node = _inside(node, part)
            place = (*place, part)
        return Fault(place, fault.why)

    def _unknown_key(self, place: Place) -> str:
        key = str(place[-1])
        owner = self._known.get(_at(self._tables, place[:-1]))
        if owner is None:
            return "unknown key"
        kinds = _other_kinds(self._model, type(owner), key)
        if kinds:
            own = type(owner).model_fields["kind"].default
            return f'unknown key: kind "{own}" has none; it belongs to kind {listed(kinds)}'
        own_keys = list(type(owner).model_fields)
        near = get_close_matches(key, own_keys, n=1) or [k for k in own_keys if key in k.split("_")]
        if near:
            return f"unknown key; did you mean {near[0]!r}?"
        homes = list(dict.fromkeys(_homes(self._model, key, ())))
        if homes:
            return f"unknown key; there is {', '.join(homes)}"
        return f"unknown key; known here: {', '.join(own_keys)}"


_TOLD_OTHERWISE = {
    "extra_forbidden",
    "missing",
    "union_tag_invalid",
    "union_tag_not_found",
    "value_error",
}
_NOTHING = object()


def _inside(node: Any, part: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(part, _NOTHING)
    if isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node):
        return node[part]
    return _NOTHING


def _at(tables: Any, place: Place) -> Any:
    for part in place:
        tables = _inside(tables, part)
    return tables


def _places(node: Any, place: Place = ()) -> Iterator[tuple[int, Place]]:
    """The places of all tables and lists by their ids."""
    if isinstance(node, Mapping):
        inner: Any = node.items()
    elif isinstance(node, (list, tuple)):
        inner = enumerate(node)
    else:
        return
    yield id(node), place
    for key, value in inner:
        yield from _places(value, (*place, key))


def _wanted(item: Any) -> str:  # noqa: C901
    """What a setting may be, after "must be"."""
    bounds = item.get("ctx", {})
    match item["type"]:
        case "int_type" | "int_parsing" | "int_from_float":
            return "a whole number"
        case "int_parsing_size":
            return "a smaller whole number"
        case "float_type" | "float_parsing":
            return "a number"
        case "finite_number":
            return "a finite number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type" | "string_unicode" | "path_type":
            return "text"
        case "literal_error":
            return f"one of {_quoted(bounds['expected'])}"
        case "greater_than":
            return f"above {_number(bounds['gt'])}"
        case "greater_than_equal":
            return f"at least {_number(bounds['ge'])}"
        case "less_than":
            return f"below {_number(bounds['lt'])}"
        case "less_than_equal":
            return f"at most {_number(bounds['le'])}"
        case "string_pattern_mismatch":
            return f"text of the form {bounds['pattern']}"
        case "tuple_type" | "list_type":
            return "a list"
        case "too_short":
            return f"a list of at least {bounds['min_length']}"
        case "dict_type" | "model_type" | "model_attributes_type" | "mapping_type":
            return "a table"
        case _:
            return "of another kind"


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _quoted(expected: str) -> str:
    """pydantic's `'a', 'b' or 'c'` as `"a", "b", "c"`."""
    return listed(re.findall(r"'([^']*)'", expected))


def listed(names: Iterable[str]) -> str:
    """Names in quotes, as a list in a sentence."""
    return ", ".join(f'"{name}"' for name in names)


def shown_value(value: Any) -> str:
    """A value as TOML would have it, in short."""
    match value:
        case None:
            return "nothing"
        case str() | bool():
            text = json.dumps(value, ensure_ascii=False)
        case Mapping():
            text = "a table"
        case list() | tuple():
            text = "a list" if value else "an empty list"
        case _:
            text = str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"


def models_in(hint: Any) -> list[type[BaseModel]]:
    """The config classes that a type hint names."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    return [model for arg in get_args(hint) for model in models_in(arg)]


def _unions(model: type[BaseModel]) -> Iterator[list[type[BaseModel]]]:
    """The classes of each field, also of the classes within."""
    for field in model.model_fields.values():
        inner = models_in(field.annotation)
        yield inner
        for each in inner:
            yield from _unions(each)


def _other_kinds(model: type[BaseModel], owner: type[BaseModel], key: str) -> list[str]:
    """The kinds that have a key which the owner's kind has not."""
    beside = {each for union in _unions(model) if owner in union for each in union}
    kinds = {each.model_fields["kind"].default for each in beside if key in each.model_fields}
    return sorted(kinds)


def _kinds_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The kinds that a place may be of."""
    models = [model]
    for part in place:
        fields = [m.model_fields[str(part)] for m in models if part in m.model_fields]
        models = [inner for field in fields for inner in models_in(field.annotation)] or models
    return sorted(each.model_fields["kind"].default for each in models)


def _homes(model: type[BaseModel], key: str, place: Place) -> Iterator[str]:
    """Where else a key belongs."""
    for name, field in model.model_fields.items():
        if name == key and place:
            yield dotted((*place, key))
        for inner in models_in(field.annotation):
            yield from _homes(inner, key, (*place, name))
