"""The length filter: absolute bounds, outliers of the group or the set, and long problems."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from filters.base import FilterBase, FilterContext, Group, Mark
from ratchet.records import Completion

MIN_SAMPLE = 5
"""Lengths below which nothing can be called an outlier."""


class LengthConfig(FilterBase):
    """How long a completion, and its problem, may be."""

    kind: Literal["length"] = "length"
    unit: Literal["tokens", "chars"] = "tokens"
    """What `min` and `max` count."""
    min: Annotated[int | None, Field(ge=0)] = None
    """Shorter completions are rejected."""
    max: Annotated[int | None, Field(ge=1)] = None
    """Longer completions are rejected."""
    outliers: Literal["none", "group", "set"] = "none"
    """Reject lengths far from those of the group, or of all completions."""
    max_deviation: Annotated[float, Field(gt=0)] = 3.5
    """From which modified z-score on a length is an outlier."""
    problem_quantile: Annotated[float | None, Field(gt=0, le=1)] = None
    """Keep this share of the problems, the shortest in characters; 0.9 drops the longest tenth."""

    @model_validator(mode="after")
    def _bounds_agree(self) -> LengthConfig:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                f"min={self.min} is above max={self.max}, so every completion would be rejected"
            )
        return self


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some lengths and how far they lie from it."""

    median: float
    deviation: float
    """Median absolute deviation over 0.6745, or the mean one times 1.2533 where that is 0: each
    estimates the standard deviation of a normal distribution."""

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Spread | None:
        """None where there are fewer than `MIN_SAMPLE` lengths, or all are the same.

        Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993).
        """
        total = sum(counts.values())
        if total < MIN_SAMPLE or len(counts) < 2:
            return None
        middle = _median(counts)
        away: Counter[float] = Counter()
        for length, count in counts.items():
            away[abs(length - middle)] += count
        deviation = _median(away) / 0.6745
        if not deviation:
            deviation = 1.2533 * sum(gap * count for gap, count in away.items()) / total
        return cls(middle, deviation)

    def z(self, length: int) -> float:
        """How many standard deviations `length` lies from the middle; negative below it."""
        return (length - self.median) / self.deviation


class Length:
    """Accepts `fits`; else `too_short`, `too_long`, `outlier_short`, `outlier_long`,
    `long_problem`. The reward is the completion's length in the config's unit."""

    def __init__(self, config: LengthConfig, context: FilterContext) -> None:
        self._config = config
        self._set_spread = (
            Spread.of(getattr(context.lengths, config.unit)) if config.outliers == "set" else None
        )
        self._longest_problem = _quantile(
            [len(problem.problem) for problem in context.problems.values()],
            config.problem_quantile,
        )

    def mark_group(self, group: Group) -> list[Mark]:
        """The marks of one group, in order."""
        lengths = [self._length(completion) for completion in group.completions]
        if len(group.problem.problem) > self._longest_problem:
            return [Mark(False, "long_problem", float(length)) for length in lengths]
        spread = self._set_spread
        if self._config.outliers == "group":
            spread = Spread.of(Counter(lengths))
        return [self._mark(length, spread) for length in lengths]

    def _length(self, completion: Completion) -> int:
        if self._config.unit == "tokens":
            return completion.num_tokens
        return len(completion.completion)

    def _mark(self, length: int, spread: Spread | None) -> Mark:
        config = self._config
        if config.min is not None and length < config.min:
            return Mark(False, "too_short", float(length))
        if config.max is not None and length > config.max:
            return Mark(False, "too_long", float(length))
        z = spread.z(length) if spread else 0.0
        if abs(z) > config.max_deviation:
            reason = "outlier_long" if z > 0 else "outlier_short"
            return Mark(False, reason, float(length), f"modified z-score {z:.1f}")
        return Mark(True, "fits", float(length))


def _median(counts: Mapping[int, int] | Mapping[float, int]) -> float:
    values, ends = [], []
    total = 0
    for value in sorted(counts):
        total += counts[value]  # type: ignore[index]
        values.append(value)
        ends.append(total)
    low, high = (total - 1) // 2, total // 2
    return (values[bisect_right(ends, low)] + values[bisect_right(ends, high)]) / 2


def _quantile(lengths: Sequence[int], share: float | None) -> float:
    """The largest length among the shortest `share`; infinite where nothing is asked for."""
    if share is None or not lengths:
        return math.inf
    return sorted(lengths)[max(0, math.ceil(share * len(lengths)) - 1)]
