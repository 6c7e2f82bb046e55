"""Which engine arguments and sampling parameters the installed vLLM takes, without importing it.

Importing vLLM costs many seconds, which no config check should; its source says the names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_ENGINE_ARGS = ("engine/arg_utils.py", "EngineArgs")
_SAMPLING_PARAMS = ("sampling_params.py", "SamplingParams")


@cache
def _fields(file: str, name: str) -> frozenset[str]:
    """Public annotated fields of a class; empty where vLLM is absent or laid out otherwise."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return frozenset(
        node.target.id
        for found in classes
        for node in found.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("_")
    )


def unknown_engine_args(names: Iterable[str]) -> list[str]:
    """One line for each name that is no engine argument; empty where that can't be told."""
    return _unknown(names, _fields(*_ENGINE_ARGS), "engine argument")


def unknown_sampling_params(names: Iterable[str]) -> list[str]:
    """One line for each name that is no sampling parameter; empty where that can't be told."""
    return _unknown(names, _fields(*_SAMPLING_PARAMS), "sampling parameter")


def _unknown(names: Iterable[str], known: frozenset[str], what: str) -> list[str]:
    lines = []
    for name in names:
        if known and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{name!r} is no {what} of the installed vLLM{hint}")
    return lines
