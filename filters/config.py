"""The union of the filters' configs, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from filters.kinds.arithmetic import ArithmeticConfig
from filters.kinds.custom import CustomConfig
from filters.kinds.decontamination import DecontaminationConfig
from filters.kinds.difficulty import DifficultyConfig
from filters.kinds.diversity import DiversityConfig
from filters.kinds.format import FormatConfig
from filters.kinds.language import LanguageConfig
from filters.kinds.length import LengthConfig
from filters.kinds.orm import OrmConfig
from filters.kinds.repetition import RepetitionConfig
from ratchet.config_errors import Fault, refuse

FilterConfig = Annotated[
    OrmConfig
    | FormatConfig
    | LengthConfig
    | RepetitionConfig
    | LanguageConfig
    | ArithmeticConfig
    | DiversityConfig
    | DecontaminationConfig
    | DifficultyConfig
    | CustomConfig,
    Field(discriminator="kind"),
]
"""Any filter's settings."""


def check_filters(filters: Sequence[FilterConfig]) -> None:
    """What a list of filters must hold to.

    Raises:
        Faults: with all that is wrong, and what to do.
    """
    refuse(list(_faults(filters)))


def looks_across(config: FilterConfig) -> bool:
    """Whether a filter compares with all that came before it in the whole set."""
    return isinstance(config, DiversityConfig) and config.scope == "set"


def _faults(filters: Sequence[FilterConfig]) -> Iterator[Fault]:
    labels = [config.label for config in filters]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        yield Fault(
            (),
            f"{len(filters)} filters share the names {twice}, so their verdicts could not be told "
            "apart; give each a name of its own",
        )
    if not any(config.mode == "require" for config in filters):
        yield Fault(
            (),
            'no filter has mode = "require", so every completion would be trained on; '
            "require at least one",
        )
    for at, config in enumerate(filters):
        yield from (
            Fault((at,), why)
            for why in _order_faults(config, labels[:at], is_last=at == len(filters) - 1)
        )


def _order_faults(config: FilterConfig, before: Sequence[str], *, is_last: bool) -> Iterator[str]:
    if isinstance(config, DifficultyConfig) and config.by not in before:
        yield (
            f"filter {config.label!r} takes the pass rate from {config.by!r}, which is not before "
            f"it; the filters before it are {list(before)}"
        )
    if looks_across(config) and not is_last:
        yield (
            f'filter {config.label!r} with scope = "set" compares with all that came through the '
            "others, so it must be the last filter"
        )
