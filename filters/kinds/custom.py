"""A user's own filter, by the dotted path of its class."""

from __future__ import annotations

from inspect import isclass
from typing import Annotated, Any, Literal, cast

from filters.base import CompletionFilter, FilterBase, FilterContext, GroupFilter
from ratchet import dotted_path
from ratchet.config import NotIdentity
from ratchet.errors import InputError

_METHODS = ("mark", "mark_group")


class CustomConfig(FilterBase):
    """A class with a method `mark(problem, completion)` or `mark_group(group)`."""

    kind: Literal["custom"] = "custom"
    path: dotted_path.DottedPath
    """`my_package.my_module:MyFilter`, found from the folder that Ratchet is started in."""
    found_in: Annotated[str | None, NotIdentity()] = dotted_path.found_in_field()
    """The folder that it was found in, for a resume from elsewhere; left out, the current one."""
    settings: dict[str, Any] = {}
    """Passed to the class by name."""


def load_custom(config: CustomConfig, _context: FilterContext) -> CompletionFilter | GroupFilter:
    """The user's filter, built; what is no filter's class is never called.

    Raises:
        InputError: if the class can't be found or built, or is no filter.
    """
    made = dotted_path.load(config.path, _called(config), config.found_in)
    if not (isclass(made) and any(callable(getattr(made, name, None)) for name in _METHODS)):
        raise InputError(
            f"{_called(config)}: {config.path} is no class with a method mark(problem, completion) "
            "-> Mark or mark_group(group) -> list[Mark]; filters.base shows what each gets and "
            "returns"
        )
    try:
        rule = made(**config.settings)
    except Exception as error:
        raise InputError(
            f"{_called(config)}: {config.path} raised {type(error).__name__} when built with "
            f"settings {config.settings}: {error}"
        ) from error
    return cast("CompletionFilter | GroupFilter", rule)


def source_digest(config: CustomConfig) -> str:
    """A digest of the module that holds the class, so that another code is another filter.

    Raises:
        InputError: if there is no such module.
    """
    return dotted_path.digest(config.path, _called(config), config.found_in)


def _called(config: CustomConfig) -> str:
    return f"filter {config.label!r}"
