"""GRPO's rewards: named, weighted, short functions, each of whose values is kept.

A value of None says that nothing can be said. A completion with one, whatever its other rewards,
has no reward as a whole and moves nothing: it is never taken for a 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.errors import InputError
from ratchet.problems.grading import GradingRules
from ratchet.verifier.grader import Grader
from trainers.config.rewards import RewardConfig
from trainers.rewards.base import RewardFailed, Sampled
from trainers.rewards.functions import build
from trainers.rewards.process import RewardProcess

MAX_FAILED_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """Of a batch of completions: `values[name]` and `failures` have one entry for each.

    A failure says which reward failed and why; None where all went well.
    """

    values: dict[str, list[float | None]]
    failures: list[str | None]


class Scorer:
    """Asks every reward about every completion; holds the grader and custom rewards' processes.

    A context manager, which ends those processes.
    """

    def __init__(
        self, rewards: Sequence[RewardConfig], rules: GradingRules, grader: Grader
    ) -> None:
        self.weights = {reward.name: reward.weight for reward in rewards}
        self._rewards = {reward.name: build(reward, rules, grader) for reward in rewards}
        self._failed_in_a_row = dict.fromkeys(self._rewards, 0)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        for reward in self._rewards.values():
            if isinstance(reward, RewardProcess):
                reward.close()

    def score(self, batch: Sequence[Sampled]) -> Scores:
        """Every reward's values.

        Raises:
            InputError: if a reward returned another number of values than it got completions, or
                failed for `MAX_FAILED_BATCHES` batches in a row.
        """
        failures: list[list[str]] = [[] for _ in batch]
        values = {name: self._ask(name, batch, failures) for name in self._rewards}
        return Scores(values, ["; ".join(each) or None for each in failures])

    def total(self, values: Sequence[float | None]) -> float | None:
        """The weighted sum of one completion's values, in the rewards' order; None if one is."""
        if any(value is None for value in values):
            return None
        weighed = zip(self.weights.values(), values, strict=True)
        return sum(weight * value for weight, value in weighed if value is not None)

    def _ask(
        self, name: str, batch: Sequence[Sampled], failures: list[list[str]]
    ) -> list[float | None]:
        try:
            values = list(self._rewards[name](batch))
        except RewardFailed as failure:
            self._count_failure(name, failure)
            for each in failures:
                each.append(f"{name}: {failure}")
            return [None] * len(batch)
        self._failed_in_a_row[name] = 0
        if len(values) != len(batch):
            raise InputError(
                f"reward {name!r} returned {len(values)} values for {len(batch)} completions; it "
                "has to return one for each, in their order, None where it can say nothing"
            )
        checked = [_number(value) for value in values]
        for each, value, number in zip(failures, values, checked, strict=True):
            if number is None:
                each.append(f"{name}: {'no value' if value is None else f'{value!r} is no number'}")
        return checked

    def _count_failure(self, name: str, failure: RewardFailed) -> None:
        self._failed_in_a_row[name] += 1
        if self._failed_in_a_row[name] >= MAX_FAILED_BATCHES:
            raise InputError(
                f"reward {name!r} failed for {MAX_FAILED_BATCHES} batches in a row, so nothing is "
                f"learned; the last time {failure}"
            ) from failure


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None
