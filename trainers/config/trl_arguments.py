"""Which arguments of TRL's a setting decides, said at its field; importable without torch."""

from __future__ import annotations

from functools import cache
from typing import Any

from ratchet.config import Config


class DecidesTrl:
    """Marks a field that decides arguments of TRL's without being their value.

    `bf16` follows from `dtype` and the machine: `Annotated[str, DecidesTrl("bf16")]`. What TRL is
    given stands where the training is built; it may be nothing, where our own loss takes its place.
    """

    def __init__(self, *names: str) -> None:
        self.names = names


class TrlArgument(DecidesTrl):
    """Marks a field whose value TRL is given, under the name that it has there.

    `rate: Annotated[float, TrlArgument("learning_rate")]` is all that such a setting needs: it is
    handed on, and `args.learning_rate` is refused.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)


def given_arguments(config: Config) -> dict[str, Any]:
    """What TRL is given of a config as it stands there."""
    return {
        name: getattr(config, field)
        for field, mark in _marks(type(config))
        if isinstance(mark, TrlArgument)
        for name in mark.names
    }


def decided_arguments(of: type[Config]) -> dict[str, str]:
    """The arguments of TRL's that fields of a class decide, and the field of each."""
    return {name: field for field, mark in _marks(of) for name in mark.names}


@cache
def _marks(of: type[Config]) -> tuple[tuple[str, DecidesTrl], ...]:
    """Fields and their marks; a field that gets another default in a subclass keeps its marks."""
    return tuple(
        (name, mark)
        for base in of.__mro__
        if issubclass(base, Config)
        for name, field in base.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, DecidesTrl)
    )
