"""GRPO's rewards: named, weighted, short functions, each of whose values is kept.

A value of None says that nothing can be said. A completion with one, whatever its other rewards,
has no reward as a whole and moves nothing: it is never taken for a 0.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from ratchet.answer_normal import normalise
from ratchet.answer_numbers import exact_number
from ratchet.answers import Grade, Grader
from ratchet.errors import InputError
from ratchet.grading import GradingRules
from ratchet.records import FinishReason, GrpoRow, Problem
from trainers.reward_config import (
    CorrectReward,
    CustomReward,
    FormatReward,
    LengthReward,
    PartialReward,
    RewardConfig,
)

MAX_FAILED_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion to be rewarded; `num_tokens` counts its end token too."""

    row: GrpoRow
    completion: str
    finish_reason: FinishReason
    num_tokens: int


Values = Sequence[float | None]
Reward = Callable[[Sequence[Sampled]], Values]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of a batch of completions: `values[name]` and `failures` have one entry for each.

    A failure says which reward failed and why; None where all went well.
    """

    values: dict[str, list[float | None]]
    failures: list[str | None]


class Scorer:
    """Asks every reward about every completion; holds the grader while it works."""

    def __init__(
        self, rewards: Sequence[RewardConfig], rules: GradingRules, grader: Grader
    ) -> None:
        self.weights = {reward.name: reward.weight for reward in rewards}
        self._rewards = {reward.name: _build(reward, rules, grader) for reward in rewards}
        self._failed_in_a_row = dict.fromkeys(self._rewards, 0)

    def score(self, batch: Sequence[Sampled]) -> Scores:
        """Every reward's values.

        Raises:
            InputError: if a reward returned another number of values than it got completions, or
                raised for `MAX_FAILED_BATCHES` batches in a row.
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
        except Exception as error:  # noqa: BLE001 - recorded for each completion
            self._count_failure(name, error)
            for each in failures:
                each.append(f"{name}: {type(error).__name__}: {error}")
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

    def _count_failure(self, name: str, error: Exception) -> None:
        self._failed_in_a_row[name] += 1
        if self._failed_in_a_row[name] >= MAX_FAILED_BATCHES:
            raise InputError(
                f"reward {name!r} raised for {MAX_FAILED_BATCHES} batches in a row, so nothing is "
                f"learned; the last time {type(error).__name__}: {error}"
            ) from error


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None


def _build(reward: RewardConfig, rules: GradingRules, grader: Grader) -> Reward:
    match reward:
        case CorrectReward():
            return lambda batch: [_correct(grade) for grade in _grades(batch, rules, grader)]
        case PartialReward():
            return lambda batch: [
                partial_credit(grade, sampled.row.reference_answer)
                for grade, sampled in zip(_grades(batch, rules, grader), batch, strict=True)
            ]
        case FormatReward():
            has_form = _FORMS[reward.style]
            return lambda batch: [float(has_form(sampled.completion)) for sampled in batch]
        case LengthReward():
            return lambda batch: [length_penalty(reward, s.num_tokens) for s in batch]
        case CustomReward():
            return load_custom(reward)
        case _:
            assert_never(reward)


def _grades(batch: Sequence[Sampled], rules: GradingRules, grader: Grader) -> list[Grade]:
    """The grader's verdicts; it remembers them, so that a second reward asks for nothing."""
    return [
        rules.grade(grader, _problem(sampled.row), sampled.completion, sampled.finish_reason)
        for sampled in batch
    ]


def _problem(row: GrpoRow) -> Problem:
    return Problem(
        problem_id=row.problem_id, problem=row.problem, reference_answer=row.reference_answer
    )


def _correct(grade: Grade) -> float | None:
    return None if grade.correct is None else float(grade.correct)


def partial_credit(grade: Grade, reference_answer: str) -> float | None:
    """1 if correct, else the ratio of the numbers, at most 1; see `PartialReward`."""
    if grade.correct is None:
        return None
    if grade.correct or grade.answer is None:
        return float(grade.correct)
    seen, wanted = exact_number(normalise(grade.answer)), exact_number(normalise(reference_answer))
    if seen is None or wanted is None or seen * wanted <= 0:
        return 0.0
    return float(min(abs(seen), abs(wanted)) / max(abs(seen), abs(wanted)))


def length_penalty(reward: LengthReward, num_tokens: int) -> float:
    """Between -1 and 0; see `LengthReward`."""
    over = num_tokens - reward.free_tokens
    return -min(1.0, max(0.0, over / (reward.max_tokens - reward.free_tokens)))


def is_think(text: str) -> bool:
    """Whether `text` begins with one closed thought and goes on after it."""
    head, closing, rest = text.strip().partition("</think>")
    has_one = head.startswith("<think>") and head.count("<think>") == 1
    return bool(closing and has_one and rest.strip() and "think>" not in rest)


def is_xml_soft(text: str) -> bool:
    """Whether a closed thought and, after it, a closed answer are somewhere in `text`."""
    at = 0
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        at = text.find(tag, at)
        if at < 0:
            return False
    return True


def is_xml_exact(text: str) -> bool:
    """Whether `text` is a thought and an answer, one of each, with nothing but space around."""
    text = text.strip()
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    between = text.partition("</think>")[2].partition("<answer>")[0]
    ends = text.startswith("<think>") and text.endswith("</answer>")
    return ends and not between.strip() and all(text.count(tag) == 1 for tag in tags)


_FORMS: dict[str, Callable[[str], bool]] = {
    "boxed": lambda text: "\\boxed{" in text,
    "think": is_think,
    "xml_exact": is_xml_exact,
    "xml_soft": is_xml_soft,
}


def load_custom(reward: CustomReward) -> Reward:
    """The user's function, with its settings bound.

    Raises:
        InputError: if it can't be found.
    """
    module, _, name = reward.path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return partial(getattr(importlib.import_module(module), name), **reward.settings)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"reward {reward.name!r}: {reward.path} can't be loaded: {error}; give "
            "package.module:function, importable from the folder that ratchet is started in"
        ) from error
