"""A user's own class or function, by the dotted path `my_package.my_module:name`.

It is looked for first from the folder that Ratchet was started in: the installed command has its
own folder on `sys.path` in place of that one. A config remembers the folder, so that a run can be
resumed from anywhere. To import a module is to run it, so a config is code, and to be trusted as
such; what stands at the path is looked at before it is called.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ratchet.config import of_form
from ratchet.errors import InputError

DottedPath = Annotated[
    str,
    of_form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", 'a module and a name in it, "package.module:name"'),
]
"""A module and a name in it."""


def found_in_field() -> Any:
    """The config field that remembers, beside a field `path`, the folder that the module was in."""
    return Field(default_factory=lambda data: folder_of(data.get("path", "")))


def folder_of(path: str) -> str | None:
    """The current folder if it holds the module of `path`, else None: it is found elsewhere."""
    top = Path.cwd() / path.partition(":")[0].partition(".")[0]
    return os.getcwd() if top.is_dir() or top.with_suffix(".py").is_file() else None


def load(path: str, what: str, folder: str | None = None) -> Any:
    """The class or function at `path`; errors call it `what`, e.g. `reward 'short'`.

    Raises:
        InputError: if it can't be loaded, or is not the user's own.
    """
    try:
        return find(path, folder)
    except Exception as error:
        raise cannot_load(path, what, f"{type(error).__name__}: {error}") from error


def find(path: str, folder: str | None = None) -> Any:
    """As `load`, but what goes wrong is raised as it is: the user's module may raise anything.

    Raises:
        TypeError: if what is there is no class or function of the module's own package.
    """
    module, _, name = path.partition(":")
    if _top(module) in sys.stdlib_module_names:
        raise TypeError(f"{module} is Python's own library, and no code of yours")
    _look_in(folder)
    found = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise TypeError(f"{name} is no class and no function, but {type(found).__name__}")
    if _top(found.__module__) != _top(module):
        raise TypeError(f"{name} is not defined in {module}, but in {found.__module__}")
    return found


def _top(module: str) -> str:
    return module.partition(".")[0]


def digest(path: str, what: str, folder: str | None = None) -> str:
    """A digest of the source behind `path`, so that another code is known as such.

    The module isn't imported, which may load torch, only the packages that it lies in. Of a package
    all its Python files count, as the name may come from any; modules beside it do not.

    Raises:
        InputError: if there is no such module, or none that has a file.
    """
    try:
        sources = [source.read_bytes() for source in _files_of(path.partition(":")[0], folder)]
    except Exception as error:
        raise cannot_load(path, what, f"{type(error).__name__}: {error}") from error
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def cannot_load(path: str, what: str, why: str) -> InputError:
    """The error that says so, and what to do."""
    return InputError(
        f"{what}: {path} can't be loaded: {why}; give package.module:name, importable from the "
        "folder that ratchet is started in"
    )


def _files_of(module: str, folder: str | None) -> list[Path]:
    _look_in(folder)
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.has_location:
        raise ModuleNotFoundError(f"No module named {module!r} in a file")
    file = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return [file]
    return sorted(each for each in file.parent.rglob("*.py") if each.is_file())


def _look_in(folder: str | None) -> None:
    """For good, as the user's code may import its neighbours when it is called."""
    folder = folder or os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
