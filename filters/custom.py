"""A user's own filter, by the dotted path of its class."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from typing import Annotated, Any, Literal

from pydantic import Field

from filters.base import CompletionFilter, FilterBase, FilterContext, GroupFilter
from ratchet.errors import InputError


class CustomConfig(FilterBase):
    """A class with a method `mark(problem, completion)` or `mark_group(group)`."""

    kind: Literal["custom"] = "custom"
    path: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """`my_package.my_module:MyFilter`, found from the folder that Ratchet is started in."""
    settings: dict[str, Any] = {}
    """Passed to the class by name."""


def load_custom(config: CustomConfig, _context: FilterContext) -> CompletionFilter | GroupFilter:
    """The user's filter, built.

    Raises:
        InputError: if the class can't be found or built, or is no filter.
    """
    made = _class_of(config)
    try:
        rule = made(**config.settings)
    except Exception as error:
        raise InputError(
            f"filter {config.path}: {type(error).__name__} when built with settings "
            f"{config.settings}: {error}"
        ) from error
    if not isinstance(rule, CompletionFilter | GroupFilter):
        raise InputError(
            f"filter {config.path} has no method mark(problem, completion) -> Mark and none "
            "mark_group(group) -> list[Mark]; filters.base shows what each gets and returns"
        )
    return rule


def source_digest(config: CustomConfig) -> str:
    """A digest of the module that holds the class, so that another code is another filter."""
    module = inspect.getmodule(_class_of(config))
    try:
        source = inspect.getsource(module) if module else ""
    except OSError:
        source = ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _class_of(config: CustomConfig) -> Any:
    module, _, name = config.path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(
            f"filter {config.path} can't be loaded: {type(error).__name__}: {error}; give "
            "package.module:Class, importable from the folder that ratchet is started in"
        ) from error
