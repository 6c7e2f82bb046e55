"""What names an installed library knows, read from its source: importing it may cost many seconds.

Where the library is absent or laid out otherwise nothing is known, and nothing is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def annotated_fields(package: str, file: str, name: str) -> frozenset[str]:
    """Public annotated fields of a class, without those that it inherits."""
    return frozenset(
        node.target.id
        for node in _body(package, file, name)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("_")
    )


@cache
def enum_values(package: str, file: str, name: str) -> frozenset[str]:
    """The texts that an enumeration stands for."""
    return frozenset(
        node.value.value
        for node in _body(package, file, name)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def literal_numbers(package: str, file: str, name: str) -> tuple[int, ...]:
    """The numbers of a `NAME = Literal[1, 2, …]`."""
    return tuple(
        number.value
        for node in _nodes(package, file)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
        for number in ast.walk(node.value)
        if isinstance(number, ast.Constant) and isinstance(number.value, int)
    )


def unknown_names(names: Iterable[str], known: frozenset[str], what: str) -> list[str]:
    """One line for each name that is none of the known; `what` says what they name."""
    return [
        f"{name!r} is no {what}{_hint(name, known)}"
        for name in names
        if known and name not in known
    ]


def _hint(name: str, known: frozenset[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _body(package: str, file: str, name: str) -> Iterator[ast.stmt]:
    for node in _nodes(package, file):
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield from node.body


def _nodes(package: str, file: str) -> Iterator[ast.stmt]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        return
    yield from ast.parse(path.read_text(encoding="utf-8")).body
