"""The shouting filter: a completion is not written in capitals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from filters.base import UNSCORED, FilterBase, FilterContext, Mark
from ratchet.records import Completion, Problem


class ShoutingConfig(FilterBase):
    """How much of a completion may be capitals."""

    kind: Literal["shouting"] = "shouting"
    max_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Largest share of letters that are capitals."""


class Shouting:
    """Accepts `calm`, rejects `shouting`; the reward is the share of capitals."""

    def __init__(self, config: ShoutingConfig, _context: FilterContext) -> None:
        self._config = config

    def mark(self, _problem: Problem, completion: Completion) -> Mark:
        """One completion's mark."""
        letters = [letter for letter in completion.completion if letter.isalpha()]
        if not letters:
            return Mark(True, UNSCORED)
        share = sum(letter.isupper() for letter in letters) / len(letters)
        if share > self._config.max_share:
            return Mark(False, "shouting", share)
        return Mark(True, "calm", share)
