"""The difficulty filter: problems that the policy solves always, or never, teach it little."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from filters.base import UNSCORED, FilterBase, FilterContext, Group, Mark


class DifficultyConfig(FilterBase):
    """Bounds on a problem's pass rate, the share of its graded completions that are correct."""

    kind: Literal["difficulty"] = "difficulty"
    min_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Problems that are solved less often are rejected."""
    max_pass_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Problems that are solved more often are rejected."""
    by: str = "orm"
    """The filter, earlier in the list, whose verdict says what is correct."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> DifficultyConfig:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"min_pass_rate={self.min_pass_rate} is above max_pass_rate={self.max_pass_rate}, "
                "so every problem would be rejected"
            )
        if (self.min_pass_rate, self.max_pass_rate) == (0.0, 1.0):
            raise ValueError(
                "without min_pass_rate or max_pass_rate every problem would be accepted; give one, "
                "e.g. min_pass_rate=0.1, or leave the filter out"
            )
        return self


class Difficulty:
    """Accepts `in_band`; else `too_easy`, `too_hard` or `never_solved`.

    The reward is the pass rate. Completions that the grader could not judge are left out of it; a
    group without any other is `unscored`.
    """

    def __init__(self, config: DifficultyConfig, _context: FilterContext) -> None:
        self._config = config

    def mark_group(self, group: Group) -> list[Mark]:
        """The same mark for each completion of the group."""
        rate = pass_rate(mark.reward for mark in group.marks[self._config.by])
        return [self._mark(rate)] * len(group.completions)

    def _mark(self, rate: float | None) -> Mark:
        if rate is None:
            return Mark(True, UNSCORED)
        if rate > self._config.max_pass_rate:
            return Mark(False, "too_easy", rate)
        if rate < self._config.min_pass_rate:
            return Mark(False, "too_hard" if rate else "never_solved", rate)
        return Mark(True, "in_band", rate)


def pass_rate(rewards: Iterable[float | None]) -> float | None:
    """The share of 1 among the rewards that are known; None where none is."""
    known = [reward for reward in rewards if reward is not None]
    return sum(reward == 1 for reward in known) / len(known) if known else None
