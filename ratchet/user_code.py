"""A user's own class or function, by the dotted path `my_package.my_module:name`.

It is looked for from the current folder first: the installed command has its own folder on
`sys.path` in place of that one.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from ratchet.config import of_form
from ratchet.errors import InputError

DottedPath = Annotated[
    str,
    of_form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", 'a module and a name in it, "package.module:name"'),
]
"""A module and a name in it."""


def load(path: str, what: str) -> Any:
    """The class or function at `path`; errors call it `what`, e.g. `reward 'short'`.

    Raises:
        InputError: if it can't be loaded.
    """
    try:
        return find(path)
    except Exception as error:
        raise cannot_load(path, what, f"{type(error).__name__}: {error}") from error


def find(path: str) -> Any:
    """As `load`, but what goes wrong is raised as it is: the user's module may raise anything."""
    module, _, name = path.partition(":")
    _look_in_current_folder()
    return getattr(importlib.import_module(module), name)


def digest(path: str, what: str) -> str:
    """A digest of the source behind `path`, so that another code is known as such.

    The module isn't imported, which may load torch, only the packages that it lies in. Of a package
    all its Python files count, as the name may come from any; modules beside it do not.

    Raises:
        InputError: if there is no such module, or none that has a file.
    """
    try:
        sources = [source.read_bytes() for source in _files_of(path.partition(":")[0])]
    except Exception as error:
        raise cannot_load(path, what, f"{type(error).__name__}: {error}") from error
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def cannot_load(path: str, what: str, why: str) -> InputError:
    """The error that says so, and what to do."""
    return InputError(
        f"{what}: {path} can't be loaded: {why}; give package.module:name, importable from the "
        "folder that ratchet is started in"
    )


def _files_of(module: str) -> list[Path]:
    _look_in_current_folder()
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.has_location:
        raise ModuleNotFoundError(f"No module named {module!r} in a file")
    file = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return [file]
    return sorted(each for each in file.parent.rglob("*.py") if each.is_file())


def _look_in_current_folder() -> None:
    """For good, as the user's code may import its neighbours when it is called."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
