"""A setting's type and default in plain words, from its annotation and its bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from ratchet.config import TextForm
from ratchet.config_errors import listed, models_in

_PLAIN = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
_PLURAL = {"integer": "integers", "number": "numbers", "text": "texts", "table": "tables"}


def type_words(hint: Any, marks: Iterable[Any] = ()) -> str:
    """`integer, at least 1`; `one of "stop", "drop"`; `text or nothing`."""
    hint, marks = _bare(hint, marks)
    if models_in(hint) and get_origin(hint) is not tuple:
        return "table or nothing" if NoneType in get_args(hint) else "table"
    if get_origin(hint) is Literal:
        return _choice(get_args(hint))
    if get_origin(hint) is tuple:
        one = "table, or " if any(isinstance(mark, BeforeValidator) for mark in marks) else ""
        return one + _list_words(get_args(hint)[0], marks)
    if get_origin(hint) is dict or hint is dict:
        return "table"
    if hint in _PLAIN:
        return _form(marks) or ", ".join([_PLAIN[hint], *_bounds(marks)])
    return _either(get_args(hint), marks)


def _bare(hint: Any, marks: Iterable[Any]) -> tuple[Any, list[Any]]:
    """A hint without its `Annotated`, and all marks that stand at it."""
    found = list(marks)
    while get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        for mark in more:
            found += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return hint, found


def _choice(values: tuple[Any, ...]) -> str:
    return listed(values) if len(values) == 1 else f"one of {listed(values)}"


def _list_words(inner: Any, marks: list[Any]) -> str:
    least = max((mark.min_length for mark in marks if isinstance(mark, MinLen)), default=0)
    words = "table" if models_in(inner) else type_words(inner)
    if words.startswith("one of"):
        return f"list of at least {least}, each {words}" if least else f"list, each {words}"
    item, _, bounds = words.partition(", ")
    size = f"at least {least} {item}" if least else _PLURAL.get(item, item)
    return f"list of {size} ({bounds})" if bounds else f"list of {size}"


def _either(hints: tuple[Any, ...], marks: list[Any]) -> str:
    """The words of a union; what may be left out is said last."""
    words = [type_words(hint, marks) for hint in hints if hint is not NoneType]
    if NoneType in hints:
        return f"{' or '.join(words)}, or nothing" if "," in words[0] else f"{words[0]} or nothing"
    return ", or ".join(words) if words else "anything"


def _bounds(marks: Iterable[Any]) -> list[str]:
    words = []
    for mark in marks:
        match mark:
            case Ge():
                words.append(f"at least {_number(mark.ge)}")
            case Gt():
                words.append(f"above {_number(mark.gt)}")
            case Le():
                words.append(f"at most {_number(mark.le)}")
            case Lt():
                words.append(f"below {_number(mark.lt)}")
            case _ if pattern := getattr(mark, "pattern", None):
                words.append(f"of the form `{pattern}`")
    return words


def _form(marks: Iterable[Any]) -> str:
    """What a text must be, where a check says it in words."""
    for mark in marks:
        if isinstance(mark, AfterValidator) and isinstance(mark.func, TextForm):
            words = mark.func.words
            return words if words.startswith("one of") else f"text: {words}"
    return ""


def _number(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def plain_value(value: Any) -> Any:
    """A default as JSON values; of a table only what its class does not set itself."""
    match value:
        case BaseModel():
            kind = {"kind": value.kind} if "kind" in type(value).model_fields else {}  # type: ignore[attr-defined]
            return {**kind, **value.model_dump(mode="json", exclude_defaults=True)}
        case list() | tuple():
            return [plain_value(inner) for inner in value]
        case Path():
            return str(value)
        case _:
            return value


def toml_value(value: Any) -> str:
    """A plain value as TOML writes it."""
    match value:
        case Mapping():
            inner = ", ".join(f"{key} = {toml_value(each)}" for key, each in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case float():
            return re.sub(r"e([+-])0*(\d)", r"e\1\2", repr(value)).replace("e+", "e")
        case _:
            return json.dumps(value, ensure_ascii=False)
